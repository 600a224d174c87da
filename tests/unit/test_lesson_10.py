"""Lesson 10: its roads, services and bases are those of the tables; its five musts are those that the check reads."""

import csv
import re
import tomllib

import pytest

from helpers import memo, roads
from helpers.local_api.engines import trained
from tests.environment import ROOT
from tests.notebooks import refresh

NOTEBOOK = refresh.read(ROOT / "notebooks" / "10_after_the_wind_down.ipynb")
TEXT = "\n".join(cell.source for cell in NOTEBOOK.cells if cell.cell_type == "markdown")
TRAINED = ROOT / "helpers" / "local_api" / "engines" / "trained"


def rows(table: str) -> list[dict[str, str]]:
    with open(ROOT / "data" / table, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def constant(module: str, name: str) -> str:
    """What is assigned to a name in a module that needs torch: read, not imported."""
    source = (TRAINED / f"{module}.py").read_text(encoding="utf-8")
    return re.search(rf"^{name} = (\S+)", source, re.MULTILINE)[1]


# --- the roads ---------------------------------------------------------------------------------------------


def test_the_lesson_opens_with_the_roads():
    first = refresh.code_cells(NOTEBOOK)[0]
    assert "roads.table()" in first.source
    assert [row["road"][:2] for row in roads.table()] == ["Yo", "1:", "2:", "3:"]


def test_each_price_is_that_of_its_row():
    with open(ROOT / "data" / "roads.toml", "rb") as file:
        told = tomllib.load(file)["road"]
    assert sum("prices" in road for road in told) == 3
    for road, shown in zip(told, roads.table(), strict=True):
        lines = shown["US dollars"].splitlines()
        for price, line in zip(road.get("prices", []), lines, strict=False):
            (row,) = [
                row
                for row in rows("providers.csv")
                if (row["provider"], row["fact"]) == (price["provider"], price["fact"])
            ]
            amount, unit = line.split(" ", 1)
            assert float(amount) == float(row["value"]) and re.fullmatch(r"\d+\.\d{2,}", amount)
            assert unit == price["unit"]
            assert row["date"] >= re.search(r"\d{4}-\d\d-\d\d", lines[-1])[0] and row["grade"] in lines[-1]
            assert row["model"] in lines[-1]


def test_no_table_has_a_dollar_sign_that_a_notebook_would_take_for_a_formula():
    tables = roads.table() + roads.services() + roads.bases()
    assert not [row for row in tables if "$" in "".join(row.values())]


def test_every_service_of_the_table_is_on_one_road():
    shown = roads.services()
    assert sorted(row["service"] for row in shown) == sorted(
        {row["provider"] for row in rows("providers.csv")}
    )
    by_road = {name: roads.services(name) for name in (roads.SAME, roads.OTHER, roads.TINKER, roads.CARD)}
    assert all(by_road.values()) and sum(map(len, by_road.values())) == len(shown)
    driven = {
        row["provider"] for row in rows("providers.csv") if row["fact"] == "drivable" and row["value"] != "no"
    }
    assert {row["service"] for row in by_road[roads.SAME]} == driven
    speakers = {row["provider"] for row in rows("providers.csv") if row["fact"] == "protocol"}
    assert {row["service"] for row in by_road[roads.TINKER]} == speakers
    assert not [row for row in shown if "undated" in row["what to know"] or not row["what to know"]]


def test_two_tables_agree_on_the_day_that_closed_openai_to_newcomers():
    (said,) = [
        row["value"]
        for row in rows("providers.csv")
        if (row["provider"], row["fact"]) == ("openai", "new_customers")
    ]
    (day,) = [
        row["value"]
        for row in rows("models.csv")
        if row["fact"] == "new_jobs_end" and row["note"][:8] == "newcomer"
    ]
    assert said == f"closed since {day}"


@pytest.mark.parametrize("client", ["together", "tinker"])
def test_the_calls_of_another_client_are_those_of_its_documents(client):
    (row,) = [row for row in rows("providers.csv") if (row["provider"], row["fact"]) == (client, "client")]
    block = next(
        block
        for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
        if f"pip install {client}" in block
    )
    for call in row["value"].split(", "):
        assert f".{call}(" in block


# --- the bases ---------------------------------------------------------------------------------------------


def test_each_base_has_a_size_a_licence_and_a_rate_with_a_source():
    known = roads.bases()
    assert len(known) == 4
    for base in known:
        assert all(base.values()), base


def test_the_learning_rates_are_those_that_an_exported_job_names():
    """The small base of the course keeps its rate; a larger one begins with that of TRL's documents."""
    small, *larger = roads.bases()
    assert small["base"] == constant("weights", "PUBLIC_NAME").strip('"')
    assert float(small["learning rate to begin with"]) == trained.USUAL_RATES["supervised"]
    assert {float(base["learning rate to begin with"]) for base in larger} == {
        float(constant("export_job", "USUAL_RATE"))
    }
    (source,) = [row["source"] for row in rows("bases.csv") if row["model"] == "*"]
    assert source == constant("export_job", "RATE_SOURCE").strip('"')
    assert "The wrong way: a larger base with the old learning rate" in TEXT


# --- go or no-go -------------------------------------------------------------------------------------------


def test_the_memo_has_a_row_for_each_must_of_the_table():
    asked = re.findall(r"^\| (\d) \| ", TEXT, re.MULTILINE)
    (cell,) = [cell.source for cell in refresh.code_cells(NOTEBOOK) if cell.source.startswith("memo =")]
    given = re.findall(r"^(\d) .*:$", cell, re.MULTILINE)
    assert asked == given == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize(
    ("rows", "decision"),
    [
        (["go, a", "Go: b"], "go"),
        (["go", "not yet", "no-go, facts"], "no-go"),
        (["go", "not yet, nothing was compared"], "not yet"),
        (["go", "30 rows"], "not yet"),
        (["go", "going well"], "not yet"),
        ([], "not yet"),
    ],
)
def test_what_the_rows_decide_together(rows, decision):
    assert memo.decision(rows) == decision


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("go, 25 points, between 11 and 38", (11, 38)),
        ("+14 to +35 points", (14, 35)),
        ("10 points, \u22124 to 24", (-4, 24)),
        ("25 % (11 % to 38 %)", (11, 38)),
        ("0.5–2.5", (0.5, 2.5)),
        ("9 of 20 and 17 of 20", None),
        ("17 and 9", None),
        ("30 rows", None),
        ("", None),
    ],
)
def test_an_interval_is_read(text, ends):
    assert memo.interval(text) == ends
