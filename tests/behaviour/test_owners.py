"""Nobody sees, uses or changes what belongs to another key, whatever is written behind the key's name."""

import json
import random
from collections.abc import Iterator

import pytest
import requests

from helpers.local_api.app import Mode, create_app
from helpers.local_api.server import Server
from helpers.local_api.store import Store

from .conftest import MODEL, rows

OWNERS = ("sk-local", "sk-local-a", "sk-local-ab", "sk-local-A", "sk-local-closed")
SUFFIXES = ("", ".closed", ".broke", "@2026-01-01", ".limited@2025-07-01")
# What might pass for the victim's key, or for one that sees everything.
FALSE_KEYS = (
    "{}.",
    "{}..closed",
    "{}@",
    "{}.closed.broke",
    "{}@2026-01-01@2026-01-02",
    "{}@2026-13-01",
    "x{}",
    "{}/",
    "{}%00",
    "{}-",
)
REFUSED = (400, 401, 403, 404, 429)
LISTS = (
    "/files",
    "/fine_tuning/jobs",
    "/fine_tuning/jobs?metadata[of]=all",
    "/models",
    "/models?limit=90",
    "/chat/completions",
)


def send(url: str, key: str, method: str, path: str, **options) -> requests.Response:
    headers = {"Authorization": f"Bearer {key}"}
    return requests.request(method, url + path, headers=headers, timeout=60, **options)


class Owner:
    """One key, and one object of each kind that it has made."""

    def __init__(self, url: str, worker, key: str):
        self.url, self.key = url, key
        text = "".join(json.dumps(row) + "\n" for row in rows(10))
        upload = {"files": {"file": (f"{key}.jsonl", text)}, "data": {"purpose": "fine-tune"}}
        self.file = self.ask("POST", "/files", **upload)["id"]
        order = {"model": MODEL, "training_file": self.file, "hyperparameters": {"n_epochs": 1}}
        self.job = self.ask("POST", "/fine_tuning/jobs", json=order | {"metadata": {"of": "all"}})["id"]
        worker.wait()
        job = self.ask("GET", f"/fine_tuning/jobs/{self.job}")
        self.model, (self.results,) = job["fine_tuned_model"], job["result_files"]
        question = {"model": self.model, "messages": [{"role": "user", "content": "Hi?"}], "store": True}
        self.completion = self.ask("POST", "/chat/completions", json=question)["id"]
        self.permissions = f"/fine_tuning/checkpoints/{self.model}/permissions"
        made = self.ask("POST", self.permissions, json={"project_ids": ["proj_1"]})
        self.permission = made["data"][0]["id"]

    def ask(self, method: str, path: str, **options) -> dict:
        answer = send(self.url, self.key, method, path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    @property
    def ids(self) -> set[str]:
        return {self.file, self.job, self.model, self.results, self.completion, self.permission}

    def everything(self) -> list:
        """All that this key sees, as it looks."""
        events = f"/fine_tuning/jobs/{self.job}/events?limit=100"
        paths = ("/files", "/fine_tuning/jobs", events, "/models", "/chat/completions", self.permissions)
        return [self.ask("GET", path) for path in paths]

    def attacks(self) -> Iterator[tuple[str, str, dict | None]]:
        """Every way to name one of the objects: method, path, body."""
        job, kept = f"/fine_tuning/jobs/{self.job}", f"/chat/completions/{self.completion}"
        for file in (self.file, self.results):
            for path in (f"/files/{file}", f"/files/{file}/content", f"/files?after={file}"):
                yield "GET", path, None
            yield "DELETE", f"/files/{file}", None
            for model in (MODEL, self.model):
                yield "POST", "/fine_tuning/jobs", {"model": model, "training_file": file}
        for path in (
            job,
            f"{job}/events",
            f"{job}/events?limit=100",
            f"{job}/checkpoints",
            f"/fine_tuning/jobs?after={self.job}",
            f"/models/{self.model}",
            f"/models?limit=50&after={self.model}",
            self.permissions,
            kept,
            f"{kept}/messages",
            f"/chat/completions?after={self.completion}",
        ):
            yield "GET", path, None
        for what in ("cancel", "pause", "resume"):
            yield "POST", f"{job}/{what}", None
        for path in (f"/models/{self.model}", f"{self.permissions}/{self.permission}", kept):
            yield "DELETE", path, None
        question = {"model": self.model, "messages": [{"role": "user", "content": "Hi?"}]}
        yield "POST", "/chat/completions", question
        yield "POST", self.permissions, {"project_ids": ["proj_2"]}
        yield "POST", kept, {"metadata": {"a": "b"}}


@pytest.fixture(scope="module")
def owners(tmp_path_factory) -> Iterator[list[Owner]]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("LOCAL_API_JOB_SECONDS", "0")
        app = create_app(Store(tmp_path_factory.mktemp("owners")), Mode(by_hand=True))
        server = Server(app).start()
        yield [Owner(server.base_url, app.state.service.worker, key) for key in OWNERS]
        server.stop()


def every_attack(owners: list[Owner]) -> list[tuple]:
    """(key, the owner of what is attacked, method, path, body) for every pair of owners, and every false key."""
    pairs = [
        (key + suffix, owner) for owner in owners for key in OWNERS if key != owner.key for suffix in SUFFIXES
    ]
    pairs += [(key.format(owner.key), owner) for owner in owners for key in FALSE_KEYS]
    return [(key, owner, *attack) for key, owner in pairs for attack in owner.attacks()]


@pytest.mark.endurance(sample=100, soak=3_000)
def test_what_belongs_to_another_key_is_neither_seen_nor_changed(owners, count, figures):
    before = [owner.everything() for owner in owners]
    attacks = every_attack(owners)
    for key, owner, method, path, body in random.Random(1).sample(attacks, count):
        answer = send(owner.url, key, method, path, json=body)
        assert answer.status_code in REFUSED, (key, method, path, answer.text)
        assert "Hi?" not in answer.text and "proj_" not in answer.text
    assert [owner.everything() for owner in owners] == before
    figures(
        f"{count} of {len(attacks)} requests for what belongs to another key: all refused, nothing changed"
    )


def test_lists_hold_only_what_is_the_callers_own(owners):
    for owner in owners:
        others = set().union(*(other.ids for other in owners if other is not owner))
        for suffix in SUFFIXES:
            for path in LISTS:
                answer = send(owner.url, owner.key + suffix, "GET", path)
                seen = {item["id"] for item in answer.json()["data"]}
                assert seen & owner.ids and not seen & others, (owner.key + suffix, path)
