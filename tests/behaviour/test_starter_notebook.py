"""The starter notebook: whose file it takes, what it does with a messy one, and that it ends where lists do not."""

import json
import re
import time
from pathlib import Path

import openai
import pytest

from helpers import connect as connect_module
from helpers import dataset, mine
from helpers.local_api.engines import trained
from tests.environment import ROOT
from tests.notebooks import refresh

from .conftest import rows
from .small_service import Clock, Service, as_json, page

LAST_ROW = {"id": "ftevent-1", "object": "fine_tuning.job.event", "message": "Step 1", "created_at": 1}


class Page:
    """The notebook's cells, run here at a service as small as one can be; its settings can be changed."""

    def __init__(self, monkeypatch, tmp_path: Path):
        notebook = refresh.read(refresh.NOTEBOOKS / "starter.ipynb")
        self.cells = [cell.source for cell in refresh.code_cells(notebook)]
        self.service = Service(Clock(time.time()))
        monkeypatch.setattr(openai, "OpenAI", self.service.client)
        monkeypatch.setattr(connect_module, "connect", lambda target: None)
        monkeypatch.setattr(connect_module, "starting_model", lambda target: "gpt-4.1-mini")
        monkeypatch.setattr(time, "sleep", self.service.clock.sleep)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-a-key-of-the-test")
        monkeypatch.setenv("COURSE_MY", str(tmp_path / "my"))
        monkeypatch.chdir(refresh.NOTEBOOKS)

    def run(self, until: str = "", **settings) -> dict:
        """Runs the cells, up to the first that holds ``until``. Returns all names."""
        names = {"display": print}
        for cell in self.cells:
            for name, value in settings.items():
                cell = re.sub(rf"^{name} = .*$", lambda _, n=name, v=value: f"{n} = {v!r}", cell, flags=re.M)
            exec(cell, names)
            if until and until in cell:
                break
        return names


@pytest.fixture
def page_of(monkeypatch, tmp_path):
    return Page(monkeypatch, tmp_path)


@pytest.mark.parametrize("keeps_metadata", [True, False])
def test_lists_that_send_the_same_page_for_ever_end(keeps_metadata, page_of):
    """Files, jobs and events; as at services that ignore ``after``, or repeat their pages."""
    service = page_of.service
    service.keeps_metadata = keeps_metadata
    # somebody else's, so that the lists are read to their ends
    service.files.append({"id": "file-0", "created_at": 1, "filename": "other.jsonl"})
    others = {"id": "ftjob-0", "created_at": 1, "model": "small", "training_file": "file-0", "metadata": {}}
    service.jobs.append(others | {"status": "running"})

    def for_ever(request):
        return as_json(service.right(request).json() | {"has_more": True})

    service.wrong = {name: for_ever for name in ("GET /files", "GET /fine_tuning/jobs")}
    service.wrong["GET /fine_tuning/jobs/ID/events"] = lambda _: page([LAST_ROW], has_more=True)
    for _ in range(2):
        names = page_of.run(until="tuned = TUNED")
        assert names["tuned"] == "ft:small"
    assert (service.orders, len(service.jobs), len(service.files)) == (1, 2, 3)
    assert len(service.calls) < 200


def test_the_validation_file_and_the_epochs_are_sent(page_of):
    sent = []
    page_of.service.wrong["POST /fine_tuning/jobs"] = lambda r: (
        sent.append(json.loads(r.content)) or page_of.service.right(r)
    )
    page_of.run(until="find_job()\nif", EPOCHS=2)
    assert sent[0]["hyperparameters"] == {"n_epochs": 2}
    assert (sent[0]["training_file"], sent[0]["validation_file"]) == ("file-1", "file-2")


def test_the_files_of_lesson_02_are_taken_as_they_are_split(page_of):
    own = rows(40)
    mine.write(own[:30], own[30:34], own[34:])
    names = page_of.run(until="questions = ")
    assert names["FILE"] == mine.path("train.jsonl") and "my/train.jsonl" in names["FILE"]
    assert [len(names[part]) for part in ("train", "valid", "test")] == [30, 4, 6]
    names = page_of.run(until="questions = ", FILE=str(ROOT / "data" / "airport" / "train.jsonl"))
    assert len(names["train"]) < 112


def test_a_messy_file_gets_the_verdict_that_starter_py_gives(page_of, tmp_path, capsys):
    """An empty answer and a row without system prompt are warnings: they are trained, and not what is asked."""
    messy = rows(40)
    messy[3]["messages"][-1]["content"] = " "
    del messy[0]["messages"][0]
    dataset.write(messy, tmp_path / "messy.jsonl")
    names = page_of.run(FILE=str(tmp_path / "messy.jsonl"), QUESTION="What is your name?")
    assert {"empty_content", "system_prompts"} <= dataset.check(messy).totals.keys()
    assert len(names["train"] + names["valid"] + names["test"]) == 40
    assert all(row["wanted"].strip() for row in names["questions"])
    assert names["asked"] == [
        messy[1]["messages"][0],  # of most rows, though the first has none
        {"role": "user", "content": "What is your name?"},
    ]
    assert "What is your name?\nYes.\n" in capsys.readouterr().out


def test_everything_is_saved_in_the_form_of_starter_py(page_of, capsys):
    names = page_of.run()
    (saved,) = (mine.folder() / "starter").glob("results-*.json")
    found = json.loads(saved.read_text(encoding="utf-8"))
    assert f"my/starter/{saved.name}\n" in capsys.readouterr().out
    assert list(found) == ["file", "model", "tuned", "job", "rows"] and found["job"] == "ftjob-1"
    ways = ["base", "few_shot_nearest", "majority", "nearest_example", "tuned"]
    for row, asked in zip(found["rows"], names["questions"], strict=True):
        assert list(row) == ["question", "wanted", "answers", "passed"]
        assert (row["question"], row["wanted"]) == (asked["question"], asked["wanted"])
        assert list(row["answers"]) == ways and list(row["passed"]) == ["last_line"]
        assert set(row["passed"]["last_line"].values()) <= {True, False}


def test_too_few_rows_are_named_before_anything_is_sent(page_of, tmp_path):
    dataset.write(rows(11), tmp_path / "few.jsonl")
    with pytest.raises(SystemExit, match="Too few rows"):
        page_of.run(FILE=str(tmp_path / "few.jsonl"))
    assert page_of.service.calls == []


@pytest.mark.parametrize(
    ("problem", "asked_for", "model"),
    [(None, "", trained.MODEL), ("not here", "", connect_module.SIMULATED_MODEL), (None, "gpt-4o", "gpt-4o")],
)
def test_the_model_is_the_one_that_is_really_trained_where_it_is_installed(
    problem, asked_for, model, monkeypatch, capsys
):
    monkeypatch.setattr(trained, "problem", lambda: problem)
    monkeypatch.setenv("COURSE_MODEL", asked_for)
    assert connect_module.starting_model() == model
    said = capsys.readouterr().out
    assert ("really trained on this computer" in said) == (model == trained.MODEL)
    assert ("simulated" in said) == (model != trained.MODEL)
    with pytest.raises(ValueError, match="MODEL is empty"):
        connect_module.starting_model("openai")


def test_the_simulated_model_exists_and_is_that_of_the_tests(monkeypatch, api):
    from tests import environment

    assert connect_module.SIMULATED_MODEL == environment.SIMULATED_MODEL
    assert connect_module.SIMULATED_MODEL in [model.id for model in api.client.models.list()]


def test_a_real_service_gets_a_price_of_today_or_none(page_of, capsys):
    """A price that is over is not shown."""
    page_of.run(until="date.today()", MODEL="gpt-3.5-turbo", TARGET="openai")
    said = capsys.readouterr().out
    assert "No price of the kind 'training' is known for gpt-3.5-turbo-0125" in said and "Billed" not in said
