"""The work of the checker grows as its data do, whatever the data are: no row and no file takes the square of its size.

Each text here is the worst that is known for one code, or for one part of the checker. Processor time is compared
within one run, the shortest of several: four times the data must not take eight times as long (twice the size twice).
"""

import itertools
import json
import time
import tracemalloc

import pytest

from helpers import dataset
from helpers.dataset.lines import parsed
from helpers.dataset.part import Settings, check_part

SMALL = 15_000  # bytes of the small one
MOST = 8  # times as long as the small one, where 4 is right and 16 is a square


def row(answer: str, question: str = "Where?") -> dict:
    return {
        "messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}],
    }


def numbered(text: str, size: int) -> str:
    return "".join(itertools.islice(map(text.format, itertools.count(1000)), size // len(text)))


def repeated(unit):
    return lambda size: row(unit * (size // len(unit.encode())))


def many(item, key="messages", **others):
    """A row with many of the same item."""
    return lambda size: {key: [item] * (size // len(json.dumps(item))), **others}


CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
USER, ASSISTANT = row("Here.")["messages"]
ROWS = {  # what grows -> a function of the size
    **{
        f"repeated {unit!r}": repeated(unit)
        for unit in [
            *[
                "password:",
                "password ",
                "Password is",
                "sk-",
                "sk-a-",
                "AKIA",
                "hf_",
                "-----BEGIN A ",
                "xoxb-",
            ],
            *["a@", "a.", "a@b.", "1 ", "1-", "4", "+1 ", "(123) ", "1,", "1.", "12 "],
            *["\u200b", "é", "\\u", "```", "the ", '{"a":', "[", '"', "ab ", "a", " ", "\n", "?", "der the "],
        ]
    },
    "password and blanks": lambda size: row("password" + " " * size),
    "one digit, then commas": lambda size: row(("1" + "," * 50) * (size // 51)),
    "numbers that are all told": lambda size: row(*[numbered("{} ", size // 2)] * 2),
    "numbers inside longer ones": lambda size: row(numbered("{} ", size // 2), numbered("9{}9 ", size // 2)),
    "JSON that has no end": lambda size: row('["' + "a" * size),
    "messages": many(ASSISTANT),
    "messages without a role": many({"content": "x"}),
    "messages without content": many({"role": "user", "contents": "x"}),
    "unknown roles": many({"role": "asistant", "content": "x"}),
    "a long unknown role": lambda size: {"messages": [{"role": "u" * size, "content": "x"}]},
    "a long unknown key": lambda size: {"messages": [USER, ASSISTANT], "m" * size: 1},
    "unknown keys": lambda size: {
        "messages": [USER, ASSISTANT],
        **{f"message{i}": 0 for i in range(size // 12)},
    },
    "keys and no messages": lambda size: {f"message{i}": 0 for i in range(size // 12)},
    "unknown keys of a message": lambda size: {
        "messages": [USER | {f"roles{i}": 0 for i in range(size // 10)}]
    },
    "tool calls": lambda size: {
        "messages": [USER, {"role": "assistant", "tool_calls": [CALL] * (size // 80)}]
    },
    "tool replies": many({"role": "tool", "tool_call_id": "b", "content": "x"}),
    "calls and replies": lambda size: {
        "messages": [
            {"role": "assistant", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "a", "content": ""},
        ]
        * (size // 150)
    },
    "tools": lambda size: {
        "messages": [USER, ASSISTANT],
        "tools": [{"function": {"name": "f"}}] * (size // 30),
    },
    "arguments": lambda size: {
        "messages": [
            USER,
            {
                "role": "assistant",
                "tool_calls": [CALL | {"function": {"name": "f", "arguments": "[" * size}}],
            },
        ]
    },
    "parts": lambda size: {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "x"}] * (size // 30)}, ASSISTANT]
    },
    "images": lambda size: {
        "messages": [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}] * (size // 60)}
        ]
    },
    "numbers in a list": lambda size: list(range(size // 6)),
    "preferred outputs": many(
        ASSISTANT, "preferred_output", input={"messages": [USER]}, non_preferred_output=[ASSISTANT]
    ),
    "prompt and completion": lambda size: {"prompt": "1 " * (size // 4), "completion": "1 " * (size // 4)},
}
FILES = {
    "the same row": lambda size: [json.dumps(row("Here."))] * (size // 90),
    "answers that disagree": lambda size: [json.dumps(row(f"Here {i}.")) for i in range(size // 90)],
    "rows that are nearly the same": lambda size: [
        json.dumps(
            row(f"Take lift {i} to the hall with the water points and turn left.", "Where is the gate?")
        )
        for i in range(size // 150)
    ],
    "blank lines": lambda size: [""] * size,
    "objects that never end": lambda size: ['{"a":'] * (size // 6),
    "objects that end too late": lambda size: ["{", '"a": 1', "}"] * (size // 11),
    "lists that never end": lambda size: ["["] * (size // 2),
    "lines that are no JSON": lambda size: ["{broken"] * (size // 8),
    "typographic quotes": lambda size: ["{“a”: 1}"] * (size // 13),
    "one line of commas and blanks": lambda size: ["{“" + ", " * (size // 2)],
    "one line of blanks after a comma": lambda size: ["{“," + " " * size],
    "secrets": lambda size: [json.dumps(row("password: hunter22"))] * (size // 110),
}


def seconds(path, data: bytes) -> float:
    """Processor time of one check."""
    path.write_bytes(data)
    start = time.thread_time()
    dataset.check(path, near_duplicates=True)
    return time.thread_time() - start


def times_as_long(tmp_path, small: bytes, large: bytes) -> float:
    """How many times as long the large one takes; looked at again if that is too long: others use the processor too."""
    shortest = [float("inf")] * 2
    for _ in range(6):
        for place, data in enumerate((small, large)):
            shortest[place] = min(shortest[place], seconds(tmp_path / "rows.jsonl", data))
        if shortest[1] < MOST * shortest[0]:
            break
    return shortest[1] / shortest[0]


def as_lines(*found) -> bytes:
    return "".join(f"{one}\n" for one in found).encode("utf-8", "surrogatepass")


@pytest.mark.slow
@pytest.mark.parametrize("make", ROWS.values(), ids=map(ascii, ROWS))
def test_a_row_takes_as_long_as_it_is(make, tmp_path):
    small, large = (as_lines(json.dumps(make(size), ensure_ascii=False)) for size in (SMALL, 4 * SMALL))
    assert 3 < len(large) / len(small) < 5
    assert times_as_long(tmp_path, small, large) < MOST


@pytest.mark.slow
@pytest.mark.parametrize("make", FILES.values(), ids=map(ascii, FILES))
def test_a_file_takes_as_long_as_it_is(make, tmp_path):
    small, large = (as_lines(*make(size)) for size in (SMALL, 4 * SMALL))
    assert 3 < len(large) / len(small) < 5
    assert times_as_long(tmp_path, small, large) < MOST


@pytest.mark.parametrize("words", ["{} ", "a"], ids=["numbers", "one letter"])
def test_a_long_row_takes_no_more_than_60_times_its_size(words):
    line = json.dumps(row(numbered(words, 300_000))).encode()
    check(b"{}")  # what is loaded at first use is not the row's
    tracemalloc.start()
    try:
        part = check(line)
        assert part.good == 1 and len(part.signatures) == 1
        assert tracemalloc.get_traced_memory()[1] < 60 * len(line)
    finally:
        tracemalloc.stop()


def check(line: bytes):
    return check_part(parsed(iter([(1, 0, line)])), Settings(None, near=True))


@pytest.mark.endurance(sample=5, soak=1_000)
def test_one_line_without_end_is_one_problem(tmp_path, count, figures):
    path = tmp_path / "rows.jsonl"
    with open(path, "wb") as file:
        for _ in range(count):
            file.write(b"a" * 1_000_000)
    report = dataset.check(path)
    assert (report.rows, report.totals["not_json"], report.problems[0].line) == (1, 1, 1)
    figures(f"one line of {count} MB that is not JSON: one problem")
