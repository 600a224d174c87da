"""A stand-in for the fine-tuning part of the API, inside the process: it plays the answers it is given."""

import json

import httpx2
from openai import OpenAI

JOB_ID = "ftjob-1"


def job(status="running", **changes) -> dict:
    """A job as the API sends it."""
    return {
        "id": JOB_ID,
        "object": "fine_tuning.job",
        "created_at": 1_000,
        "error": None,
        "fine_tuned_model": None,
        "finished_at": None,
        "hyperparameters": {},
        "model": "gpt-3.5-turbo-0125",
        "organization_id": "org-simulated",
        "result_files": [],
        "seed": 1,
        "status": status,
        "trained_tokens": None,
        "training_file": "file-1",
        "validation_file": None,
        **changes,
    }


def event(number: int, message: str, at: int = 1_000, level: str = "info", data: dict | None = None) -> dict:
    """An event as the API sends it."""
    return {
        "id": f"ftevent-{number}",
        "object": "fine_tuning.job.event",
        "created_at": at,
        "level": level,
        "message": message,
        "type": "metrics" if data else "message",
        "data": data or {},
    }


def step(number: int, total: int, at: int, train: float, valid: float | None = None) -> dict:
    """A metrics event as the API sends it."""
    data = {"step": number, "total_steps": total, "train_loss": train}
    if valid is not None:
        data["valid_loss"] = valid
    return event(10_000 + number, f"Step {number}/{total}: training loss={train:.2f}", at, data=data)


class JobAPI:
    """Answers ``retrieve`` with one item of ``answers`` after the other, the last one again and again.

    An item is a job, an HTTP status (answered with an error), or an exception (raised by the connection).
    ``events`` are oldest first; ``calls`` lists what was asked. ``repeats`` makes it a service that ignores
    ``after`` and says at every page that there is more.
    """

    def __init__(
        self, answers=(), events=(), listed=(), content=b"", url="http://127.0.0.1:1/v1", repeats=False
    ):
        self.repeats = repeats
        self.answers, self.events, self.listed, self.content = list(answers), list(events), listed, content
        self.calls: list[str] = []
        transport = httpx2.MockTransport(self._answer)
        self.client = OpenAI(
            base_url=url, api_key="k", max_retries=0, http_client=httpx2.Client(transport=transport)
        )

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path.removeprefix("/v1/fine_tuning/jobs")
        self.calls.append(f"{request.method} {path}")
        if "/files/" in path:
            return httpx2.Response(200, content=self.content)
        if path == "":
            return _page(self.listed, self.repeats)
        if path.endswith("/events"):
            after = None if self.repeats else request.url.params.get("after")
            return self._events(after, int(request.url.params["limit"]))
        if request.method == "POST":
            self.answers = self.answers[-1:]
        return self._play(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])

    def _play(self, answer) -> httpx2.Response:
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, int):
            error = {"message": f"Said the API with {answer}.", "type": "t", "param": None, "code": None}
            return httpx2.Response(answer, json={"error": error})
        return httpx2.Response(200, json=answer)

    def _events(self, after: str | None, limit: int) -> httpx2.Response:
        newest_first = self.events[::-1]
        start = next((i + 1 for i, e in enumerate(newest_first) if e["id"] == after), 0)
        return _page(newest_first[start : start + limit], self.repeats or start + limit < len(newest_first))


def _page(data, has_more: bool = False) -> httpx2.Response:
    return httpx2.Response(
        200, content=json.dumps({"object": "list", "data": list(data), "has_more": has_more})
    )
