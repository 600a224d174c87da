"""The command that pins the requirement files anew; what the resolvers answer is given to it here."""

import json

import pytest

import start
from tests import pins

FILES = (start.LEARNER, start.TESTS, start.LOCAL, start.TRL, start.SITE, start.HUB)
LEARNER = "# For lessons.\n#= openai\n#= argon<26\n# The end.\nargon==25.1\nopenai==3.54.0\n"


def test_a_file_has_what_is_asked_for_and_pins():
    assert pins.asked(LEARNER) == ["openai", "argon<26"]
    assert pins.pins(LEARNER) == ["argon==25.1", "openai==3.54.0"]


def test_new_pins_leave_the_words_of_a_file_alone():
    assert pins.with_pins(LEARNER, ["openai==3.57.0"]) == (
        "# For lessons.\n#= openai\n#= argon<26\n# The end.\nopenai==3.57.0\n"
    )


def test_a_file_of_additions_leaves_out_what_is_pinned_for_as_many_systems():
    others = ["a==1", "b==1 ; sys_platform == 'win32'", "c==1 ; sys_platform == 'linux'"]
    lines = ["a==1 ; sys_platform == 'linux'", "b==1", "c==1 ; sys_platform == 'linux'", "d==1"]
    assert pins.added(lines, others) == ["b==1", "d==1"]


def test_the_files_are_resolved_one_after_the_other_and_without_graphics_cards(tmp_path, monkeypatch):
    monkeypatch.setattr(pins, "ROOT", tmp_path)
    wishes = {
        start.LEARNER: "openai",
        start.TESTS: "pytest",
        start.LOCAL: "torch==2.13.0 ; m != 'x'",
        start.TRL: "trl",
        start.SITE: "sphinx",
        start.HUB: "hub",
    }
    for name, wish in wishes.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"#= {wish}\n")
    answers = {
        "openai": ["openai==4"],
        "pytest": ["openai==4", "pytest==10"],
        "torch==2.13.0 ; m != 'x'": ["nvidia-cublas==13 ; l", "openai==4", "torch==2.13.0", "triton==3"],
        "trl": ["openai==4", "torch==2.13.0", "trl==2"],
        "sphinx": ["openai==4", "pytest==10", "sphinx==9"],
        "hub": ["hub==6", "openai==4"],
    }
    asked = []

    def resolver(wanted, constraints):
        asked.append(constraints)
        return answers[wanted[0]]

    assert pins.resolved(resolver) == {
        start.LEARNER: ["openai==4"],
        start.TESTS: ["openai==4", "pytest==10"],
        start.LOCAL: ["torch==2.13.0 ; m != 'x'"],
        start.TRL: ["trl==2"],
        start.SITE: ["sphinx==9"],
        start.HUB: ["hub==6"],
    }
    tests = ["openai==4", "openai==4", "pytest==10"]
    local = ["openai==4", "torch==2.13.0"]
    assert asked == [[], ["openai==4"], ["openai==4"], local, tests, local]


def test_what_pip_reports_is_read_by_plain_names():
    found = [{"metadata": {"name": "Ruamel.yaml_x", "version": "0.19.1"}}]
    found.append({"metadata": {"name": "torch", "version": "2.13.0+cpu"}})
    assert pins.reported(json.dumps({"install": found})) == {"ruamel-yaml-x": "0.19.1", "torch": "2.13.0"}


@pytest.mark.parametrize("name", FILES)
def test_every_file_says_what_it_asks_for_and_how_its_list_is_made_anew(name):
    text = pins.read(name)
    wanted, pinned = pins.asked(text), [pins.plain(line.split("==")[0]) for line in pins.pins(text)]
    assert wanted and "python -m tests.pins" in text
    assert {pins.plain(one.split("[")[0].split("=")[0].split("<")[0]) for one in wanted} <= set(pinned)
    assert pinned == sorted(pinned)
    assert not any(pins.FOR_GRAPHICS_CARDS.match(line) for line in pins.pins(text))


def test_without_uv_the_way_with_pip_alone_is_named(monkeypatch):
    monkeypatch.setattr(pins.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(pins.shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match="python -m pip install uv.*python -m tests.pins --pip"):
        pins.main([])
