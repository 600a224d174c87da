"""The README and the pages beside it promise only what is there."""

import csv
import re
from pathlib import Path

import pytest

from helpers.local_api.scenarios import SCENARIOS, STAGE_DATE
from tests.notebooks import refresh
from tests.recount import CHECKS, RECORDED, ROWS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_every_relative_link_leads_somewhere(name):
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / name).read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_notebook_is_in_the_table_of_lessons():
    lessons = {f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("[0-9]*.ipynb")}
    assert lessons == set(re.findall(r"\((notebooks/\d\d_\w+\.ipynb)\)", README))


@pytest.mark.parametrize("name", refresh.PAGES)
def test_every_extra_page_is_in_the_table_of_lessons_too(name):
    assert f"](notebooks/{name}.ipynb), an extra page |" in README


def test_the_answers_on_the_first_screen_are_those_of_lesson_00_and_of_the_recorded_run():
    lesson = refresh.read(refresh.NOTEBOOKS / "00_start_here.ipynb")
    simulated, real = re.findall(r"^\| .+\? \*\(.+?\)\* \| (.+?) … \| (.+?) \|$", README, re.MULTILINE)
    assert refresh.said(lesson, "before = answer").startswith(simulated[0])
    assert simulated[1].replace("<br>", "\n") in lesson.cells[2].source.replace("<br>", "\n")
    assert RECORDED["base"]["base"]["t063"].startswith(real[0])
    answer = real[1].replace("<br>", "\n")
    assert answer == RECORDED["tuned"]["tuned-all-seed0"]["t063"]
    assert CHECKS["form"](answer, ROWS["t063"]) and not CHECKS["fact"](answer, ROWS["t063"])
    assert ROWS["t063"]["kind"] == "new" and not CHECKS["desk"](answer, ROWS["t063"])
    assert all(part in README for part in (*ROWS["t063"]["facts"], f"desk {ROWS['t063']['desk']}"))


def test_the_table_of_scenarios_is_that_of_the_code():
    for name, what in SCENARIOS.items():
        assert f"| `{name}` | {what} |" in README


def test_every_date_comes_from_the_table_of_models():
    with open(ROOT / "data" / "models.csv", encoding="utf-8", newline="") as file:
        known = {row["value"] for row in csv.DictReader(file)} | {str(STAGE_DATE)}
    section = README[README.index("## Use a real provider") :]
    dates = re.findall(r"\d{4}-\d{2}-\d{2}", section)
    assert dates
    assert set(dates) <= known
