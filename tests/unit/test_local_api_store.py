"""The store: rows, pages, the clock, transactions, a full disk."""

import errno
import os
import sqlite3
import threading
import time

import pytest

from helpers.local_api import files
from helpers.local_api.errors import is_disk_full
from helpers.local_api.scenarios import Caller
from helpers.local_api.store import FAR, ORPHAN_AGE, RESERVE_BYTES, Row, Store, new_id

CALLER = Caller("sk-local")


def add_file(store: Store, data: bytes = b"bytes", **fields) -> str:
    return files.create(store, CALLER, {"purpose": "fine-tune"} | fields, "a.jsonl", [data])["id"]


def test_a_second_store_finds_what_the_first_wrote(tmp_path):
    first = Store(tmp_path)
    file_id, token = add_file(first), first.token()
    second = Store(tmp_path)
    assert files.retrieve(second, CALLER, file_id)["id"] == file_id
    assert second.token() == token and len(token) == 24


def test_an_empty_database_file_is_simply_filled(tmp_path, capsys):
    (tmp_path / "state.sqlite").write_bytes(b"")
    assert add_file(Store(tmp_path)) and capsys.readouterr().err == ""


def test_old_bytes_without_a_row_are_removed_and_new_ones_kept(tmp_path):
    store = Store(tmp_path)
    kept, old, part, new = add_file(store), new_id("file-"), new_id("file-") + ".part", new_id("file-")
    for name, age in ((old, ORPHAN_AGE + 60), (part, ORPHAN_AGE + 60), (new, 60)):
        path = store.path(name)
        path.write_bytes(b"left by a killed upload")
        os.utime(path, (time.time() - age,) * 2)
    os.utime(store.path(kept), (0, 0))
    store.close()
    again = Store(tmp_path)
    assert {path.name for path in again.uploads.iterdir()} == {kept, new}


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


BACK = (1e-3, 5.0, 3600.0, 10 * 365 * 86400.0)


@pytest.mark.parametrize("seconds", BACK)
def test_what_is_there_is_seen_whatever_the_clock_says(tmp_path, seconds):
    clock = [1_800_000_000.0]
    store = Store(tmp_path, lambda: clock[0])
    file_id = add_file(store)
    store.add("event", "now", "me", {}, parent="job")
    store.add("event", "earlier", "me", {}, parent="job", at=clock[0] - 7)
    store.add("model", "m", "me", {}, data=b"weights")
    clock[0] -= seconds
    assert files.retrieve(store, CALLER, file_id)["id"] == file_id
    assert [row.id for row in store.children("event", "job")] == ["earlier", "now"]
    assert [row.id for row in store.page("event", "me", after=None, limit=9)[0]] == ["now", "earlier"]
    assert store.data("model", "m", "me") == b"weights"
    newer = add_file(store)
    listed, _ = files.list_all(store, CALLER, purpose=None, after=None, limit=9, order="desc")
    assert {row.id for row in listed} == {file_id, newer}
    assert files.delete(store, CALLER, file_id)["deleted"]


def test_what_was_to_come_is_hidden_no_longer_than_it_was_to_take(tmp_path):
    clock = [1000.0]
    store = Store(tmp_path, lambda: clock[0])
    store.add("event", "soon", "me", {}, parent="job", at=1008.0)
    store.add("event", "paused", "me", {}, parent="job", at=FAR + 1008.0)
    for now, seen in ((1000.0, []), (1007.0, []), (1008.0, ["soon"]), (999.9, ["soon"]), (0.0, ["soon"])):
        clock[0] = now
        assert [row.id for row in store.children("event", "job")] == seen, now
    assert [row.id for row in store.children("event", "job", hidden=True)] == ["soon", "paused"]


def test_the_time_of_a_job_never_goes_back(tmp_path):
    clock = [1000.0]
    store = Store(tmp_path, lambda: clock[0])
    store.add("state", "first", "me", {}, parent="job")
    clock[0] = 10.0
    store.add("state", "second", "me", {}, parent="job")
    store.add("state", "elsewhere", "me", {}, parent="another job")
    assert [(row.id, row.at) for row in store.children("state", "job")] == [
        ("first", 1000.0),
        ("second", 1000.0),
    ]
    assert store.children("state", "another job")[0].at == 10.0


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


def test_pages_pass_over_what_does_not_have_the_keys(tmp_path):
    store = Store(tmp_path)
    for number in range(10):
        store.add("job", f"j{number}", "me", {"metadata": {"n": str(number % 2), 'a"b%_': "\u00e9\n"}})
    store.add("job", "decoy", "me", {"text": '"n": "7"'})
    page, more = store.page("job", "me", after=None, limit=3, having={"n": "1"})
    assert [row.id for row in page] == ["j9", "j7", "j5"] and more
    page, more = store.page("job", "me", after="j5", limit=3, having={"n": "1"})
    assert [row.id for row in page] == ["j3", "j1"] and not more
    assert len(store.page("job", "me", after=None, limit=20, having={'a"b%_': "\u00e9\n", "n": "0"})[0]) == 5
    assert store.page("job", "me", after=None, limit=20, having={"n": "7"}) == ([], False)


def test_a_page_reads_no_more_rows_than_it_shows(tmp_path, monkeypatch):
    store = Store(tmp_path)
    for number in range(50):
        store.add("file", f"f{number}", "me", {"purpose": "a", "expires_at": None})
    read = []
    monkeypatch.setattr("helpers.local_api.store.Row", lambda *fields: read.append(fields) or Row(*fields))
    page, more = store.page("file", "me", after=None, limit=5, keep=lambda row: True)
    assert len(page) == 5 and more and len(read) == 6


def plan(store: Store, call) -> list[str]:
    """How SQLite finds the rows that a call asks for: one line for each query."""
    asked = []
    db = store._connection()
    db.set_trace_callback(asked.append)
    call()
    db.set_trace_callback(None)
    return [row[3] for query in asked for row in db.execute(f"EXPLAIN QUERY PLAN {query}")]


@pytest.mark.parametrize(
    ("options", "index"),
    [
        ({"kind": "job"}, "by_owner (kind=? AND owner=?)"),
        ({"kind": "job", "newest_first": False}, "by_owner (kind=? AND owner=?)"),
        ({"kind": "file", "having": {"purpose": "fine-tune"}}, "by_owner (kind=? AND owner=?)"),
        ({"kind": "event", "parent": "job"}, "by_parent (parent=? AND kind=?)"),
    ],
)
def test_a_page_is_found_by_an_index_and_needs_no_sorting(tmp_path, options, index):
    store = Store(tmp_path)
    (found,) = plan(store, lambda: store.page(owner="me", after=None, limit=3, **options))
    assert found == f"SEARCH objects USING INDEX {index}"


def test_a_page_begins_at_its_cursor(tmp_path):
    store = Store(tmp_path)
    store.add("job", "j", "me", {})
    found = plan(store, lambda: store.page("job", "me", after="j", limit=3))
    assert found[1] == "SEARCH objects USING INDEX by_owner (kind=? AND owner=? AND at<?)"


def test_writing_looks_up_the_time_of_a_job_in_an_index(tmp_path):
    store = Store(tmp_path)
    found = plan(store, lambda: store.moment("job"))
    assert found == ["SEARCH objects USING COVERING INDEX by_writing (parent=?)"]


# --- a full disk -------------------------------------------------------------------------------------------


def full() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


def test_deleting_on_a_full_disk_uses_the_reserve_and_fills_it_again(tmp_path):
    store = Store(tmp_path)
    reserve = tmp_path / "reserve"
    assert reserve.stat().st_size == RESERVE_BYTES
    tried = []

    def delete():
        tried.append(reserve.exists())
        if reserve.exists():
            raise full()
        return "deleted"

    assert store.despite_full_disk(delete) == "deleted" and tried == [True, False]
    assert reserve.stat().st_size == RESERVE_BYTES
    with pytest.raises(OSError, match="other"):
        store.despite_full_disk(lambda: (_ for _ in ()).throw(OSError("other")))


def limit_pages(store: Store, more: int) -> None:
    """From now on this thread's connection finds no room for more than so many pages."""
    db = store._connection()
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {pages + more}")


def test_a_write_that_finds_no_space_leaves_nothing_behind_and_the_next_one_works(tmp_path):
    store = Store(tmp_path)
    limit_pages(store, 1)
    with pytest.raises(sqlite3.OperationalError) as caught:
        store.add("model", "m", "me", {}, data=b"x" * 100_000)
    assert is_disk_full(caught.value)
    assert store.get("model", "m", "me") is None
    store.add("model", "small", "me", {})
    assert store.remove("model", "small", "me")


def test_an_upload_that_finds_no_space_for_its_row_leaves_no_bytes(tmp_path, monkeypatch):
    store = Store(tmp_path)

    def add(*arguments):
        raise full()

    monkeypatch.setattr(store, "add", add)
    with pytest.raises(OSError, match="No space"):
        add_file(store)
    assert list(store.uploads.iterdir()) == []


# --- two at once -------------------------------------------------------------------------------------------


def test_one_after_the_other_computes(tmp_path):
    one, other = Store(tmp_path), Store(tmp_path)
    seen = []

    def compute(store: Store) -> None:
        for _ in range(20):
            with store.computing():
                seen.append("in")
                time.sleep(0.0005)
                seen.append("out")

    threads = [threading.Thread(target=compute, args=(store,)) for store in (one, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == ["in", "out"] * 40
