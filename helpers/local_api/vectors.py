"""Real word vectors for the embeddings endpoint, small enough for any computer.

They are the vectors of WordLlama (l2_supercat, 256 numbers a token), read from two data files of the
installed package ``wordllama``; its code is not run, because its loader wants the network. A text's vector is
the mean of its tokens' vectors. So it knows which words go together, but not their order: "dog bites man" and
"man bites dog" are the same to it. OpenAI's embedding models are far better; what is shared is their use.

Licence: the package is MIT (LICENSE, Copyright (c) 2024 Lee Miller; README: "This project is licensed under
the MIT License"). It has no separate statement for the weights. Its README says that they were trained from
token embeddings of LLaMA 2 70B, phi 3 medium and other models. These have licences of their own, so that of
the weights is not entirely clear. We install the package and ship none of it.
"""

import functools
import importlib.util
import json
import threading
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

WIDTH = 256
PACKAGE = "wordllama"
WEIGHTS = "weights/l2_supercat_256.safetensors"
TENSOR = "embedding.weight"
TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"

_lock = threading.Lock()


def embed(texts: list[str]) -> np.ndarray:
    """One vector a text: shape (len(texts), 256), float32, each of length 1.

    Pooled as wordllama.inference.WordLlamaInference.embed(norm=True) does it: no special tokens, plain mean,
    then scaled to length 1. An empty text has no token to take the mean of; it gets a fixed vector that means
    nothing. Raises FileNotFoundError if the package is not installed.
    """
    tokenizer, table = _model()
    means = np.zeros((len(texts), WIDTH), np.float32)
    for row, text in enumerate(texts):
        # JSON can carry half a surrogate pair, which no UTF-8 text has and the tokenizer refuses
        ids = tokenizer.encode(text.encode("utf-8", "replace").decode(), add_special_tokens=False).ids
        if ids:
            means[row] = table[ids].mean(axis=0, dtype=np.float32)
    return _unit_length(means)


def resize(vectors: np.ndarray, dimensions: int) -> np.ndarray:
    """Vectors of another width: shape (n, dimensions), float32, each of length 1. Raises ValueError below 1.

    Shorter: the first numbers are kept and scaled to length 1 again. WordLlama's README says that its vectors
    were trained for this (Matryoshka representations) and gives results for 64 numbers and more, not fewer.
    Longer: zeros are appended, so that code written for OpenAI's widths (1536, 3072) runs. The zeros add
    nothing: every similarity stays what it was with 256 numbers.
    """
    if dimensions < 1:
        raise ValueError(f"dimensions must be at least 1, not {dimensions}.")
    missing = dimensions - vectors.shape[1]
    if missing >= 0:
        return np.pad(vectors, ((0, 0), (0, missing))).astype(np.float32)
    return _unit_length(vectors[:, :dimensions].astype(np.float32))


def _unit_length(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    all_alike = np.float32(vectors.shape[1] ** -0.5)  # what a vector without a direction becomes
    return np.where(lengths > 0, vectors / np.maximum(lengths, np.finfo(np.float32).tiny), all_alike)


def _model() -> tuple[Tokenizer, np.ndarray]:
    with _lock:  # a cache alone would let two threads load it twice
        return _load()


@functools.cache
def _load() -> tuple[Tokenizer, np.ndarray]:
    return Tokenizer.from_file(str(_file(TOKENIZER))), _map_table(_file(WEIGHTS))


def _map_table(file: Path) -> np.ndarray:
    """The token vectors, float16, mapped from disk: only the rows that are used come into memory.

    The safetensors format: 8 bytes with the length of the header, the header in JSON, then the numbers.
    """
    with open(file, "rb") as stream:
        header_length = int.from_bytes(stream.read(8), "little")
        tensor = json.loads(stream.read(header_length))[TENSOR]
    if tensor["dtype"] != "F16" or tensor["shape"][1] != WIDTH:
        raise ValueError(
            f"{file} holds {tensor}, not {WIDTH} float16 numbers a token. Install requirements.txt."
        )
    start = 8 + header_length + tensor["data_offsets"][0]
    return np.memmap(file, dtype="<f2", mode="r", offset=start, shape=tuple(tensor["shape"]))


def _file(name: str) -> Path:
    spec = importlib.util.find_spec(PACKAGE)  # says where the package lies without running its code
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            f"The package {PACKAGE} is missing. Run start.py or install requirements.txt."
        )
    return Path(spec.submodule_search_locations[0]) / name
