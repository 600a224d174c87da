"""Lessons 03 to 05 and the starter at each provider, imitated: they run with another ``connect(...)``, and only so.

The learner of these tests does what the page asks for: runs the line that approves a held job, deploys a model
where the provider wants that, and runs the cell again. The learner of the last tests runs all cells and does nothing.
"""

import csv
import logging
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import openai
import pytest

from helpers import connect as connect_module
from helpers import widgets
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
PLACES = sorted(SHAPES, key=lambda name: name != "azure")  # first the one that is least like the mock
MOST_TRIES = 12  # of one cell
APPROVAL = re.compile(r"^connect\(.*approve=.*\)$", re.MULTILINE)
CONNECT = re.compile(r"\bconnect\(\)")
TARGET = re.compile(r'^TARGET = "local"$', re.MULTILINE)
MODEL = re.compile(r'^MODEL = ""$', re.MULTILINE)  # of the starter: at a provider the learner names one


@pytest.fixture
def in_a_hurry(monkeypatch):
    trained_once.install(monkeypatch)


@contextmanager
def at(name: str, folder: Path) -> Iterator[Provider]:
    """The imitation, in the table of providers and in the environment, as if it had always been there."""
    folder.mkdir(exist_ok=True)
    found = Provider(name, KEY, folder / "state")
    found.target = found.base_url if name == "other" else name
    environment = {
        "PROVIDERS_TABLE": str(table_with(name, found.base_url, folder / "providers.csv")),
        "AZURE_OPENAI_ENDPOINT": found.origin,
        KEY_NAMES[name]: KEY,
        "SPEND_LIMIT_USD": "100",
        "OPENAI_LOG": "debug",
        "COURSE_MY": str(folder / "my"),
    }
    # connect() sets these: they are put back afterwards
    environment |= dict.fromkeys(("OPENAI_API_KEY", "OPENAI_BASE_URL", "NO_PROXY", "no_proxy"), "")
    caches = (connect_module._place, connect_module._guard)
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in environment.items():
            patch.setenv(variable, value)
        patch.setattr(connect_module, "LEARNERS_OWN_KEY", KEY if name == "openai" else "")
        patch.setattr(SpendGuard, "spent_usd", 0.0)
        patch.setattr(widgets, "monitor", lambda *_: None)  # it needs a kernel
        patch.setattr("tempfile.tempdir", str(folder))
        patch.chdir(refresh.NOTEBOOKS)
        for cache in caches:
            cache.cache_clear()
        try:
            yield found
        finally:
            for cache in caches:
                cache.cache_clear()
            found.stop()


def table_with(name: str, address: str, path: Path) -> Path:
    """providers.csv with this address of a provider in the place of the real one."""
    with open(ROOT / "data" / "providers.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        is_address = row["fact"] in ("base_url", "chat_base_url") and "<" not in row["value"]
        if row["provider"] == name and is_address:
            row["value"] = address
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def provider(request, tmp_path, in_a_hurry):
    with at(request.param, tmp_path) as found:
        yield found


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


def it_runs(name: str, provider: Provider, folder: Path, capsys, caplog) -> None:
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
    nothing_shows_the_key(learner, capsys, caplog, folder)


@pytest.mark.slow
@pytest.mark.parametrize("provider", SHAPES, indirect=True)
def test_it_runs_with_another_connect(provider, tmp_path, capsys, caplog):
    it_runs("05_use_model", provider, tmp_path, capsys, caplog)


@pytest.mark.slow
@pytest.mark.endurance(sample=1, soak=len(SHAPES))
@pytest.mark.parametrize("name", ["03_upload", "04_create_job", "starter"])
def test_the_other_notebooks_run_too(name, count, in_a_hurry, tmp_path, capsys, caplog):
    """At one provider; the others get the same calls from lesson 05, which uploads, trains and asks. Else at all."""
    for place in PLACES[:count]:
        with at(place, tmp_path / place) as provider:
            it_runs(name, provider, tmp_path / place, capsys, caplog)


@pytest.mark.slow
@pytest.mark.endurance(sample=1, soak=len(SHAPES))
def test_running_all_cells_makes_no_job(count, in_a_hurry, tmp_path, capsys, caplog):
    """Twice over: the second time every cell meets what the first has left."""
    caplog.set_level(logging.DEBUG)
    for place in PLACES[:count]:
        with at(place, tmp_path / place) as provider:
            for name in [*LESSONS, "starter"]:
                learner = Learner(provider)
                cells = learner.cells(name)
                met = learner.run_all(cells) + learner.run_all(cells)
                assert bool(met["APIStatusError"]) == (name != "03_upload"), met
                nothing_shows_the_key(learner, capsys, caplog, tmp_path / place)
            assert provider.jobs == 0
