"""Word vectors of the embeddings endpoint: real, offline, and honest about their width."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from helpers.local_api import vectors

ROOT = Path(__file__).parents[2]
TEXTS = [
    "May I bring pork products into the country today?",
    "Where do I collect my lost suitcase?",
    "Der Zug nach München fährt um acht Uhr.",
    "今天可以带猪肉制品入境吗？",
    "👩‍👩‍👧‍👦",
    " ",
    "a" * 3000,
]


@pytest.mark.parametrize("width", [1, 64, 256, 1536])
def test_unit_length(width):
    found = vectors.resize(vectors.embed([*TEXTS, ""]), width)
    assert found.shape == (len(TEXTS) + 1, width) and found.dtype == np.float32
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "related", "unrelated"),
    [
        ("My bag did not arrive.", "Where do I report lost luggage?", "How long is the summer holiday?"),
        ("Can I carry meat across the border?", "Pork and sausages at customs", "The film starts at nine."),
        ("The doctor prescribed a new medicine.", "a nurse in the hospital", "a goal in the last minute"),
    ],
)
@pytest.mark.parametrize("width", [64, 256, 1536])
def test_related_texts_are_closer(text, related, unrelated, width):
    one, near, far = vectors.resize(vectors.embed([text, related, unrelated]), width)
    assert one @ near > one @ far + 0.1


def test_same_text_same_vector():
    assert np.array_equal(vectors.embed(TEXTS), vectors.embed(TEXTS))
    assert np.array_equal(vectors.embed(TEXTS)[2], vectors.embed([TEXTS[2]])[0])


def test_word_order_is_not_seen():
    """A limit that the docstring states."""
    one, other = vectors.embed(["dog bites man", "man bites dog"])
    assert one @ other == pytest.approx(1, abs=1e-5)


def test_text_without_tokens_gets_a_fixed_vector():
    one, two = vectors.embed(["", ""])
    assert np.array_equal(one, two) and np.allclose(one, 1 / 16)
    assert np.allclose(vectors.resize(vectors.embed([""]), 4), 0.5)


def test_no_texts():
    assert vectors.embed([]).shape == (0, 256)
    assert vectors.resize(vectors.embed([]), 1536).shape == (0, 1536)


def test_half_a_surrogate_pair_is_survived():
    assert np.isfinite(vectors.embed(["broken \ud83d text"])).all()


def test_shorter_is_cut_and_scaled():
    full = vectors.embed(TEXTS)
    cut = full[:, :64]
    assert np.allclose(vectors.resize(full, 64), cut / np.linalg.norm(cut, axis=1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize("width", [1536, 3072])
def test_longer_is_padded_and_adds_nothing(width):
    full = vectors.embed(TEXTS)
    padded = vectors.resize(full, width)
    assert np.array_equal(padded[:, :256], full) and not padded[:, 256:].any()
    assert np.allclose(padded @ padded.T, full @ full.T, atol=1e-6)


@pytest.mark.parametrize("width", [0, -1])
def test_width_below_one_is_refused(width):
    with pytest.raises(ValueError, match="dimensions must be at least 1"):
        vectors.resize(vectors.embed(["a"]), width)


def test_threads_load_the_model_once(monkeypatch):
    loads = []
    real = vectors._map_table
    monkeypatch.setattr(vectors, "_map_table", lambda file: loads.append(file) or real(file))
    vectors._load.cache_clear()
    threads = [threading.Thread(target=vectors.embed, args=(TEXTS,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1


def test_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(vectors, "PACKAGE", "no_such_package")
    with pytest.raises(FileNotFoundError, match="no_such_package is missing"):
        vectors._file(vectors.WEIGHTS)


def test_offline_and_without_running_the_packages_code():
    code = """
import socket, sys
def refuse(*args, **kwargs):
    raise AssertionError("network used")
socket.socket.connect = socket.socket.connect_ex = socket.create_connection = socket.getaddrinfo = refuse
from helpers.local_api import vectors
assert vectors.embed(["Hello"]).shape == (1, 256)
print([name for name in ("wordllama", "safetensors", "requests", "huggingface_hub") if name in sys.modules])
"""
    assert _run(code).strip() == "[]"


def test_pooling_is_wordllamas_own():
    """Compared with the package's inference code, which is given the same two files.

    Only that one file of its code runs. The compiled parts, for clustering and splitting, and what the rest needs are
    not there on every Python.
    """
    code = f"""
import importlib.util, sys
from unittest.mock import Mock
import numpy as np
package = importlib.util.find_spec("wordllama")
sys.modules["wordllama"] = importlib.util.module_from_spec(package)  # without running its __init__
sys.modules["wordllama.algorithms"] = sys.modules["wordllama.algorithms.semantic_splitter"] = Mock()
from wordllama.inference import WordLlamaInference
from helpers.local_api import vectors
tokenizer, table = vectors._load()
texts = {TEXTS!r}
ours = vectors.embed(texts)
theirs = WordLlamaInference(np.array(table), tokenizer).embed(texts, norm=True)
print(float(np.abs(ours - theirs).max()))
"""
    assert float(_run(code)) < 1e-5


def _run(code: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout
