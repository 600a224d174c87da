"""A service as small as one can be, inside the process: it keeps files and jobs, and any call can go wrong."""

import json
import re

import httpx2
from openai import OpenAI

KEY = "sk-a-key-that-nobody-may-see"
ID = re.compile(r"(file|ftjob)-\d+")


class Clock:
    """In the place of the module ``time``: nobody waits. ``stops_at`` is when the user presses Ctrl+C."""

    def __init__(self, now: float):
        self.now, self.stops_at = now, now + 100_000

    def time(self) -> float:
        return self.now

    def ctime(self, _: float) -> str:
        return "noon"

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now > self.stops_at:
            raise KeyboardInterrupt


class Service:
    """``wrong`` holds what a call, such as "GET /fine_tuning/jobs/ID", answers instead of the right thing.

    A file is read and a job has ended after ``file_takes`` and ``job_takes`` seconds; a job is listed
    ``listed_after`` seconds. Nothing filters. ``calls`` counts what was asked, ``orders`` the jobs asked for.
    """

    def __init__(self, clock: Clock):
        self.clock, self.files, self.jobs, self.wrong, self.calls = clock, [], [], {}, []
        self.file_takes = self.job_takes = self.listed_after = 0
        self.keeps_metadata = True

    @property
    def orders(self) -> int:
        return self.calls.count("POST /fine_tuning/jobs")

    def client(self) -> OpenAI:
        transport = httpx2.MockTransport(self.answer)
        return OpenAI(
            base_url="https://service.example/v1",
            http_client=httpx2.Client(transport=transport),
            max_retries=0,
        )

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        call = f"{request.method} {ID.sub('ID', request.url.path.removeprefix('/v1'))}"
        self.calls.append(call)
        assert len(self.calls) < 2_000, "it asks without end"
        return self.wrong.get(call, self.right)(request)

    def right(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path.removeprefix("/v1")
        if path == "/files":
            return self._upload(request) if request.method == "POST" else page(map(self._file, self.files))
        if path == "/fine_tuning/jobs":
            if request.method == "POST":
                return self._order(json.loads(request.content))
            seen = [job for job in self.jobs if self.clock.now >= job["created_at"] + self.listed_after]
            return page(map(self._job, seen[::-1]))
        if path == "/chat/completions":
            return answer_of(json.loads(request.content)["model"])
        if path.endswith("/events"):
            return page([{"id": "ftevent-1", "object": "fine_tuning.job.event", "message": "Step 1"}])
        found = next(one for one in self.files + self.jobs if one["id"] == path.rpartition("/")[2])
        return as_json(self._job(found) if "status" in found else self._file(found))

    def _upload(self, request: httpx2.Request) -> httpx2.Response:
        name = re.search(rb'filename="([^"]*)"', request.content)[1].decode()
        self.files.append(
            {"id": f"file-{len(self.files) + 1}", "created_at": self.clock.now, "filename": name}
        )
        return as_json(self._file(self.files[-1]))

    def _file(self, file: dict) -> dict:
        status = "processed" if self.clock.now >= file["created_at"] + self.file_takes else "pending"
        return file | {"object": "file", "bytes": 1, "purpose": "fine-tune", "status": status}

    def _order(self, order: dict) -> httpx2.Response:
        file = next((file for file in self.files if file["id"] == order["training_file"]), None)
        if file is None:
            return refusal(400, "There is no such file.")
        if self._file(file)["status"] != "processed":
            return refusal(400, "The specified file has not finished importing yet.")
        kept = {name: order.get(name) for name in ("model", "training_file", "metadata")}
        self.jobs.append({"id": f"ftjob-{len(self.jobs) + 1}", "created_at": self.clock.now} | kept)
        self.jobs[-1]["status"] = "running"
        return as_json(self._job(self.jobs[-1]))

    def _job(self, job: dict) -> dict:
        shown = job | {
            "object": "fine_tuning.job",
            "error": None,
            "finished_at": None,
            "fine_tuned_model": None,
        }
        if self.clock.now >= job["created_at"] + self.job_takes:
            ended = {"status": "succeeded", "finished_at": 1, "fine_tuned_model": "ft:small"}
            shown |= ended
        return shown if self.keeps_metadata else shown | {"metadata": None}


def as_json(value) -> httpx2.Response:
    return httpx2.Response(200, content=json.dumps(value), headers={"content-type": "application/json"})


def page(data, has_more: bool = False) -> httpx2.Response:
    return as_json({"object": "list", "data": list(data), "has_more": has_more})


def answer_of(model: str, content="Yes.") -> httpx2.Response:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
    return as_json(
        {"id": "c", "object": "chat.completion", "created": 1, "model": model, "choices": [choice]}
    )


def refusal(status: int, message: str) -> httpx2.Response:
    return httpx2.Response(
        status, json={"error": {"message": message, "type": None, "param": None, "code": None}}
    )
