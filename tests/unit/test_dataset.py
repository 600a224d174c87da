"""Reading, writing and judging training rows."""

import pytest

from helpers import dataset


def chat(*messages: dict) -> dict:
    return {"messages": list(messages)}


USER = {"role": "user", "content": "Where?"}
ASSISTANT = {"role": "assistant", "content": "Here."}
CALL = {"id": "1", "type": "function", "function": {"name": "find", "arguments": "{}"}}


def test_what_is_written_is_read_back(tmp_path):
    rows = [chat(USER, ASSISTANT), chat({"role": "user", "content": "在哪里?\n«где»"}, ASSISTANT)]
    dataset.write(rows, tmp_path / "rows.jsonl")
    assert dataset.read(tmp_path / "rows.jsonl") == rows


def test_a_byte_order_mark_and_blank_lines_are_read_over(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\n\n{"a": 2}\n')
    assert list(dataset.read_lines(path)) == [(1, {"a": 1}), (3, {"a": 2})]


def test_a_line_that_is_not_json_is_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n{"a": \n')
    with pytest.raises(ValueError, match="Line 2 is not valid JSON"):
        dataset.read(path)


@pytest.mark.parametrize(
    "row",
    [
        chat(USER, ASSISTANT),
        chat({"role": "system", "content": ""}, USER, ASSISTANT | {"weight": 0}),
        chat({"role": "user", "content": [{"type": "text", "text": "Where?"}]}, ASSISTANT),
        chat(USER, {"role": "assistant", "content": None, "tool_calls": [CALL]}),
        {"input": {"messages": [USER]}, "preferred_output": [ASSISTANT], "non_preferred_output": [ASSISTANT]},
        {"prompt": "Where?", "completion": "Here."},
    ],
)
def test_good_rows_have_no_problem(row):
    assert dataset.problem(row) is None


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ([], "Unexpected file format"),
        ({"text": "Here."}, "Unexpected file format"),
        (chat(), "at least one message"),
        (chat(USER), "nothing to learn"),
        (chat({"content": "Where?"}, ASSISTANT), "message 1 Discriminator 'role' is missing"),
        (chat(USER, {"role": "asistant", "content": "Here."}), "message 2 has the unknown role 'asistant'"),
        (chat(USER, {"role": "assistant"}), "message 2 has no 'content'"),
        (chat(USER, "Here."), "message 2 is not a JSON object"),
        (chat(USER | {"weight": 1}, ASSISTANT), "message 1 has a 'weight'"),
        (chat(USER, ASSISTANT | {"weight": 0.5}), "message 2 has a 'weight'"),
        ({"input": {"messages": [USER]}, "preferred_output": [ASSISTANT]}, "non_preferred_output"),
    ],
)
def test_bad_rows_are_explained(row, words):
    assert words in dataset.problem(row)
