"""What opens the course elsewhere: links and Colab's lessons from one setting, the files of Binder and containers."""

import ast
import csv
import json
import os
import re
import shutil
import subprocess

import nbformat
import pytest
import yaml

import start
from tests.environment import ROOT
from workshop import elsewhere, hosted

SET = "someone/a-course"
HUB = ROOT / "workshop" / "jupyterhub"


@pytest.fixture
def published(tmp_path):
    """A course with the same texts whose owner has set the repository."""
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks", ignore=shutil.ignore_patterns(".*"))
    shutil.copy(ROOT / "README.md", tmp_path)
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    settings = re.sub(r'^repository = ".*"', f'repository = "{SET}"', settings, flags=re.MULTILINE)
    (tmp_path / "pyproject.toml").write_text(settings, encoding="utf-8")
    elsewhere.write(tmp_path)
    return tmp_path


def test_what_is_made_from_the_setting_is_current():
    for path, text in elsewhere.made().items():
        assert (ROOT / path).read_text(encoding="utf-8") == text, "python -m workshop.elsewhere"


def test_the_repository_stands_in_one_place():
    name = elsewhere.repository()
    if name:
        listed = subprocess.run(
            ["git", "grep", "-l", name], cwd=ROOT, capture_output=True, text=True
        ).stdout.split()
        own = {"pyproject.toml", *(path.as_posix() for path in elsewhere.made())}
        assert set(listed) <= own


def test_one_setting_makes_all_links(published):
    readme = (published / "README.md").read_text(encoding="utf-8")
    (line,) = [line for line in readme.splitlines() if line.startswith("Without installing: ")]
    found = dict(re.findall(r"\[(\w+)\]\((\S+?)\)", line))
    assert list(found) == ["Binder", "Codespaces", "Colab", "Kaggle"]
    assert all(SET in link for link in found.values())
    for link in (found["Colab"], found["Kaggle"]):
        assert (published / link.partition(f"{SET}/blob/main/")[2]).is_file()
    assert (ROOT / found["Binder"].partition("urlpath=lab/tree/")[2]).is_file()
    ours = (ROOT / "README.md").read_text(encoding="utf-8")
    assert elsewhere.with_links(readme, "") == elsewhere.with_links(ours, "")


def test_a_setting_that_is_no_repository_is_refused(published, monkeypatch):
    settings = (published / "pyproject.toml").read_text(encoding="utf-8")
    (published / "pyproject.toml").write_text(
        settings.replace(SET, f"https://github.com/{SET}"), encoding="utf-8"
    )
    with pytest.raises(ValueError, match='Write it as "owner/name"'):
        elsewhere.made(published)


def test_a_lesson_for_colab_is_the_lesson_with_a_start_cell_before_its_first_code(published):
    for lesson in sorted((ROOT / "notebooks").glob("*.ipynb")):
        ours = nbformat.read(lesson, as_version=4)
        theirs = nbformat.read(published / "workshop" / "colab" / lesson.name, as_version=4)
        nbformat.validate(theirs)
        code = [cell for cell in theirs.cells if cell.cell_type == "code"]
        assert code[0].id == "start-cell" and f"https://github.com/{SET}" in code[0].source
        assert [cell.source for cell in code[1:]] == [
            cell.source for cell in ours.cells if cell.cell_type == "code"
        ]
        assert len(theirs.cells) == len(ours.cells) + 1 and not any(cell.outputs for cell in code)


def test_links_of_a_lesson_for_colab_lead_to_what_is_in_the_repository(published):
    for lesson in sorted((published / "workshop" / "colab").glob("*.ipynb")):
        cells = nbformat.read(lesson, as_version=4).cells
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        assert not re.findall(r"\]\((?!https?:|#)", text), lesson.name
        for path in re.findall(rf"\]\(https://[\w.]+/(?:github/)?{SET}/(?:blob/)?main/([^)#]+)", text):
            assert (published / path).exists() or (ROOT / path).exists(), (lesson.name, path)


def test_the_start_cell_fetches_once_and_runs_what_is_there():
    cell = elsewhere.START_CELL.format(address="X")
    python, magic = cell.rsplit("\n", 1)
    ast.parse(python)
    assert magic == "%run {course}/workshop/hosted.py" and (ROOT / "workshop" / "hosted.py").is_file()


# --- what the start cell installs --------------------------------------------------------------------------

REQUIREMENTS = """#= jupyterlab
#= openai
#= pandas
#= words==1.0 ; sys_platform == "linux"
jupyterlab==4.6.6
openai==3.54.0
pandas==3.1.1
tornado==6.5
words==1.0 ; sys_platform == "linux"
"""


def test_only_what_is_missing_or_another_version_is_installed_and_nothing_that_is_the_places_own(monkeypatch):
    here = {"openai": "2.1.0", "pandas": "2.2.2"}

    def version(name):
        if name not in here:
            raise hosted.importlib.metadata.PackageNotFoundError(name)
        return here[name]

    monkeypatch.setattr(hosted.importlib.metadata, "version", version)
    assert hosted.missing(REQUIREMENTS) == ["openai==3.54.0", 'words==1.0 ; sys_platform == "linux"']
    here |= {"openai": "3.54.0", "words": "1.0"}
    assert hosted.missing(REQUIREMENTS) == []


def test_everything_that_the_lessons_ask_for_is_known_to_the_start_cell():
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    asked = {re.split("[=<> ]", line[3:])[0] for line in text.splitlines() if line.startswith("#= ")}
    assert {pin.split("==")[0] for pin in hosted.wanted(text)} == asked - hosted.NOT_NEEDED
    assert hosted.ITS_OWN | hosted.NOT_NEEDED < asked


# --- Binder and containers ---------------------------------------------------------------------------------


def test_binder_has_a_python_for_which_the_pins_resolve():
    assert re.fullmatch(r"python-3\.1[1-4]\n", (ROOT / "binder" / "runtime.txt").read_text())
    assert (ROOT / "binder" / "requirements.txt").read_text() == f"-r ../{start.LEARNER}\n"


@pytest.mark.skipif(os.name == "nt", reason="Binder runs Linux")
def test_binders_start_lets_the_helpers_be_imported(tmp_path):
    assert (ROOT / "binder" / "start").stat().st_mode & 0o100
    command = [str(ROOT / "binder" / "start"), "sh", "-c", "echo $PYTHONPATH"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout == f"{ROOT}\n"


def test_the_devcontainer_installs_with_the_courses_own_command():
    settings = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert settings["postCreateCommand"] == "python start.py install"
    assert re.fullmatch(r"python:3\.1[1-4]", settings["image"])
    assert (ROOT / settings["customizations"]["codespaces"]["openFiles"][0]).is_file()


def test_kubernetes_and_one_machine_start_the_same():
    values = yaml.safe_load((HUB / "values.yaml").read_text())
    config = (HUB / "jupyterhub_config.py").read_text()
    image = (HUB / "Dockerfile").read_text()
    single = values["singleuser"]
    assert f'c.Spawner.default_url = "{single["defaultUrl"]}"' in config and single["defaultUrl"] in image
    assert single["cmd"][2:] == ["start", "python", "-m", "jupyterhub.singleuser"]
    assert f'ENTRYPOINT ["{single["cmd"][0]}", "{single["cmd"][1]}", "start"]' in image
    assert f"MEMORY_GB = {float(single['memory']['limit'].removesuffix('G'))}" in config
    assert f"IDLE_MINUTES = {values['cull']['timeout'] // 60} " in config


def test_the_page_on_the_hub_shows_the_measured_table():
    page = (HUB / "README.md").read_text(encoding="utf-8")
    with open(HUB / "room.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["how"].partition(":")[0] for row in rows} == {"measured", "extrapolated"}
    shown = re.findall(r"^\| (.+) \| (\d+) \| (\S+) (.+?) \| (.+) \|$", page, re.MULTILINE)
    assert shown == [tuple(row.values()) for row in rows]


def test_the_page_on_the_hub_names_the_limits_of_its_configuration():
    page = (HUB / "README.md").read_text(encoding="utf-8")
    config = (HUB / "jupyterhub_config.py").read_text(encoding="utf-8")
    limits = {
        name: float(value) for name, value in re.findall(r"^([A-Z_]+) = ([\d.]+) ", config, re.MULTILINE)
    }
    assert f"{limits['MEMORY_GB']:.0f} GB of memory for each process" in page
    assert f"{limits['PROCESSES']:.0f} processes and threads, {limits['FILE_GB']:.0f} GB for a file" in page
    assert limits["IDLE_MINUTES"] == 120 and "for two hours is stopped" in page
