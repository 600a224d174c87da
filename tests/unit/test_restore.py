"""python start.py restore: lessons come back as they were, with git and without; nothing of the reader's is lost."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import start
from helpers import mine, restore
from tests.environment import ROOT

NAMES = ["00_start.ipynb", "04_job.ipynb", "starter.ipynb"]
IDENTITY = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]


@pytest.fixture
def course(tmp_path, monkeypatch) -> Path:
    """A course of three notebooks in which nothing is changed; git knows nothing of it."""
    folder = tmp_path / "course"
    (folder / "notebooks").mkdir(parents=True)
    (folder / "CHANGELOG.md").write_text("1\n")
    for name in NAMES:
        (folder / "notebooks" / name).write_bytes(f'{{"was": "{name}"}}\n'.encode())
    monkeypatch.setenv("COURSE_MY", str(tmp_path / "my"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.setattr(mine, "now", lambda: "2026-11-28_10-00-00")
    return folder


@pytest.fixture(params=["git", "copies"])
def kept(request, course) -> Path:
    """The course after its first start, as a clone of git or not."""
    git_init(course) if request.param == "git" else restore.keep(course)
    return course


def git_init(course: Path) -> None:
    for command in (["init", "-q"], ["add", "."], [*IDENTITY, "commit", "-qm", "1"]):
        subprocess.run(["git", "-C", str(course), *command], check=True)


def content(course: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted((course / "notebooks").iterdir())}


def in_my(course: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(mine.folder().glob("*"))}


def change(course: Path, *names: str) -> None:
    for name in names:
        (course / "notebooks" / name).write_text(f"mine: {name}")


def test_a_changed_lesson_comes_back_and_what_was_there_is_kept(kept):
    before = content(kept)
    change(kept, NAMES[1], NAMES[2])
    assert restore.restore(["04"], kept) == [
        "04_job.ipynb is as it was. What you had there is in my/04_job 2026-11-28_10-00-00.ipynb.",
        restore.OPEN_IN_JUPYTERLAB,
    ]
    assert content(kept) == before | {NAMES[2]: f"mine: {NAMES[2]}"}
    assert in_my(kept) == {"04_job 2026-11-28_10-00-00.ipynb": f"mine: {NAMES[1]}"}


def test_without_a_name_all_come_back(kept):
    before = content(kept)
    change(kept, *NAMES[:2])
    (kept / "notebooks" / NAMES[2]).unlink()
    (kept / "notebooks" / "own.ipynb").write_text("no lesson")
    said = restore.restore([], kept)
    assert said[2] == "starter.ipynb was not there; now it is." and len(said) == 4
    assert content(kept) == before | {"own.ipynb": "no lesson"}
    assert len(in_my(kept)) == 2


def test_if_nothing_has_changed_it_says_so_and_writes_nothing(kept):
    (kept / "notebooks" / NAMES[1]).write_bytes(
        b'{"was": "04_job.ipynb"}\r\n'
    )  # as JupyterLab saves it on Windows
    assert restore.restore(["4"], kept) == ["Nothing to do: 04_job.ipynb is as it was."]
    assert restore.restore([], kept) == ["Nothing to do: all 3 notebooks are as they were."]
    assert not mine.folder().exists()


@pytest.mark.parametrize("name", ["4", "04", "04_job", "04_job.ipynb", "notebooks/04_job.ipynb"])
def test_how_a_lesson_is_called(name, kept):
    change(kept, NAMES[1])
    assert restore.restore([name, name], kept)[0].startswith("04_job.ipynb is as it was.")


@pytest.mark.parametrize("name", ["5", "04_", "job", "*", ".."])
def test_a_name_that_no_lesson_has_is_refused_and_nothing_is_done(name, kept):
    change(kept, NAMES[0])
    before = content(kept)
    with pytest.raises(ValueError, match="No lesson is called .* There are: 00, 04, starter."):
        restore.restore(["00", name], kept)
    assert content(kept) == before and not mine.folder().exists()


def test_a_lesson_in_another_language_comes_back_by_its_folder_and_number(course):
    (course / "notebooks" / "ru").mkdir()
    english, russian = (course / "notebooks" / folder / NAMES[1] for folder in ("", "ru"))
    russian.write_text("было", encoding="utf-8")
    for kept in ("git", "copies"):
        if kept == "git":
            git_init(course)
        else:
            shutil.rmtree(course / ".git")
            restore.keep(course)
        english.write_text("mine")
        russian.write_text("моё", encoding="utf-8")
        assert restore.restore(["ru/4"], course)[0].startswith("04_job.ipynb is as it was.")
        assert (english.read_text(), russian.read_text(encoding="utf-8")) == ("mine", "было")
        assert restore.restore([], course)[0].startswith("04_job.ipynb is as it was.")
        assert english.read_text() == '{"was": "04_job.ipynb"}\n'
    with pytest.raises(ValueError, match="There are: 00, 04, starter, ru/04."):
        restore.restore(["ru/00"], course)


def test_restored_twice_in_a_second_both_are_kept(kept):
    for text in ("first", "second"):
        (kept / "notebooks" / NAMES[1]).write_text(text)
        restore.restore(["04"], kept)
    assert list(in_my(kept).values()) == ["second", "first"]  # "... 2.ipynb" comes first in the alphabet


def test_what_the_reader_has_committed_is_not_how_the_lesson_was(course, tmp_path):
    """Of a clone: the newest commit that both have. Pulled, a newer one."""
    clone = tmp_path / "clone"

    def git(place: Path, *command: str) -> None:
        subprocess.run(["git", "-C", str(place), *command], check=True, capture_output=True)

    for command in (["init", "-q"], ["add", "."], [*IDENTITY, "commit", "-qm", "1"]):
        git(course, *command)
    git(tmp_path, "clone", "-q", str(course), str(clone))
    before = content(clone)
    change(clone, NAMES[1])
    git(clone, *IDENTITY, "commit", "-qam", "mine")
    restore.restore([], clone)
    assert content(clone) == before
    git(clone, "checkout", "-q", ".")
    (course / "notebooks" / NAMES[0]).write_text("newer")
    git(course, *IDENTITY, "commit", "-qam", "2")
    git(clone, *IDENTITY, "pull", "-q", "--no-rebase", "--no-edit")
    change(clone, NAMES[0])
    restore.restore([], clone)
    assert content(clone) == before | {NAMES[0]: "newer"}


def test_copies_are_taken_once_a_version(course):
    before = content(course)
    restore.keep(course)
    change(course, NAMES[0])
    restore.keep(course)
    restore.restore([], course)
    assert content(course) == before
    (course / "CHANGELOG.md").write_text("2\n")  # a newer course, unpacked over this one
    (course / "notebooks" / NAMES[0]).write_text("newer")
    restore.keep(course)
    change(course, NAMES[0])
    restore.restore([], course)
    assert content(course) == before | {NAMES[0]: "newer"}
    assert len(list((course / ".lessons").iterdir())) == 1


def test_copies_that_were_broken_off_are_no_copies(course, monkeypatch):
    def killed(source, target):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            restore.keep(course)
    with pytest.raises(ValueError, match="no copies of the lessons"):
        restore.restore([], course)
    restore.keep(course)
    assert restore.restore([], course) == ["Nothing to do: all 3 notebooks are as they were."]
    assert len(list((course / ".lessons").iterdir())) == 1


def test_where_no_copy_can_be_written_the_course_starts_without(course):
    (course / ".lessons").write_text("a file where the folder should be")
    restore.keep(course)
    with pytest.raises(ValueError, match="no copies of the lessons"):
        restore.restore([], course)


@pytest.mark.parametrize("steps", range(5))
def test_killed_at_any_step_both_versions_are_there_and_the_next_time_it_ends_well(steps, kept, monkeypatch):
    before, left, replace = content(kept), [steps], os.replace
    change(kept, *NAMES[:2])

    def killed_after(source, target):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        replace(source, target)

    with monkeypatch.context() as broken:
        broken.setattr(os, "replace", killed_after)
        try:
            restore.restore([], kept)
        except KeyboardInterrupt:
            assert steps < 4
    texts = [path.read_text() for path in (*(kept / "notebooks").iterdir(), *mine.folder().glob("*.ipynb"))]
    assert {f"mine: {name}" for name in NAMES[:2]} <= {*texts}
    restore.restore([], kept)
    assert {name: text for name, text in content(kept).items() if name in NAMES} == before
    assert {f"mine: {name}" for name in NAMES[:2]} <= {*in_my(kept).values()}


def test_the_command(course, monkeypatch, capsys):
    monkeypatch.setattr(start, "ROOT", course)
    assert start.main(["restore", "04"]) == 1
    assert "no copies of the lessons" in capsys.readouterr().err
    restore.keep(course)
    change(course, *NAMES)
    assert start.main(["restore", "04", "starter"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[:2]] == NAMES[1:]
    mine.folder().joinpath("x").write_text("x")
    assert start.main(["restore"]) == 0
    assert capsys.readouterr().out.startswith("00_start.ipynb is as it was.")


def test_a_lesson_that_cannot_be_kept_is_not_replaced(kept, monkeypatch, capsys):
    change(kept, NAMES[0])
    mine.folder().write_text("a file where the folder should be")
    monkeypatch.setattr(start, "ROOT", kept)
    assert start.main(["restore"]) == 1
    assert content(kept)[NAMES[0]] == f"mine: {NAMES[0]}"


def test_it_needs_no_package():
    code = "import sys; sys.path.insert(0, sys.argv[1]); from helpers import restore"
    code += "; restore.from_git(restore.mine.ROOT)"
    run = subprocess.run([sys.executable, "-S", "-I", "-c", code, str(ROOT)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
