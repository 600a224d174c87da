"""A state of ten thousand jobs is asked as a small one is: what a page costs does not grow with what is stored."""

import pytest

from helpers.local_api import files, jobs, models
from helpers.local_api import store as store_module
from helpers.local_api.store import Row, Store
from tests import growth
from tests.growth import CALLER

FEW = 50  # jobs


def asked(store: Store) -> dict[str, object]:
    """What a client asks for again and again; each gives the objects of its answer."""
    last = store.page("job", CALLER.owner, after=None, limit=1)[0][0]

    def views(page: tuple[list[Row], bool]) -> list[dict]:
        return [jobs.view(store, row) for row in page[0]]

    def list_files(**options) -> list[Row]:
        settings = {"purpose": None, "after": None, "limit": 20, "order": "desc"} | options
        return files.list_all(store, CALLER, **settings)[0]

    def list_jobs(**options) -> list[dict]:
        settings = {"after": None, "limit": 20, "metadata": None} | options
        return views(jobs.list_all(store, CALLER, **settings))

    order = {"model": "gpt-4o-mini", "training_file": last.body["training_file"]}
    return {
        "jobs": list_jobs,
        "jobs after one": lambda: list_jobs(after=last.id),
        "job": lambda: [jobs.retrieve(store, CALLER, last.id)],
        "events": lambda: jobs.events(store, CALLER, last.id, after=None, limit=20)[0],
        "checkpoints": lambda: jobs.checkpoints(store, CALLER, last.id, after=None, limit=10)[0],
        "files": list_files,
        "files, oldest first": lambda: list_files(order="asc"),
        "files for training": lambda: list_files(purpose="fine-tune"),
        "models": lambda: models.list_all(store, CALLER, limit=40)["data"],
        "a new job": lambda: [jobs.create(store, CALLER, order)],
    }


def steps(store: Store, call) -> int:
    """Instructions that SQLite's machine carries out for a call: what is read costs some, whatever the computer."""
    done = []
    db = store._connection()
    db.set_progress_handler(lambda: done.append(1), 10)
    call()
    db.set_progress_handler(None, 0)
    return 10 * len(done)


@pytest.mark.endurance(sample=300, soak=10_000)
def test_what_a_page_costs_does_not_grow_with_the_state(tmp_path, count, figures):
    small, large = Store(tmp_path / "small"), Store(tmp_path / "large")
    growth.fill(small, FEW)
    growth.fill(large, count)
    of_few, of_many = asked(small), asked(large)
    found = {}
    for name in of_few:
        assert len(of_few[name]()) == len(of_many[name]()) > 0, name
        found[name] = few, many = steps(small, of_few[name]), steps(large, of_many[name])
        assert many <= 1.5 * few + 100, name
    told = ", ".join(f"{name} {few}/{many}" for name, (few, many) in found.items())
    figures(f"{FEW}/{count} jobs, steps of SQLite: {told}")


@pytest.mark.endurance(sample=300, soak=10_000)
def test_a_filter_reads_only_what_it_shows(tmp_path, count, monkeypatch):
    store = Store(tmp_path)
    growth.fill(store, count)
    read = []
    monkeypatch.setattr(store_module, "Row", lambda *fields: read.append(fields) or Row(*fields))
    page, more = jobs.list_all(store, CALLER, after=None, limit=20, metadata={"number": "7"})
    assert [row.body["metadata"] for row in page] == [{"number": "7"}] and not more and len(read) == 1
    assert files.list_all(store, CALLER, purpose="vision", after=None, limit=20, order="desc") == ([], False)
    assert len(read) == 1


def test_pages_of_models_give_each_of_them_once(tmp_path):
    store = Store(tmp_path)
    growth.fill(store, 10)
    whole = [model["id"] for model in models.list_all(store, CALLER)["data"]]
    paged, after, more = [], None, True
    while more:
        answer = models.list_all(store, CALLER, after=after, limit=7)
        paged += [model["id"] for model in answer["data"]]
        after, more = paged[-1], answer["has_more"]
    assert paged == whole and len(whole) > 30
