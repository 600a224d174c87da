"""Rows that other tools write: one finding names the call that converts them, and that loses nothing."""

import json
import random
import re

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers import dataset
from helpers.dataset.convert import _is_empty
from tests import planted

VARIANTS = 10
SYSTEM = "You answer for the library."


def user(text: str) -> dict:
    return {"role": "user", "content": text}


def assistant(text: str, **more) -> dict:
    return {"role": "assistant", "content": text, **more}


def chat(question: str, answer: str, system: str | None = None) -> dict:
    first = [{"role": "system", "content": system}] if system else []
    return {"messages": [*first, user(question), assistant(answer)]}


def pair(question: str, better: str, worse: str, system: str | None = None) -> dict:
    chat_row = chat(question, better, system)
    *given, preferred = chat_row["messages"]
    return {
        "input": {"messages": given},
        "preferred_output": [preferred],
        "non_preferred_output": [assistant(worse)],
    }


def turn(who: str, text: str) -> dict:
    return {"from": who, "value": text}


NO = "No idea."
TOOLS = [
    {"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {}}}}
]
# name -> (a row of question and answer, the call that converts it, what comes out)
FORMS = {
    "alpaca": (lambda q, a: {"instruction": q, "input": "", "output": a}, "from_alpaca", chat),
    "alpaca with input": (
        lambda q, a: {"instruction": "Answer.", "input": q, "output": a},
        "from_alpaca",
        lambda q, a: chat(f"Answer.\n\n{q}", a),
    ),
    "alpaca with system and history": (
        lambda q, a: {
            "instruction": q,
            "input": "",
            "output": a,
            "system": SYSTEM,
            "history": [["Hello", "Hi"]],
        },
        "from_alpaca",
        lambda q, a: {
            "messages": [
                {"role": "system", "content": SYSTEM},
                user("Hello"),
                assistant("Hi"),
                user(q),
                assistant(a),
            ]
        },
    ),
    "ms-swift query": (
        lambda q, a: {"system": SYSTEM, "query": q, "response": a},
        "from_alpaca",
        lambda q, a: chat(q, a, SYSTEM),
    ),
    "sharegpt": (lambda q, a: {"conversations": [turn("human", q), turn("gpt", a)]}, "from_sharegpt", chat),
    "sharegpt with system and weight": (
        lambda q, a: {
            "system": SYSTEM,
            "conversations": [
                turn("human", "Hello"),
                turn("gpt", "Hi") | {"weight": 0},
                turn("human", q),
                turn("gpt", a),
            ],
        },
        "from_sharegpt",
        lambda q, a: {
            "messages": [
                {"role": "system", "content": SYSTEM},
                user("Hello"),
                assistant("Hi", weight=0),
                user(q),
                assistant(a),
            ]
        },
    ),
    "sharegpt with tools": (
        lambda q, a: {
            "conversations": [turn("human", q), turn("gpt", a)],
            "tools": json.dumps([TOOLS[0]["function"]]),
        },
        "from_sharegpt",
        lambda q, a: chat(q, a) | {"tools": TOOLS},
    ),
    "sharegpt under messages": (
        lambda q, a: {"messages": [turn("human", q), turn("gpt", a)]},
        "from_sharegpt",
        chat,
    ),
    "openai messages under conversations": (
        lambda q, a: {"conversations": chat(q, a)["messages"]},
        "from_sharegpt",
        chat,
    ),
    "ms-swift turns": (
        lambda q, a: {"system": SYSTEM, "conversation": [{"human": q, "assistant": a}]},
        "from_sharegpt",
        lambda q, a: chat(q, a, SYSTEM),
    ),
    "trl prompt and completion": (
        lambda q, a: {"prompt": [user(q)], "completion": [assistant(a)]},
        "from_prompt_completion",
        chat,
    ),
    "trl preference": (
        lambda q, a: {"prompt": q, "chosen": a, "rejected": NO},
        "from_preferences",
        lambda q, a: pair(q, a, NO),
    ),
    "trl conversational preference": (
        lambda q, a: {"prompt": [user(q)], "chosen": [assistant(a)], "rejected": [assistant(NO)]},
        "from_preferences",
        lambda q, a: pair(q, a, NO),
    ),
    "trl implicit prompt": (
        lambda q, a: {"chosen": [user(q), assistant(a)], "rejected": [user(q), assistant(NO)]},
        "from_preferences",
        lambda q, a: pair(q, a, NO),
    ),
    "ultrafeedback": (
        lambda q, a: {"prompt": q, "chosen": [user(q), assistant(a)], "rejected": [user(q), assistant(NO)]},
        "from_preferences",
        lambda q, a: pair(q, a, NO),
    ),
    "ms-swift rejected_response": (
        lambda q, a: {**chat(q, a, SYSTEM), "rejected_response": NO},
        "from_preferences",
        lambda q, a: pair(q, a, NO, SYSTEM),
    ),
    "ms-swift rejected_messages": (
        lambda q, a: {**chat(q, a), "rejected_messages": chat(q, NO)["messages"]},
        "from_preferences",
        lambda q, a: pair(q, a, NO),
    ),
    "ms-swift query preference": (
        lambda q, a: {"query": q, "response": a, "rejected_response": NO},
        "from_preferences",
        lambda q, a: pair(q, a, NO),
    ),
    "llama-factory alpaca preference": (
        lambda q, a: {"instruction": q, "input": "", "chosen": a, "rejected": NO},
        "from_preferences",
        lambda q, a: pair(q, a, NO),
    ),
    "llama-factory sharegpt preference": (
        lambda q, a: {
            "conversations": [turn("human", q)],
            "chosen": turn("gpt", a),
            "rejected": turn("gpt", NO),
        },
        "from_preferences",
        lambda q, a: pair(q, a, NO),
    ),
    "orca preference": (
        lambda q, a: {"system": SYSTEM, "question": q, "chosen": a, "rejected": NO},
        "from_preferences",
        lambda q, a: pair(q, a, NO, SYSTEM),
    ),
    "hh transcripts": (
        lambda q, a: {
            "chosen": f"\n\nHuman: {q}\n\nAssistant: {a}",
            "rejected": f"\n\nHuman: {q}\n\nAssistant: {NO}",
        },
        "from_preferences",
        lambda q, a: pair(q, a, NO),
    ),
    "messages as JSON text": (
        lambda q, a: {"messages": json.dumps(chat(q, a)["messages"])},
        "from_messages",
        chat,
    ),
    "tools as JSON text": (
        lambda q, a: chat(q, a) | {"tools": json.dumps(TOOLS)},
        "from_messages",
        lambda q, a: chat(q, a) | {"tools": TOOLS},
    ),
    "anthropic": (
        lambda q, a: {"system": SYSTEM, **chat(q, a)},
        "from_messages",
        lambda q, a: chat(q, a, SYSTEM),
    ),
    "gemini": (
        lambda q, a: {
            "systemInstruction": {"parts": [{"text": SYSTEM}]},
            "contents": [{"role": "user", "parts": [{"text": q}]}, {"role": "model", "parts": [{"text": a}]}],
        },
        "from_messages",
        lambda q, a: chat(q, a, SYSTEM),
    ),
    "chatml": (
        lambda q, a: {"text": f"<|im_start|>user\n{q}<|im_end|>\n<|im_start|>assistant\n{a}<|im_end|>\n"},
        "from_chatml",
        chat,
    ),
    "trl prompts": (
        lambda q, a: {"prompt": [user(q)], "solution": a},
        "from_prompts",
        lambda q, a: {"messages": [user(q)], "solution": a},
    ),
}
TABLES = [("question", "answer"), ("input", "output"), ("query", "answer"), ("user", "assistant")]
NAMED_ONLY = {
    "trl unpaired": lambda q, a: {"prompt": q, "completion": a, "label": True},
    "llama-factory kto": lambda q, a: {"instruction": q, "output": a, "kto_tag": False},
    "ms-swift kto": lambda q, a: chat(q, a) | {"label": False},
    "trl stepwise": lambda q, a: {"prompt": q, "completions": [a, a], "labels": [True, False]},
    "trl language modelling": lambda q, a: {"text": f"{q} {a}"},
    "batch requests": lambda q, a: {"custom_id": q, "method": "POST", "url": "/v1/chat", "body": {}},
    "ms-swift pictures": lambda q, a: chat(f"<image>{q}", a) | {"images": ["leaf.png"]},
}


def sample(seed: int) -> list[tuple[str, str]]:
    return random.Random(seed).sample(planted.POOL, 14)


def only_finding(report: dataset.Report) -> dataset.Problem:
    """The one finding of a report, in one code."""
    assert (report.errors, len(report.totals)) == (1, 1), str(report)
    (problem,) = report.problems
    return problem


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("seed", range(VARIANTS))
def test_a_form_is_named_with_the_call_that_converts_it(name, seed):
    make, call, expected = FORMS[name]
    rows = [make(*pair) for pair in sample(seed)]
    problem = only_finding(dataset.check(rows, content=False))
    assert f"dataset.{call}(rows)" in problem.where and "(14 rows)" in problem.where and problem.line == 1
    converted = getattr(dataset, call)(rows)
    assert converted == [expected(*pair) for pair in sample(seed)]
    method = "reinforcement" if call == "from_prompts" else None
    assert dataset.check(converted, method=method).errors == 0


@pytest.mark.parametrize("name", FORMS)
def test_from_file_converts_a_form_by_itself(name, tmp_path):
    make, _, expected = FORMS[name]
    dataset.write([make(*pair) for pair in sample(1)], tmp_path / "rows.jsonl")
    assert dataset.from_file(tmp_path / "rows.jsonl") == [expected(*pair) for pair in sample(1)]
    text = json.dumps([make(*pair) for pair in sample(1)], indent=1)
    (tmp_path / "rows.json").write_text(text, encoding="utf-8")
    assert dataset.from_file(tmp_path / "rows.json") == [expected(*pair) for pair in sample(1)]


@pytest.mark.parametrize("columns", TABLES)
def test_a_table_is_named_with_its_columns(columns, tmp_path):
    rows = [dict(zip(columns, pair, strict=True)) for pair in sample(2)]
    problem = only_finding(dataset.check(rows, content=False))
    assert f"dataset.from_table(rows, question={columns[0]!r}, answer={columns[1]!r})" in problem.where
    assert dataset.from_table(rows, *columns) == [chat(*pair) for pair in sample(2)]
    dataset.write(rows, tmp_path / "rows.jsonl")
    assert dataset.from_file(tmp_path / "rows.jsonl") == [chat(*pair) for pair in sample(2)]


@pytest.mark.parametrize("name", NAMED_ONLY)
@pytest.mark.parametrize("seed", range(VARIANTS))
def test_what_cannot_be_converted_is_named_once_too(name, seed, tmp_path):
    rows = [NAMED_ONLY[name](*pair) for pair in sample(seed)]
    problem = only_finding(dataset.check(rows, content=False))
    assert "dataset.from" not in problem.where
    dataset.write(rows, tmp_path / "rows.jsonl")
    with pytest.raises(ValueError):
        dataset.from_file(tmp_path / "rows.jsonl")


@pytest.mark.parametrize("orient", ["columns", "split"])
@pytest.mark.parametrize("name", ["table", "messages"])
def test_column_wise_json_of_pandas(orient, name, tmp_path):
    frame = pd.DataFrame(sample(3), columns=["question", "answer"])
    if name == "messages":
        frame = pd.DataFrame({"messages": [chat(*pair)["messages"] for pair in sample(3)]})
    frame.to_json(tmp_path / "rows.jsonl", orient=orient)
    report = dataset.check(tmp_path / "rows.jsonl", content=False)
    assert "pandas' column-wise JSON; read the file with dataset.from_file" in report.problems[0].where
    assert (report.rows, report.errors, len(report.totals)) == (14, 1, 1)
    assert dataset.from_file(tmp_path / "rows.jsonl") == [chat(*pair) for pair in sample(3)]


def test_rows_written_twice_as_json(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(json.dumps(chat(*pair))) + "\n" for pair in sample(4)))
    assert "JSON twice" in only_finding(dataset.check(path)).where
    assert dataset.from_file(path) == [chat(*pair) for pair in sample(4)]


def test_rows_of_several_forms_are_refused_with_their_numbers(tmp_path):
    dataset.write(
        [chat("Where?", "Here."), {"instruction": "Where?", "output": "Here."}], tmp_path / "rows.jsonl"
    )
    with pytest.raises(ValueError, match="row 1: .*row 2: Alpaca rows|row 2: Alpaca rows.*row 1: "):
        dataset.from_file(tmp_path / "rows.jsonl")


# --- null, as Hugging Face's to_json writes it ---------------------------------------------------------------


def filled_with_null(row: dict, picker: random.Random) -> dict:
    keys = picker.sample(
        ["name", "tool_calls", "tool_call_id", "weight", "function_call", "refusal"], picker.randint(2, 6)
    )
    if {*keys} == {"function_call", "refusal"}:
        keys.append("name")
    row = {"messages": [message | dict.fromkeys(keys) for message in row["messages"]]}
    return row | ({"tools": None} if picker.random() < 0.5 else {})


@pytest.mark.parametrize("seed", range(VARIANTS))
def test_keys_filled_with_null_are_one_finding_and_fix_deletes_them(seed, tmp_path):
    picker = random.Random(seed)
    clean = [chat(*pair, system=SYSTEM) for pair in sample(seed)]
    dataset.write([filled_with_null(row, picker) for row in clean], tmp_path / "rows.jsonl")
    report = dataset.check(tmp_path / "rows.jsonl")
    assert report.totals == {"null_keys": report.errors}, str(report)
    assert "dataset.fix" in report.problems[0].mend
    dataset.fix(tmp_path / "rows.jsonl", tmp_path / "fixed.jsonl")
    assert dataset.read(tmp_path / "fixed.jsonl") == clean
    assert dataset.check(tmp_path / "fixed.jsonl").totals == {}


def test_calls_and_parts_filled_with_null(tmp_path):
    call = {"id": "c", "type": "function", "function": {"name": "find", "arguments": "{}"}, "index": None}
    schema = {"type": "object", "properties": {"title": {"type": "string", "default": None}, "year": None}}
    row = {
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": "Where?", "image_url": None}],
                "tool_calls": None,
            },
            {"role": "assistant", "content": None, "tool_calls": [call]},
        ],
        "tools": [{"type": "function", "function": {"name": "find", "parameters": schema}}],
    }
    dataset.write([row] + [chat(*pair) for pair in sample(5)], tmp_path / "rows.jsonl")
    assert dataset.check(tmp_path / "rows.jsonl").totals == {"null_keys": 1}
    dataset.fix(tmp_path / "rows.jsonl", tmp_path / "fixed.jsonl")
    mended = dataset.read(tmp_path / "fixed.jsonl")[0]
    assert "null" not in json.dumps(mended).replace('"default": null', "")
    assert mended["tools"][0]["function"]["parameters"]["properties"] == {
        "title": {"type": "string", "default": None}
    }
    assert dataset.problem(mended) is None


@pytest.mark.parametrize("sign", ["\r", "\r\n", "\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\n\r"])
def test_line_ends_of_any_kind_are_mended(sign, tmp_path):
    rows = [chat(*pair) for pair in sample(6)]
    data = sign.join(json.dumps(row, ensure_ascii=False) for row in rows)
    (tmp_path / "rows.jsonl").write_bytes(data.encode())
    found = dataset.check(tmp_path / "rows.jsonl").totals.keys()
    assert found == (set() if "\n" in sign else {"line_ends"}), found
    assert dataset.fix(tmp_path / "rows.jsonl", tmp_path / "fixed.jsonl") or sign == "\n\r"
    assert dataset.read(tmp_path / "fixed.jsonl") == rows


# --- a converter loses and rewrites nothing ------------------------------------------------------------------

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=40).filter(
    str.strip
)
OTHER_KEYS = st.sampled_from(
    ["id", "source", "category", "weight", "metadata", "score", "name", "label_text"]
)


def texts_in(value) -> list[str]:
    """Every text of a row, in order, but for roles and types."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        inside = (one for key, one in value.items() if key not in ("role", "from", "type"))
        return [text for one in inside for text in texts_in(one)]
    return [text for one in value for text in texts_in(one)] if isinstance(value, list) else []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.parametrize("name", sorted(FORMS.keys() - {"hh transcripts", "chatml"}))
@given(question=TEXT, answer=TEXT)
def test_every_text_comes_out_as_it_went_in(name, question, answer):
    """Transcripts and ChatML are left out: in them a text may hold a mark."""
    make, call, expected = FORMS[name]
    if answer == NO:
        answer = "Yes."
    (converted,) = getattr(dataset, call)([make(question, answer)])
    assert converted == expected(question, answer)
    assert {question, answer} <= {*texts_in(converted)} or "input" in name


@settings(max_examples=20, deadline=None)
@pytest.mark.parametrize("name", sorted(FORMS.keys() - {"trl prompts"}))
@given(key=OTHER_KEYS, value=TEXT | st.integers() | st.lists(TEXT, min_size=1, max_size=2))
def test_a_key_without_a_place_is_refused_by_row_and_name(name, key, value):
    make, call, expected = FORMS[name]
    rows = [make("Where?", "Here."), make("When?", "Soon.") | {key: value}]
    with pytest.raises(ValueError, match=f"Row 2 has the key '{key}'"):
        getattr(dataset, call)(rows)
    assert getattr(dataset, call)(rows, drop=[key])[1] == expected("When?", "Soon.")


@pytest.mark.parametrize("empty", [None, float("nan"), pd.NA, pd.NaT, "", "  ", [], {}], ids=repr)
def test_nothing_is_nothing_everywhere(empty):
    assert _is_empty(empty)
    assert dataset.from_alpaca([{"instruction": "Where?", "input": empty, "output": "Here."}]) == [
        chat("Where?", "Here.")
    ]
    assert dataset.from_sharegpt(
        [{"conversations": [turn("human", "Where?"), turn("gpt", "Here.")], "system": empty, "id": empty}]
    ) == [chat("Where?", "Here.")]
    for call, row in [
        ("from_table", {"question": "Where?", "answer": empty}),
        ("from_alpaca", {"instruction": "Where?", "output": empty}),
        ("from_prompt_completion", {"prompt": empty, "completion": "Here."}),
        ("from_sharegpt", {"conversations": [turn("human", "Where?"), turn("gpt", empty)]}),
        ("from_preferences", {"prompt": "Where?", "chosen": "Here.", "rejected": empty}),
    ]:
        with pytest.raises(ValueError, match="Row 1"):
            getattr(dataset, call)([row])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (4, "4"),
        (4.0, "4"),
        (-3.0, "-3"),
        (2.5, "2.5"),
        ({"shelf": "B", "locked": True}, '{"shelf": "B", "locked": true}'),
        (["B", "Ü"], '["B", "Ü"]'),
        (pd.Series([7.0, None])[0], "7"),
        (True, None),
        (float("inf"), None),
        (1e300, None),
        ({"shelf": {1, 2}}, None),
        (pd.Timestamp("2026-01-02"), None),
    ],
    ids=repr,
)
def test_texts_are_texts(value, text):
    calls = {
        "from_table": {"question": "Where?", "answer": value},
        "from_alpaca": {"instruction": "Where?", "output": value},
        "from_prompt_completion": {"prompt": "Where?", "completion": value},
        "from_sharegpt": {"conversations": [turn("human", "Where?"), turn("gpt", value)]},
    }
    for call, row in calls.items():
        if text is None:
            with pytest.raises(ValueError, match="Row 1: .* is no text"):
                getattr(dataset, call)([row])
        else:
            assert getattr(dataset, call)([row]) == [chat("Where?", text)]


def test_whole_numbers_of_a_column_with_a_gap():
    frame = pd.DataFrame({"question": ["How many?"] * 3, "answer": [4, 5, 6], "system": [1, None, 2]})
    systems = [row["messages"][0]["content"] for row in dataset.from_table(frame)]
    assert systems == ["1", "How many?", "2"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("seed", range(VARIANTS))
def test_a_row_with_more_cells_than_columns_is_refused(delimiter, seed, tmp_path):
    picker = random.Random(seed)
    bad = picker.randrange(10)
    lines = [[q.replace(delimiter, " "), a.replace(delimiter, " ")] for q, a in sample(seed)[:10]]
    lines[bad][picker.randrange(2)] += f"{delimiter} gladly."
    text = "\n".join(delimiter.join(line) for line in [["question", "answer"], *lines])
    (tmp_path / "faq.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=f"Row {bad + 1} has more cells .3. than there are columns .2."):
        dataset.from_file(tmp_path / "faq.csv")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("question,answer,answer\na,b,c\n", "Two columns are called 'answer'"),
        ('question,answer\n"Where?,Here.\nWhen?,Soon.\n', "is not CSV"),
        ("question,answer,desk\nWhere?,Here.,Map\n", "Row 1 has the key 'desk'"),
    ],
)
def test_other_ways_to_lose_a_cell(text, said, tmp_path):
    (tmp_path / "faq.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        dataset.from_file(tmp_path / "faq.csv")


def test_empty_cells_and_columns_at_the_end_are_no_loss(tmp_path):
    (tmp_path / "faq.csv").write_text("question,answer,,\nWhere?,Here.,,\nWhen?,Soon.\n", encoding="utf-8")
    assert dataset.from_file(tmp_path / "faq.csv") == [chat("Where?", "Here."), chat("When?", "Soon.")]


@pytest.mark.parametrize(
    ("call", "row", "said"),
    [
        (
            "from_sharegpt",
            {"conversations": [turn("human", "a") | {"mood": "sad"}]},
            "a turn has the key 'mood'",
        ),
        ("from_sharegpt", {"conversations": [turn(["human"], "a")]}, "unknown speaker"),
        ("from_sharegpt", {"conversations": ["Where?"]}, "'conversations' is no list of messages"),
        (
            "from_sharegpt",
            {"conversations": [turn("function_call", "{}")]},
            "a call is not {name, arguments} as JSON: '{}'",
        ),
        (
            "from_sharegpt",
            {"conversations": [turn("system", "a"), turn("gpt", "b")], "system": "c"},
            "two system prompts",
        ),
        (
            "from_alpaca",
            {"instruction": "a", "output": "b", "history": "c"},
            "'history' is not a list of pairs",
        ),
        ("from_messages", {"messages": "[broken"}, "'messages' is no list of messages, nor JSON text of one"),
        ("from_messages", {"messages": [{"role": "pilot", "content": "a"}]}, "unknown speaker 'pilot'"),
        (
            "from_messages",
            {"contents": [{"role": "user", "parts": [{"inlineData": {}}]}]},
            "parts that are not texts",
        ),
        ("from_preferences", {"chosen": "b", "rejected": "c"}, "has no prompt"),
        (
            "from_preferences",
            {"prompt": "a", "chosen": [user("b")], "rejected": "c"},
            "'chosen' is not one answer",
        ),
        ("from_chatml", "Hello <|im_start|>user\na<|im_end|>", "a text outside of the marks: 'Hello'"),
        ("from_alpaca", ["a"], "Row 1 is not an object"),
    ],
)
def test_what_has_no_place_is_refused(call, row, said):
    with pytest.raises(ValueError, match=f"Row 1.*{re.escape(said)}|{re.escape(said)}"):
        getattr(dataset, call)([row])


def test_weights_by_other_names_are_kept():
    turns = [turn("human", "a"), turn("gpt", "b") | {"loss": False}, turn("gpt", "c") | {"train": True}]
    messages = dataset.from_sharegpt([{"conversations": turns}])[0]["messages"]
    assert [message.get("weight") for message in messages] == [None, 0, 1]
