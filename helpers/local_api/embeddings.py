"""POST /embeddings, answered with real word vectors."""

import base64

from .. import tokens
from . import facts, models, vectors
from .errors import APIError, bad_request
from .scenarios import Caller
from .store import Store
from .texts import texts_of

MAX_INPUTS, MAX_TOKENS = 2048, 8192  # OpenAI's API description, CreateEmbeddingRequest


def create(store: Store, caller: Caller, body: dict) -> dict:
    """One vector for each input, as a list of floats or as base64 of little-endian float32."""
    model = body["model"]
    width = int(facts.value(models.choose(store, caller, model).base, "embedding_width", "0"))
    if not width:
        raise APIError(403, f"You are not allowed to generate embeddings from this model: {model}.")
    texts = _texts(body["input"], model)
    counts = tokens.count_many(texts, model)
    if max(counts) > MAX_TOKENS:
        message = f"Invalid 'input': at most {MAX_TOKENS} tokens for one text, one has {max(counts)}."
        raise bad_request(message, "input")
    rows = vectors.resize(vectors.embed(texts), _dimensions(body, width, model)).astype("<f4")
    as_base64 = body.get("encoding_format") == "base64"
    return {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "index": index,
                "embedding": base64.b64encode(row.tobytes()).decode() if as_base64 else row.tolist(),
            }
            for index, row in enumerate(rows)
        ],
        "model": model,
        "usage": {"prompt_tokens": sum(counts), "total_tokens": sum(counts)},
    }


def _dimensions(body: dict, width: int, model: str) -> int:
    dimensions = body.get("dimensions")
    if dimensions is None:
        return width
    if not model.startswith("text-embedding-3"):
        raise bad_request(f"This model does not support specifying dimensions: {model}.", "dimensions")
    if not 1 <= dimensions <= width:
        raise bad_request(f"Invalid 'dimensions': a number from 1 to {width}.", "dimensions")
    return dimensions


def _texts(given, model: str) -> list[str]:
    """The inputs as a list of texts; token numbers are turned back into text first."""
    if given == "" or given == [] or isinstance(given, list) and any(item in ("", []) for item in given):
        raise bad_request("Invalid 'input': it must not be empty.", "input")
    return texts_of(given, model, "input", MAX_INPUTS, "texts")
