"""Stands between the learner's client and a paid API, on this computer. No job is made without a yes.

Every request is passed on as it is, and every answer is streamed back, with one exception: an order for a
fine-tuning job is held. It is answered with status 402, an estimate, and the line that approves it. That
line quotes a code which is made for this one order, so running all cells cannot pass.

The client holds a token that is good for this guard only. The provider's key is put in its place on the way.
"""

import asyncio
import fnmatch
import hashlib
import hmac
import json
import posixpath
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from . import costs, dataset
from .dataset.context import snapshot
from .dataset.report import auto_epochs
from .jobs import TERMINAL
from .tokens import BYTES_PER_TOKEN

DEFAULT_LIMIT_USD = 5.0
MOST_BYTES_TO_COUNT = 20_000_000  # a longer file is not fetched to be counted, only estimated by its size
ORDERS = ("/fine_tuning/jobs", "/fine-tunes", "/fine_tunes")  # the last two: older and other providers' names
ONE_HOP = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host", "expect"}
CODE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # none that is mistaken for another
TIMEOUT = httpx2.Timeout(600, connect=15)  # seconds; the client's own time-out is usually shorter
LIST_PAGE = 100
# what is asked for, and the name under which a job reports it
REPORTED = {"validation_file": "validation_file", "metadata": "metadata", "suffix": "user_provided_suffix"}
UNREADABLE = (
    "The spend guard cannot read this order, so it was not passed on. Send JSON with a training_file."
)


class Key:
    """A provider's key. Its text shows up in no repr, so in no traceback that prints variables."""

    def __init__(self, text: str):
        self._text = text

    def __repr__(self) -> str:
        return "<a key>"

    def reveal(self) -> str:
        """The key itself, for the header of a request only."""
        return self._text


@dataclass(frozen=True)
class Target:
    """Where requests go. ``price`` gives US dollars for a million training tokens and where that is from."""

    name: str
    base_url: str
    chat_base_url: str | None = None  # where chat is answered on another host
    price: Callable[[str], tuple[float, str] | None] = lambda model: None


@dataclass(frozen=True)
class Estimate:
    """What a job will cost, in words, and in US dollars if that is known."""

    words: str
    usd: float | None

    @property
    def amount(self) -> str:
        return "unknown" if self.usd is None else costs.dollars(self.usd)


@dataclass
class Order:
    """A job that was asked for and is held. ``code`` approves it, once."""

    code: str
    estimate: Estimate
    approved: bool = False


class SpendGuard:
    """An ASGI app. ``token`` is what the client sends as its key; ``approve`` lets one held order through."""

    spent_usd = 0.0  # estimates of all jobs made since the start, whichever provider they went to

    def __init__(self, target: Target, key: Key, limit_usd: float = DEFAULT_LIMIT_USD):
        self.target, self.limit_usd = target, limit_usd
        self.token = "sk-guard-" + secrets.token_urlsafe(16)
        self._key = key
        self._orders: dict[str, Order] = {}
        self._digests: dict[str, str] = {}  # file id -> sha256 of its content
        self._client = httpx2.AsyncClient(timeout=TIMEOUT, follow_redirects=False)
        self._one_order_at_a_time = asyncio.Lock()

    def approve(self, code: str) -> Estimate:
        """Lets the order with this code through, once. Raises ValueError for a code that is not known."""
        wanted = " ".join(code.upper().split())
        for order in self._orders.values():
            if order.code.upper() == wanted and not order.approved:
                order.approved = True
                return order.estimate
        raise ValueError(
            f"The code {code!r} approves nothing: each code is good for one job, once, until the kernel is "
            "restarted. Take approve=... out of the line. The next job is held again and shows its own code."
        )

    async def __call__(self, scope, receive, send) -> None:
        request = Request(scope, receive)
        response = await (self._create(request) if is_order(request) else self._pass_on(request))
        await response(scope, receive, send)

    # --- passing on ---------------------------------------------------------------------------------------

    def _url(self, request: Request) -> str:
        path = request.scope["raw_path"].decode("ascii")
        base = urlsplit(self.target.base_url)
        if self.target.chat_base_url and path.removeprefix(base.path).startswith("/chat/"):
            base = urlsplit(self.target.chat_base_url)
        return f"{base.scheme}://{base.netloc}{path}" + (f"?{request.url.query}" if request.url.query else "")

    def _headers(self, request: Request) -> list[tuple[str, str]]:
        dropped = ONE_HOP | {
            name.strip() for name in request.headers.get("connection", "").lower().split(",")
        }
        return [(name, self._real(value)) for name, value in request.headers.items() if name not in dropped]

    def _real(self, value: str) -> str:
        """A header's value, with the provider's key where the client sent the guard's token."""
        word, _, rest = value.rpartition(" ")
        same = hmac.compare_digest(rest.encode(), self.token.encode())
        return f"{word} {self._key.reveal()}".strip() if same else value

    async def _pass_on(self, request: Request, body: bytes | None = None) -> Response:
        has_body = {"content-length", "transfer-encoding"} & set(request.headers)
        content = body if body is not None else request.stream() if has_body else None
        try:
            sent = self._client.build_request(
                request.method, self._url(request), headers=self._headers(request), content=content
            )
            answer = await self._client.send(sent, stream=True)
            if answer.status_code >= 400:
                return await self._error(answer)
        except httpx2.HTTPError as error:  # only its name: its text may hold a header
            return refusal(502, f"{self.target.name} could not be reached ({type(error).__name__}).")
        response = StreamingResponse(_chunks(answer), answer.status_code)
        response.raw_headers = _end_to_end(answer)
        return response

    async def _error(self, answer: httpx2.Response) -> Response:
        """An error answer, without the key, should the provider quote it."""
        text = (await answer.aread()).replace(self._key.reveal().encode(), b"[key]")
        response = Response(text, answer.status_code)
        changed = {b"content-length", b"content-encoding"}
        response.raw_headers += [pair for pair in _end_to_end(answer) if pair[0].lower() not in changed]
        return response

    # --- orders -------------------------------------------------------------------------------------------

    async def _create(self, request: Request) -> Response:
        body = await request.body()
        try:
            job = json.loads(body)
            file_id, model = str(job["training_file"]), str(job["model"])
        except (ValueError, KeyError, TypeError):
            return refusal(400, UNREADABLE)
        async with self._one_order_at_a_time:
            look = _Look(self, self._headers(request))
            running = await self._running(look, job)
            if running:
                print(
                    f"Spend guard: job {running['id']} for this file is already running. No second one was made."
                )
                return JSONResponse(running)
            name = await self._name(look, job)
            order = self._orders.get(name)
            if order is None or not order.approved:
                estimate = await self._estimate(look, file_id, model, job)
                order = order or Order(f"{estimate.amount} {_random_code()}".upper(), estimate)
            if self.spent_usd + (order.estimate.usd or 0) > self.limit_usd:
                return refusal(402, self._over_limit(order.estimate))
            if not order.approved:
                self._orders[name] = order
                return refusal(402, self._held(order))
            return await self._buy(request, body, name, order)

    async def _name(self, look: "_Look", job: dict) -> str:
        """The same for the same rows and settings, so a cell that uploads them once more keeps its yes."""
        files = {key: job[key] for key in ("training_file", "validation_file") if job.get(key)}
        contents = {key: await self._digest(look, str(file)) or file for key, file in files.items()}
        return hashlib.sha256(json.dumps(job | contents, sort_keys=True).encode()).hexdigest()

    async def _buy(self, request: Request, body: bytes, name: str, order: Order) -> Response:
        """Passes an approved order on. Only a refusal by the provider gives the approval back."""
        del self._orders[name]
        SpendGuard.spent_usd += order.estimate.usd or 0  # before: an order elsewhere may come meanwhile
        response = await self._pass_on(request, body)
        if 400 <= response.status_code < 500:
            self._orders[name] = order
            SpendGuard.spent_usd -= order.estimate.usd or 0
        if response.status_code >= 400:  # the job may exist all the same: the client must not send it again
            response.headers["x-should-retry"] = "false"
        return response

    def _held(self, order: Order) -> str:
        unchecked = (
            "" if order.estimate.usd is not None else " The limit cannot be checked for an unknown price."
        )
        return (
            f"Held by the spend guard. No job was made and nothing was spent.\n{order.estimate.words}\n"
            f"Limit: {costs.dollars(self.limit_usd)}, used since the start: {costs.dollars(self.spent_usd)}."
            f"{unchecked}\nIf you want to pay for this job, run this line once, then create the job again:\n"
            f'connect("{self.target.name}", approve="{order.code}")'
        )

    def _over_limit(self, estimate: Estimate) -> str:
        return (
            f"Stopped by the spend guard. No job was made and nothing was spent.\n{estimate.words}\n"
            f"Together with {costs.dollars(self.spent_usd)} used since the start this passes the limit of "
            f"{costs.dollars(self.limit_usd)}. To allow more, set SPEND_LIMIT_USD in the environment or in .env "
            "before you start Jupyter."
        )

    async def _running(self, look: "_Look", job: dict) -> dict | None:
        """A job that has not ended, for the same file and settings, or None."""
        listed = await look.json(f"/fine_tuning/jobs?limit={LIST_PAGE}")
        for other in listed.get("data") or []:
            if not is_over(other) and same_settings(job, other):
                theirs, ours = other.get("training_file"), job["training_file"]
                if theirs == ours or await self._digest(look, theirs) == await self._digest(look, ours) != "":
                    return other
        return None

    async def _digest(self, look: "_Look", file_id: str) -> str:
        """sha256 of a file's content, or "" if it cannot be had."""
        if file_id not in self._digests:
            content = await look.content(file_id)
            self._digests[file_id] = hashlib.sha256(content).hexdigest() if content else ""
        return self._digests[file_id]

    async def _estimate(self, look: "_Look", file_id: str, model: str, job: dict) -> Estimate:
        title = f"Job: {model} on {file_id}."
        if method_of(job) == "reinforcement":
            return Estimate(f"{title} Estimate: unknown. Reinforcement training is billed by the hour.", None)
        content, size = await look.content(file_id), (await look.json(f"/files/{file_id}")).get("bytes")
        try:
            return await asyncio.to_thread(
                estimate, self.target, title, model, settings_of(job), content, size
            )
        except ValueError as error:
            return Estimate(f"{title} Estimate: unknown. {error}", None)


class _Look:
    """Asks the provider, with the headers of the learner's own request, what costs nothing to ask."""

    def __init__(self, guard: SpendGuard, headers: list[tuple[str, str]]):
        kept = {"authorization", "api-key", "openai-organization", "openai-project", "user-agent"}
        self._headers = [(name, value) for name, value in headers if name in kept]
        self._get, self._base = guard._client.get, guard.target.base_url
        self._contents: dict[str, bytes] = {}

    async def json(self, path: str) -> dict:
        """The answer, or nothing if there is none that can be read."""
        try:
            answer = await self._get(self._base + path, headers=self._headers)
            found = answer.json() if answer.status_code == 200 else {}
        except (httpx2.HTTPError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    async def content(self, file_id: str) -> bytes:
        """The bytes of a file; nothing if it is too large or may not be read."""
        if file_id not in self._contents:
            size = (await self.json(f"/files/{file_id}")).get("bytes")
            self._contents[file_id] = b""
            if isinstance(size, int) and size <= MOST_BYTES_TO_COUNT:
                try:
                    answer = await self._get(f"{self._base}/files/{file_id}/content", headers=self._headers)
                    self._contents[file_id] = answer.content if answer.status_code == 200 else b""
                except httpx2.HTTPError:
                    pass
        return self._contents[file_id]


# --- what an order is and what it costs -----------------------------------------------------------------------


def is_order(request: Request) -> bool:
    """Whether a request creates a fine-tuning job, however its path is written."""
    path = posixpath.normpath(request.url.path).lower()
    return request.method not in ("GET", "HEAD", "OPTIONS") and path.endswith(ORDERS)


def is_over(job: dict) -> bool:
    """As ``jobs.is_over``, for the JSON of a job."""
    return job.get("status") in TERMINAL or job.get("finished_at") is not None


def method_of(job: dict) -> str:
    """supervised, dpo or reinforcement."""
    method = job.get("method")
    return str(method.get("type") or "supervised") if isinstance(method, dict) else "supervised"


def settings_of(job: dict) -> dict:
    """The hyperparameters, from the place where OpenAI puts them now or from the older one."""
    method = job.get("method")
    method = method.get(method_of(job)) if isinstance(method, dict) else None
    newer = method.get("hyperparameters") if isinstance(method, dict) else None
    return newer or job.get("hyperparameters") or {}


def same_settings(order: dict, job: dict) -> bool:
    """Whether a job has the settings of an order.

    "auto" and what is not asked for fit any number, since providers report what they chose. What a provider
    does not report at all is not compared.
    """
    reported = settings_of(job)
    numbers = {name: value for name, value in settings_of(order).items() if value != "auto"}
    pairs = [(order.get(ours), job[theirs]) for ours, theirs in REPORTED.items() if theirs in job]
    if order.get("seed") is not None and job.get("seed") is not None:
        pairs.append((order["seed"], job["seed"]))
    return (
        snapshot(str(order["model"])) == snapshot(str(job.get("model")))
        and method_of(order) == method_of(job)
        and all(reported.get(name) in (value, None) for name, value in numbers.items())
        and all((ours or None) == (theirs or None) for ours, theirs in pairs)
    )


def estimate(
    target: Target, title: str, model: str, settings: dict, content: bytes, size: int | None
) -> Estimate:
    """Tokens x epochs x price. Raises ValueError with the reason if a part is not known."""
    epochs = settings.get("n_epochs", "auto")
    if content:
        report = _report(content, model)
        if target.name == "openai":
            cost = costs.training(report, model, n_epochs=epochs)
            return Estimate(f"{title}\n{cost}", cost.usd)
        counted, rows, how = report.kept_tokens, report.good_rows, "counted as OpenAI's models do"
    elif isinstance(size, int):
        counted, rows, how = size // BYTES_PER_TOKEN, 0, f"a rough guess: {size:,} bytes / {BYTES_PER_TOKEN}"
    else:
        raise ValueError("The size of the training file could not be read.")
    tokens = f"About {counted:,} tokens ({how})"
    if epochs == "auto" and not rows:
        raise ValueError(
            f'{tokens}, but with n_epochs="auto" the provider chooses the epochs. Name a number.'
        )
    why = "" if epochs != "auto" else ' ("auto", by the rule of OpenAI\'s notebook)'
    epochs = auto_epochs(rows) if epochs == "auto" else epochs
    price = target.price(model)
    if price is None:
        raise ValueError(
            f"{tokens} x {epochs} epochs{why}, at a price that data/providers.csv does not have."
        )
    usd = counted * epochs * price[0] / 1_000_000
    words = f"{tokens} x {epochs} epochs{why} x ${price[0]:.2f} for 1 million = about {costs.dollars(usd)}."
    return Estimate(f"{title}\n{words}\nPrice: {price[1]}", usd)


def _report(content: bytes, model: str) -> dataset.Report:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "training_file"
        path.write_bytes(content)
        return dataset.check(path, model=model, content=False, workers=1)


def price_in(rows: list[dict[str, str]]) -> Callable[[str], tuple[float, str] | None]:
    """Looks a model up in the ``training_price`` rows of one provider; their models are patterns with *."""

    def price(model: str) -> tuple[float, str] | None:
        for row in rows:
            if row["fact"] == "training_price" and fnmatch.fnmatch(model.lower(), row["model"].lower()):
                return float(row["value"]), f"{row['source']} of {row['date']}, grade {row['grade']}"
        return None

    return price


# --- answers --------------------------------------------------------------------------------------------------


def refusal(status: int, message: str) -> Response:
    """An error in OpenAI's form that no client tries again by itself."""
    error = {"message": message, "type": "spend_guard", "param": None, "code": "spend_guard"}
    return JSONResponse({"error": error}, status, {"x-should-retry": "false"})


async def _chunks(answer: httpx2.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    finally:
        await answer.aclose()


def _end_to_end(answer: httpx2.Response) -> list[tuple[bytes, bytes]]:
    own = ONE_HOP | {"date", "server"}  # this server sets its own
    named = [(name.lower(), value) for name, value in answer.headers.raw]
    return [(name, value) for name, value in named if name.decode("latin-1") not in own]


def _random_code() -> str:
    return "".join(secrets.choice(CODE_LETTERS) for _ in range(6))
