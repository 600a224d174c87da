"""What GitHub reads of this repository keeps to its formats. GitHub itself has not run any of it."""

import re
from pathlib import Path

import check_jsonschema
import pytest
import yaml
from click.testing import CliRunner, Result

from tests.environment import ROOT
from workshop import site as site_of_the_course

WORKFLOW = ROOT / ".github" / "workflows" / "tests.yml"
SITE = ROOT / ".github" / "workflows" / "site.yml"
UPDATES = ROOT / ".github" / "dependabot.yml"
CITATION = ROOT / "CITATION.cff"
# The schemas come with the linter, so this needs no network.
SCHEMAS = {
    WORKFLOW: "github-workflows",
    SITE: "github-workflows",
    UPDATES: "dependabot",
    CITATION: "citation-file-format",
}


def lint(path: Path, schema: str) -> Result:
    return CliRunner().invoke(check_jsonschema.main, ["--builtin-schema", f"vendor.{schema}", str(path)])


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_the_linter_finds_nothing(path):
    done = lint(path, SCHEMAS[path])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("path", "right", "wrong"),
    [(WORKFLOW, "runs-on:", "runs_on:"), (UPDATES, "monthly", "never"), (CITATION, "title:", "titel:")],
    ids=lambda value: getattr(value, "name", None),
)
def test_the_linter_finds_a_mistake(path, right, wrong, tmp_path):
    broken = tmp_path / path.name
    broken.write_text(path.read_text(encoding="utf-8").replace(right, wrong), encoding="utf-8")
    assert lint(broken, SCHEMAS[path]).exit_code == 1


def test_every_workflow_is_linted():
    assert {*WORKFLOW.parent.iterdir()} == {WORKFLOW, SITE}


@pytest.fixture(scope="module")
def workflow() -> dict:
    return yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))


def test_each_tier_runs_where_it_should(workflow):
    jobs = workflow["jobs"]
    assert {name: job["steps"][-1]["run"] for name, job in jobs.items()} == {
        "quick": "python start.py test",
        "all": ".ci/run",
        "latest": "python start.py test --latest",
    }
    matrix = jobs["quick"]["strategy"]["matrix"]
    assert [system.partition("-")[0] for system in matrix["system"]] == ["ubuntu", "windows", "macos"]
    assert matrix["python"] == ["3.11", "3.14"]
    assert jobs["all"]["runs-on"].startswith("ubuntu") and jobs["latest"]["runs-on"].startswith("ubuntu")


def test_the_newest_releases_are_tried_every_week(workflow):
    (weekly,) = workflow[True]["schedule"]  # YAML 1.1 reads the key "on" as true
    assert re.fullmatch(r"\d+ \d+ \* \* [0-6]", weekly["cron"])
    conditions = {name: job["if"].partition(" ||")[0] for name, job in workflow["jobs"].items()}
    assert conditions == {
        "quick": "github.event_name != 'schedule'",
        "all": "github.event_name != 'schedule'",
        "latest": "github.event_name == 'schedule'",
    }


def test_a_run_may_read_the_repository_and_no_more(workflow):
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert job["permissions"] == {"contents": "read"}
        assert job["steps"][0]["with"] == {"persist-credentials": False}


def test_the_site_is_built_with_the_right_to_read_and_published_without_that_to_write_files():
    site = yaml.safe_load(SITE.read_text(encoding="utf-8"))
    build, publish = site["jobs"]["build"], site["jobs"]["publish"]
    assert site["permissions"] == {} and build["permissions"] == {"contents": "read"}
    assert build["steps"][0]["with"] == {"persist-credentials": False}
    assert build["steps"][2]["run"] == "python start.py site"
    assert ROOT / build["steps"][3]["with"]["path"] == site_of_the_course.FOLDER
    assert publish["needs"] == "build" and publish["permissions"] == {"pages": "write", "id-token": "write"}


@pytest.mark.parametrize("workflow", [WORKFLOW, SITE], ids=lambda path: path.name)
def test_actions_are_pinned_to_a_commit_and_say_its_version(workflow):
    lines = [line for line in workflow.read_text(encoding="utf-8").splitlines() if "uses:" in line]
    assert lines
    assert [
        line for line in lines if not re.search(r"uses: [\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line)
    ] == []


def test_updates_are_proposed_for_all_requirement_files_and_for_actions():
    updates = yaml.safe_load(UPDATES.read_text(encoding="utf-8"))["updates"]
    places = [(one["package-ecosystem"], one.get("directories", one.get("directory"))) for one in updates]
    assert places == [
        ("pip", ["/", "/tests", "/workshop/site", "/workshop/jupyterhub"]),
        ("github-actions", "/"),
    ]
