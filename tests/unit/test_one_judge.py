"""One judge: the API fails a job exactly where dataset.check finds an error, and with the same first reason."""

import json
import random
from pathlib import Path

import pytest

from helpers import dataset
from helpers.dataset.codes import CODES
from helpers.local_api.training_files import Failure, read_file
from tests import planted

MODEL = "gpt-4o-2024-08-06"  # the one that takes images too
ROOT = Path(__file__).resolve().parents[2]


def verdict_of_the_api(path: Path, method: str = "supervised", model: str = MODEL) -> str | None:
    """Why a job would fail, or None."""
    try:
        read_file(path, "file-1", method, "training_file", seed=1, model=model)
    except Failure as failure:
        assert failure.error["code"].startswith("invalid_")
        return str(failure)


def verdict_of_the_checker(path: Path, method: str = "supervised", model: str = MODEL) -> str | None:
    """The reason of the first error in the file: of the first bad row, else of the file as a whole."""
    report = dataset.check(path, model=model, method=method, content=False)
    order = list(CODES)
    errors = [one for one in report.problems if one.severity == "error"]
    errors.sort(key=lambda one: (CODES[one.code].stage == "file", one.line, order.index(one.code)))
    return errors[0].code if errors else None


def agree(path: Path, method: str = "supervised", model: str = MODEL) -> str | None:
    """Asserts that both say the same of a file, and returns the code of the first error."""
    said, code = verdict_of_the_api(path, method, model), verdict_of_the_checker(path, method, model)
    assert (said is None) == (code is None), (code, said, path.read_bytes()[-600:])
    if code:
        report = dataset.check(path, model=model, method=method, content=False)
        first = next(one for one in report.problems if one.code == code)
        where = (
            first.where.rpartition(" (")[0]
            if CODES[code].once and first.where.endswith("rows)")
            else first.where
        )
        reason = CODES[code].reason(first.line, where)
        if code == "too_few_rows":
            reason = "must have at least 10 examples"
        if code == "wrong_method":
            reason = "the specified fine-tuning job is not using"
        assert reason in said, (reason, said)
    return code


@pytest.mark.parametrize("code", sorted(CODES.keys() - planted.NOT_AS_FILES))
@pytest.mark.parametrize("method", ["supervised", "dpo", "reinforcement"])
def test_both_say_the_same_of_every_planted_file(code, method):
    model = planted.OPTIONS.get(code, {}).get("model", MODEL)
    found = agree(planted.FOLDER / f"{code}.jsonl", method, model)
    its_own = planted.OPTIONS.get(code, {}).get("method", "supervised")
    if CODES[code].severity == "error" and method == its_own and code != "wrong_method":
        assert found == code or code.startswith("dpo_")


@pytest.mark.parametrize("seed", range(10))
def test_what_the_mock_trained_though_the_checker_called_it_an_error(seed, tmp_path):
    """Reported: arguments that are an object, an image's address as a text, parts of the Responses API, nulls."""
    picker = random.Random(seed)
    question, answer = picker.choice(planted.POOL)
    url = f"https://library.example/{seed}.png"
    call = {"id": "c", "type": "function", "function": {"name": "find", "arguments": {"title": question}}}
    tools = [
        {"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {}}}}
    ]
    user, right = {"role": "user", "content": question}, {"role": "assistant", "content": answer}
    text = {"type": "text", "text": question}
    rows = {
        "tool_arguments": {"messages": [user, {"role": "assistant", "tool_calls": [call]}], "tools": tools},
        "content_part": {
            "messages": [{"role": "user", "content": [text, {"type": "image_url", "image_url": url}]}, right]
        },
        "null_keys": {"messages": [user, right | {"tool_calls": None, "function_call": None, "audio": None}]},
        "dpo_turns": {
            "input": {"messages": [user]},
            "preferred_output": [right, user, right],
            "non_preferred_output": [right | {"content": "No."}],
        },
    }
    parts = [{"type": "input_text", "text": question}, {"type": "input_image", "image_url": url}]
    rows["content_part "] = {"messages": [{"role": "user", "content": parts}, right]}
    for code, row in rows.items():
        path = tmp_path / "rows.jsonl"
        method = "dpo" if code == "dpo_turns" else "supervised"
        dataset.write([row] * 12, path)
        assert agree(path, method) == code.strip()


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(
    "model", ["gpt-3.5-turbo", "gpt-4.1-mini", "smollm2-135m-instruct", "ft:gpt-4.1-nano:org::1"]
)
def test_images_are_refused_where_the_model_takes_none(seed, model, tmp_path):
    picker = random.Random(seed)
    part = {"type": "image_url", "image_url": {"url": f"https://library.example/{picker.randrange(99)}.png"}}
    rows = [
        {"messages": [{"role": "user", "content": [part]}, {"role": "assistant", "content": a}]}
        for _, a in planted.POOL
    ]
    dataset.write(rows[:12], tmp_path / "rows.jsonl")
    assert agree(tmp_path / "rows.jsonl", model=model) == "image_model"
    assert agree(tmp_path / "rows.jsonl", model="gpt-4o-2024-08-06") is None
    assert dataset.check(tmp_path / "rows.jsonl").errors == 0  # without a model nobody knows


# --- generated rows ------------------------------------------------------------------------------------------

ODD = [
    None,
    0,
    1,
    0.5,
    -1,
    True,
    "",
    " ",
    "text",
    [],
    ["text"],
    {},
    {"a": None},
    [[]],
    [{}],
    "[]",
    "{}",
    10**20,
]
KEYS = [
    "role",
    "content",
    "name",
    "weight",
    "tool_calls",
    "tool_call_id",
    "function_call",
    "refusal",
    "messages",
]
KEYS += [
    "tools",
    "functions",
    "type",
    "function",
    "arguments",
    "parameters",
    "image_url",
    "url",
    "text",
    "id",
]
KEYS += ["input", "preferred_output", "system", "label", "prompt", "completion", "audio", "properties"]
WORDS = [
    "system",
    "user",
    "assistant",
    "tool",
    "function",
    "developer",
    "text",
    "image_url",
    "c",
    "find",
    "object",
]
CALL = {"id": "c", "type": "function", "function": {"name": "find", "arguments": "{}"}}
VALUES = [
    CALL,
    [CALL],
    [{"type": "text", "text": "Hi"}],
    [{"type": "image_url", "image_url": {"url": "https://library.example/a.png"}}],
    [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}],
    [{"role": "assistant", "content": "Yes."}],
    {"messages": [{"role": "user", "content": "Hi"}]},
    [{"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {}}}}],
]


def base_rows() -> list[dict]:
    """Right rows of every kind, to be spoilt."""
    files = [planted.FOLDER / "dpo_identical.jsonl", *sorted((ROOT / "tests" / "data").glob("clean_*.jsonl"))]
    rows = [row for path in files for row in dataset.read(path)[:4]]
    with_parts = {
        "messages": [{"role": "user", "content": VALUES[2]}, {"role": "assistant", "content": "Yes."}]
    }
    return [*rows, with_parts, {"messages": [{"role": "user", "content": "Hi"}], "reference": "Yes."}]


def places(value) -> list:
    """Every dict and list in a value, itself included."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return ([value] if isinstance(value, dict | list) else []) + [
        one for part in inside for one in places(part)
    ]


def spoilt(row: dict, picker: random.Random) -> dict:
    """The row with one to three keys or items deleted, added or replaced by something odd."""
    row = json.loads(json.dumps(row))
    for _ in range(picker.randint(1, 3)):
        place = picker.choice(places(row))
        new = json.loads(json.dumps(picker.choice([*ODD, *WORDS, *VALUES])))
        if isinstance(place, list):
            if place and picker.random() < 0.4:
                place.pop(picker.randrange(len(place)))
            else:
                place.insert(picker.randint(0, len(place)), new)
        elif place and picker.random() < 0.3:
            del place[picker.choice(list(place))]
        else:
            place[picker.choice([*place, *KEYS])] = new
    return row


@pytest.mark.endurance(sample=300, soak=20_000)
def test_both_say_the_same_of_generated_rows(tmp_path, count, figures):
    """Each row stands alone behind eleven right ones; chats, pairs of answers and questions for rewards."""
    picker, bases, path, found = random.Random(5), base_rows(), tmp_path / "rows.jsonl", {}
    for _ in range(count):
        base = picker.choice(bases)
        method = picker.choice(["supervised", "dpo", "reinforcement"])
        dataset.write([*[base] * 11, spoilt(base, picker)], path)
        code = agree(path, method)
        found[code] = found.get(code, 0) + 1
    assert found.get(None, 0) > count / 50 and len(found) > 10
    figures(
        f"{count} rows: {len(found) - 1} kinds of first errors, {found[None]} rows right, no disagreement"
    )
