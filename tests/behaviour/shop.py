"""A paid provider, imitated as its documents describe it, with the spend guard before it and a learner's client."""

import asyncio
import csv
import json
import re
import threading

import pytest
from openai import APIStatusError, OpenAI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from helpers.local_api.server import Server
from helpers.spend_guard import Key, SpendGuard, Target, price_in
from tests.behaviour.conftest import rows
from tests.environment import ROOT

TABLE = ROOT / "data" / "providers.csv"
SECRET = "provider-key-that-nobody-may-see-4711"
# what the table says of each: path before /files, status of a creation, first status of a job and a file
SHAPES = {
    "openai": {
        "path": "/v1",
        "created": 200,
        "job": "validating_files",
        "file": "processed",
        "model": "gpt-4o-mini",
    },
    "azure": {
        "path": "/openai/v1",
        "created": 201,
        "job": "pending",
        "file": "pending",
        "model": "gpt-4.1-2025-04-14",
    },
    "nebius": {
        "path": "/v1",
        "created": 200,
        "job": "running",
        "file": None,
        "model": "x/Llama-3.1-8B-Instruct",
    },
    "crusoe": {
        "path": "/v1",
        "created": 200,
        "job": "queued",
        "file": "processed",
        "model": "model-llama-3.1-8b",
    },
}
DATA = "".join(json.dumps(row) + "\n" for row in rows(12)).encode()
CODE = re.compile(r'approve="([^"]+)"')


class Imitation:
    """One provider: keeps files and jobs, and remembers every request. ``jobs`` is what would have been paid."""

    def __init__(self, name: str):
        self.name, self.shape = name, SHAPES[name]
        self.files: dict[str, bytes] = {}
        self.jobs: list[dict] = []
        self.seen: list[tuple[str, str]] = []
        self.next_answer: tuple[int, dict] | None = None  # to the next order of a job
        self.seconds_to_create, self.over_at_once = 0.0, False  # of a job
        self.may_continue = threading.Event()
        path = self.shape["path"]
        self.server = Server(
            Starlette(
                routes=[
                    Route(f"{path}/models", self._models),
                    Route(f"{path}/files", self._files, methods=["GET", "POST"]),
                    Route(f"{path}/files/{{id}}", self._file),
                    Route(f"{path}/files/{{id}}/content", self._content),
                    Route(f"{path}/fine_tuning/jobs", self._jobs, methods=["GET", "POST"]),
                    Route(f"{path}/fine_tuning/jobs/{{id}}", self._job),
                    Route(f"{path}/chat/completions", self._chat, methods=["POST"]),
                    Route("/v0/models", self._deploy, methods=["POST"]),
                ]
            )
        ).start()
        self.origin = self.server.base_url.removesuffix("/v1")

    @property
    def base_url(self) -> str:
        return self.origin + self.shape["path"]

    def refusal(self, request: Request) -> Response | None:
        self.seen.append((request.method, request.url.path))
        key = request.headers.get("api-key") or request.headers.get("authorization", "").removeprefix(
            "Bearer "
        )
        if key == SECRET:
            return None
        message = f"Incorrect API key provided: {key}"
        return JSONResponse({"error": {"message": message, "code": "invalid_api_key"}}, 401)

    async def _models(self, request):
        return self.refusal(request) or JSONResponse(
            {"object": "list", "data": [{"id": self.shape["model"]}]}
        )

    async def _files(self, request):
        if refused := self.refusal(request):
            return refused
        if request.method == "GET":
            return JSONResponse({"object": "list", "data": [self._as_file(name) for name in self.files]})
        form = await request.form()
        name = f"file-{len(self.files)}"
        self.files[name] = await form["file"].read()
        return JSONResponse(
            self._as_file(name), self.shape["created"], {"Location": f"{self.base_url}/files/{name}"}
        )

    def _as_file(self, name: str) -> dict:
        found = {"id": name, "object": "file", "bytes": len(self.files[name]), "created_at": 1}
        return found | {"filename": "train.jsonl", "purpose": "fine-tune", "status": self.shape["file"]}

    async def _file(self, request):
        return self.refusal(request) or JSONResponse(self._as_file(request.path_params["id"]))

    async def _content(self, request):
        return self.refusal(request) or Response(self.files[request.path_params["id"]])

    async def _jobs(self, request):
        if refused := self.refusal(request):
            return refused
        if request.method == "GET":
            return JSONResponse({"object": "list", "data": self.jobs[::-1], "has_more": False})
        if self.next_answer:
            status, body = self.next_answer
            return JSONResponse(body, status)
        await asyncio.sleep(self.seconds_to_create)
        asked = await request.json()
        job = {"id": f"ftjob-{len(self.jobs)}", "object": "fine_tuning.job", "status": self.shape["job"]}
        job |= {"created_at": 1, "finished_at": None, "fine_tuned_model": None, "result_files": [], "seed": 7}
        job |= {"hyperparameters": {"n_epochs": "auto", "batch_size": "auto"}} | asked
        job |= {"status": "succeeded", "finished_at": 2} if self.over_at_once else {}
        self.jobs.append(job)
        return JSONResponse(job, self.shape["created"])

    async def _job(self, request):
        """Each look moves the job on by one status."""
        if refused := self.refusal(request):
            return refused
        job = next(job for job in self.jobs if job["id"] == request.path_params["id"])
        job["status"] = {"running": "succeeded", "succeeded": "succeeded"}.get(job["status"], "running")
        return JSONResponse(job)

    async def _chat(self, request):
        if refused := self.refusal(request):
            return refused
        body = await request.json()
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
        if not body.get("stream"):
            message = {"role": "assistant", "content": "Hello"}
            return JSONResponse(
                chunk | {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
            )

        def events():
            for word in ("one ", "two"):
                choice = {"index": 0, "delta": {"content": word}}
                yield f"data: {json.dumps(chunk | {'choices': [choice]})}\n\n"
                self.may_continue.wait(10)
            yield "data: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    async def _deploy(self, request):
        body = await request.json()
        answer = {"name": f"{body['base_model']}-LoRa:{body['name']}-JuNN", "status": "validating"}
        return self.refusal(request) or JSONResponse(answer)


class Shop:
    """An imitated provider with the spend guard before it, and a learner's client."""

    def __init__(self, name: str, limit: float = 5.0, **options):
        self.provider = Imitation(name)
        with open(TABLE, encoding="utf-8", newline="") as file:
            facts = [row for row in csv.DictReader(file) if row["provider"] == name]
        target = Target(name, self.provider.base_url, price=price_in(facts), **options)
        self.guard = SpendGuard(target, Key(SECRET), limit)
        self.server = Server(self.guard).start()
        self.url = self.server.base_url.removesuffix("/v1") + self.provider.shape["path"]
        self.client = OpenAI(base_url=self.url, api_key=self.guard.token)
        self.file = self.client.files.create(file=("train.jsonl", DATA), purpose="fine-tune").id

    def order(self, **options):
        settings = {"n_epochs": 3}
        asked = {
            "model": self.provider.shape["model"],
            "training_file": self.file,
            "hyperparameters": settings,
        }
        return self.client.fine_tuning.jobs.create(**asked | options)

    def held(self, **options) -> str:
        with pytest.raises(APIStatusError) as caught:
            self.order(**options)
        assert caught.value.status_code == 402
        return caught.value.message

    def approve(self, message: str) -> None:
        self.guard.approve(CODE.search(message)[1])

    def close(self):
        self.provider.may_continue.set()
        self.client.close()
        self.server.stop()
        self.provider.server.stop()
