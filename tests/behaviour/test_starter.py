"""The starter: alone in an empty folder, killed at any moment, and at services that answer as they should not."""

import ast
import http.client
import http.server
import importlib.metadata
import io
import json
import os
import random
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pandas
import pytest
from openai import OpenAI

from helpers import dataset, evaluate
from helpers.local_api.engines import trained
from helpers.local_api.store import new_id
from tests import by_hand, planted, recount, tiny_model
from tests.environment import ROOT

from . import starting
from .conftest import rows
from .small_service import KEY, Clock, Service, answer_of, as_json, page, refusal
from .starting import STARTER

AIRPORT = ROOT / "data" / "airport" / "train.jsonl"
QUESTION = "May I bring pork products into the country?"
TEST = ("paraphrase", "new")
LOST = ("POST", "/v1/fine_tuning/jobs")
IN_THE_WAY = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), "socks5://127.0.0.1:9")
IN_THE_WAY |= {"NO_PROXY": "", "no_proxy": "", "SSL_CERT_FILE": "/nowhere/roots.pem"}


@pytest.fixture(scope="module")
def only_openai(tmp_path_factory) -> Path:
    """A folder from which openai and what it depends on can be imported, and nothing else."""
    folder, names = tmp_path_factory.mktemp("site"), ["openai"]
    for name in names:
        try:
            package = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # needed on other systems only
        wanted = [text for text in package.requires or [] if "extra ==" not in text]
        names += [found for text in wanted if (found := re.match(r"[\w.-]+", text)[0]) not in names]
        for top in {file.parts[0] for file in package.files if file.parts[0] not in ("..", "__pycache__")}:
            if not (folder / top).exists():
                (folder / top).symlink_to(package.locate_file(top))
    return folder


@pytest.fixture
def desk(tmp_path, only_openai):
    """An empty folder with the starter and the airport file, and how to start it there."""
    folder = tmp_path / "desk"
    folder.mkdir()
    (folder / "starter.py").write_bytes(STARTER.read_bytes())
    (folder / "train.jsonl").write_bytes(AIRPORT.read_bytes())

    def start(url: str, *options: str, **more: str) -> subprocess.Popen:
        command = [sys.executable, "-S", "starter.py", "train.jsonl", "--model", "gpt-4o-mini", *options]
        environment = os.environ | {"PYTHONPATH": str(only_openai), "OPENAI_BASE_URL": url}
        environment |= {"HOME": str(tmp_path)} | more
        return subprocess.Popen(
            [*command, "--ask", QUESTION],
            cwd=folder,
            env=environment | {"OPENAI_API_KEY": "sk-local"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start


class Between:
    """Passes requests on; at one of them it runs ``strike`` before or after the server has got it.

    That request gets no answer, unless ``when`` is "slow": then it gets a late one.
    """

    def __init__(self, url: str, host: str = "127.0.0.1"):
        self.to, self.at, self.when, self.strike, self.struck = urlsplit(url).netloc, None, "", None, 0
        handler = type("Handler", (_Handler,), {"between": self})
        self.server = http.server.ThreadingHTTPServer((host, 0), handler)
        self.url = f"http://{host}:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class _Handler(http.server.BaseHTTPRequestHandler):
    between: Between

    def log_message(self, *_): ...

    def do_POST(self):
        between = self.between
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = re.sub(r"ftjob-\w+", "ID", self.path.partition("?")[0])
        mine = (self.command, path) == between.at and not between.struck
        if mine:
            between.struck += 1
            if between.when in ("before", "late"):
                between.strike()
            if between.when == "before":
                self.close_connection = True
                return
            if between.when in ("late", "slow"):
                time.sleep(2.5)
        connection = http.client.HTTPConnection(between.to)
        connection.request(self.command, self.path, body, dict(self.headers) | {"Host": between.to})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        self.close_connection = True
        if mine and between.when == "after":
            between.strike()
        if mine and between.when != "slow":
            return
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.headers["Content-Type"])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST


@contextmanager
def api(folder: Path):
    with by_hand.server(folder / "state") as (url, _):
        yield url, OpenAI(base_url=url, api_key="sk-local")


def holds_one_of_each(client: OpenAI, files: int = 1) -> None:
    assert len(list(client.files.list(purpose="fine-tune"))) == files
    assert [job.status for job in client.fine_tuning.jobs.list()] == ["succeeded"]


def test_it_is_short_and_imports_only_openai():
    text = STARTER.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 600  # a fifth is the check, which agrees with dataset.check
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {getattr(node, "module", None) or node.names[0].name for node in nodes}
    assert {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) == {"openai"}


def test_the_whole_workflow_and_once_more(desk, tmp_path):
    """Whatever the environment says of proxies and certificates: it is this computer that is asked."""
    with api(tmp_path) as (url, client):
        for _ in range(2):
            process = desk(url, **IN_THE_WAY)
            output, _ = process.communicate(timeout=120)
            assert process.returncode == 0, output
            assert re.search(rf"^{re.escape(QUESTION)}: .*\nDesk: Quarantine\n", output, re.MULTILINE), output
            assert (
                output.count("  base: ")
                == output.count("  few_shot_nearest: ")
                == output.count("  tuned: ")
                == 5
            )
            assert (
                "\nOf 23 questions         base  few_shot_nearest  majority   nearest     tuned\nlast_line"
                in output
            )
            assert "\r" not in output and "Asking 2 of" not in output  # it is a log
            holds_one_of_each(client, files=2)
            (job,) = client.fine_tuning.jobs.list()
            assert job.validation_file
            (saved,) = (tmp_path / "desk" / "my").iterdir()
            assert f"Saved: my/{saved.name}\n" in output
            found = json.loads(saved.read_text(encoding="utf-8"))
            assert (found["tuned"], found["job"]) == (job.fine_tuned_model, job.id) and len(
                found["rows"]
            ) == 23
            assert output.endswith(f"\nThe tuned model: {job.fine_tuned_model}\nThe job: {job.id}\n")
    left = {path.name for path in (tmp_path / "desk").iterdir()}
    assert left - {"__pycache__"} == {"starter.py", "train.jsonl", "my"}


TINY, REAL = 14, 20  # rows to train on, for either kind of weights


@pytest.mark.slow
@pytest.mark.endurance(sample=TINY, soak=REAL)
def test_the_model_that_is_really_trained_by_its_name_alone(count, desk, tmp_path):
    """On a few rows, for one epoch: it is the work that is tested, not the answers."""
    rows = AIRPORT.read_bytes().splitlines(keepends=True)[:count]
    (tmp_path / "desk" / "train.jsonl").write_bytes(b"".join(rows))
    folder = str(tiny_model.shared()) if count == TINY else ""
    with by_hand.server(tmp_path / "state", LOCAL_API_WEIGHTS=folder, OMP_NUM_THREADS="1") as (url, _):
        client = OpenAI(base_url=url, api_key="sk-local")
        for _ in range(2):
            process = desk(url, "--model", trained.MODEL, "--epochs", "1")
            output, _ = process.communicate(timeout=600)
            assert process.returncode == 0, output
            assert output.count("  base: ") == output.count("  tuned: ") >= 1, output
            assert f"{QUESTION}: " in output
            holds_one_of_each(client, files=1 + ("0 held back to validate" not in output))
        (job,) = client.fine_tuning.jobs.list()
        assert job.fine_tuned_model.startswith(f"ft:{trained.MODEL}:")
        assert (job.organization_id, job.hyperparameters.n_epochs) == (trained.ORGANIZATION, 1)


@pytest.fixture
def forked(api, tmp_path):
    """How to start it in a process of its own at the mock API. Each start may have its own working folder."""

    def start(url: str = api.url, folder: str = "desk", typed: str = "yes\n"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows(11)))
        return starting.start(tmp_path / folder, url, api.key, "--ask", QUESTION, typed=typed)

    return start


def comes_to_its_end(process) -> bool:
    process.join(timeout=120)
    return process.exitcode == 0


def test_a_lost_answer_of_create_makes_no_second_job(forked, api):
    between = Between(api.url)
    between.at, between.when, between.strike = LOST, "after", lambda: None
    assert not comes_to_its_end(forked(between.url))
    assert comes_to_its_end(forked(between.url))
    holds_one_of_each(api.client)


def test_two_at_once_in_two_folders_while_the_order_takes_long(forked, api):
    between = Between(api.url)
    between.at, between.when = LOST, "slow"
    assert all([comes_to_its_end(one) for one in (forked(between.url, "a"), forked(between.url, "b"))])
    assert [job.status for job in api.client.fine_tuning.jobs.list()] == ["succeeded"]


PHASES = [
    (("POST", "/v1/files"), "before"),
    (("POST", "/v1/files"), "after"),
    (LOST, "before"),
    (LOST, "after"),
    (LOST, "late"),
    (("GET", "/v1/fine_tuning/jobs/ID"), "after"),
    (("POST", "/v1/chat/completions"), "after"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("at", "when"), PHASES)
def test_killed_and_started_again(at, when, forked, api, tmp_path):
    between = Between(api.url)
    between.at, between.when = at, when
    started = []
    between.strike = lambda: started[0].kill()
    started.append(forked(between.url))
    started[0].join(timeout=120)
    assert started[0].exitcode == -9 and between.struck == 1
    if (at, when) == (LOST, "before"):  # nothing is on its way: as if it were started again much later
        (note,) = (tmp_path / ".starter-orders").iterdir()
        os.utime(note, (0, 0))
    assert comes_to_its_end(forked(between.url))
    holds_one_of_each(api.client)


@pytest.mark.slow
@pytest.mark.endurance(sample=5, soak=216)
def test_killed_at_any_moment(count, figures, api, tmp_path, forked):
    """Each round has a key of its own; one or two starters are killed, once or twice, and then one may end."""
    for _ in range(2):  # the first one also waits until a process can be forked; the second orders nothing
        began = time.monotonic()
        assert comes_to_its_end(forked())
    lasts, kills, rounds, orders_on_their_way = time.monotonic() - began, 0, 0, 0
    while kills < count:
        rounds += 1
        api.key = new_id("sk-local-")
        client = api.another_client()
        for _ in range(random.choice([1, 1, 2])):
            programs = [forked(folder=folder) for folder in random.choice([["a"], ["b"], ["a", "b"]])]
            for program in programs:
                program.join(random.uniform(0, lasts))
                kills += program.is_alive()
                program.kill()
        noted = len(list((tmp_path / ".starter-orders").glob("*-001"))) == rounds + 1
        orders_on_their_way += noted and not list(client.fine_tuning.jobs.list())
        assert comes_to_its_end(forked()), (tmp_path / "desk" / "said.txt").read_text()
        assert [job.status for job in client.fine_tuning.jobs.list()] == ["succeeded"]
    figures(f"{kills} kills in {rounds} rounds, {orders_on_their_way} between note and job; one job in each")


def test_lines_to_correct_are_named(desk, tmp_path):
    with open(tmp_path / "desk" / "train.jsonl", "a", encoding="utf-8") as file:
        file.write('{"messages": 5}\n{"messages": [{"role": "bot"}]}\n')
    process = desk("http://127.0.0.1:9/v1")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "line 113: needs" in output and "line 114: message 1: role must be" in output


def test_another_computer_gets_nothing_without_a_yes(desk, tmp_path):
    """127.0.0.2 is a host that the starter does not know as this computer; the proxy does not answer."""
    rows = AIRPORT.read_bytes().splitlines(keepends=True)[:40]  # what is learned of them does not matter here
    (tmp_path / "desk" / "train.jsonl").write_bytes(b"".join(rows))
    respected = {"http_proxy": "http://127.0.0.1:9", "NO_PROXY": "", "no_proxy": "127.0.0.2"}
    with api(tmp_path) as (url, client):
        between = Between(url, "127.0.0.2")
        process = desk(between.url, **respected)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 1 and "127.0.0.2 may take money" in output
        assert list(client.files.list()) == list(client.fine_tuning.jobs.list()) == []
        process = desk(between.url, "--yes", **respected)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
        holds_one_of_each(client, files=2)


# --- in this process, against a service as small as one can be ----------------------------------------------


class Program:
    """The starter on twelve rows, its service and its clock."""

    def __init__(self, folder: Path, monkeypatch, capsys):
        self.starter, self.folder, self.monkeypatch, self.capsys = (
            starting.load(),
            folder,
            monkeypatch,
            capsys,
        )
        self.clock = Clock(time.time())
        self.service = Service(self.clock)
        monkeypatch.setattr(self.starter, "time", self.clock)
        monkeypatch.setattr(self.starter, "connect", lambda _: self.service.client())
        monkeypatch.setenv("HOME", str(folder))
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv(
            "OPENAI_BASE_URL", "http://localhost:1/v1"
        )  # the small service then counts as ours
        self.write(rows(12))

    def write(self, examples: list, name: str = "train.jsonl") -> None:
        text = "".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in examples)
        (self.folder / name).write_text(text, encoding="utf-8")

    def run(self, *options: str, typed: str = "") -> tuple[bool, str]:
        """Whether it came to its end, and what it printed."""
        self.monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        self.monkeypatch.chdir(self.folder)
        ended, message = True, ""
        try:
            self.starter.main(["train.jsonl", "--model", "small", *options])
        except SystemExit as stop:
            ended, message = False, str(stop)
        printed = self.capsys.readouterr()
        said = printed.out + printed.err + message
        assert KEY not in said and "Traceback" not in said and "\x1b" not in said
        return ended, said


@pytest.fixture
def program(tmp_path, monkeypatch, capsys):
    return Program(tmp_path, monkeypatch, capsys)


def test_one_job_however_often_it_is_started(program):
    for _ in range(3):
        assert program.run("--ask", "May I?")[0]
    assert len(program.service.files) == len(program.service.jobs) == program.service.orders == 1


@pytest.mark.parametrize("here", [True, False])
@pytest.mark.parametrize("late", [8, 25])
def test_an_order_whose_answer_got_lost_is_found_when_it_is_listed(here, late, program, monkeypatch):
    if not here:
        monkeypatch.setenv("OPENAI_BASE_URL", "https://service.example/v1")
    program.service.wrong["POST /fine_tuning/jobs"] = lost(program.service)
    program.service.listed_after = late
    ended, said = program.run("--yes")
    assert not ended and "Run it again" in said
    ended, said = program.run("--yes")
    assert ended and "Looking for its job" in said
    assert len(program.service.jobs) == program.service.orders == 1


def lost(service: Service):
    """The order arrives, its answer does not."""

    def answer(request):
        service.right(request)
        return httpx2.Response(500)

    return answer


@pytest.mark.parametrize("url", ["http://localhost:1/v1", "https://service.example/v1"])
def test_no_second_order_without_a_yes_to_it(url, program, monkeypatch):
    """The job is never listed. Waited for is longer than the client itself waits for an answer."""
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    service = program.service
    timeouts = []

    def never_answered(request):
        timeouts.append(request.extensions["timeout"])
        raise httpx2.ReadTimeout("")

    service.wrong["POST /fine_tuning/jobs"] = never_answered
    assert not program.run(typed="yes\n")[0]
    began = program.clock.now
    for options, typed, expected in (
        ((), "", "Stopped"),
        ((), "no\n", "Nothing was sent"),
        (("--yes",), "", "--run 2"),
        (("--yes",), "yes\n", "--run 2"),
    ):
        ended, said = program.run(*options, typed=typed)
        assert not ended and expected in said and "An order was sent at noon, its job is not listed" in said
        assert service.orders == 1
    assert program.clock.now - began > timeouts[0]["connect"] + timeouts[0]["read"]
    service.wrong.clear()
    assert program.run(typed="yes\n")[0]
    assert (service.orders, len(service.jobs), len(service.files)) == (2, 1, 1)


def test_a_refused_order_can_be_sent_again_at_once(program):
    program.service.wrong["POST /fine_tuning/jobs"] = lambda _: refusal(400, "No such model.")
    ended, said = program.run()
    assert not ended and "No such model." in said
    program.service.wrong.clear()
    ended, said = program.run()
    assert ended and "An order was sent" not in said
    assert (program.service.orders, len(program.service.jobs)) == (2, 1)


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_what_is_refused_is_not_called_worth_another_try(status, program):
    program.service.wrong["POST /fine_tuning/jobs"] = lambda _: refusal(status, "No such model.")
    ended, said = program.run()
    assert not ended and "No such model." in said and "Correct the name of the model" in said
    assert "Run it again" not in said


def test_a_line_of_progress_replaces_itself_on_a_terminal_and_stays_out_of_a_log(program, monkeypatch):
    program.service.job_takes = 5
    program.write(rows(60))
    _, log = program.run("--run", "log")
    assert "\r" not in log and log.count("running: Step 1") == 1 and "Asking 1 of" not in log
    shown = io.StringIO()
    shown.isatty = lambda: True
    monkeypatch.setattr("sys.stdout", shown)
    program.run("--run", "terminal")
    said = shown.getvalue()
    assert said.count("running: Step 1") == 5 and "Asking 3 of" in said
    for line in said.split(
        "\n"
    ):  # no line is longer than a terminal, and nothing is left behind what replaces it
        parts = line.split("\r")
        assert all(len(part) == 79 for part in parts[:-1])


@pytest.mark.parametrize("at", ["POST /files", "POST /fine_tuning/jobs"])
@pytest.mark.parametrize("comes", ["before", "after"])
def test_two_at_once(at, comes, program, tmp_path_factory):
    """The second starts, in another folder, when a request of the first is under way, and makes no job of its own
    but where the first has not sent its order yet: then the first finds the job of the second."""
    first, service = program.folder, program.service
    second = tmp_path_factory.mktemp("elsewhere")
    (second / "train.jsonl").write_bytes((first / "train.jsonl").read_bytes())
    ended = []

    def another():
        service.wrong.clear()
        program.folder = second
        ended.append(program.run()[0])

    def in_between(request):
        if comes == "before":
            another()
        answer = service.right(request)
        if comes == "after":
            another()
        return answer

    service.wrong[at] = in_between
    assert program.run()[0]
    assert len(service.jobs) == service.orders == 1
    sent_and_not_made = (at, comes) == ("POST /fine_tuning/jobs", "before")
    assert ended == [not sent_and_not_made]  # then the second waits, and asks


def test_an_order_to_one_service_is_no_order_to_another(program, monkeypatch):
    program.service.wrong["POST /fine_tuning/jobs"] = lambda _: httpx2.Response(500)
    for name, value in (("one", KEY), ("another", KEY), ("another", KEY + "2")):
        client = program.service.client().with_options(base_url=f"https://{name}.example/v1", api_key=value)
        monkeypatch.setattr(program.starter, "connect", lambda _, client=client: client)
        ended, said = program.run()
        assert not ended and "An order was sent" not in said
    assert program.service.orders == 3


@pytest.mark.parametrize("keeps_metadata", [True, False])
def test_lists_that_send_the_same_page_for_ever_end(keeps_metadata, program):
    service = program.service
    service.keeps_metadata = keeps_metadata

    def for_ever(request):
        return as_json(service.right(request).json() | {"has_more": True})

    service.wrong = {"GET /files": for_ever, "GET /fine_tuning/jobs": for_ever}
    for _ in range(2):
        assert program.run()[0]
    assert service.orders == 1 and len(service.calls) < 40


NO_EVENTS = {
    "none": lambda _: refusal(404, "Not found."),
    "an empty list": lambda _: page([]),
    "a null": lambda _: as_json({"object": "list", "data": [{"id": "e", "message": None}]}),
    "a page for people": lambda _: httpx2.Response(200, html="<h1>Welcome</h1>"),
    "steering codes": lambda _: page([{"id": "e", "message": "\x1b[31mred\x9b2J\r\n\x07" + "\ud800" * 9}]),
}


@pytest.mark.parametrize("events", NO_EVENTS)
def test_events_are_not_needed(events, program):
    program.service.wrong["GET /fine_tuning/jobs/ID/events"] = NO_EVENTS[events]
    program.service.job_takes = 10
    assert program.run()[0]
    assert program.service.calls.count("GET /fine_tuning/jobs/ID/events") == 11


@pytest.mark.parametrize(
    ("statuses", "ends"),
    [
        (["validating_files", "moderating", None, "paused", "succeeded"], True),
        (["queued", "archived"], True),
        (["running", "failed"], False),
        (["cancelled"], False),
    ],
)
def test_statuses_that_are_not_known_are_waited_through(statuses, ends, program):
    service, left = program.service, list(statuses)

    def told(request):
        over = {"finished_at": 1 if len(left) == 1 else None}
        return as_json(service.right(request).json() | over | {"status": left.pop(0)})

    service.wrong["GET /fine_tuning/jobs/ID"] = told
    ended, said = program.run()
    assert ended == ends and left == []
    assert all(f"{status}: " in said for status in statuses)
    assert ends or "--run 2 tries again" in said


def test_a_file_that_the_service_reads_slowly(program):
    program.service.file_takes = 6
    ended, said = program.run()
    assert ended and "reads the file: pending" in said
    assert program.service.orders == 1


@pytest.mark.parametrize(("status", "orders"), [("uploaded", 1), ("error", 0), (None, 1), ("ready", 1)])
def test_a_file_with_that_status_for_ever(status, orders, program):
    service, began = program.service, program.clock.now

    def told(request):
        return as_json(service.right(request).json() | {"status": status})

    service.wrong = {"POST /files": told, "GET /files/ID": told}
    ended, said = program.run()
    assert (ended, service.orders) == (bool(orders), orders)
    assert ("cannot use the file" in said) == (status == "error")
    assert (program.clock.now - began >= 300) == (status == "uploaded")


def asked_and_answered(question: str, answer: str) -> dict:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


THINGS = ("lounge", "chapel", "taxi", "wheelchair", "pharmacy", "post office")
TRAINED = [asked_and_answered(f"Where is the {one}?", f"Gate {n}.") for n, one in enumerate(THINGS)] * 2
TRAINED += [
    asked_and_answered(f"{word} thanks!", f"Not for that, {word}.\nBye") for word in ("My", "Our", "So")
]
HELD_OUT = [asked_and_answered(f"A {one}, please?", f" Gate {n}. ") for n, one in enumerate(THINGS)]
HELD_OUT += [asked_and_answered("Many thanks!", "With pleasure.\nBye"), asked_and_answered("Xyz", "None.")]


def table(said: str) -> dict[str, list[str]]:
    """The lines of the table of shares: first word -> the shares in its line, as printed."""
    lines = said.partition(" questions    ")[2].splitlines()[1:]
    return {line[:18].strip(): line[18:].split() for line in lines if line.endswith("%")}


def a_model_that_knows_the_half_of_it(request):
    """The tuned model knows every second answer, and so does the base model if it reads examples first."""
    sent = json.loads(request.content)
    place = [row["messages"][0] for row in HELD_OUT].index(sent["messages"][-1])
    knows = sent["model"] == "ft:small" or len(sent["messages"]) == 7
    right = knows and place % 2 == 0
    return answer_of("m", HELD_OUT[place]["messages"][1]["content"].strip() if right else "No.\nBye")


def test_all_answers_are_counted_next_to_rivals_that_need_no_training(program):
    """The tuned model knows the half of it, the base model nothing. Spaces at the ends do not count."""
    program.write(TRAINED)
    program.write(HELD_OUT, "held.jsonl")
    program.service.wrong["POST /chat/completions"] = a_model_that_knows_the_half_of_it
    ended, said = program.run("--test", "held.jsonl", "--validation", "none", "--check", "last_line")
    assert (
        ended and "\nOf 8 questions          base  few_shot_nearest  majority   nearest     tuned\n" in said
    )
    assert table(said) == {"last_line": ["12%", "50%", "12%", "88%", "50%"]}
    assert "  tuned against few_shot_nearest: no difference seen (ahead on 0, behind on 0, p 1)\n" in said
    assert "  tuned against base: no difference seen (ahead on 3, behind on 0, p 0.25)\n" in said
    assert "at least 6 answers more, here 75 points" in said and said.count("  wanted: ") == 5
    assert program.service.calls.count("POST /chat/completions") == 24
    assert said.endswith("\nThe tuned model: ft:small\nThe job: ftjob-1\n")
    (saved,) = (program.folder / "my").iterdir()
    found = json.loads(saved.read_text(encoding="utf-8"))
    assert found | {"rows": 0} == {
        "file": "train.jsonl",
        "model": "small",
        "tuned": "ft:small",
        "job": "ftjob-1",
        "rows": 0,
    }
    assert found["rows"][0] == {
        "question": [{"role": "user", "content": "A lounge, please?"}],
        "wanted": " Gate 0. ",
        "answers": {
            "base": "No.\nBye",
            "few_shot_nearest": "Gate 0.",
            "majority": "Not for that, My.\nBye",
            "nearest": "Gate 0.",
            "tuned": "Gate 0.",
        },
        "passed": {
            "last_line": {
                "base": False,
                "few_shot_nearest": True,
                "majority": False,
                "nearest": True,
                "tuned": True,
            }
        },
    }


def test_results_go_where_they_are_asked_to(program):
    program.write(rows(11))
    assert program.run("--save", "here/and there")[0]
    (saved,) = (program.folder / "here" / "and there").iterdir()
    assert json.loads(saved.read_text(encoding="utf-8"))["rows"] == []


def test_the_exact_test_is_that_of_the_course(capsys):
    """Same p as helpers.evaluate.compare, for all ways in which 12 questions can come out."""
    starter = starting.load()
    for ahead in range(13):
        for behind in range(13 - ahead):
            tuned = ["x"] * ahead + [""] * (12 - ahead)
            base = [""] * ahead + ["x"] * behind + [""] * (12 - ahead - behind)
            starter.count({"base": base, "tuned": tuned}, ["x"] * 12, {"equal": starter.equal})
            said = capsys.readouterr().out
            found = evaluate.compare(*(as_table(one) for one in (base, tuned)), "equal")
            assert f"ahead on {ahead}, behind on {behind}, p {found.p:.2g})" in said
            assert ("no difference seen" in said) == (found.p >= 0.05)
            assert ("tuned is better" in said) == (found.p < 0.05 and ahead > behind)


def as_table(answers: list[str]) -> pandas.DataFrame:
    return evaluate.evaluate(
        _in_turn(answers),
        [{"id": n, "question": "?"} for n in range(len(answers))],
        {"equal": lambda answer, _: answer == "x"},
    )


def _in_turn(answers: list[str]):
    left = iter(answers)
    return lambda _: next(left)


JSON_ROWS = [{"a": 1, "b": [2]}, {"a": 2, "b": []}, {"a": 3, "b": [1]}]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (["Bike", "Brakes"], ["equal"]),
        (["Bike\n", "Two\nlines", "Brakes"], ["equal"]),
        (["Some text.\nDesk: A", "More.\nDesk: B", "One line"], ["last_line"]),
        ([json.dumps(row) for row in JSON_ROWS], ["json_keys", "equal"]),
        ([json.dumps(row, indent=1) for row in JSON_ROWS], ["json_keys", "equal"]),
        (["[1]", "5"], ["equal"]),
    ],
)
def test_the_check_fits_the_answers_as_in_the_notebook(wanted, names):
    assert list(starting.load().checks_for(None, wanted)) == names
    assert list(evaluate.fitting(wanted)[0]) == names


ANSWERS = [
    ("Gate 7", " Gate 7\n"),
    ("gate 7.", "Gate 7"),
    ("It is gate 7, sir", "Gate 7"),
    ("It is gate 77", "gate 7"),
    ("", "Gate 7"),
    ("a\n\nDesk: A \n", "b\nDesk: A"),
    ("Desk: A\nb", "b\nDesk: A"),
    ('{"b": 2, "a": 1}', '{"a": 1, "b": 2}'),
    ('{"b": 3, "a": 1}', '{"a": 1, "b": 2}'),
    ('{"a": 1}', '{"a": 1, "b": 2}'),
    ('```{"a": 1}```', '{"a": 1}'),
    ("[1]", '{"a": 1}'),
    ("{}", "{}"),
    ("null", '{"a": 1}'),
    ("[" * 100_000, '{"a": 1}'),
    ("It costs 30 yuan", "You pay 30 yuan."),
    ("It costs 300 yuan", "You pay 30 yuan."),
]


@pytest.mark.parametrize("name", ["equal", "contains", "json_keys", "last_line", r"regex:\d+ yuan"])
def test_checks_say_what_those_of_the_course_say(name):
    ours = starting.load().checks_for(name, [])[name]
    theirs = evaluate.regex(name.removeprefix("regex:")) if ":" in name else getattr(evaluate, name)
    for answer, wanted in ANSWERS:
        said = theirs(answer, {"wanted": wanted})
        assert said is None or ours(answer, wanted) == said, (answer, wanted)


@pytest.mark.parametrize("name", ["no_such_check", "regex:(", "regex"])
def test_a_check_that_is_none(name, program):
    ended, said = program.run("--check", name)
    assert not ended and "--check" in said and program.service.calls == []


def test_at_most_forty_questions_are_asked(program):
    program.write(TRAINED)
    program.write(HELD_OUT * 6, "held.jsonl")
    ended, said = program.run("--test", "held.jsonl")
    assert ended and "\nOf 40 questions" in said
    assert program.service.calls.count("POST /chat/completions") == 120
    assert "tuned against nearest: worse" in said


def test_without_an_example_to_copy_there_are_no_rivals(program):
    program.write([{"messages": [{"role": "user", "content": f"{n}?"}, CALL]} for n in range(12)])
    program.write(HELD_OUT, "held.jsonl")
    ended, said = program.run("--test", "held.jsonl")
    assert ended and "\nOf 8 questions          base     tuned\n" in said


def test_few_questions_are_called_few(program):
    program.write(HELD_OUT[:5], "held.jsonl")
    ended, said = program.run("--test", "held.jsonl")
    assert ended and "that takes at least 6 questions" in said


def test_rivals_are_no_weak_ones():
    """On the airport's questions for practice the starter's search finds more than one by words in common."""
    starter = starting.load()
    examples = [json.loads(line)["messages"] for line in AIRPORT.read_text(encoding="utf-8").splitlines()]
    asked = [[{"content": row["question"]}, {}] for row in recount.ROWS.values() if row["kind"] in TEST]
    wanted = [row for row in recount.ROWS.values() if row["kind"] in TEST]
    found, shots = starter.rivals(examples, asked)
    right = {name: sum(map(recount.desk, answers, wanted)) for name, answers in found.items()}

    def words(text: str) -> set[str]:
        return set(re.findall(r"\w+", text.lower()))

    def words_in_common(question: str) -> str:
        alike = [len(words(question) & words(example[-2]["content"])) for example in examples]
        return examples[alike.index(max(alike))][-1]["content"]

    by_words = sum(recount.desk(words_in_common(row["question"]), row) for row in wanted)
    assert right["nearest"] > 1.3 * by_words > right["majority"] > 0
    assert len(set(found["majority"])) == 1
    assert [one[-1]["content"] for one in shots] == found["nearest"] and {len(one) for one in shots} == {6}
    both = zip([*asked, *asked][::-1], [*found["nearest"], *found["nearest"]][::-1], strict=True)
    assert starter.rivals(examples, [one for one, _ in both])[0]["nearest"] == [*found["nearest"] * 2][::-1]


def questions_of(content: bytes) -> set[str]:
    return {json.loads(line)["messages"][-2]["content"] for line in content.splitlines()}


def test_rows_are_held_back_to_validate_and_to_test(program):
    """The same ones each time; a question is never on two sides; small files are trained on whole."""
    program.write(rows(100))
    contents = []
    program.service.wrong["POST /files"] = lambda r: contents.append(r.content) or program.service.right(r)
    ended, said = program.run()
    assert ended and (program.service.files[1]["filename"]).endswith("-valid.jsonl")
    held, tested = map(int, re.search(r"(\d+) held back to validate, (\d+) to test", said).groups())
    assert 4 <= held <= 16 and 12 <= tested <= 30
    train, valid = (
        {f"{n}" for n in range(100) if f"bed {n}?".encode() in one.replace(b"water bed", b"bed")}
        for one in contents
    )
    assert len(train) == 100 - held - tested and len(valid) == held and not train & valid
    assert program.run("--epochs", "2")[0] and len(program.service.files) == 4
    assert contents[2].count(b"bed") == contents[0].count(b"bed")
    program.write(rows(11))
    ended, said = program.run()
    assert ended and "too few examples to hold any back" in said and "11 examples to train on" in said


def test_a_validation_file_of_ones_own_or_none(program):
    program.write(rows(100))
    program.write(rows(3), "valid.jsonl")
    sent = []
    program.service.wrong["POST /fine_tuning/jobs"] = lambda r: (
        sent.append(json.loads(r.content)) or program.service.right(r)
    )
    ended, said = program.run("--validation", "valid.jsonl", "--test", "valid.jsonl")
    assert ended and "100 examples to train on" in said and "3 held back to validate, 3 to test" in said
    ended, said = program.run("--validation", "none")
    assert ended and "\n0 held back to validate" in said
    assert [one.get("validation_file") for one in sent] == ["file-2", None]


KNOWN_WARNINGS = {
    "empty_content": "is empty",
    "ends_on_user_turn": "the last",
    "system_prompts": "not the system",
}
OF_OTHER_METHODS = {
    code for code in planted.PLANTS if code.startswith("dpo_") or code in ("wrong_method", "ends_on_answer")
}
# It has no table of models, so it cannot know which of them take images: that service says it.
PLANTED = [
    code for code in planted.PLANTS if code not in planted.NOT_AS_FILES | OF_OTHER_METHODS | {"image_model"}
]


@pytest.mark.parametrize("code", PLANTED)
def test_its_verdict_is_that_of_the_checker(code, program):
    """Errors end it, warnings that it knows are said with their line; without an error it goes on."""
    (program.folder / "train.jsonl").write_bytes(planted.plant(code))
    report = dataset.check(program.folder / "train.jsonl")
    ended, said = program.run()
    assert ended == (report.errors == 0), said
    for warning, words in KNOWN_WARNINGS.items():
        lines = [problem.line for problem in report.problems if problem.code == warning]
        assert all(f"line {line}: " in said for line in lines)
        assert (words in said) == bool(lines), said


def test_all_that_is_wrong_with_a_messy_file(program):
    """Friction of a reader: an empty answer was an error here and a warning in the notebook. Both train it."""
    messy = rows(14)
    messy[3]["messages"][-1]["content"] = " "
    del messy[0]["messages"][0]
    program.write(messy)
    ended, said = program.run("--ask", "May I?")
    assert ended and "line 4: message 3 (assistant) is empty" in said
    assert "line 1: not the system prompt of the others" in said and "(2 in all)" in said
    report = dataset.check(program.folder / "train.jsonl")
    assert report.errors == 0 and {"empty_content", "system_prompts"} <= report.totals.keys()
    assert program.service.jobs


def test_the_question_is_asked_with_the_system_prompt_of_most_rows(program):
    program.write([asked_and_answered("Odd?", "Yes."), *rows(12)])
    sent = []
    program.service.wrong["POST /chat/completions"] = lambda r: (
        sent.append(json.loads(r.content)["messages"]) or program.service.right(r)
    )
    assert program.run("--ask", "May I?")[0]
    assert sent[-1] == [rows(1)[0]["messages"][0], {"role": "user", "content": "May I?"}]


FUNCTION = {"name": "f", "arguments": "{}"}
CALL = {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": FUNCTION}]}
QUESTION_OF = {
    "an answer only": [],
    "a call before the answer": [{"role": "user", "content": "?"}, CALL],
    "content null": [{"role": "user", "content": "?"}, CALL | {"content": None}],
    "a result of a call": [
        {"role": "user", "content": "?"},
        CALL,
        {"role": "tool", "tool_call_id": "c", "content": "3"},
    ],
    "parts": [{"role": "user", "content": [{"type": "text", "text": "?"}]}],
}


@pytest.mark.parametrize("kind", QUESTION_OF)
@pytest.mark.parametrize("given", [True, False])
def test_rows_that_cannot_be_asked(kind, given, program):
    """They are left out of the comparison; the others are asked."""
    wanted = {"role": "assistant", "content": "Yes."}
    odd = [{"messages": [*QUESTION_OF[kind], wanted]} for _ in range(12)]
    if given:
        program.write([*odd, *rows(3)], "held.jsonl")
    else:
        program.write([*odd, *rows(50)])
    ended, said = program.run(*["--held-out", "held.jsonl"] * given)
    assert ended
    assert ("3 can be asked afterwards" in said) == given
    asked = said.count("wanted: Water bed")
    if given:
        assert (asked, program.service.calls.count("POST /chat/completions")) == (3, 9)
    else:
        tested = int(re.search(r"(\d+) to test", said)[1])
        assert asked == 5 and program.service.calls.count("POST /chat/completions") == 3 * tested


def test_a_wanted_answer_that_is_a_call_is_not_compared(program):
    program.write([{"messages": [{"role": "user", "content": f"{n}?"}, CALL]} for n in range(40)])
    ended, said = program.run()
    assert ended and "40 examples to train on" in said and "0 to test" in said
    assert "POST /chat/completions" not in program.service.calls


def test_a_question_that_is_refused_does_not_hide_the_others(program):
    program.service.wrong["POST /chat/completions"] = lambda _: refusal(400, "Filtered.")
    ended, said = program.run("--ask", "May I?")
    assert ended and "May I?: no answer, Error code: 400" in said


def test_what_the_terminal_cannot_show(program, monkeypatch):
    program.service.wrong["POST /chat/completions"] = lambda _: answer_of("m", "→ 中 \ud800 \x1b[2J é")
    shown = io.TextIOWrapper(io.BytesIO(), encoding="cp1252", newline="\n")
    monkeypatch.setattr("sys.stdout", shown)
    assert program.run("--ask", "May I?")[0]
    shown.flush()
    assert "\nMay I?: ? ? ?  [2J é\n".encode("cp1252") in shown.buffer.getvalue()


@pytest.mark.parametrize(
    ("options", "line", "expected"),
    [
        (["--extra", "[1]"], "", "--extra"),
        (["--extra", "[" * 100_000], "", "Run it again"),
        (["--extra", '{"a": "\\ud800"}'], "", "Run it again"),
        (["--extra", '{"a": NaN}'], "", "Run it again"),
        (["--ask", "\udce9"], "", "--ask"),
        (["--model", "\udce9"], "", "--model"),
        ([], "[" * 100_000, "line 13: "),
        ([], '{"messages": [{"role": "assistant", "content": "\\ud83d"}]}', "line 13: half a character"),
        ([], '{"messages": [{"role": "assistant", "content": "a", "weight": NaN}]}', "line 13: "),
        ([], '{"messages": [{"role": "assistant", "content": ' + "9" * 5000 + "}]}", "line 13: "),
    ],
)
def test_what_no_service_can_take_is_named_before_anything_is_sent(options, line, expected, program):
    program.write([*rows(12), line])
    ended, said = program.run(*options)
    assert not ended and expected in said
    assert program.service.calls == []


def test_a_home_that_cannot_be_written(program, monkeypatch):
    (program.folder / "a file").touch()
    monkeypatch.setenv("HOME", str(program.folder / "a file"))
    ended, said = program.run()
    assert not ended and ".starter-orders'\nCorrect this" in said
    assert program.service.calls == []


@pytest.mark.parametrize("version", ["0.28.1", "1.9.0", "1.58.1", "1.65.3"])
def test_an_openai_that_is_too_old(version, program, monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda _: version)
    ended, said = program.run()
    assert not ended and f"openai {version} is too old: 1.65.4 is needed" in said
    assert program.service.calls == []


@pytest.mark.parametrize("version", ["1.65.4", "1.100.0", "2.0.0b1", "3.57.0"])
def test_an_openai_that_is_new_enough(version, program, monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda _: version)
    assert program.run()[0]


def test_the_oldest_openai_is_named_to_its_readers():
    oldest = starting.load().OLDEST_OPENAI
    assert f"openai, {oldest} or newer" in starting.load().__doc__
    assert f"`openai` ({oldest} or newer)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_a_certificate_that_is_not_there(monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/roots.pem")
    with pytest.raises(SystemExit, match="SSL_CERT_FILE names /nowhere/roots.pem"):
        starting.load().connect(local=False)


WRONG = {
    "a page for people": lambda _: httpx2.Response(200, html="<h1>Welcome</h1>"),
    "nothing": lambda _: httpx2.Response(204),
    "no JSON": lambda _: httpx2.Response(
        200, content=b'{"id": ', headers={"content-type": "application/json"}
    ),
    "null": lambda _: as_json(None),
    "a list": lambda _: as_json([1, None]),
    "an empty object": lambda _: as_json({}),
    "nulls": lambda _: as_json(dict.fromkeys(("id", "object", "data", "status", "choices", "has_more"))),
    "other types": lambda _: as_json(
        {"id": 5, "data": "x", "status": {"a": 1}, "choices": 7, "metadata": [2]}
    ),
    "an error with the key": lambda r: refusal(502, f"\x1b[2JRefused: {r.headers['authorization']}"),
}
CALLS = [
    "GET /files",
    "POST /files",
    "GET /fine_tuning/jobs",
    "POST /fine_tuning/jobs",
    "GET /fine_tuning/jobs/ID",
    "GET /fine_tuning/jobs/ID/events",
    "POST /chat/completions",
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_answer_makes_no_second_job(call, wrong, program):
    """It ends with a sentence or goes on. When the service is well again, there is one job."""
    service = program.service

    def answer(request):
        if request.method == "POST":
            service.right(request)  # it does what it is asked, and answers wrongly
        return WRONG[wrong](request)

    service.wrong[call] = answer
    program.clock.stops_at = program.clock.now + 1_000
    ended, said = program.run("--ask", "May I?")
    assert ended or said.rstrip().endswith(("OPENAI_BASE_URL.", "to go on.", "--tuned NAME.")), said
    service.wrong.clear()
    assert program.run("--ask", "May I?")[0]
    assert len(service.jobs) == 1
    assert service.orders == 1 or call == "POST /files"  # an order of a file without an id is refused
