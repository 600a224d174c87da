"""What an order for a fine-tuning job asks for, whether a job of it runs already, and what it will cost."""

import fnmatch
import json
import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .. import costs, dataset
from ..dataset.context import snapshot
from ..dataset.report import auto_epochs
from ..jobs import TERMINAL
from ..tokens import BYTES_PER_TOKEN
from .calls import ID, Refused

METHODS = ("supervised", "dpo", "reinforcement")
# smallest and largest number, from OpenAI's API description; the other providers' pages name no ranges
WHOLE_NUMBERS = {"n_epochs": (1, 50), "batch_size": (1, 256)}
WHOLE_NUMBERS |= {"eval_interval": (1, math.inf), "eval_samples": (1, math.inf)}
ABOVE_ZERO = {"learning_rate_multiplier": math.inf, "beta": 2, "compute_multiplier": 10}
MOST_NESTING, MOST_IN_A_NAME = 100, 200  # far above what any order needs
# what is asked for, and the name under which a job reports it
REPORTED = {"validation_file": "validation_file", "metadata": "metadata", "suffix": "user_provided_suffix"}
UNREADABLE = (
    "The spend guard cannot read this order. No job was made. Send JSON with model and training_file."
)


@dataclass(frozen=True)
class Target:
    """Where requests go. ``price`` gives US dollars for a million training tokens and where that is from."""

    name: str
    base_url: str
    chat_base_url: str | None = None  # where chat is answered on another host
    price: Callable[[str], tuple[float, str] | None] = lambda model: None


@dataclass(frozen=True)
class Estimate:
    """What a job will cost, in words, and in US dollars if that is known. Raises ValueError for no amount."""

    words: str
    usd: float | None

    def __post_init__(self):
        if self.usd is not None:
            _amount(self.usd)

    @property
    def amount(self) -> str:
        return "unknown" if self.usd is None else costs.dollars(self.usd)


# --- reading an order -----------------------------------------------------------------------------------------


def read(body: bytes) -> dict:
    """The order in the body of a request. Raises Refused for what is no order or is outside its ranges."""
    try:
        job = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, UNREADABLE) from None
    if (
        not isinstance(job, dict)
        or _nesting(job) > MOST_NESTING
        or not {"model", "training_file"} <= set(job)
    ):
        raise Refused(400, UNREADABLE)
    try:
        as_sent(job)
    except ValueError:  # half a surrogate pair, NaN, a number without end
        raise Refused(400, UNREADABLE) from None
    _check_names(job)
    _check_method(job)
    for place, settings in _places(job):
        _check_settings(place, settings)
    return job


def as_sent(job: dict) -> bytes:
    """The order in one spelling, without keys that come twice. Raises ValueError for what JSON cannot hold."""
    return json.dumps(job, ensure_ascii=False, allow_nan=False).encode()


def is_id(value: object) -> bool:
    """Whether this can be the id of a file, and may stand in an address."""
    return isinstance(value, str) and len(value) <= MOST_IN_A_NAME and ID.fullmatch(value) is not None


def _nesting(value: object) -> int:
    """How many lists and objects stand in each other; 0 for a plain value."""
    deepest, waiting = 0, [(value, 0)]
    while waiting:
        one, depth = waiting.pop()
        inner = one.values() if isinstance(one, dict) else one if isinstance(one, list) else None
        if inner is not None:
            deepest = max(deepest, depth + 1)
            waiting += [(item, depth + 1) for item in inner]
    return deepest


def _check_names(job: dict) -> None:
    model = job["model"]
    if not (isinstance(model, str) and 0 < len(model) <= MOST_IN_A_NAME and model.isprintable()):
        raise Refused(400, "'model' must be the name of a model. No job was made.")
    for key in ("training_file", "validation_file"):
        if not is_id(job.get(key)) and (key == "training_file" or job.get(key) is not None):
            raise Refused(400, f"'{key}' must be the id of an uploaded file. No job was made.")


def _check_method(job: dict) -> None:
    method = job.get("method")
    if method is not None and (not isinstance(method, dict) or method.get("type") not in METHODS):
        raise Refused(
            400, f"'method' must be an object whose type is one of {', '.join(METHODS)}. No job was made."
        )


def _places(job: dict) -> Iterator[tuple[str, object]]:
    """Every place where an order's hyperparameters can stand, with its name, filled or not."""
    yield "", {name: job[name] for name in (*WHOLE_NUMBERS, *ABOVE_ZERO) if name in job}
    yield "hyperparameters", job.get("hyperparameters")
    for name in METHODS:
        part = (job.get("method") or {}).get(name)
        if part is not None and not isinstance(part, dict):
            raise Refused(400, f"'method.{name}' must be an object. No job was made.")
        yield f"method.{name}.hyperparameters", (part or {}).get("hyperparameters")


def _check_settings(place: str, settings: object) -> None:
    if settings is None:
        return
    if not isinstance(settings, dict):
        raise Refused(400, f"'{place}' must be an object such as {{\"n_epochs\": 3}}. No job was made.")
    for name, value in settings.items():
        where = f"'{place}.{name}'" if place else f"'{name}'"
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if name in WHOLE_NUMBERS:
            least, most = WHOLE_NUMBERS[name]
            fits = is_number and isinstance(value, int) and least <= value <= most
            wanted = f"a whole number from {least} " + ("on" if most == math.inf else f"to {most}")
        elif name in ABOVE_ZERO:
            most = ABOVE_ZERO[name]
            fits = is_number and 0 < value <= most
            wanted = "a number above 0" + ("" if most == math.inf else f", {most} at most")
        else:
            continue
        if not fits and value != "auto":
            raise Refused(400, f'{where} must be "auto" or {wanted}. No job was made.')


# --- what an order says -----------------------------------------------------------------------------------------


def is_over(job: dict) -> bool:
    """As ``jobs.is_over``, for the JSON of a job."""
    return job.get("status") in TERMINAL or job.get("finished_at") is not None


def method_of(job: dict) -> str:
    """supervised, dpo or reinforcement."""
    method = job.get("method")
    return str(method.get("type") or "supervised") if isinstance(method, dict) else "supervised"


def settings_of(job: dict) -> dict:
    """The hyperparameters, from both places where OpenAI has put them; the newer one comes first."""
    older, newer = _two_places(job)
    return older | newer


def epochs_of(job: dict) -> list[int | str]:
    """The epochs that an order may mean, numbers or "auto": more than one if it says so in several places."""
    older, newer = _two_places(job)
    read = [newer] if job.get("method") else []
    read += [older] if older or not read else []
    given = [one.get("n_epochs", "auto") for one in read]
    given += [one["n_epochs"] for _, one in _places(job) if isinstance(one, dict) and "n_epochs" in one]
    return list(dict.fromkeys(given))


def _two_places(job: dict) -> tuple[dict, dict]:
    """The hyperparameters of the older place and those of the method; empty where there are none."""
    method = job.get("method")
    part = method.get(method_of(job)) if isinstance(method, dict) else None
    newer = part.get("hyperparameters") if isinstance(part, dict) else None
    older = job.get("hyperparameters")
    return older if isinstance(older, dict) else {}, newer if isinstance(newer, dict) else {}


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


# --- what it will cost --------------------------------------------------------------------------------------------


def estimate(target: Target, job: dict, content: bytes, size: int | None) -> Estimate:
    """Tokens x epochs x price; of several numbers of epochs the largest. "unknown" with the reason if a part is.

    Tokens that are not known exactly count with the most that they can be, so that the limit holds.
    ``content`` is the training file, empty if it cannot be had, and ``size`` its bytes, if the provider says so.
    """
    title = f"Job: {job['model']} on {job['training_file']}."
    if method_of(job) == "reinforcement":
        return Estimate(f"{title} Estimate: unknown. Reinforcement training is billed by the hour.", None)
    try:
        return _known_estimate(target, title, job, content, size)
    except ValueError as error:
        return Estimate(f"{title} Estimate: unknown. {error}", None)


def _known_estimate(target: Target, title: str, job: dict, content: bytes, size: int | None) -> Estimate:
    model, report = job["model"], _report(content, job["model"]) if content else None
    rows = report.good_rows if report else 0
    epochs = max(epochs_of(job), key=lambda one: _number(one, rows))
    if report and target.name == "openai":
        cost = costs.training(report, model, n_epochs=epochs)
        if not cost.complete:
            raise ValueError(f"{_not_counted(report)}\n{cost}")
        usd = _amount(cost.usd)
        return Estimate(f"{title}\n{cost}", usd)
    if rows and report.pictures_not_counted:
        raise ValueError(f"{_not_counted(report)} Its texts have {report.kept_tokens:,} tokens.")
    if rows:
        counted, how = report.kept_tokens, "counted as OpenAI's models do"
    elif size is not None:
        counted, how = size // BYTES_PER_TOKEN, f"a rough guess: {size:,} bytes / {BYTES_PER_TOKEN}"
    else:
        raise ValueError("The size of the training file could not be read.")
    tokens = f"About {counted:,} tokens ({how})"
    if epochs == "auto" and not rows:
        raise ValueError(
            f'{tokens}, but with n_epochs="auto" the provider chooses the epochs. Name a number.'
        )
    why = "" if epochs != "auto" else ' ("auto", by the rule of OpenAI\'s notebook)'
    number, price = _number(epochs, rows), target.price(model)
    if price is None:
        raise ValueError(
            f"{tokens} x {number} epochs{why}, at a price that data/providers.csv does not have."
        )
    usd = _amount(counted * number * price[0] / 1_000_000)
    words = f"{tokens} x {number} epochs{why} x ${price[0]:.2f} for 1 million = about {costs.dollars(usd)}."
    return Estimate(f"{title}\n{words}\nPrice: {price[1]}", usd)


def _not_counted(report: dataset.Report) -> str:
    pictures = report.pictures_not_counted
    return f"Pictures: {pictures:,}. Nobody says how many tokens {report.model} takes for one."


def _number(epochs: int | str, rows: int) -> float:
    """The number of epochs that "auto" means; it has no end where the rows cannot be counted."""
    if epochs != "auto":
        return epochs
    return auto_epochs(rows) if rows else math.inf


def _amount(usd: float) -> float:
    """The same. Raises ValueError for what is no sum of dollars; such a sum would be below every limit."""
    if not 0 <= usd < math.inf:
        raise ValueError(f"The price comes to {usd}, which is no amount of dollars.")
    return usd


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
