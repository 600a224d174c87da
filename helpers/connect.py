"""One function: it decides which API answers. After it, plain ``OpenAI()`` just works."""

import atexit
import codecs
import csv
import datetime
import functools
import io
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from .local_api import loopback
from .local_api.scenarios import SCENARIOS, STAGE_DATE

OUR_KEYS = ("sk-local", "sk-guard-")  # what connect() itself sets
LEARNERS_OWN_KEY = os.environ.get("OPENAI_API_KEY", "")
PROVIDERS = Path(__file__).parents[1] / "data" / "providers.csv"
ANY_KEY_ENV = "COMPATIBLE_API_KEY"  # never another provider's key: it would be sent to a stranger
ASK_SECONDS = 15.0
_left_out: dict[str, str] = {}


def connect(
    target: str = "local",
    *,
    scenario: str | None = None,
    as_of: str | None = None,
    approve: str | None = None,
) -> None:
    """Sets ``OPENAI_BASE_URL`` and ``OPENAI_API_KEY`` and prints which API answers from now on.

    ``target``: "local" is the mock API on this computer: no key, no cost. "openai", "azure", "nebius" and
    "crusoe" are those providers, and an address such as "https://host/v1" is any compatible one; the key is
    read from the environment or from a file ``.env``. They cost money, so a spend guard stands before them:
    it holds each fine-tuning job until you run ``connect(target, approve=...)`` with the code that it shows.
    ``scenario`` and ``as_of`` (a date such as "2027-01-15") set the scene of the mock; without ``as_of`` it
    behaves as on 2025-06-01. Raises ValueError for an unknown target, scenario, date or code, if a key is missing
    or refused, or if a proxy, certificates or ``.env`` cannot be used, and ConnectionError if the provider cannot
    be reached.
    """
    if target == "local":
        if approve:
            raise ValueError("The mock costs nothing: there is nothing to approve.")
        _connect_local(scenario, as_of)
    elif scenario or as_of:
        raise ValueError("scenario and as_of belong to the mock: connect(scenario=..., as_of=...)")
    else:
        _connect_provider(target, approve)


def _connect_local(scenario: str | None, as_of: str | None) -> None:
    if scenario is not None and scenario not in SCENARIOS:
        raise ValueError(f"Unknown scenario {scenario!r}. Known: {', '.join(SCENARIOS)}.")
    day = _day(as_of) if as_of else STAGE_DATE
    server, key = _local_server()
    key += f".{scenario}" if scenario else ""
    key += f"@{day}" if as_of else ""
    os.environ["OPENAI_BASE_URL"] = server.base_url
    os.environ["OPENAI_API_KEY"] = key
    os.environ.update(loopback.around_proxies())
    why = "" if as_of else ", a day on which GPT-3.5 and its successors could all be fine-tuned"
    print("The mock API on this computer answers. Its models are simulated. It costs nothing.")
    print(f"It behaves as on {day}{why}.")
    if scenario:
        print(f"Scenario {scenario!r}: {SCENARIOS[scenario]}.")
    for name, reason in _leave_out().items():
        print(f"{name} {reason}. It is left out from here on; the mock does not need it.")


def _leave_out() -> dict[str, str]:
    """Takes variables that keep ``OpenAI()`` from working out of this process. Returns name -> why."""
    for name, value in _left_out.items():  # what was in the way of the mock may be what a provider needs
        os.environ.setdefault(name, value)
    found = loopback.unusable()
    _left_out.update({name: os.environ.pop(name) for name in found})
    return found


def _day(text: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"as_of must be a day of the calendar as YYYY-MM-DD, not {text!r}.") from None


@functools.cache
def _local_server():
    """The server of this process, started once, and its key."""
    from .local_api.app import create_app  # takes a second: only when it is needed
    from .local_api.server import Server
    from .local_api.store import Store

    app = create_app(Store())
    server = Server(app).start()
    atexit.register(server.stop)
    return server, app.state.service.own_key


# --- providers ------------------------------------------------------------------------------------------------


def _connect_provider(target: str, approve: str | None) -> None:
    for name, reason in _leave_out().items():
        raise ValueError(f'{name} {reason}. Correct it, or do without it: os.environ["{name}"] = ""')
    os.environ.update(loopback.around_proxies())
    place, key_name = _place(target)
    server, guard = _guard(place, key_name)
    if approve is not None:
        print(f"Approved once, estimate: {guard.approve(approve).amount}. Now create the same job again.")
    else:
        for line in _what_the_key_can_do(place, guard, server):
            print(line)
    os.environ["OPENAI_BASE_URL"] = _guarded(place, server)
    os.environ["OPENAI_API_KEY"] = guard.token


@functools.cache
def _guard(place, key_name: str):
    """The guard before one provider, started once, so that held orders stay known."""
    from .local_api.server import Server
    from .spend_guard import DEFAULT_LIMIT_USD, SpendGuard

    guard = SpendGuard(place, _key(place, key_name), _limit(DEFAULT_LIMIT_USD))
    server = Server(guard).start()
    atexit.register(server.stop)
    return server, guard


def _guarded(place, server) -> str:
    """The provider's address with the guard in the place of its host."""
    return server.base_url.removesuffix("/v1") + urlsplit(place.base_url).path


@functools.cache
def _place(target: str):
    """Where the target is, and the environment variable that holds its key. Raises ValueError."""
    from .spend_guard import Target, price_in

    with open(os.environ.get("PROVIDERS_TABLE") or PROVIDERS, encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    facts: dict[str, dict[str, str]] = {}
    for row in table:
        facts.setdefault(row["provider"], {}).setdefault(row["fact"], row["value"])
    known = {name: of for name, of in facts.items() if "key_env" in of}
    for name, of in known.items():
        if target == name or _host(target) == _host(of["base_url"]) != "":
            rows = [row for row in table if row["provider"] == name]
            base, chat = _base_url(of), of.get("chat_base_url")
            return Target(name, base, chat, price_in(rows)), of["key_env"]
    if not target.startswith(("https://", "http://")):
        raise ValueError(
            f"Unknown target {target!r}. Known: 'local' (the mock API), {', '.join(map(repr, known))}, "
            "or the address of a compatible API, such as 'https://host/v1'."
        )
    return Target(target, _checked(target)), ANY_KEY_ENV


def _host(address: str) -> str:
    return urlsplit(address).netloc.lower()


def _base_url(facts: dict[str, str]) -> str:
    """The address of the table; where it names a resource, with the learner's own endpoint."""
    if "endpoint_env" not in facts:
        return _checked(facts["base_url"])
    name, pattern = facts["endpoint_env"], facts["base_url"]
    endpoint = _setting(name)
    if not endpoint:
        raise ValueError(f"Set {name} in the environment or in .env; it looks like {pattern}.")
    path = urlsplit(pattern).path
    return _checked(endpoint.rstrip("/").removesuffix(path) + path)


def _checked(address: str) -> str:
    parts = urlsplit(address)
    whole = parts.hostname and parts.port != 0 and address.isprintable() and "\\" not in address
    if not whole or parts.username or parts.query or parts.fragment:
        raise ValueError("Give the address without a key, a question mark or a #: https://host/v1")
    if parts.scheme != "https" and not _is_loopback(address):
        raise ValueError(f"{parts.hostname} must be reached by https: the key would travel in the open.")
    return address.rstrip("/")


def _is_loopback(address: str) -> bool:
    return urlsplit(address).hostname in ("127.0.0.1", "localhost", "::1")


def _setting(name: str) -> str:
    """A value from the environment, or else from the nearest .env above the working folder. It is kept nowhere."""
    value = LEARNERS_OWN_KEY if name == "OPENAI_API_KEY" else os.environ.get(name, "")
    if not value or value.startswith(OUR_KEYS):
        value = _dotenv().get(name) or ""
    return value.strip()


def _dotenv() -> dict[str, str | None]:
    """What the nearest .env says. Raises ValueError if it cannot be read as text."""
    from dotenv import dotenv_values, find_dotenv

    path = find_dotenv(usecwd=True)
    if not path:
        return {}
    try:
        text = _text(Path(path).read_bytes())
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeError:
        raise ValueError(f"{path} is not in UTF-8. Save it again with the encoding UTF-8.") from None
    return dotenv_values(stream=io.StringIO(text), interpolate=False)


def _text(content: bytes) -> str:
    """UTF-8, or UTF-16 as ``>`` writes it in Windows PowerShell 5. Raises UnicodeError for anything else."""
    utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = content.decode("utf-16" if utf_16 else "utf-8-sig")
    if "\0" in text:  # UTF-16 or UTF-32 without its mark
        raise UnicodeError
    return text


def _key(place, name: str):
    from .spend_guard import Key

    key = Key(_setting(name) or ("sk-local" if _is_loopback(place.base_url) and name == ANY_KEY_ENV else ""))
    if not key.reveal():
        raise ValueError(
            f"No key for {place.name}. Set {name} in the environment before you start Jupyter, or write a line "
            f"{name}=... into a file .env; never write it into a notebook. Without a key, use connect()."
        )
    if not key.reveal().isascii() or not key.reveal().isprintable() or " " in key.reveal():
        raise ValueError(f"{name} holds blanks or characters that no key has. Copy the key again.")
    return key


def _limit(default: float) -> float:
    text = _setting("SPEND_LIMIT_USD")
    try:
        limit = float(text or default)
    except ValueError:
        limit = -1.0
    if not 0 <= limit < float("inf"):
        raise ValueError("SPEND_LIMIT_USD must be a number of US dollars, such as 5.")
    return limit


# --- the pre-flight -------------------------------------------------------------------------------------------


def _what_the_key_can_do(place, guard, server) -> list[str]:
    """Asks for two lists, which costs nothing, and says in plain words what came back."""
    from .costs import dollars

    lines = [f"{place.name} answers at {place.base_url}, with your own key. Calls cost money."]
    status, body = _ask(place, guard, server, "/models")
    if status == 401:
        _guard.cache_clear()  # the next attempt reads the key anew
        raise ValueError(f"{place.name} does not accept your key (status 401). Nothing was connected.")
    models = body.get("data") or []
    lines.append(
        f"- Models: {len(models)} listed." if status == 200 else f"- Models: no list (status {status})."
    )
    tunable = [model["fine_tuning_available"] for model in models if "fine_tuning_available" in model]
    lines += [f"- {sum(map(bool, tunable))} of them can be fine-tuned."] if tunable else []
    status, body = _ask(place, guard, server, "/fine_tuning/jobs?limit=1")
    lines.append(_jobs_line(status, body))
    lines += _wind_down() if place.name == "openai" else []
    lines.append(
        f"- Spend guard: each job is held until you approve it. Limit {dollars(guard.limit_usd)} "
        "(SPEND_LIMIT_USD). Chat and other calls are not held."
    )
    return lines


def _jobs_line(status: int, body: dict) -> str:
    if status != 200:
        why = {
            403: "this key may not see them",
            404: "this service does not have them",
            401: "the key is refused",
        }
        return f"- Fine-tuning jobs: {why.get(status, 'no list')} (status {status})."
    found = "there are some" if body.get("data") else "there is none yet"
    return (
        f"- Fine-tuning jobs: may be listed; {found}. Whether a new one is allowed shows when you create it."
    )


def _wind_down() -> list[str]:
    from .local_api.facts import values

    days = values("*", "new_jobs_end")
    return [
        f"- New jobs: refused to newcomers since {min(days)}, to everyone from {max(days)} (data/models.csv)."
    ]


def _ask(place, guard, server, path: str) -> tuple[int, dict]:
    """Status and JSON of one GET, sent through the guard, so that no key is handled here."""
    import httpx2

    headers = {"Authorization": f"Bearer {guard.token}"}
    try:
        answer = httpx2.get(
            _guarded(place, server) + path, headers=headers, timeout=ASK_SECONDS, trust_env=False
        )
    except httpx2.HTTPError:
        raise ConnectionError(f"{place.name} did not answer in {ASK_SECONDS:.0f} seconds.") from None
    try:
        body = answer.json()
    except ValueError:
        body = {}
    body = body if isinstance(body, dict) else {}
    if answer.status_code == 502 and (body.get("error") or {}).get("type") == "spend_guard":
        raise ConnectionError(body["error"]["message"])
    return answer.status_code, body


# --- for start.py check ---------------------------------------------------------------------------------------


def obstacles() -> list[str]:
    """What in the environment or in .env keeps connect() or ``OpenAI()`` from working, a sentence each."""
    cure = "Correct or remove this environment variable."
    found = [f"{name} {reason}. {cure}" for name, reason in loopback.unusable().items()]
    try:
        _dotenv()
    except ValueError as error:
        found.append(str(error))
    return found


def main(folder: str) -> int:
    """Prints the obstacles for a lesson in this folder. Returns the exit status: 0 if there are none."""
    os.chdir(folder)  # the nearest .env is looked for from there
    found = obstacles()
    for sentence in found:
        print(sentence)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
