"""Takes each call of the client, passes it on or refuses it, and holds each order until it is approved.

What may pass is a list (``calls``), and the list is asked about the very URL that is sent. Answers are streamed
back as they are. An order for a fine-tuning job is held: it is answered with status 402, an estimate, and the
line that approves it. That line quotes a code which is made for this one order, so running all cells cannot pass.

The client holds a token that is good for this guard only, and nothing passes without it. The provider's key is
put in its place on the way.
"""

import asyncio
import hashlib
import hmac
import json
import math
import secrets
import threading
from collections.abc import AsyncIterator

import httpx2
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from .. import costs
from . import orders
from .calls import ONE_READING, ORDER, Calls, Refused, may_pass
from .orders import Estimate, Target

DEFAULT_LIMIT_USD = 5.0
MOST_BYTES_TO_COUNT = 20_000_000  # a longer file is not fetched to be counted, only estimated by its size
MOST_BYTES_OF_AN_ORDER = 1_000_000
CREDENTIALS = (b"authorization", b"api-key")
FOR_A_LOOK = {*CREDENTIALS, b"openai-organization", b"openai-project", b"user-agent"}
ABOUT_THE_BODY = {b"content-length", b"content-type", b"content-encoding"}
ONE_HOP = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
CODE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # none that is mistaken for another
TIMEOUT = httpx2.Timeout(600, connect=15)  # seconds; the client's own time-out is usually shorter
LIST_PAGE = 100

Headers = list[tuple[bytes, bytes]]


class Key:
    """A provider's key. Its text shows up in no repr, so in no traceback that prints variables."""

    def __init__(self, text: str):
        self._text = text

    def __repr__(self) -> str:
        return "<a key>"

    def reveal(self) -> str:
        """The key itself, for the header of a request only."""
        return self._text


class Order:
    """A job that was asked for and is held. ``code`` approves it, once."""

    def __init__(self, estimate: Estimate):
        self.estimate, self.approved = estimate, False
        self.code = f"{estimate.amount} {_random_code()}".upper()


class SpendGuard:
    """An ASGI app. ``token`` is what the client sends as its key; ``approve`` lets one held order through.

    Raises ValueError for a limit that is no amount of US dollars.
    """

    spent_usd = 0.0  # estimates of all jobs made since the start, whichever provider they went to
    jobs_of_unknown_price = 0  # and how many more there were
    _purse = threading.Lock()  # each guard has a thread of its own

    def __init__(self, target: Target, key: Key, limit_usd: float = DEFAULT_LIMIT_USD):
        if not 0 <= limit_usd < math.inf:
            raise ValueError(f"The limit must be a number of US dollars, not {limit_usd!r}.")
        self.target, self.limit_usd = target, limit_usd
        self.token = "sk-guard-" + secrets.token_urlsafe(16)
        self._key = key
        self._base = httpx2.URL(target.base_url)
        self._chat_base = httpx2.URL(target.chat_base_url or target.base_url)
        self._calls = Calls(target.name, self._base.raw_path.decode("ascii").rstrip("/"))
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
        try:
            response = await self._answer(Request(scope, receive))
        except Refused as refused:
            response = refusal(refused.status, str(refused), refused.code)
        except ClientDisconnect:  # in the middle of its request: nobody reads this
            response = refusal(400, "The request was not complete.")
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        headers = self._headers(request)
        url = self._url(request)
        call = self._calls.find(request.method.upper(), url.raw_path.decode("ascii"))
        if call == ORDER:
            return await self._create(url, headers, await _body(request))
        if call[0] == "POST" and {"content-length", "transfer-encoding"} & set(request.headers):
            return await self._pass_on("POST", url, headers, request.stream())
        return await self._pass_on(call[0], url, _without_body(headers))

    # --- passing on ---------------------------------------------------------------------------------------

    def _url(self, request: Request) -> httpx2.URL:
        """The URL that is sent: the provider's host, and the path and the query that were asked for."""
        path, query = request.scope["raw_path"], request.scope["query_string"]
        target = path + b"?" + query if query else path
        is_chat = path.startswith(self._calls.base.encode() + b"/chat/")
        base = self._chat_base if is_chat else self._base
        try:
            url = base.copy_with(raw_path=target)
        except httpx2.InvalidURL:
            raise Refused(400, ONE_READING) from None
        if url.raw_path != target or url.netloc != base.netloc:
            raise Refused(400, ONE_READING)
        return url

    def _headers(self, request: Request) -> Headers:
        """What goes to the provider, the key in the place of the token. Raises Refused if there is no token."""
        given = request.headers.raw
        if {b"content-length", b"transfer-encoding"} <= {name for name, _ in given}:
            raise Refused(400, "A request has a content-length or a transfer-encoding, not both.")
        keys = [(name, self._real(value)) for name, value in given if name in CREDENTIALS]
        keys = [(name, value) for name, value in keys if value is not None]
        if not keys:
            message = (
                "This is not the key that connect() has set. Nothing was sent. Run the cell with connect()."
            )
            raise Refused(401, message, "invalid_api_key")
        return [pair for pair in given if may_pass(pair[0])] + keys

    def _real(self, value: bytes) -> bytes | None:
        """A header's value with the provider's key in the place of the guard's token; None without the token."""
        scheme, _, rest = value.rpartition(b" ")
        if scheme.strip().lower() not in (b"", b"bearer") or not hmac.compare_digest(
            rest, self.token.encode()
        ):
            return None
        return (scheme + b" " if scheme else b"") + self._key.reveal().encode()

    async def _pass_on(
        self, method: str, url: httpx2.URL, headers: Headers, content: bytes | AsyncIterator | None = None
    ) -> Response:
        try:
            sent = self._client.build_request(method, url, headers=headers, content=content)
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

    async def _create(self, url: httpx2.URL, headers: Headers, body: bytes) -> Response:
        job = orders.read(body)
        headers = [*_without_body(headers), (b"content-type", b"application/json")]
        async with self._one_order_at_a_time:
            look = _Look(self, headers)
            running = await self._running(look, job)
            if running:
                print(
                    f"Spend guard: job {running.get('id')} for this file is already running. No second one was made."
                )
                return Response(json.dumps(running), media_type="application/json")
            name = await self._name(look, job)
            order = self._orders.get(name)
            if order is None or not order.approved:
                estimate = await self._estimate(look, job)
                if order is None or order.estimate.usd != estimate.usd:
                    order = Order(estimate)
            if not self._fits(order.estimate):
                return refusal(402, self._over_limit(order.estimate))
            if not order.approved:
                self._orders[name] = order
                return refusal(402, self._held(order))
            return await self._buy(url, headers, job, name, order)

    async def _name(self, look: "_Look", job: dict) -> str:
        """The same for the same rows and settings, so a cell that uploads them once more keeps its yes."""
        files = {key: job[key] for key in ("training_file", "validation_file") if job.get(key)}
        contents = {key: await self._digest(look, file) or file for key, file in files.items()}
        return hashlib.sha256(json.dumps(job | contents, sort_keys=True).encode()).hexdigest()

    async def _buy(self, url: httpx2.URL, headers: Headers, job: dict, name: str, order: Order) -> Response:
        """Passes an approved order on. Only a refusal by the provider gives the approval back."""
        if not self._pay(order.estimate):  # before: an order to another provider may come meanwhile
            return refusal(402, self._over_limit(order.estimate))
        del self._orders[name]
        response = await self._pass_on("POST", url, headers, orders.as_sent(job))
        if 400 <= response.status_code < 500:
            self._orders[name] = order
            self._take_back(order.estimate)
        if response.status_code >= 400:  # the job may exist all the same: the client must not send it again
            response.headers["x-should-retry"] = "false"
        return response

    def _fits(self, estimate: Estimate) -> bool:
        """Whether the limit has room for a job. Of an unknown price is only said that it is not nothing."""
        if estimate.usd is None:
            return self.spent_usd < self.limit_usd
        return self.spent_usd + estimate.usd <= self.limit_usd

    def _pay(self, estimate: Estimate) -> bool:
        """Counts a job as used, if it fits."""
        with self._purse:
            if not self._fits(estimate):
                return False
            SpendGuard.spent_usd += estimate.usd or 0
            SpendGuard.jobs_of_unknown_price += estimate.usd is None
            return True

    def _take_back(self, estimate: Estimate) -> None:
        with self._purse:
            SpendGuard.spent_usd -= estimate.usd or 0
            SpendGuard.jobs_of_unknown_price -= estimate.usd is None

    def _used(self) -> str:
        unknown = self.jobs_of_unknown_price
        more = f" and {unknown} job{'s' * (unknown > 1)} of unknown price" if unknown else ""
        return f"{costs.dollars(self.spent_usd)}{more}"

    def _held(self, order: Order) -> str:
        unchecked = (
            "" if order.estimate.usd is not None else " The limit cannot be checked for an unknown price."
        )
        return (
            f"Held by the spend guard. No job was made and nothing was spent.\n{order.estimate.words}\n"
            f"Limit: {costs.dollars(self.limit_usd)}, used since the start: {self._used()}."
            f"{unchecked}\nIf you want to pay for this job, run this line once, then create the job again:\n"
            f'connect("{self.target.name}", approve="{order.code}")'
        )

    def _over_limit(self, estimate: Estimate) -> str:
        return (
            f"Stopped by the spend guard. No job was made and nothing was spent.\n{estimate.words}\n"
            f"Together with {self._used()} used since the start this passes the limit of "
            f"{costs.dollars(self.limit_usd)}. To allow more, set SPEND_LIMIT_USD in the environment or in .env "
            "before you start Jupyter."
        )

    async def _running(self, look: "_Look", job: dict) -> dict | None:
        """A job that has not ended, for the same file and settings, or None."""
        listed = (await look.json(f"/fine_tuning/jobs?limit={LIST_PAGE}")).get("data")
        for other in listed if isinstance(listed, list) else []:
            if isinstance(other, dict) and not orders.is_over(other) and orders.same_settings(job, other):
                theirs, ours = other.get("training_file"), job["training_file"]
                if theirs == ours or await self._digest(look, theirs) == await self._digest(look, ours) != "":
                    return other
        return None

    async def _digest(self, look: "_Look", file_id: object) -> str:
        """sha256 of a file's content, or "" if it cannot be had now."""
        if not orders.is_id(file_id):
            return ""
        if file_id not in self._digests and (content := await look.content(file_id)):
            self._digests[file_id] = hashlib.sha256(content).hexdigest()
        return self._digests.get(file_id, "")

    async def _estimate(self, look: "_Look", job: dict) -> Estimate:
        content, size = await look.content(job["training_file"]), await look.size(job["training_file"])
        return await asyncio.to_thread(orders.estimate, self.target, job, content, size)


class _Look:
    """Asks the provider, with the headers of the learner's own request, what costs nothing to ask."""

    def __init__(self, guard: SpendGuard, headers: Headers):
        self._headers = [pair for pair in headers if pair[0] in FOR_A_LOOK]
        self._get, self._base = guard._client.get, guard.target.base_url
        self._contents: dict[str, bytes] = {}

    async def json(self, path: str) -> dict:
        """The answer, or nothing if there is none that can be read."""
        try:
            answer = await self._get(self._base + path, headers=self._headers)
            found = answer.json() if answer.status_code == 200 else {}
        except (httpx2.HTTPError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    async def size(self, file_id: str) -> int | None:
        """The bytes of a file, as the provider says; None if it says no number."""
        size = (await self.json(f"/files/{file_id}")).get("bytes")
        return size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None

    async def content(self, file_id: str) -> bytes:
        """What is in a file; nothing if it is too large or may not be read. Only what was read is remembered."""
        if file_id not in self._contents:
            size = await self.size(file_id)
            if size is None or size > MOST_BYTES_TO_COUNT:
                return b""
            try:
                answer = await self._get(f"{self._base}/files/{file_id}/content", headers=self._headers)
            except httpx2.HTTPError:
                return b""
            if answer.status_code != 200:
                return b""
            self._contents[file_id] = answer.content
        return self._contents[file_id]


# --- requests and answers -------------------------------------------------------------------------------------


async def _body(request: Request) -> bytes:
    """The body of an order. Raises Refused if it is longer than any order."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES_OF_AN_ORDER:
            raise Refused(413, f"An order has at most {MOST_BYTES_OF_AN_ORDER:,} bytes. No job was made.")
    return body


def _without_body(headers: Headers) -> Headers:
    return [pair for pair in headers if pair[0] not in ABOUT_THE_BODY]


def refusal(status: int, message: str, code: str = "spend_guard") -> Response:
    """An error in OpenAI's form that no client tries again by itself."""
    error = {"message": message, "type": "spend_guard", "param": None, "code": code}
    return JSONResponse({"error": error}, status, {"x-should-retry": "false"})


async def _chunks(answer: httpx2.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    finally:
        await answer.aclose()


def _end_to_end(answer: httpx2.Response) -> Headers:
    own = ONE_HOP | {"date", "server"}  # this server sets its own
    named = [(name.lower(), value) for name, value in answer.headers.raw]
    return [(name, value) for name, value in named if name.decode("latin-1") not in own]


def _random_code() -> str:
    return "".join(secrets.choice(CODE_LETTERS) for _ in range(6))
