"""The state folder: whose it is, what is set aside and taken back, what is deleted, and what stays."""

import json
import os
import random
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers.local_api import database, files, folder, jobs
from helpers.local_api.__main__ import main
from helpers.local_api.app import Mode, create_app
from helpers.local_api.database import SCHEMA_VERSION
from helpers.local_api.folder import MARK, StateFolderError
from helpers.local_api.scenarios import Caller
from helpers.local_api.store import ORPHAN_AGE, Store, new_id
from tests.behaviour.conftest import rows

CALLER = Caller("sk-local")
OLD = time.time() - ORPHAN_AGE - 60
LEARNERS = (
    "files/thesis.pdf",
    "files/notes/a.txt",
    "trained/model.bin",
    "state-of-the-art.sqlite",
    "diary.txt",
)


def fill(place: Path, count: int = 3) -> list[str]:
    """A state with uploads, as a server that was stopped leaves it; their ids."""
    store = Store(place)
    store.token()
    ids = [
        files.create(store, CALLER, {"purpose": "fine-tune"}, f"{n}.jsonl", [b"%d" % n])["id"]
        for n in range(count)
    ]
    store.close()
    return ids


def listed(place: Path) -> list[str]:
    """The ids of all uploads whose bytes can be read."""
    store = Store(place)
    found = [row.id for row in store.every("file") if store.path(row.id).read_bytes()]
    store.close()
    return found


def put(place: Path, names: tuple[str, ...] = LEARNERS) -> dict[str, bytes]:
    """Old files of the learner's own, their folders open to all."""
    for name in names:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(name.encode())
        os.utime(place / name, (OLD, OLD))
    place.chmod(0o755)
    return contents(place)


def contents(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def mode(place: Path) -> int:
    return stat.S_IMODE(place.stat().st_mode)


def make_unmarked(place: Path) -> None:
    """As the versions before the mark have left it."""
    for name in (MARK, "reserve", folder.LOCK, folder.COMPUTING):
        (place / name).unlink(missing_ok=True)
    with sqlite3.connect(place / "state.sqlite") as db:
        db.execute("DROP INDEX by_writing")
        db.execute("ALTER TABLE objects DROP COLUMN written")
    db.close()


# --- whose it is -------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
def test_only_the_user_may_look_into_the_folder_and_an_existing_one_keeps_its_mode(tmp_path):
    new, there = tmp_path / "new", tmp_path / "there"
    there.mkdir()
    there.chmod(0o775)
    for place, expected in ((new, 0o700), (there, 0o775)):
        fill(place)
        assert mode(place) == expected
        assert mode(place / "state.sqlite") == 0o600 and mode(place / "files") == 0o700


def test_a_folder_of_another_owner_that_can_be_written_works(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(1, "Operation not permitted")

    for module in (os, Path):
        monkeypatch.setattr(module, "chmod", refuse)
    assert listed(tmp_path) == [] and len(fill(tmp_path)) == 3


@pytest.mark.parametrize("name", LEARNERS)
def test_a_folder_with_anything_else_in_it_is_refused_and_stays_as_it_is(tmp_path, name):
    before = put(tmp_path, (name,))
    with pytest.raises(StateFolderError, match="LOCAL_API_HOME") as caught:
        Store(tmp_path)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)
    assert contents(tmp_path) == before and mode(tmp_path) == 0o755


def test_the_database_of_another_program_is_not_ours(tmp_path):
    with sqlite3.connect(tmp_path / "state.sqlite") as db:
        db.execute("CREATE TABLE bookmarks (url TEXT)")
    db.close()
    before = put(tmp_path, ("diary.txt",))
    with pytest.raises(StateFolderError):
        Store(tmp_path)
    assert contents(tmp_path) == before


def test_what_a_new_volume_or_the_token_counter_has_left_there_is_no_stranger(tmp_path):
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "tokens").mkdir()
    (tmp_path / "tokens" / ("0f" * 20)).write_bytes(b"vocabulary")
    fill(tmp_path)
    assert (tmp_path / MARK).exists()


def test_a_folder_of_a_version_without_the_mark_goes_on_and_gets_it(tmp_path, capsys):
    ids = fill(tmp_path)
    make_unmarked(tmp_path)
    put(tmp_path, ("diary.txt",))
    assert listed(tmp_path) == ids and (tmp_path / MARK).exists()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("ahead", [3600.0, 10 * 365 * 86400.0])
def test_files_of_a_version_without_the_mark_are_seen_even_if_its_clock_was_ahead(tmp_path, ahead):
    store = Store(tmp_path, lambda: time.time() + ahead)
    file_id = files.create(store, CALLER, {"purpose": "fine-tune"}, "a.jsonl", [b"a"])["id"]
    store.close()
    make_unmarked(tmp_path)
    assert files.retrieve(Store(tmp_path), CALLER, file_id)["id"] == file_id


def test_bytes_are_deleted_only_under_a_name_of_ours(tmp_path):
    ids = fill(tmp_path)
    before = put(tmp_path)
    orphan = tmp_path / "files" / new_id("file-")
    directory = tmp_path / "files" / new_id("file-")
    directory.mkdir()
    orphan.write_bytes(b"x")
    for path in (orphan, directory):
        os.utime(path, (OLD, OLD))
    assert listed(tmp_path) == ids
    assert not orphan.exists() and directory.is_dir()
    assert before.items() <= contents(tmp_path).items()


# --- one sentence for what cannot be used ------------------------------------------------------------------


def unusable(tmp_path: Path) -> list[Path]:
    file = tmp_path / "file"
    file.write_text("x")
    strange = tmp_path / "strange"
    put(strange)
    return [file, file / "below", strange]


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("arguments", [["--port", "0"], ["--where"], ["reset", "--yes"], ["restore", "x"]])
def test_the_command_says_in_one_sentence_what_is_wrong_with_the_folder(
    tmp_path, monkeypatch, capsys, number, arguments
):
    place = unusable(tmp_path)[number]
    monkeypatch.setenv("LOCAL_API_HOME", str(place))
    before = contents(tmp_path)
    status = main(arguments)
    said = capsys.readouterr()
    if arguments[0] == "reset" and not place.exists():
        assert status == 0 and "Nothing to delete" in said.out
    else:
        assert status == 1 and "LOCAL_API_HOME" in said.err and len(said.err.splitlines()) == 1
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["mkdir", "write_text", "touch"])
def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path, monkeypatch, name):
    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, name, refuse)
    with pytest.raises(StateFolderError, match="Permission denied.*LOCAL_API_HOME"):
        Store(tmp_path / "state" if name == "mkdir" else tmp_path)


def test_connect_says_it_too(tmp_path, monkeypatch):
    from helpers import connect

    monkeypatch.setenv("LOCAL_API_HOME", str(unusable(tmp_path)[0]))
    connect._local_server.cache_clear()
    with pytest.raises(StateFolderError, match="LOCAL_API_HOME"):
        connect.connect()


# --- set aside, and taken back -----------------------------------------------------------------------------


def break_version(place: Path) -> None:
    with sqlite3.connect(place / "state.sqlite") as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    db.close()


def break_header(place: Path) -> None:
    with open(place / "state.sqlite", "r+b") as file:
        file.write(b"not a database")


def break_text(place: Path) -> None:
    data = (place / "state.sqlite").read_bytes()
    (place / "state.sqlite").write_bytes(data.replace(b'"filename": "1.jsonl"', b'"filename": "\xff.jsonl"'))


def break_json(place: Path) -> None:
    data = (place / "state.sqlite").read_bytes()
    (place / "state.sqlite").write_bytes(data.replace(b'"filename": "1.jsonl"', b'"filename"  "1.jsonl"'))


def break_key(place: Path) -> None:
    data = (place / "state.sqlite").read_bytes()
    (place / "state.sqlite").write_bytes(data.replace(b'"filename": "1.jsonl"', b'"filenume": "1.jsonl"'))


BREAKS = {
    break_version: ("another version of the course (2, not 1)", 3),
    break_header: ("is damaged", 0),
    break_text: ("is damaged", 2),
    break_json: ("is damaged", 2),
    break_key: ("is damaged", 2),
}


@pytest.mark.parametrize("break_it", BREAKS)
def test_a_state_goes_aside_with_its_uploads_and_comes_back_by_the_command_that_is_named(
    tmp_path, monkeypatch, capsys, break_it
):
    reason, kept = BREAKS[break_it]
    ids = fill(tmp_path)
    break_it(tmp_path)
    broken = (tmp_path / "state.sqlite").read_bytes()
    new = fill(tmp_path, 1)
    said = capsys.readouterr().err
    (aside,) = tmp_path.glob("set-aside-*")
    assert reason in said and aside.name in said
    assert (aside / "state.sqlite").read_bytes() == broken
    for path in (aside / "files").iterdir():
        os.utime(path, (OLD, OLD))
    assert listed(tmp_path) == new  # a later start deletes nothing of it
    assert {path.name for path in (aside / "files").iterdir()} == set(ids)
    monkeypatch.setenv("LOCAL_API_HOME", str(tmp_path))
    command = said.partition("python -m helpers.local_api ")[2].split()
    status = main(command)
    said = capsys.readouterr()
    if not kept:
        assert status == 1 and "nothing in it can be read" in said.err
        assert listed(tmp_path) == new and {path.name for path in (aside / "files").iterdir()} == set(ids)
        return
    assert status == 0 and f"{aside.name} was taken back" in said.out
    assert f"{kept + 1} objects could be read, {3 - kept} could not" in said.out  # and the token
    assert len(listed(tmp_path)) == kept and set(listed(tmp_path)) <= set(ids)
    assert {path.name for path in (tmp_path / "files").iterdir()} >= set(listed(tmp_path))
    (other,) = set(tmp_path.glob("set-aside-*")) - {aside}
    assert main(["restore", other.name]) == 0 and listed(tmp_path) == new
    assert capsys.readouterr().err == ""


def test_a_healthy_state_comes_back_as_it_was(tmp_path):
    ids = fill(tmp_path)
    aside = folder.set_aside(tmp_path)
    assert listed(tmp_path) == []
    assert len(folder.restore(tmp_path, aside.name, database.mend)) == 2
    assert listed(tmp_path) == ids and not aside.exists()


@pytest.mark.parametrize("name", ["set-aside-20260101-000000", "../elsewhere", "files", ""])
def test_what_was_never_set_aside_cannot_be_taken_back(tmp_path, name):
    ids = fill(tmp_path)
    with pytest.raises(StateFolderError, match="What can be taken back: nothing"):
        folder.restore(tmp_path, name, database.mend)
    assert listed(tmp_path) == ids


@pytest.mark.parametrize("moves", range(4))
@pytest.mark.parametrize("back", [False, True])
def test_a_kill_between_two_moves_separates_no_upload_from_its_state(tmp_path, monkeypatch, moves, back):
    ids = fill(tmp_path)
    (tmp_path / "trained").mkdir()
    aside = folder.set_aside(tmp_path) if back else None
    replace, done = os.replace, []

    def killed_later(*arguments):
        if len(done) == moves:
            raise KeyboardInterrupt
        done.append(replace(*arguments))

    monkeypatch.setattr(os, "replace", killed_later)
    try:
        folder.restore(tmp_path, aside.name, database.mend) if back else folder.set_aside(tmp_path)
    except KeyboardInterrupt:
        pass
    monkeypatch.undo()
    here = listed(tmp_path)
    asides = [path.parent for path in tmp_path.glob("set-aside-*/state.sqlite")]
    assert here == ids or (here == [] and len(asides) == 1)
    if not here:
        folder.restore(tmp_path, asides[0].name, database.mend)
        assert listed(tmp_path) == ids


def test_a_damaged_state_that_somebody_uses_is_not_moved_away_from_them(tmp_path, capsys):
    ids = fill(tmp_path)
    used = Store(tmp_path)
    break_version(tmp_path)
    with pytest.raises(StateFolderError, match="in use"):
        Store(tmp_path)
    assert not list(tmp_path.glob("set-aside-*"))
    used.close()
    Store(tmp_path)
    assert list(tmp_path.glob("set-aside-*/files/*")) and len(ids) == 3


def test_several_starts_at_once_set_a_damaged_state_aside_once(tmp_path):
    ids = fill(tmp_path)
    break_header(tmp_path)
    code = "from helpers.local_api.store import Store; import sys; print(Store(sys.argv[1]).token())"
    command = [sys.executable, "-c", code, str(tmp_path)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    tokens = {process.communicate()[0] for process in started}
    assert len(tokens) == 1 and len(tokens.pop()) == 25  # one state, and its token in a line
    (aside,) = tmp_path.glob("set-aside-*")
    assert {path.name for path in (aside / "files").iterdir()} == set(ids)


def test_damage_that_is_met_in_a_large_state_is_looked_for_at_the_next_start(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "CHECKED_BYTES", 0)
    fill(tmp_path)
    break_json(tmp_path)
    store = Store(tmp_path)
    with pytest.raises(StateFolderError, match="damaged"), store.in_good_state():
        store.every("file")
    store.close()
    assert listed(tmp_path) == [] and list(tmp_path.glob("set-aside-*"))


def test_uploads_of_a_state_that_an_earlier_version_has_set_aside_are_kept(tmp_path):
    ids = fill(tmp_path)
    os.replace(tmp_path / "state.sqlite", tmp_path / "state-set-aside-1700000000.sqlite")
    for path in (tmp_path / "files").iterdir():
        os.utime(path, (OLD, OLD))
    assert listed(tmp_path) == []
    assert {path.name for path in (tmp_path / "files").iterdir()} == set(ids)


# --- reset -------------------------------------------------------------------------------------------------


@pytest.fixture
def used(tmp_path, monkeypatch):
    """A state folder with everything that the mock API writes, and with what is the learner's own."""
    fill(tmp_path)
    break_version(tmp_path)
    fill(tmp_path)
    for name in ("tokens/" + "0f" * 20, "trained/worker.log", "simulated-base-0123456789abcdef.npz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.setenv("LOCAL_API_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("answer", ["", "n", "what", None])
def test_reset_shows_what_it_would_delete_and_keeps_it_unless_the_answer_is_yes(
    used, answer, monkeypatch, capsys
):
    def reply(question):
        if answer is None:
            raise EOFError
        return answer

    monkeypatch.setattr("builtins.input", reply)
    before = put(used)
    assert main(["reset"]) == 1
    shown = capsys.readouterr().out
    assert contents(used) == before
    for name in (
        "state.sqlite",
        "files (3 files",
        "set-aside-",
        "tokens",
        "trained",
        "simulated-base",
        str(used),
    ):
        assert name in shown
    assert all(name in shown for name in ("diary.txt", "files/thesis.pdf", "state-of-the-art.sqlite"))


@pytest.mark.parametrize(("arguments", "answer"), [(["reset"], "y"), (["reset", "--yes"], None)])
def test_reset_deletes_what_is_ours_and_nothing_else(used, arguments, answer, monkeypatch, capsys):
    monkeypatch.setattr("builtins.input", lambda question: answer)
    put(used)
    assert main(arguments) == 0
    ours = {MARK, folder.LOCK}  # the folder stays ours
    assert contents(used).keys() - ours == set(LEARNERS)
    assert main(arguments) == 0 and "Nothing to delete" in capsys.readouterr().out
    assert listed(used) == []


def test_reset_leaves_nothing_of_a_folder_that_is_only_ours(used):
    assert main(["reset", "--yes"]) == 0
    assert {path.name for path in used.iterdir()} == {MARK, folder.LOCK}


@pytest.mark.parametrize("command", [["reset", "--yes"], ["restore"]])
def test_what_a_running_server_holds_is_neither_deleted_nor_exchanged(used, command, capsys):
    (aside,) = used.glob("set-aside-*")
    server = Store(used)
    create_app(server, Mode(by_hand=True))
    kept = files.create(server, CALLER, {"purpose": "fine-tune"}, "a.jsonl", [b"acknowledged"])["id"]
    assert main([*command, *([aside.name] if command == ["restore"] else [])]) == 1
    assert "in use" in capsys.readouterr().err
    assert files.retrieve(server, CALLER, kept)["id"] == kept and aside.exists()
    server.close()
    assert kept in listed(used)


def test_a_server_in_another_process_is_noticed_too(used, capsys):
    code = "from helpers.local_api.store import Store; store = Store(); print('ready', flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    assert main(["reset", "--yes"]) == 1 and "in use" in capsys.readouterr().err
    process.kill()
    process.communicate()
    assert main(["reset", "--yes"]) == 0


# --- damage ------------------------------------------------------------------------------------------------


def damage(data: bytes, random_: random.Random) -> bytes:
    """Bytes that were changed, zeroed, cut off or copied to the wrong place."""
    data = bytearray(data)
    kind = random_.randrange(5)
    start = random_.randrange(len(data))
    if kind == 0:
        for _ in range(random_.choice((1, 3, 30, 300))):
            data[random_.randrange(len(data))] = random_.randrange(256)
    elif kind == 1:
        length = random_.choice((1, 16, 512, 4096, 20_000))
        data[start : start + length] = bytes(len(data[start : start + length]))
    elif kind == 2:
        del data[start:]
    elif kind == 3:
        length = random_.choice((64, 4096))
        data[start : start + length] = random_.randbytes(len(data[start : start + length]))
    else:
        page = 4096
        pages = len(data) // page
        to, of = random_.randrange(pages), random_.randrange(pages)
        data[to * page : (to + 1) * page] = data[of * page : (of + 1) * page]
    return bytes(data)


@pytest.fixture
def whole_state(tmp_path, monkeypatch) -> Path:
    """A state with uploads, a job and its models."""
    monkeypatch.setenv("LOCAL_API_JOB_SECONDS", "0")
    place = tmp_path / "whole"
    store = Store(place)
    service = create_app(store, Mode(by_hand=True)).state.service
    text = "".join(json.dumps(row) + "\n" for row in rows()).encode()
    file_id = files.create(store, CALLER, {"purpose": "fine-tune"}, "a.jsonl", [text])["id"]
    for _ in range(3):
        job = jobs.create(store, CALLER, {"model": "gpt-4o-mini", "training_file": file_id})
        service.worker.submit(job["id"], CALLER.owner)
    service.worker.wait()
    store._connection().execute("PRAGMA wal_checkpoint(TRUNCATE)")  # all of it stands in the one file
    store.close()
    return place


@pytest.mark.endurance(sample=5, soak=200)
def test_a_damaged_database_never_stops_the_start(whole_state, tmp_path, count, figures, capsys):
    healthy = (whole_state / "state.sqlite").read_bytes()
    uploads = {path.name for path in (whole_state / "files").iterdir()}
    aside = taken_back = 0
    for number in range(count):
        place = tmp_path / f"n{number}"
        shutil.copytree(whole_state, place)
        (place / "state.sqlite").write_bytes(damage(healthy, random.Random(number)))
        store = Store(place)
        service = create_app(store, Mode(by_hand=True)).state.service
        service.worker.wait()
        files.create(store, CALLER, {"purpose": "fine-tune"}, "b.jsonl", [b"new"])
        store.close()
        for where in place.glob("set-aside-*"):
            aside += 1
            assert {path.name for path in (where / "files").iterdir()} == uploads
            try:
                folder.restore(place, where.name, database.mend)
                taken_back += 1
            except StateFolderError as error:
                assert "nothing in it can be read" in str(error)
        shutil.rmtree(place)
    assert aside >= count / 5 and taken_back
    figures(
        f"{count} damaged databases: {aside} set aside, {taken_back} of them taken back, {count - aside} worked"
    )
