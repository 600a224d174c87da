"""The state folder: what it survives, what it sets aside, what it removes."""

import os
import sqlite3
import stat
import sys
import time

import pytest

from helpers.local_api import files
from helpers.local_api.scenarios import Caller
from helpers.local_api.store import ORPHAN_AGE, SCHEMA_VERSION, Store, new_id

CALLER = Caller("sk-local")


def add_file(store: Store, data: bytes = b"bytes", **fields) -> str:
    return files.create(store, CALLER, {"purpose": "fine-tune"} | fields, "a.jsonl", [data])["id"]


def test_a_second_store_finds_what_the_first_wrote(tmp_path):
    first = Store(tmp_path)
    file_id, token = add_file(first), first.token()
    second = Store(tmp_path)
    assert files.retrieve(second, CALLER, file_id)["id"] == file_id
    assert second.token() == token and len(token) == 24


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
def test_only_the_user_may_look_into_the_folder(tmp_path):
    folder = tmp_path / "state"
    Store(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("version", [SCHEMA_VERSION + 1, 99])
def test_a_state_of_another_version_is_set_aside_with_a_message(tmp_path, capsys, version):
    store = Store(tmp_path)
    add_file(store)
    store.close()
    with sqlite3.connect(tmp_path / "state.sqlite") as database:
        database.execute(f"PRAGMA user_version = {version}")
    database.close()
    new = Store(tmp_path)
    (aside,) = tmp_path.glob("state-set-aside-*.sqlite")
    told = capsys.readouterr().err
    assert aside.name in told and f"another version of the course ({version}, not {SCHEMA_VERSION})" in told
    assert new.every("file") == []
    kept = sqlite3.connect(aside)
    assert kept.execute("SELECT count(*) FROM objects WHERE kind = 'file'").fetchone() == (1,)
    kept.close()


@pytest.mark.parametrize("junk", [b"not a database" * 100, b"SQLite format 3\x00" + b"\xff" * 8000])
def test_a_corrupt_state_is_set_aside_with_a_message(tmp_path, capsys, junk):
    (tmp_path / "state.sqlite").write_bytes(junk)
    store = Store(tmp_path)
    (aside,) = tmp_path.glob("state-set-aside-*.sqlite")
    assert aside.read_bytes() == junk
    assert "cannot be read" in capsys.readouterr().err
    assert files.retrieve(store, CALLER, add_file(store))


def test_an_empty_database_file_is_simply_filled(tmp_path, capsys):
    (tmp_path / "state.sqlite").write_bytes(b"")
    assert add_file(Store(tmp_path)) and capsys.readouterr().err == ""


def test_old_bytes_without_a_row_are_removed_and_new_ones_kept(tmp_path):
    store = Store(tmp_path)
    kept = add_file(store)
    for name, age in (("file-old", ORPHAN_AGE + 60), ("file-old.part", ORPHAN_AGE + 60), ("file-new", 60)):
        path = store.path(name)
        path.write_bytes(b"left by a killed upload")
        os.utime(path, (time.time() - age,) * 2)
    os.utime(store.path(kept), (0, 0))
    again = Store(tmp_path)
    assert {path.name for path in again.uploads.iterdir()} == {kept, "file-new"}


def test_expired_files_are_deleted(tmp_path):
    clock = [1_000_000.0]
    store = Store(tmp_path, lambda: clock[0])
    expiry = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    gone, kept = add_file(store, **expiry), add_file(store)
    clock[0] += 3601
    files.remove_expired(store)
    assert [row.id for row in store.every("file")] == [kept]
    assert [path.name for path in store.uploads.iterdir()] == [kept]
    assert gone != kept


def test_bytes_that_cannot_be_written_whole_are_not_there_at_all(tmp_path):
    store = Store(tmp_path)

    def chunks():
        yield b"half"
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        store.save_bytes(new_id("file-"), chunks())
    assert list(store.uploads.iterdir()) == []


def test_a_transaction_is_kept_whole_or_not_at_all(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(ZeroDivisionError), store.write() as db:
        store.insert(db, "job", "a", "me", {})
        raise ZeroDivisionError
    assert store.get("job", "a", "me") is None
    with store.write() as db:
        store.insert(db, "job", "a", "me", {})
    assert store.get("job", "a", "me").id == "a"


def test_an_object_of_the_future_is_not_there_yet(tmp_path):
    clock = [100.0]
    store = Store(tmp_path, lambda: clock[0])
    store.add("event", "later", "me", {}, parent="job", at=200.0)
    assert store.get("event", "later", "me") is None and store.children("event", "job") == []
    clock[0] = 200.0
    assert store.get("event", "later", "me") and len(store.children("event", "job")) == 1


def test_pages_cut_a_list_without_gap_even_when_times_are_equal(tmp_path):
    store = Store(tmp_path, lambda: 1.0)
    ids = [f"e{number}" for number in range(7)]
    for id in ids:
        store.add("event", id, "me", {})
    for newest_first, expected in ((False, ids), (True, ids[::-1])):
        seen, after, more = [], None, True
        while more:
            page, more = store.page("event", "me", after=after, limit=3, newest_first=newest_first)
            seen += [row.id for row in page]
            after = seen[-1]
        assert seen == expected
    assert store.page("event", "me", after="unknown", limit=3) is None
    assert store.page("event", "me", after=None, limit=3, keep=lambda row: row.id == "e4")[0][0].id == "e4"
