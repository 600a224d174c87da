"""The API key chooses whose files are seen, which scene is played and on which day.

sk-local-<token>                     everything works, on the stage date
sk-local-<token>.closed              a scenario of the table below
sk-local-<token>@2027-01-15          another day: models and errors are those of that day
sk-local-<token>.slow@2026-11-22     both
"""

import datetime
import re
import threading
from collections import Counter
from dataclasses import dataclass

from .. import command_line
from . import facts
from .errors import APIError, bad_request

STAGE_DATE = datetime.date(2025, 6, 1)  # GPT-3.5 and its successors could all be tuned on this day
SLOW_SECONDS = 3.0
PACE_SECONDS = 1

CLOSED_SINCE = min(facts.values("*", "new_jobs_end"))
NEW_CREDIT_CODE_FROM = datetime.date.fromisoformat(facts.value("*", "credit_balance_exhausted_from"))
# scenario -> what happens. The README shows this table; a test keeps the two alike.
SCENARIOS = {
    "closed": f"creating a job is refused with the 403 that newcomers get from OpenAI since {CLOSED_SINCE}",
    "broke": "creating a job, chat and embeddings answer 429: no credit left; a header of the mock stops the client's "
    "retries",
    "limited": "creating a job, chat and embeddings answer 429 with retry-after: too many requests",
    "flaky": "creating a job, chat and embeddings fail twice with a 500, then work; the client's retries get through",
    "slow": f"every answer takes {SLOW_SECONDS:.0f} seconds longer",
}
PAID = ("/fine_tuning/jobs", "/completions", "/embeddings", "/responses", "/batches")

KEY = re.compile(
    r"(?P<owner>sk-local(-[0-9A-Za-z]+)?)(\.(?P<scenario>[a-z]+))?(@(?P<date>\d{4}-\d{2}-\d{2}))?", re.ASCII
)


@dataclass(frozen=True)
class Caller:
    """Who asks, in which scene and on which day."""

    owner: str
    scenario: str | None = None
    date: datetime.date = STAGE_DATE


def caller(key: str, may_enter) -> Caller:
    """Reads an API key. ``may_enter(owner)`` says whether such an owner is known here; if not, 401."""
    match = KEY.fullmatch(key)
    if not match or not may_enter(match["owner"]):
        raise wrong_key(key)
    if match["scenario"] and match["scenario"] not in SCENARIOS:
        raise bad_request(
            f"Unknown scenario '{match['scenario']}' in the API key. Known: {', '.join(SCENARIOS)}."
        )
    return Caller(match["owner"], match["scenario"], _date(match["date"]))


def _date(text: str | None) -> datetime.date:
    if text is None:
        return STAGE_DATE
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise bad_request(f"'{text}' in the API key is not a day of the calendar.") from None


def missing_key() -> APIError:
    """401 for a request without an API key."""
    message = (
        "You didn't provide an API key. Send it in an Authorization header: Bearer YOUR_KEY. "
        "In a lesson, run connect() first."
    )
    return APIError(401, message, headers={"www-authenticate": "Bearer"})


def wrong_key(key: str) -> APIError:
    """401 for a key that this server does not know. The key itself is never repeated."""
    shown = f"{key[:3]}...{key[-4:]}" if len(key) > 12 else "***"
    message = (
        f"Incorrect API key provided: {shown}. This is the local API of the course, not OpenAI: "
        f"its key is set by connect(), or printed by {command_line('helpers.local_api')}."
    )
    return APIError(401, message, code="invalid_api_key")


class Stage:
    """Plays the scenarios. Remembers, for ``flaky``, how often each call has failed."""

    def __init__(self):
        self._attempts: Counter = Counter()
        self._lock = threading.Lock()

    def delay(self, caller: Caller) -> float:
        """Seconds to wait before answering."""
        return SLOW_SECONDS if caller.scenario == "slow" else 0.0

    def enter(self, caller: Caller, method: str, path: str) -> None:
        """Raises the APIError that the scene calls for, if any."""
        if method != "POST" or not path.endswith(PAID):
            return
        if caller.scenario == "broke":
            raise _out_of_credit(caller.date)
        if caller.scenario == "limited":
            raise _too_many_requests()
        if caller.scenario == "flaky" and self._fails(caller, path):
            raise _server_error()

    def _fails(self, caller: Caller, path: str) -> bool:
        with self._lock:
            self._attempts[caller.owner, path] += 1
            return self._attempts[caller.owner, path] % 3 != 0


def refuse_if_closed(caller: Caller) -> None:
    """The 403 on creating a job: from the day on which newcomers got it, or in the ``closed`` scenario."""
    closing_day = datetime.date.fromisoformat(min(facts.values("*", "new_jobs_end")))
    if caller.scenario == "closed" or caller.date >= closing_day:
        raise APIError(
            403,
            "OpenAI is winding down the fine-tuning platform and your organization is no longer able to create "
            "new fine-tuning training jobs. Learn more https://developers.openai.com/api/docs/deprecations"
            "#update-to-openais-self-serve-fine-tuning",
            code="training_not_available",
        )


def rate_limit_headers() -> dict[str, str]:
    """The headers of an answer that is well inside its limits. The numbers are simulated."""
    return {
        "x-ratelimit-limit-requests": "10000",
        "x-ratelimit-remaining-requests": "9999",
        "x-ratelimit-reset-requests": "6ms",
        "x-ratelimit-limit-tokens": "2000000",
        "x-ratelimit-remaining-tokens": "1999000",
        "x-ratelimit-reset-tokens": "30ms",
    }


def _out_of_credit(day: datetime.date) -> APIError:
    """429, in the words of that day: its code has changed, its type has not (``data/models.csv``)."""
    code = "insufficient_quota"
    message = (
        "You exceeded your current quota, please check your plan and billing details. For more information on "
        "this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors."
    )
    if day >= NEW_CREDIT_CODE_FROM:
        code = "credit_balance_exhausted"
        message = (
            "You have no credits remaining. Add credits to continue using the API at "
            "https://platform.openai.com/settings/organization/billing/."
        )
    headers = {"x-should-retry": "false"}  # ours: without it the client would send the call again, twice
    return APIError(429, message, type="insufficient_quota", code=code, headers=headers)


def _too_many_requests() -> APIError:
    message = f"Rate limit reached for requests. Please try again in {PACE_SECONDS}s."
    headers = rate_limit_headers() | {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": f"{PACE_SECONDS}s",
        "retry-after": str(PACE_SECONDS),
        "retry-after-ms": str(PACE_SECONDS * 1000),
    }
    return APIError(429, message, type="requests", code="rate_limit_exceeded", headers=headers)


def _server_error() -> APIError:
    message = "The server had an error while processing your request. Sorry about that!"
    return APIError(500, message, type="server_error", headers={"retry-after-ms": "100"})
