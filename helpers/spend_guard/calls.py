"""Which calls may pass the spend guard: those of a list, spelled as the openai client spells them.

All else is refused. So no other spelling of an order reaches a provider, whatever its front end would make of it:
decode a path twice, fold slashes, or take a method from a header or from the query.
"""

import re
from urllib.parse import unquote_plus

# Methods, and paths after the provider's base address. ID is the name of one object.
CALLS = """
GET POST    files
GET DELETE  files/ID
GET         files/ID/content
POST        uploads
POST        uploads/ID/parts
POST        uploads/ID/complete
POST        uploads/ID/cancel
GET         models
GET DELETE  models/ID
GET         models/ID/ID
GET POST    fine_tuning/jobs
GET         fine_tuning/jobs/ID
GET         fine_tuning/jobs/ID/events
GET         fine_tuning/jobs/ID/checkpoints
POST        fine_tuning/jobs/ID/cancel
POST        fine_tuning/jobs/ID/pause
POST        fine_tuning/jobs/ID/resume
GET POST    fine_tuning/checkpoints/ID/permissions
DELETE      fine_tuning/checkpoints/ID/permissions/ID
POST        fine_tuning/alpha/graders/run
POST        fine_tuning/alpha/graders/validate
GET POST    chat/completions
GET POST DELETE  chat/completions/ID
GET         chat/completions/ID/messages
POST        completions
POST        embeddings
POST        moderations
POST        responses
GET DELETE  responses/ID
GET         responses/ID/input_items
POST        responses/ID/cancel
POST        responses/input_tokens
POST        responses/compact
"""
DEPLOYMENTS = """
POST        deployments/ID/chat/completions
POST        deployments/ID/completions
POST        deployments/ID/embeddings
"""
PRICE_CALL = """
POST        fine_tuning/jobs/estimate_price
"""
DEPLOY_CALL = """
GET POST    models
GET DELETE  models/ID
GET DELETE  models/ID/ID
"""
# What some providers have more, by the address before the path; None is the base address. Sources: the rows
# base_url, price_call and deploy_url of data/providers.csv, and the class AzureOpenAI of the openai client.
MORE = {
    "azure": {None: DEPLOYMENTS, "/openai": CALLS + DEPLOYMENTS},
    "crusoe": {None: PRICE_CALL},
    "nebius": {"/v0": DEPLOY_CALL},
}
ORDER = ("POST", "fine_tuning/jobs")

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*")
QUERY_NAMES = "after limit order purpose model metadata include include_obfuscation stream starting_after"
QUERY_NAMES += " project_id beta api-version"
QUERY_PAIR = re.compile(rf"(?:{'|'.join(QUERY_NAMES.split())})(?:\[[\w-]*\])?=[^&#%;\x00-\x1f]*")
# fragment, backslash, encoded % . / \ # ? and ;, segment of dots, no slash at the beginning or two of them
TWO_READINGS = re.compile(r"[#\\]|%(?:25|2e|2f|5c|23|3f|3b)|/\.{1,2}(?:/|$)|^(?!/)|^//", re.IGNORECASE)
HEADERS = re.compile(
    r"accept|accept-encoding|accept-language|content-type|content-length|content-encoding|user-agent"
    r"|openai-[\w-]+|x-stainless-[\w-]+|idempotency-key|x-client-request-id|x-ms-client-request-id"
)

ONE_READING = (
    "The address of a call must be a plain path with one slash at its beginning, such as /v1/files, without "
    "a host, #, \\, a segment of dots, or an encoded dot, slash or percent sign. Nothing was sent. To look up a "
    "model with a slash in its name, take it from client.models.list()."
)


class Refused(Exception):
    """A call that is not passed on: the status of the answer, and a sentence for its reader."""

    def __init__(self, status: int, message: str, code: str = "spend_guard"):
        super().__init__(message)
        self.status, self.code = status, code


class Calls:
    """The calls that may pass at one provider, whose base address has the path ``base``."""

    def __init__(self, provider: str, base: str):
        self.base = base
        lists = {base: CALLS}
        for before, more in MORE.get(provider, {}).items():
            before = base if before is None else before
            lists[before] = lists.get(before, "") + more
        self._known = [
            (method, re.compile(f"{re.escape(before)}/{path.replace('ID', ID.pattern)}"), path)
            for before, table in lists.items()
            for method, path in _lines(table)
        ]

    def find(self, method: str, target: str) -> tuple[str, str]:
        """Method and path of the list's line that a request target fits. Raises Refused if none does."""
        path, _, query = target.partition("?")
        if TWO_READINGS.search(path) or re.search(r"[#\\]", query):
            raise Refused(400, ONE_READING)
        found = next((p for m, pattern, p in self._known if m == method and pattern.fullmatch(path)), None)
        if found is None:
            raise Refused(402, self._unknown(method, path))
        if query and not all(QUERY_PAIR.fullmatch(unquote_plus(pair)) for pair in query.split("&")):
            names = ", ".join(QUERY_NAMES.split())
            raise Refused(400, f"After the question mark may stand: {names}. Nothing was sent.")
        return method, found

    def _unknown(self, method: str, path: str) -> str:
        may_pass = ", ".join(dict.fromkeys(path.split("/ID")[0] for _, _, path in self._known))
        return (
            f"The spend guard does not know the call {method} {path[:100]}, so nothing was sent: it might cost "
            f"money. What may pass, spelled as the openai client does: {may_pass}. A job is ordered with "
            f"{ORDER[0]} {self.base}/{ORDER[1]}."
        )


def may_pass(header: bytes) -> bool:
    """Whether a header, in small letters, goes to the provider. None that renames a path or a method does."""
    return HEADERS.fullmatch(header.decode("latin-1")) is not None


def _lines(table: str) -> list[tuple[str, str]]:
    """(method, path) of each line of a list of calls."""
    split = [line.split() for line in table.splitlines() if line]
    return [(method, path) for *methods, path in split for method in methods]
