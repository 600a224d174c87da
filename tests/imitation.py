"""Each provider as its documents describe it, with the mock API behind it: files, training and answers are real calls.

What the shape is made of stands in data/providers.csv: the path, status 201, the names of states and of models,
the second host for chat, the call that deploys a model. What no document says is as at OpenAI: the errors, and
that a job reports the name by which its model can be asked once it is deployed. Unlike the real services, each
also knows the lesson's model by its name, so that a lesson's text need not change.
"""

import json
import re
from pathlib import Path

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from helpers.local_api.app import create_app
from helpers.local_api.server import Server
from helpers.local_api.store import Store

TUNED = re.compile(r"ft:[\w.-]+:[\w-]*:[\w-]*:[A-Za-z0-9]{8}(?::ckpt-step-\d+)?")
ENTRA = "an-entra-token-and-not-the-key"
DROPPED = {"host", "content-length", "authorization", "api-key", "accept-encoding"}


class Shape:
    """What is special about a provider. The defaults are OpenAI's."""

    path, created, deploys, keeps_metadata = "/v1", 200, False, True
    states: dict[str, str] = {}

    def name(self, tuned: str) -> str:
        return tuned


class Azure(Shape):
    path, created, deploys = "/openai/v1", 201, True
    states = {"validating_files": "pending", "queued": "pending"}

    def name(self, tuned: str) -> str:
        _, base, _, _, *rest = tuned.split(":")
        return f"{base}.ft-{'-'.join(rest)}"


class Nebius(Shape):
    deploys, keeps_metadata = True, False  # the second is the worse of two cases: no document says it
    states = {"validating_files": "running", "queued": "running"}

    def name(self, tuned: str) -> str:
        _, base, _, suffix, *rest = tuned.split(":")
        return f"{base}-LoRa:{suffix}-{'-'.join(rest)}"


class Crusoe(Shape):
    deploys = True
    states = {"validating_files": "queued"}

    def name(self, tuned: str) -> str:
        return "airport-" + tuned.rpartition("ckpt-step-")[2] + "-" + tuned.split(":")[4]


SHAPES = {"openai": Shape(), "azure": Azure(), "nebius": Nebius(), "crusoe": Crusoe(), "other": Shape()}


class Provider:
    """``jobs`` counts the jobs that were made; ``deployed`` holds the models that were."""

    def __init__(self, name: str, key: str, folder: Path):
        self.shape, self.key = SHAPES[name], key
        self.jobs, self.wrong_keys, self.deployed, self.renamed = 0, 0, set(), {}
        app = create_app(Store(folder))
        self._mock_key = app.state.service.own_key
        self._mock = httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1")
        deploy = [
            Route("/v0/models", self._deploy_at_nebius, methods=["POST"]),
            Route("/subscriptions/{rest:path}", self._deploy_at_azure, methods=["PUT"]),
            Route("/v1/projects/{rest:path}", self._deploy_at_crusoe, methods=["POST"]),
        ]
        methods = ["GET", "POST", "DELETE"]
        calls = [Route(self.shape.path + "/{rest:path}", self._call, methods=methods)]
        self.server = Server(Starlette(routes=deploy + calls)).start()
        self.origin = self.server.base_url.removesuffix("/v1")
        self.base_url = self.origin + self.shape.path

    def stop(self) -> None:
        self.server.stop()

    # --- the calls of the openai client -----------------------------------------------------------------------

    async def _call(self, request: Request) -> Response:
        sent = request.headers.get("api-key") or request.headers.get("authorization", "").removeprefix(
            "Bearer "
        )
        if sent != self.key:
            self.wrong_keys += 1
            error = {"message": f"Incorrect API key provided: {sent}.", "code": "invalid_api_key"}
            return JSONResponse({"error": error}, 401)
        path, body = request.path_params["rest"], await request.body()
        if path == "chat/completions":
            model = json.loads(body).get("model")
            if self.shape.deploys and model in self.renamed and model not in self.deployed:
                error = {"message": f"There is no deployment {model}.", "code": "DeploymentNotFound"}
                return JSONResponse({"error": error}, 404)
        headers = {name: value for name, value in request.headers.items() if name not in DROPPED}
        answer = await self._mock.request(
            request.method,
            f"/v1/{self._inward(path)}?{request.url.query}",
            content=self._inward_body(request, body),
            headers=headers | {"authorization": f"Bearer {self._mock_key}"},
        )
        return self._outward(request, answer)

    def _inward(self, text: str) -> str:
        for ours, mocks in sorted(self.renamed.items(), key=lambda pair: -len(pair[0])):
            text = text.replace(ours, mocks)
        return text

    def _inward_body(self, request: Request, body: bytes) -> bytes:
        is_json = request.headers.get("content-type", "").startswith("application/json")
        return self._inward(body.decode()).encode() if is_json else body

    def _outward(self, request: Request, answer: httpx2.Response) -> Response:
        content, status = answer.content, answer.status_code
        kind = answer.headers.get("content-type", "")
        if not request.url.path.endswith("/content") and kind.startswith(("application/json", "text/event")):
            text = TUNED.sub(lambda match: self._rename(match[0]), content.decode())
            content = self._as_here(text).encode() if kind.startswith("application/json") else text.encode()
        created = request.method == "POST" and request.url.path.endswith(("/files", "/fine_tuning/jobs"))
        if created and status == 200:
            status = self.shape.created
            self.jobs += request.url.path.endswith("/jobs")
        headers = {"content-type": kind} if kind else {}
        if status == 201:
            headers["location"] = f"{request.url}/{json.loads(content)['id']}"
        return Response(content, status, headers)

    def _rename(self, tuned: str) -> str:
        name = self.shape.name(tuned)
        self.renamed[name] = tuned
        return name

    def _as_here(self, text: str) -> str:
        """The JSON with this provider's names of states."""

        def change(found: dict) -> dict:
            if found.get("object") == "fine_tuning.job":
                found["status"] = self.shape.states.get(found["status"], found["status"])
                if not self.shape.keeps_metadata:
                    found["metadata"] = None
            return found

        return json.dumps(json.loads(text, object_hook=change))

    # --- the step between training and chat -------------------------------------------------------------------

    def deploy(self, model: str) -> None:
        """The documented call of each provider, from outside, for one model."""
        client = httpx2.Client(base_url=self.origin, trust_env=False)
        bearer = {"Authorization": f"Bearer {self.key}"}
        if isinstance(self.shape, Azure):
            of = {"model": {"format": "OpenAI", "name": model, "version": "1"}}
            body = {"sku": {"name": "standard", "capacity": 1}, "properties": of}
            url = f"/subscriptions/s/resourceGroups/g/providers/p/accounts/a/deployments/{model}"
            answer = client.put(url, json=body, headers={"Authorization": f"Bearer {ENTRA}"})
        elif isinstance(self.shape, Nebius):
            base, _, source = model.partition("-LoRa:")
            answer = client.post(
                "/v0/models", json={"name": model, "base_model": base, "source": source}, headers=bearer
            )
        else:
            body = {"deployment_name": model, "fine_tuned_model": model, "flavor_id": "h100", "replicas": 1}
            answer = client.post("/v1/projects/p/foundry/selfserve/deployments", json=body, headers=bearer)
        answer.raise_for_status()

    async def _deploy_at_azure(self, request: Request) -> Response:
        assert request.headers["authorization"] == f"Bearer {ENTRA}", "the API key is not accepted here"
        return self._put_up((await request.json())["properties"]["model"]["name"])

    async def _deploy_at_nebius(self, request: Request) -> Response:
        return self._put_up((await request.json())["name"])

    async def _deploy_at_crusoe(self, request: Request) -> Response:
        return self._put_up((await request.json())["fine_tuned_model"])

    def _put_up(self, model: str) -> Response:
        self.deployed.add(model)
        return JSONResponse({"name": model, "status": "active"})
