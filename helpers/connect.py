"""One function: it decides which API answers. After it, plain ``OpenAI()`` just works."""

import atexit
import datetime
import functools
import os

from .local_api.scenarios import SCENARIOS, STAGE_DATE

LOOPBACK = "127.0.0.1,localhost"
LEARNERS_OWN_KEY = os.environ.get("OPENAI_API_KEY")


def connect(target: str = "local", *, scenario: str | None = None, as_of: str | None = None) -> None:
    """Sets ``OPENAI_BASE_URL`` and ``OPENAI_API_KEY`` and prints which API answers from now on.

    ``target``: "local" is the mock API on this computer: no key, no cost. "openai" is OpenAI itself, with
    the key in your environment. ``scenario`` and ``as_of`` (a date such as "2027-01-15") set the scene of the
    mock; without ``as_of`` it plays 2025-06-01. Raises ValueError for an unknown target, scenario or date, or
    if a key is missing.
    """
    if target == "local":
        _connect_local(scenario, as_of)
    elif target == "openai":
        if scenario or as_of:
            raise ValueError("scenario and as_of belong to the mock: connect(scenario=..., as_of=...)")
        _connect_openai()
    else:
        raise ValueError(f"Unknown target {target!r}. Known: 'local' (the mock API) and 'openai'.")


def _connect_local(scenario: str | None, as_of: str | None) -> None:
    if scenario is not None and scenario not in SCENARIOS:
        raise ValueError(f"Unknown scenario {scenario!r}. Known: {', '.join(SCENARIOS)}.")
    day = _day(as_of) if as_of else STAGE_DATE
    server, key = _local_server()
    key += f".{scenario}" if scenario else ""
    key += f"@{day}" if as_of else ""
    os.environ["OPENAI_BASE_URL"] = server.base_url
    os.environ["OPENAI_API_KEY"] = key
    _bypass_proxies()
    why = "" if as_of else ", a day on which GPT-3.5 and its successors could all be fine-tuned"
    print("The mock API on this computer answers. Its models are simulated. It costs nothing.")
    print(f"It plays {day}{why}.")
    if scenario:
        print(f"Scenario {scenario!r}: {SCENARIOS[scenario]}.")


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


def _bypass_proxies() -> None:
    """A proxy would be asked for 127.0.0.1 too, and cannot reach it."""
    for name in ("NO_PROXY", "no_proxy"):
        known = os.environ.get(name, "")
        if "127.0.0.1" not in known:
            os.environ[name] = ",".join(filter(None, (known, LOOPBACK)))


def _connect_openai() -> None:
    if not LEARNERS_OWN_KEY:
        raise ValueError(
            "No key for OpenAI. Set OPENAI_API_KEY in the environment before you start Jupyter; "
            "never write it into a notebook. Without a key, use connect()."
        )
    os.environ["OPENAI_API_KEY"] = LEARNERS_OWN_KEY
    os.environ.pop("OPENAI_BASE_URL", None)
    print("OpenAI itself answers, with your own key. Calls cost money.")
