"""The reader's own files in my/: found by the lessons, written in one step, never lost."""

import json
import os
import re
from pathlib import Path

import pytest

from helpers import dataset, mine
from tests.environment import ROOT

TRAIN = [{"messages": [{"role": "user", "content": f"Où {n}? 猪"}]} for n in range(3)]
VALID, TEST = [{"messages": []}], [{"question": "Where?", "desk": "Lounge"}]
AS_FOUND = {"train.jsonl": "train.jsonl", "valid.jsonl": "valid.jsonl", "test.jsonl": "practice.jsonl"}


@pytest.fixture(autouse=True)
def my(tmp_path, monkeypatch) -> Path:
    """The reader's folder, not yet made; the code runs where notebooks run."""
    monkeypatch.setenv("COURSE_MY", str(tmp_path / "my"))
    monkeypatch.chdir(ROOT / "notebooks")
    return tmp_path / "my"


def rows(name: str) -> list[dict]:
    with open(mine.path(name), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.mark.parametrize("name", AS_FOUND)
def test_without_files_of_ones_own_it_is_the_airport(name, my):
    assert mine.is_own() is False
    assert mine.path(name) == f"../data/airport/{AS_FOUND[name]}"
    assert rows(name)
    assert not my.exists()


@pytest.mark.parametrize("name", AS_FOUND)
def test_in_a_notebook_the_own_file_is_one_folder_up(name, monkeypatch):
    monkeypatch.delenv("COURSE_MY")
    monkeypatch.setattr(mine, "is_own", lambda: True)
    assert mine.path(name) == f"../my/{name}"
    monkeypatch.chdir(ROOT)
    assert mine.path(name) == f"my/{name}"


def test_what_is_written_is_found(my):
    said = mine.write(TRAIN, iter(VALID), TEST)
    assert said == (
        "Written to my/: 3 rows in train.jsonl, 1 row in valid.jsonl, 1 row in test.jsonl. "
        "To go back to the airport: mine.forget()."
    )
    assert mine.is_own() is True
    assert [rows(name) for name in AS_FOUND] == [TRAIN, VALID, TEST]
    assert "Où 0? 猪" in Path(mine.path("train.jsonl")).read_text(encoding="utf-8")
    assert sorted(os.listdir(my)) == sorted(AS_FOUND)


def test_the_airport_written_as_ones_own_is_read_as_before(my):
    before = {name: rows(name) for name in AS_FOUND}
    mine.write(*before.values())
    assert {name: rows(name) for name in AS_FOUND} == before
    assert dataset.check(mine.path("train.jsonl")).errors == 0


def test_to_write_the_same_again_changes_nothing(my):
    mine.write(TRAIN, VALID, TEST)
    assert mine.write(TRAIN, VALID, TEST).startswith(
        "Nothing to write: my/ has these rows already: 3 rows in"
    )
    assert sorted(os.listdir(my)) == sorted(AS_FOUND)


def test_other_files_stay_and_earlier_ones_are_kept(my, monkeypatch):
    monkeypatch.setattr(mine, "now", lambda: "2026-11-28_10-00-00")
    my.mkdir()
    (my / "decision.md").write_text("mine")
    (my / "train.jsonl.txt").write_text("mine, too")
    mine.write(TRAIN, VALID, TEST)
    said = mine.write(TRAIN[:2], VALID, TEST)
    assert "The files that were there are in my/earlier/2026-11-28_10-00-00." in said
    assert rows("train.jsonl") == TRAIN[:2]
    mine.write(TRAIN[:1], VALID, TEST)
    earlier = my / "earlier"
    assert sorted(os.listdir(earlier)) == ["2026-11-28_10-00-00", "2026-11-28_10-00-00 2"]
    kept = [
        len((earlier / one / "train.jsonl").read_text().splitlines()) for one in sorted(os.listdir(earlier))
    ]
    assert kept == [3, 2]
    assert (my / "decision.md").read_text() == "mine" and (my / "train.jsonl.txt").read_text() == "mine, too"


def test_forget_goes_back_to_the_airport_and_deletes_nothing(my):
    assert mine.forget() == "The lessons use the airport's files already."
    mine.write(TRAIN, VALID, TEST)
    said = mine.forget()
    assert re.fullmatch(r"The lessons use the airport's files again. Yours are in my/earlier/[-\d_]+\.", said)
    assert mine.path("test.jsonl") == "../data/airport/practice.jsonl"
    assert sorted(os.listdir(my.parent / said[said.index("my/") : -1])) == sorted(AS_FOUND)


@pytest.mark.parametrize(
    ("there", "named"),
    [
        (["train.jsonl"], "has train.jsonl, but not valid.jsonl and test.jsonl. Write all three again"),
        (["valid.jsonl", "test.jsonl"], "has valid.jsonl and test.jsonl, but not train.jsonl. Write"),
    ],
)
def test_a_set_that_is_not_complete_is_named(there, named, my):
    my.mkdir()
    for name in there:
        (my / name).write_text("{}\n")
    for call in (mine.is_own, lambda: mine.path("train.jsonl")):
        with pytest.raises(FileNotFoundError, match=named):
            call()
    mine.forget()
    assert mine.is_own() is False


def test_another_name_is_refused():
    with pytest.raises(
        ValueError, match="no file 'practice.jsonl' here. Choose one of: train.jsonl, valid.jsonl"
    ):
        mine.path("practice.jsonl")


def test_a_file_without_rows_is_refused_and_nothing_is_written(my):
    with pytest.raises(ValueError, match="no row for valid.jsonl"):
        mine.write(TRAIN, [], TEST)
    assert not my.exists()


def test_a_folder_that_cannot_be_written_to_is_a_sentence(my):
    my.write_text("a file where the folder should be")
    assert mine.write(TRAIN, VALID, TEST).startswith("It could not be written to my/: ")


@pytest.mark.parametrize("steps", range(6))
def test_killed_at_any_step_no_row_is_lost_and_nothing_is_mixed(steps, my, monkeypatch):
    """Old set, new set, or a set that is named as not complete; then the same call writes it whole."""
    mine.write(TRAIN, VALID, TEST)
    left, replace = [steps], os.replace

    def killed_after(source, target):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        replace(source, target)

    new = ([{"n": 1}], [{"n": 2}], [{"n": 3}])
    monkeypatch.setattr(os, "replace", killed_after)
    if steps < 5:
        with pytest.raises(KeyboardInterrupt):
            mine.write(*new)
    else:
        mine.write(*new)
    monkeypatch.setattr(os, "replace", replace)
    try:
        mine.is_own()
        assert [rows(name) for name in AS_FOUND] in ([TRAIN, VALID, TEST], [*new])
    except FileNotFoundError:
        pass
    texts = [path.read_text(encoding="utf-8") for path in my.rglob("train.jsonl")]
    assert any(json.loads(text.splitlines()[0]) == TRAIN[0] for text in texts)
    mine.write(*new)
    assert [rows(name) for name in AS_FOUND] == [*new]
