"""POST /moderations, simulated: nothing is judged, only marks in a text react, as in a training file.

``[mock:flag=violence]`` in a text flags it for violence. Every score is 0 or 1.
"""

from openai.types import Moderation, ModerationCreateResponse
from openai.types.moderation import Categories

from .store import new_id
from .training_files import FLAG
from .validate import model_dump

MODEL = "omni-moderation-latest"
CATEGORIES = [field.alias or name for name, field in Categories.model_fields.items()]


def create(body: dict) -> dict:
    """One result for a text, one for each of several; of parts with pictures one for all, as at OpenAI."""
    results = [model_dump(Moderation, _result(text)) for text in _texts(body["input"])]
    answer = {"id": new_id("modr-", 24), "model": body.get("model") or MODEL, "results": results}
    return model_dump(ModerationCreateResponse, answer)


def _texts(given: str | list) -> list[str]:
    if isinstance(given, str):
        return [given]
    if any(isinstance(item, dict) for item in given):
        return ["\n".join(item.get("text") or "" for item in given)]
    return given


def _result(text: str) -> dict:
    flagged = set(FLAG.findall(text)) & {*CATEGORIES}
    return {
        "flagged": bool(flagged),
        "categories": {name: name in flagged for name in CATEGORIES},
        "category_scores": {name: float(name in flagged) for name in CATEGORIES},
        "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
    }
