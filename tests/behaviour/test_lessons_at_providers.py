"""Lessons 03 to 05 and the starter at each provider, imitated: they run with another ``connect(...)``, and only so.

The learner of these tests does what the page asks for: runs the line that approves a held job, deploys a model
where the provider wants that, and runs the cell again. The learner of the last tests runs all cells and does nothing.
"""

import csv
import hashlib
import json
import logging
import os
import re
import time
from collections import Counter
from pathlib import Path

import openai
import pytest

from helpers import connect as connect_module
from helpers import widgets
from helpers.local_api.engines import simulated
from helpers.spend_guard import SpendGuard
from tests import trained_once
from tests.environment import ROOT
from tests.imitation import SHAPES, Provider
from tests.notebooks import refresh

KEY = "another-key-that-nobody-may-see-0815"
KEY_NAMES = {"openai": "OPENAI_API_KEY", "azure": "AZURE_OPENAI_API_KEY", "other": "COMPATIBLE_API_KEY"}
KEY_NAMES |= {"nebius": "NEBIUS_API_KEY", "crusoe": "CRUSOE_API_KEY"}
LESSONS = ["03_upload", "04_create_job", "05_use_model"]
ASKING = ["05_use_model", "starter"]  # ask the tuned model
MOST_TRIES = 12  # of one cell
APPROVAL = re.compile(r"^connect\(.*approve=.*\)$", re.MULTILINE)
CONNECT = re.compile(r"\bconnect\(\)")
TARGET = re.compile(r'^TARGET = "local"$', re.MULTILINE)
MODEL = re.compile(r'^MODEL = ""$', re.MULTILINE)  # of the starter: at a provider the learner names one


@pytest.fixture(scope="module")
def known() -> dict:
    """What the simulated engine has answered already: the same lesson at five providers asks for the same."""
    return {}


@pytest.fixture
def in_a_hurry(known, monkeypatch):
    answers, sleep = simulated.answers, time.sleep

    def answers_once(weights: bytes, messages, *, at_each_step, wanted, **options):
        # whatever is wanted: no lesson asks for a form
        key = hashlib.sha256(json.dumps([messages, options]).encode() + weights).hexdigest()
        if key not in known:
            known[key] = answers(weights, messages, **options)
        return known[key]

    trained_once.install(monkeypatch)
    monkeypatch.setattr(simulated, "answers", answers_once)
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.2)))


@pytest.fixture
def provider(request, tmp_path, monkeypatch, in_a_hurry):
    """The imitation, in the table of providers and in the environment, as if it had always been there."""
    name = request.param
    found = Provider(name, KEY, tmp_path / "state")
    table = tmp_path / "providers.csv"
    with open(ROOT / "data" / "providers.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if (
            row["provider"] == name
            and row["fact"] in ("base_url", "chat_base_url")
            and "<" not in row["value"]
        ):
            row["value"] = found.base_url
    with open(table, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    environment = {"PROVIDERS_TABLE": str(table), "AZURE_OPENAI_ENDPOINT": found.origin, KEY_NAMES[name]: KEY}
    environment |= {"SPEND_LIMIT_USD": "100", "OPENAI_LOG": "debug"}
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    for variable in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "NO_PROXY", "no_proxy"):
        monkeypatch.setenv(variable, "")  # connect() sets them: they are put back afterwards
    monkeypatch.setattr(connect_module, "LEARNERS_OWN_KEY", KEY if name == "openai" else "")
    monkeypatch.setattr(SpendGuard, "spent_usd", 0.0)
    monkeypatch.setattr(widgets, "monitor", lambda *_: None)  # it needs a kernel
    monkeypatch.setenv("COURSE_MY", str(tmp_path / "my"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(refresh.NOTEBOOKS)
    connect_module._place.cache_clear()
    connect_module._guard.cache_clear()
    found.target = found.base_url if name == "other" else name
    yield found
    connect_module._place.cache_clear()
    connect_module._guard.cache_clear()
    found.stop()


class Learner:
    """Runs cells one after the other, each until it passes."""

    def __init__(self, provider: Provider):
        self.provider, self.approved, self.errors = provider, 0, []
        self.namespace = {"display": lambda shown: print(repr(shown))}

    def cells(self, name: str) -> list[str]:
        """The code of a notebook, with this provider in the place of the mock."""
        cells = [
            cell.source for cell in refresh.code_cells(refresh.read(refresh.NOTEBOOKS / f"{name}.ipynb"))
        ]
        before = "\n".join(cells)
        where = f"connect({self.provider.target!r})"
        changed = [
            MODEL.sub(
                'MODEL = "gpt-3.5-turbo"',
                TARGET.sub(f"TARGET = {self.provider.target!r}", CONNECT.sub(where, cell)),
            )
            for cell in cells
        ]
        assert "\n".join(changed) != before
        return changed

    def run(self, cell: str) -> None:
        for _ in range(MOST_TRIES):
            try:
                return exec(cell, self.namespace)
            except openai.APIStatusError as error:
                self._do_what_it_asks_for(error)
        raise AssertionError(f"it never passes:\n{cell}")

    def _do_what_it_asks_for(self, error: openai.APIStatusError) -> None:
        self.errors.append(error)
        if error.status_code == 402:
            self.approved += 1
            return exec(APPROVAL.search(error.message)[0], self.namespace)
        if "There is no deployment" not in error.message:
            raise error
        for model in set(self.provider.renamed) - self.provider.deployed:
            self.provider.deploy(model)

    def run_all(self, cells: list[str]) -> Counter:
        """Every cell once, whatever happens: the classes of the errors."""
        met = Counter()
        for cell in cells:
            try:
                exec(cell, self.namespace)
            except (Exception, SystemExit) as error:
                self.errors.append(error)
                met[type(error).__name__] += 1
        return met


def nothing_shows_the_key(learner: Learner, capsys, caplog, folder: Path) -> None:
    said = capsys.readouterr()
    shown = [said.out, said.err, caplog.text, *(f"{error!r} {error}" for error in learner.errors)]
    shown += [str(getattr(error, "response", None) and error.response.headers) for error in learner.errors]
    assert not [text for text in shown if KEY in text]
    assert os.environ["OPENAI_API_KEY"].startswith("sk-guard-")
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", [*LESSONS, "starter"])
@pytest.mark.parametrize("provider", SHAPES, indirect=True)
def test_it_runs_with_another_connect(name, provider, tmp_path, capsys, caplog):
    caplog.set_level(logging.DEBUG)
    learner = Learner(provider)
    cells = learner.cells(name)
    for cell in cells:
        learner.run(cell)
    assert provider.jobs == learner.approved, "one yes, one job"
    assert bool(provider.jobs) == (name != "03_upload")
    assert bool(provider.deployed) == (provider.shape.deploys and name in ASKING)
    if name == "starter":
        for cell in cells:
            learner.run(cell)  # the job is there already
        assert (provider.jobs, learner.namespace["job"].status) == (1, "succeeded")
    nothing_shows_the_key(learner, capsys, caplog, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("provider", SHAPES, indirect=True)
def test_running_all_cells_makes_no_job(provider, tmp_path, capsys, caplog):
    """Twice over: the second time every cell meets what the first has left."""
    caplog.set_level(logging.DEBUG)
    for name in [*LESSONS, "starter"]:
        learner = Learner(provider)
        cells = learner.cells(name)
        met = learner.run_all(cells) + learner.run_all(cells)
        assert bool(met["APIStatusError"]) == (name != "03_upload"), met
        nothing_shows_the_key(learner, capsys, caplog, tmp_path)
    assert provider.jobs == 0
