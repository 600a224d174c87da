"""An answering function, tried in scenes of the mock: its model is there or gone, there is no credit, no question."""

import os
from collections.abc import Callable, Sequence

from openai import OpenAI


def trial(
    reply: Callable[[OpenAI, list[str], str | None], tuple[str, str]],
    names: Sequence[str],
    question: str,
    end: str,
) -> dict[str, str]:
    """What ``reply(client, names, question)`` does in five scenes: "the first", "the second", or the error's name.

    ``names`` are two models; on the day ``end`` the first one is gone. ``reply`` returns the name of the model that
    answered, and the answer. The mock has to answer at OPENAI_BASE_URL: the end of the key sets its scene.
    """
    key = os.environ["OPENAI_API_KEY"]
    scenes = {
        "today": (key, names, question),
        "first is gone": (f"{key}@{end}", names, question),
        "no credit": (f"{key}.broke", names, question),
        "no question": (key, names, None),
        "none is left": (key, ["gone", "gone too"], question),
    }
    return {scene: _outcome(reply, names, *of) for scene, of in scenes.items()}


def _outcome(
    reply: Callable, known: Sequence[str], key: str, names: Sequence[str], question: str | None
) -> str:
    try:
        answered = reply(OpenAI(api_key=key), list(names), question)[0]
    except Exception as error:
        return type(error).__name__
    return {known[0]: "the first", known[1]: "the second"}.get(answered, str(answered))
