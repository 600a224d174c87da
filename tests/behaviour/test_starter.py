"""The starter, copied alone into an empty folder, against a server started by hand; also killed at every phase."""

import ast
import http.client
import http.server
import importlib.metadata
import os
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from openai import OpenAI

from helpers.local_api.engines import trained
from tests import by_hand, tiny_model
from tests.environment import ROOT

AIRPORT = ROOT / "data" / "airport" / "train.jsonl"
STARTER = ROOT / "notebooks" / "starter.py"
QUESTION = "May I bring pork products into the country?"
LOST = ("POST", "/v1/fine_tuning/jobs")


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

    def start(url: str, *options: str) -> subprocess.Popen:
        command = [sys.executable, "-S", "starter.py", "train.jsonl", "--model", "gpt-4o-mini", *options]
        environment = os.environ | {"PYTHONPATH": str(only_openai), "OPENAI_BASE_URL": url}
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
    """Passes requests on; at one of them it runs ``strike`` before or after the server has got it."""

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
            if between.when == "late":
                time.sleep(2.5)
        connection = http.client.HTTPConnection(between.to)
        connection.request(self.command, self.path, body, dict(self.headers) | {"Host": between.to})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        self.close_connection = True
        if mine and between.when == "after":
            between.strike()
        if mine:
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


def holds_one_of_each(client: OpenAI) -> None:
    assert len(list(client.files.list(purpose="fine-tune"))) == 1
    assert [job.status for job in client.fine_tuning.jobs.list()] == ["succeeded"]


def test_it_is_short_and_imports_only_openai():
    text = STARTER.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {getattr(node, "module", None) or node.names[0].name for node in nodes}
    assert {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) == {"openai"}


def test_the_whole_workflow_and_once_more(desk, tmp_path):
    with api(tmp_path) as (url, client):
        for _ in range(2):
            process = desk(url)
            output, _ = process.communicate(timeout=120)
            assert process.returncode == 0, output
            assert f"{QUESTION}: " in output and output.rstrip().endswith("Desk: Quarantine"), output
            assert output.count("  base: ") == output.count("  tuned: ") == 5
            holds_one_of_each(client)


@pytest.mark.parametrize(
    "weights",
    [
        pytest.param("tiny", marks=tiny_model.TIER),  # with random weights: cheap
        pytest.param("real", marks=pytest.mark.slow),
    ],
)
def test_the_model_that_is_really_trained_by_its_name_alone(weights, desk, tmp_path, request):
    """On a few rows, for one epoch: it is the work that is tested, not the answers."""
    (tmp_path / "desk" / "train.jsonl").write_bytes(b"".join(AIRPORT.read_bytes().splitlines(True)[:14]))
    folder = str(request.getfixturevalue("tiny_weights")) if weights == "tiny" else ""
    with by_hand.server(tmp_path / "state", LOCAL_API_WEIGHTS=folder, OMP_NUM_THREADS="1") as (url, _):
        client = OpenAI(base_url=url, api_key="sk-local")
        for _ in range(2):
            process = desk(url, "--model", trained.MODEL, "--epochs", "1")
            output, _ = process.communicate(timeout=600)
            assert process.returncode == 0, output
            assert output.count("  base: ") == output.count("  tuned: ") >= 1, output
            assert f"{QUESTION}: " in output
            holds_one_of_each(client)
        (job,) = client.fine_tuning.jobs.list()
        assert job.fine_tuned_model.startswith(f"ft:{trained.MODEL}:")
        assert (job.organization_id, job.hyperparameters.n_epochs) == (trained.ORGANIZATION, 1)


def test_a_lost_answer_of_create_makes_no_second_job(desk, tmp_path):
    with api(tmp_path) as (url, client):
        between = Between(url)
        between.at, between.when, between.strike = LOST, "after", lambda: None
        first = desk(between.url)
        output, _ = first.communicate(timeout=120)
        assert first.returncode == 1 and "Run it again" in output
        second = desk(between.url)
        output, _ = second.communicate(timeout=120)
        assert second.returncode == 0, output
        holds_one_of_each(client)


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
def test_killed_and_started_again(at, when, desk, tmp_path):
    with api(tmp_path) as (url, client):
        between = Between(url)
        between.at, between.when = at, when
        started = []

        def kill():
            started[0].kill()

        between.strike = kill
        started.append(desk(between.url))
        started[0].communicate(timeout=120)
        assert started[0].returncode == -9 and between.struck == 1
        again = desk(between.url)
        output, _ = again.communicate(timeout=120)
        assert again.returncode == 0, output
        holds_one_of_each(client)


def test_lines_to_mend_are_named(desk, tmp_path):
    with open(tmp_path / "desk" / "train.jsonl", "a", encoding="utf-8") as file:
        file.write('{"messages": 5}\n{"messages": [{"role": "bot"}]}\n')
    process = desk("http://127.0.0.1:9/v1")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "line 113: needs" in output and "line 114: message 1: role must be" in output


def test_another_computer_gets_nothing_without_a_yes(desk, tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.2")  # a host that the starter does not know as this computer
    with api(tmp_path) as (url, client):
        between = Between(url, "127.0.0.2")
        process = desk(between.url)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 1 and "127.0.0.2 may take money" in output
        assert list(client.files.list()) == list(client.fine_tuning.jobs.list()) == []
        process = desk(between.url, "--yes")
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
        holds_one_of_each(client)
