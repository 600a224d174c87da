"""Models: the ones of ``data/models.csv`` that exist on the caller's day, and the caller's own tuned ones."""

import calendar
import datetime
import functools
from dataclasses import dataclass
from typing import get_args

from openai.types import Model, audio_model, image_model
from openai.types.shared import responses_model

from . import facts
from .engines import trained
from .engines.trained import weights
from .errors import APIError, bad_request, model_deprecated, model_not_found
from .scenarios import Caller
from .store import Row, Store
from .validate import model_dump

ALL = 100_000
TAKEN_BY_ALL = {"temperature": 1, "top_p": 1}  # the defaults; sent as they are, no model refuses them
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
INSTEAD = {"max_tokens": " Use 'max_completion_tokens' instead."}


@dataclass(frozen=True)
class Chosen:
    """The model that will answer: its full name, and its weights if it is a tuned one."""

    name: str
    base: str
    weights: bytes | None


def list_all(store: Store, caller: Caller, *, after: str | None = None, limit: int = ALL) -> dict:
    """GET /models: the base models of the day, then the tuned ones, newest first.

    OpenAI's list has no pages. Here ``limit`` and ``after`` cut one out, for who has thousands of models; and then
    ``has_more`` says whether others follow.
    """
    there = [name for name in facts.names() if _exists(name, caller.date)]
    bases = [name for name in there if name != trained.MODEL or not trained.problem()]
    bases += [name for name in trained.added() if not trained.problem(name)]
    if after in bases:
        bases, after = bases[bases.index(after) + 1 :], None
    elif after is not None:
        bases = []
    data = [_base_model(name) for name in bases[:limit]]

    def keep(row: Row) -> bool:
        return not _passed(_tuned_end(row.body["base"]), caller.date)

    page = store.page("model", caller.owner, after=after, limit=limit - len(data), keep=keep)
    if page is None:
        raise bad_request(f"Invalid 'after': no object '{after}' in this list.", "after")
    tuned, more = page
    answer = {"object": "list", "data": data + [_tuned_model(row) for row in tuned]}
    return answer if limit == ALL else answer | {"has_more": more or len(bases) > limit}


def retrieve(store: Store, caller: Caller, name: str) -> dict:
    """GET /models/{model}."""
    if _is_base(name):
        _refuse_unless_there(name, caller.date)
        return _base_model(name)
    return _tuned_model(_own(store, caller, name))


def delete(store: Store, caller: Caller, name: str) -> dict:
    """DELETE /models/{model}: only a tuned model can be deleted."""
    if _is_base(name):
        owner = "this computer" if trained.owns(name) else "OpenAI"
        raise APIError(403, f"The model `{name}` belongs to {owner} and cannot be deleted.", param="model")
    _own(store, caller, name)
    store.remove("model", name, caller.owner)
    return {"id": name, "object": "model", "deleted": True}


def choose(store: Store, caller: Caller, name: str) -> Chosen:
    """The model to answer with. 404 if it does not exist, is not the caller's, or was shut down by that day."""
    if _is_base(name):
        _refuse_unless_there(name, caller.date)
        return Chosen(facts.snapshot(name), facts.snapshot(name), None)
    row = _own(store, caller, name)
    _refuse_if_not_installed(name)
    if other := trained.other_base(row.body):
        raise model_not_found(name, other)
    return Chosen(name, row.body["base"], store.data("model", name, caller.owner))


def choose_for_training(store: Store, caller: Caller, name: str, method: str) -> Chosen:
    """The model to train further; 400 if it could never be tuned in this way."""
    if not _is_base(name) and not name.startswith("ft:"):
        raise _not_tunable(name)
    chosen = choose(store, caller, name)
    if method == "dpo" and caller.date.isoformat() < (start := facts.value("*", "dpo_from")):
        message = f"Preference fine-tuning came on {start}, and the day of your API key is {caller.date}."
        raise bad_request(message, "method.type", "model_not_available")
    if method not in _methods(chosen.base):
        raise _not_tunable(name, method)
    return chosen


def _is_base(name: str) -> bool:
    """True for the models of the table and for those that were added to the trained engine."""
    return name in facts.names() or weights.is_added(name)


def _methods(base: str) -> list[str]:
    """The methods by which a base model can be tuned."""
    return list(trained.AUTO) if trained.owns(base) else facts.values(base, "fine_tunable_method")


def only_completes(base: str) -> bool:
    """True for a model that completes a text and does not chat; it is trained on pairs of prompt and completion."""
    return facts.value(base, "endpoint") == "completions"


def refuse_unless_completing(chosen: Chosen) -> None:
    """404 for a model that chats or embeds, at the legacy endpoint for completions."""
    if not only_completes(chosen.base):
        message = (
            "This is a chat model and not supported in the v1/completions endpoint. "
            "Did you mean to use v1/chat/completions?"
        )
        raise APIError(404, message, param="model")


def refuse_unless_chat(chosen: Chosen) -> None:
    """404 for a model that embeds or completes text but does not chat."""
    if facts.value(chosen.base, "embedding_width") or only_completes(chosen.base):
        message = (
            "This is not a chat model and thus not supported in the v1/chat/completions endpoint. "
            "Did you mean to use another endpoint?"
        )
        raise APIError(404, message, param="model")


def refuse_settings(chosen: Chosen, body: dict) -> None:
    """400 for a setting of a chat request that this model does not take; some it takes only if it need not reason.

    Which, says ``data/models.csv``. The words and codes were seen live by third parties, 2025 and 2026.
    """
    refused = facts.values(chosen.base, "refuses")
    _refuse_effort(chosen, body.get("reasoning_effort"))
    if body.get("reasoning_effort") != "none":
        refused = refused + facts.values(chosen.base, "refuses_while_reasoning")
    for name in refused:
        if body.get(name) not in (None, TAKEN_BY_ALL.get(name)):
            raise _not_supported(name, body[name])


def reasoning_effort(chosen: Chosen, body: dict) -> str:
    """How much a model reasons before it answers this request; "none" if it does not."""
    default = facts.value(chosen.base, "reasoning_default", "none")
    if "temperature" in facts.values(chosen.base, "refuses"):  # it always reasons
        default = facts.value(chosen.base, "reasoning_default", "medium")
    return default if default == "none" else body.get("reasoning_effort") or default


def _refuse_effort(chosen: Chosen, effort: str | None) -> None:
    """400 for an effort beyond those that ``data/models.csv`` names for the model, such as "low to max"."""
    known = facts.value(chosen.base, "reasoning_effort")
    if effort is None or known is None:
        return
    least, most = known.split(" to ")
    supported = EFFORTS[EFFORTS.index(least) : EFFORTS.index(most) + 1]
    if effort not in supported:
        message = f"Unsupported value: 'reasoning_effort' does not support '{effort}' with this model. "
        message += f"Supported values are: {', '.join(map(repr, supported))}."
        raise bad_request(message, "reasoning_effort", "unsupported_value")


def _not_supported(name: str, value: float) -> APIError:
    if name == "temperature":
        message = f"Unsupported value: '{name}' does not support {value:g} with this model. "
        return bad_request(f"{message}Only the default (1) value is supported.", name, "unsupported_value")
    message = f"Unsupported parameter: '{name}' is not supported with this model."
    return bad_request(message + INSTEAD.get(name, ""), name, "unsupported_parameter")


def _not_tunable(name: str, method: str | None = None) -> APIError:
    how = f" with method '{method}'" if method else ""
    could = [
        known
        for known in [*facts.names(), *trained.added()]
        if method in _methods(known) and not (trained.owns(known) and trained.problem(known))
    ]
    hint = f" Models that can: {', '.join(could)}." if could else ""
    message = f"Model {name} is not available for fine-tuning{how} or does not exist.{hint}"
    return bad_request(message, "model", "model_not_available")


def _own(store: Store, caller: Caller, name: str) -> Row:
    row = store.get("model", name, caller.owner)
    if row is None:
        raise model_not_found(name, _why_unknown(name))
    if _passed(_tuned_end(row.body["base"]), caller.date):
        raise model_deprecated(name)
    return row


def _refuse_if_not_installed(name: str) -> None:
    if trained.owns(name) and (problem := trained.problem(name)):
        raise model_not_found(name, problem)


def _refuse_unless_there(name: str, day: datetime.date) -> None:
    _refuse_if_not_installed(name)
    if _passed(_end(name), day):
        raise model_deprecated(name)
    if not _exists(name, day):
        start = facts.value(facts.snapshot(name), "available_from")
        raise model_not_found(
            name,
            f"It came on {start}, and the day of your API key is {day}. For another day: KEY@YYYY-MM-DD.",
        )


def _why_unknown(name: str) -> str:
    """What can be said of a name that is neither in the table nor the caller's; "" if nothing."""
    if name not in _names_of_the_client():
        return ""
    return "OpenAI has or had it, but it is not simulated here. GET /v1/models lists what is."


@functools.cache
def _names_of_the_client() -> frozenset[str]:
    """Every model that the types of the installed client name."""
    types = [responses_model.ResponsesModel, audio_model.AudioModel, image_model.ImageModel]
    found = set()
    while types:
        for part in get_args(types.pop()):
            if isinstance(part, str):
                found.add(part)
            else:
                types.append(part)
    return frozenset(found)


def _end(name: str) -> str | None:
    """The day on which a base model is shut down, if one is known."""
    return facts.value(facts.snapshot(name), "shutdown_date")


def _tuned_end(base: str) -> str | None:
    """The day on which models tuned from this base are shut down; some outlive their base."""
    return facts.value(base, "tuned_shutdown_date", _end(base))


def _passed(end: str | None, day: datetime.date) -> bool:
    return end is not None and day >= datetime.date.fromisoformat(end)


def _exists(name: str, day: datetime.date) -> bool:
    start = facts.value(facts.snapshot(name), "available_from")
    not_yet = start is not None and day < datetime.date.fromisoformat(start)
    return not not_yet and not _passed(_end(name), day)


def _base_model(name: str) -> dict:
    if weights.is_added(name):
        added = weights.base(name)
        created, owner, end = added.created, added.owner, None
    else:
        base = facts.snapshot(name)
        created, owner, end = _created(base), facts.value(base, "owned_by", "openai"), _end(base)
    row = {"id": name, "object": "model", "created": created, "owned_by": owner, "shutdown_date": end}
    return model_dump(Model, row)


def _created(base: str) -> int:
    """Seconds since 1970, as seen in a list of models; else the day from which the model was there."""
    if seen := facts.value(base, "created"):
        return int(seen)
    start = datetime.date.fromisoformat(facts.value(base, "available_from", "2023-01-01"))
    return calendar.timegm(start.timetuple())


def _tuned_model(row: Row) -> dict:
    return model_dump(
        Model,
        {
            "id": row.id,
            "object": "model",
            "created": int(row.at),
            "owned_by": row.body["organization"],
            "shutdown_date": _tuned_end(row.body["base"]),
        },
    )
