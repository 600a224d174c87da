"""What ``data/models.csv`` says of the models that can be tuned."""

import functools

from ..token_rules import facts, snapshot


@functools.cache
def training_context(model: str | None) -> int | None:
    """Tokens of one training example; what is longer is cut at the end. None if nobody states it.

    Without a model it is the longest of all: what is longer than that is cut by every model.
    """
    wanted = model and snapshot(model)
    limits = [
        int(row["value"])
        for (name, fact), rows in facts().items()
        if fact == "training_context" and wanted in (name, None)
        for row in rows
    ]
    return max(limits, default=None)


@functools.cache
def takes_pairs(model: str | None) -> bool:
    """True if the model is trained on prompt/completion pairs instead of chats, as babbage-002 was."""
    methods = facts().get((snapshot(model), "fine_tunable_method"), []) if model else []
    return any("prompt/completion" in row["note"] for row in methods)


@functools.cache
def takes_images(model: str) -> bool | None:
    """True if the model can be tuned on images, False if nobody says so, None if the model is not in the table."""
    methods = facts().get((snapshot(model), "fine_tunable_method"))
    return None if methods is None else any(row["value"] == "vision" for row in methods)
