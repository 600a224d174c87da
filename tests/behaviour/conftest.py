"""One mock API for all behaviour tests; each test has a key, and so files, jobs and models, of its own."""

import json
import time
from collections.abc import Callable, Iterator

import pytest
from openai import APIStatusError, AsyncOpenAI, DefaultHttpx2Client, OpenAI
from openai.types import FileObject
from openai.types.fine_tuning import FineTuningJob

from helpers.local_api.app import Mode, create_app
from helpers.local_api.engines.trained import lease
from helpers.local_api.server import Server
from helpers.local_api.store import Store, new_id
from tests import by_hand, nursery, tiny_model

MODEL = "gpt-4o-mini"


def rows(count: int = 12) -> list[dict]:
    """A small training set in chat format."""
    return [
        {
            "messages": [
                {"role": "system", "content": "You help in a garden."},
                {"role": "user", "content": f"When do I water bed {number}?"},
                {"role": "assistant", "content": f"Water bed {number} in the evening."},
            ]
        }
        for number in range(count)
    ]


def wait_until(reached: Callable[[], bool], patience: float = 60) -> None:
    """Returns once it is so. Fails after so many seconds."""
    end = time.monotonic() + patience
    while not reached():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)


class Clock:
    """The real time until a test stops it; then it moves only when told."""

    def __init__(self):
        self.stopped_at: float | None = None

    def __call__(self) -> float:
        return time.time() if self.stopped_at is None else self.stopped_at

    def stop(self) -> None:
        self.stopped_at = time.time()

    def move(self, seconds: float) -> None:
        self.stopped_at += seconds


class Api:
    """A key, its client, and what most tests do with them."""

    def __init__(self, server: Server, app, clock: Clock, connections: DefaultHttpx2Client):
        self.url, self.app, self.clock, self.connections = server.base_url, app, clock, connections
        self.key = new_id("sk-local-")
        self.client = self.another_client()

    def another_client(self, key: str | None = None, **options) -> OpenAI:
        options = {"max_retries": 0, "http_client": self.connections} | options
        return OpenAI(base_url=self.url, api_key=key or self.key, **options)

    def async_client(self) -> AsyncOpenAI:
        return AsyncOpenAI(base_url=self.url, api_key=self.key, max_retries=0)

    def upload(self, examples: list, name: str = "train.jsonl", **options) -> FileObject:
        text = "".join(json.dumps(example) + "\n" for example in examples)
        return self.client.files.create(file=(name, text.encode()), purpose="fine-tune", **options)

    def create_job(self, examples: list | None = None, **options) -> FineTuningJob:
        """A job whose whole course has been computed; what is seen of it depends on the clock."""
        file = self.upload(rows() if examples is None else examples)
        options = {"model": MODEL, "hyperparameters": {"n_epochs": 4}, "seed": 1} | options
        job = self.client.fine_tuning.jobs.create(training_file=file.id, **options)
        self.app.state.service.worker.wait()
        return job

    def finished_job(self, examples: list | None = None, **options) -> FineTuningJob:
        return self.client.fine_tuning.jobs.retrieve(self.create_job(examples, **options).id)

    def refusal(self, call, *arguments, **options):
        """The error that a call ends with."""
        with pytest.raises(APIStatusError) as caught:
            call(*arguments, **options)
        return caught.value


@pytest.fixture(scope="session")
def running(tmp_path_factory) -> Iterator[tuple]:
    clock = Clock()
    folder = tmp_path_factory.mktemp("state")
    by_hand.base_model(folder)
    app = create_app(Store(folder, clock), Mode(by_hand=True))
    server = Server(app).start()
    with DefaultHttpx2Client(trust_env=False) as connections:  # shared: making one takes long
        yield server, app, clock, connections
    server.stop()


@pytest.fixture
def api(running, monkeypatch) -> Iterator[Api]:
    monkeypatch.setenv("LOCAL_API_JOB_SECONDS", "0")
    yield Api(*running)
    running[2].stopped_at = None


@pytest.fixture
def slow_job(api, monkeypatch) -> FineTuningJob:
    """A job that seems to take 100 seconds, at its very beginning. The clock stands still."""
    api.clock.stop()
    monkeypatch.setenv("LOCAL_API_JOB_SECONDS", "100")
    return api.create_job()


@pytest.fixture(scope="session")
def tiny_weights():
    return tiny_model.shared()


@pytest.fixture
def local(tiny_weights, tmp_path, monkeypatch):
    """A mock API on a state folder of its own, with the trained engine on the tiny model."""
    monkeypatch.setenv("LOCAL_API_WEIGHTS", str(tiny_weights))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("LOCAL_API_THREADS", "1")  # else each process measures first how many are best
    from helpers.local_api.engines.trained import serving

    monkeypatch.setattr(serving, "server", serving.Server())
    monkeypatch.setattr(lease, "_launch", nursery.launch)
    serving.context.cache_clear()
    app = create_app(Store(tmp_path / "state"), Mode(by_hand=True))
    server = Server(app).start()
    with DefaultHttpx2Client(trust_env=False) as connections:
        api = Api(server, app, Clock(), connections)
        yield api
        for job in api.client.fine_tuning.jobs.list():
            if job.status not in ("succeeded", "failed", "cancelled"):
                api.client.fine_tuning.jobs.cancel(job.id)
        while lease.is_held(app.state.service.store):
            time.sleep(0.05)
    server.stop()
