"""The README and the pages beside it promise only what is there."""

import csv
import re
from pathlib import Path

import pytest

from helpers.local_api.scenarios import SCENARIOS, STAGE_DATE

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
