"""Files as people post them in bug reports of other tools: what the checker says, and what the converter makes of them.

Each case names the thread or the page that shows such a file. The texts are of ours.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from helpers import dataset

Q, A, S = "May I bring my dog?", "Only guide dogs may come in.", "You answer for the library."
NO = "No idea."
FUNCTION = {"name": "find", "description": "Finds a book", "parameters": {"type": "object", "properties": {}}}
TOOLS = [{"type": "function", "function": FUNCTION}]
ARGUMENTS = '{"title": "Herbal"}'


def said(role: str, text: str, **more) -> dict:
    return {"role": role, "content": text, **more}


def turn(who: str, text: str, **more) -> dict:
    return {"from": who, "value": text, **more}


SYSTEM, USER, ASSISTANT = said("system", S), said("user", Q), said("assistant", A)
CHAT = {"messages": [USER, ASSISTANT]}
WITH_SYSTEM = {"messages": [SYSTEM, USER, ASSISTANT]}
PAIR = {
    "input": {"messages": [USER]},
    "preferred_output": [ASSISTANT],
    "non_preferred_output": [said("assistant", NO)],
}


def called(*replies: str, **more) -> dict:
    """A row with so many calls at once, their replies, and an answer."""
    calls = [
        {"type": "function", "function": {"name": "find", "arguments": ARGUMENTS}, "id": f"call_{number}"}
        for number in range(1, len(replies) + 1)
    ]
    messages = [USER, {"role": "assistant", "tool_calls": calls}]
    messages += [
        said("tool", text, tool_call_id=f"call_{n}", **more) for n, text in enumerate(replies, start=1)
    ]
    return {"messages": [*messages, ASSISTANT], "tools": TOOLS}


CALL = f'{{"name": "find", "arguments": {ARGUMENTS}}}'
OBJECT = {"type": "function", "function": {"name": "find", "arguments": json.loads(ARGUMENTS)}}
TRL_CALL = {"role": "assistant", "tool_calls": [OBJECT]}

# where such a row was seen -> the row, words of the one finding, what comes out
CONVERTED = {
    "unsloth issue 321: a list of turns": (
        [turn("human", Q), turn("gpt", A)],
        "it is a list; dataset.from_messages",
        CHAT,
    ),
    "AngelSlim issue 7": ({"messages": [turn("human", Q), turn("gpt", A)]}, "from_sharegpt(rows)", CHAT),
    "axolotl issue 752: assistant in ShareGPT": (
        {"conversations": [turn("human", Q), turn("assistant", A)]},
        "from_sharegpt(rows)",
        CHAT,
    ),
    "unsloth-zoo pull 1225: capitals and spaces": (
        {"conversations": [turn("User ", Q), turn("GPT", A)]},
        "from_sharegpt(rows)",
        CHAT,
    ),
    "axolotl, conversation.qmd, pygmalion": (
        {"conversations": [{"role": "user", "value": Q}, {"role": "assistant", "value": A}]},
        "from_sharegpt(rows)",
        CHAT,
    ),
    "axolotl, conversation.qmd, train": (
        {
            "conversations": [
                turn("human", Q, train=False),
                turn("gpt", A, train=False),
                turn("gpt", A, train=True),
            ]
        },
        "from_sharegpt(rows)",
        {"messages": [USER, ASSISTANT | {"weight": 0}, ASSISTANT | {"weight": 1}]},
    ),
    "ms-swift, Custom-dataset.md, history": (
        {"system": S, "query": Q, "response": A, "history": [["Hello", "Hi"]]},
        "from_alpaca(rows)",
        {"messages": [SYSTEM, said("user", "Hello"), said("assistant", "Hi"), USER, ASSISTANT]},
    ),
    "axolotl, inst_tune.qmd, oasst": ({"INSTRUCTION": Q, "RESPONSE": A}, "from_alpaca(rows)", CHAT),
    "axolotl, inst_tune.qmd, open_orca": (
        {"system_prompt": S, "question": Q, "response": A},
        "from_table(rows, question='question', answer='response')",
        WITH_SYSTEM,
    ),
    "axolotl, inst_tune.qmd, summarizetldr": (
        {"article": Q, "summary": A},
        "from_table(rows, question='article', answer='summary')",
        CHAT,
    ),
    "axolotl, inst_tune.qmd, metharme": ({"prompt": Q, "generation": A}, "answer='generation'", CHAT),
    "axolotl, inst_tune.qmd, camel": ({"message_1": Q, "message_2": A}, "question='message_1'", CHAT),
    "unsloth issue 1769: columns with capitals": (
        {"Query": Q, "Answer": 456},
        "from_table(rows, question='Query', answer='Answer')",
        {"messages": [USER, said("assistant", "456")]},
    ),
    "ms-swift, Custom-dataset.md: classes": (
        {"text": Q, "label": 1},
        "from_table(rows, question='text', answer='label')",
        {"messages": [USER, said("assistant", "1")]},
    ),
    "openai/evals, registry/data": (
        {"input": [SYSTEM, USER], "ideal": A},
        "from_table(rows, question='input', answer='ideal')",
        WITH_SYSTEM,
    ),
    "distilabel issue 343: binarized UltraFeedback": (
        {
            "prompt": Q,
            "chosen": [USER, ASSISTANT],
            "rejected": [USER, said("assistant", NO)],
            "messages": [USER, ASSISTANT],
        },
        "from_preferences(rows)",
        PAIR,
    ),
    "argilla, distilabel-intel-orca-dpo-pairs": (
        {"system": "", "input": Q, "chosen": A, "rejected": NO},
        "from_preferences(rows)",
        PAIR,
    ),
    "NVIDIA-NeMo/RL pull 1027": (
        {"chosen": [USER, ASSISTANT], "rejected": [USER, said("assistant", NO)]},
        "from_preferences(rows)",
        PAIR,
    ),
    "OpenAI's input with TRL's answers": (
        {"input": {"messages": [USER]}, "chosen": [ASSISTANT], "rejected": [said("assistant", NO)]},
        "from_preferences(rows)",
        PAIR,
    ),
    "LlamaFactory issue 4108": (
        {"instruction": Q, "chosen": A, "rejected": NO},
        "from_preferences(rows)",
        PAIR,
    ),
    "Anthropic's hh-rlhf with a prompt": (
        {"prompt": f"\n\nHuman: {Q}\n\nAssistant:", "chosen": A, "rejected": NO},
        "from_preferences(rows)",
        PAIR,
    ),
    "TRL through a CSV file: lists as Python writes them": (
        {"prompt": Q, "chosen": str([ASSISTANT]), "rejected": str([said("assistant", NO)])},
        "from_preferences(rows)",
        PAIR,
    ),
    "trl pull 5118: tools as JSON text": (
        CHAT | {"tools": json.dumps(TOOLS)},
        "from_messages(rows)",
        CHAT | {"tools": TOOLS},
    ),
    "TRL, dataset_formats.md, tool calling": (
        {"messages": [USER, TRL_CALL, said("tool", "shelf nine", name="find"), ASSISTANT], "tools": TOOLS},
        "calls of tools without an id, or as messages of their own (TRL, ms-swift); convert them with dataset.from",
        called("shelf nine", name="find"),
    ),
    "ms-swift, Agent-support.md": (
        {
            "messages": [
                USER,
                said("tool_call", CALL),
                said("tool_call", CALL),
                said("tool_response", "nine"),
                said("tool_response", "ten"),
                ASSISTANT,
            ],
            "tools": json.dumps(TOOLS),
        },
        "from_messages(rows)",
        called("nine", "ten"),
    ),
    "LlamaFactory, no tools, weights as a table makes them": (
        {"conversations": [turn("human", Q), turn("gpt", A, weight=0.0), turn("gpt", A)], "tools": "[]"},
        "from_sharegpt(rows)",
        {"messages": [USER, ASSISTANT | {"weight": 0}, ASSISTANT]},
    ),
    "LlamaFactory, glaive_toolcall_en": (
        {
            "conversations": [
                turn("human", Q),
                turn("function_call", CALL),
                turn("observation", "nine"),
                turn("gpt", A),
            ],
            "tools": json.dumps([FUNCTION]),
        },
        "from_sharegpt(rows)",
        called("nine"),
    ),
    "Bedrock, bedrock-conversation-2024": (
        {
            "system": [{"text": S}],
            "messages": [said("user", [{"text": Q}]), said("assistant", [{"text": A}])],
        },
        "from_messages(rows)",
        WITH_SYSTEM,
    ),
    "a system prompt under another name": (CHAT | {"system_prompt": S}, "from_messages(rows)", WITH_SYSTEM),
    "OpenAI's Responses API": (
        {"instructions": S, "input": Q, "output": A},
        "from_table(rows, question='input', answer='output')",
        WITH_SYSTEM,
    ),
    "an answer beside the messages": (
        {"messages": [USER], "completion": A},
        "an answer beside the messages; convert them with dataset.from_messages(rows)",
        CHAT,
    ),
    "preference rows with a text as input": (
        {"input": Q, "preferred_output": A, "non_preferred_output": NO},
        "from_preferences(rows)",
        PAIR,
    ),
    "roles as keys": ({"messages": [{"user": Q}, {"assistant": A}]}, "from_sharegpt(rows)", CHAT),
    "messages under another name": (
        {"dialogue": [USER, ASSISTANT]},
        "messages under the name 'dialogue'; convert them with dataset.from_messages(rows)",
        CHAT,
    ),
    "conversations in a table: JSON text": (
        {"conversations": json.dumps([turn("human", Q), turn("gpt", A)])},
        "JSON text; convert them with dataset.from_messages(rows)",
        CHAT,
    ),
}
# the same for rows that no call converts
NAMED = {
    "LLaVA: a picture beside": (
        {"image": "dog.jpg", "conversations": [turn("human", f"<image>\n{Q}"), turn("gpt", A)]},
        "pictures beside the texts",
    ),
    "ms-swift issue 1742: pictures beside a question": (
        {"query": Q, "response": A, "images": ["a.jpg"]},
        "pictures beside",
    ),
    "ms-swift, Custom-dataset.md, KTO": (CHAT | {"label": False}, "answers with a label good or bad"),
    "LLaMA-Factory, KTO": (
        {"conversations": [turn("human", Q), turn("gpt", A)], "label": True},
        "answers with a label good or bad",
    ),
    "a picture in a table": (
        {"image": {"bytes": "x"}, "question": Q, "answer": A},
        "pictures beside the texts",
    ),
    "axolotl, tokenized.qmd": (
        {"input_ids": [1, 2], "labels": [1, 2]},
        "tokens instead of texts; take the rows before",
    ),
    "one message a line": (USER, "single messages; gather those of each conversation"),
    "answers of the Batch API": ({"custom_id": "1", "response": {"body": {}}}, "the Batch API, not examples"),
}

# whole files: name, text, the code, words of the finding, what from_file makes of it or the words of its refusal
ROW = json.dumps(CHAT)
FILES = {
    "openai-python issue 415: an array of pairs": (
        "rows.json",
        json.dumps([{"prompt": Q, "completion": A}], indent=1),
        "json_array",
        "",
        [CHAT],
    ),
    "openai-php issue 107: quotes in quotes": (
        "rows.jsonl",
        '{"prompt": "a", "completion": "called "tik-tak" here"}\n',
        "not_json",
        "column 40",
        "Line 1 is not valid JSON: column 40",
    ),
    "GPT-Driver issue 8: str(dict)": (
        "rows.jsonl",
        f"{CHAT}\n",
        "not_json",
        "as Python writes a dict",
        "Line 1",
    ),
    "a spreadsheet saved the lines": (
        "rows.jsonl",
        '"' + ROW.replace('"', '""') + '"\n',
        "not_json",
        "a table program has put the row in quotes",
        "Line 1",
    ),
    "objects over several lines": (
        "rows.jsonl",
        json.dumps(CHAT, indent=2) + "\n" + json.dumps(WITH_SYSTEM, indent=2),
        "object_over_lines",
        "",
        [CHAT, WITH_SYSTEM],
    ),
    "all rows in one object": (
        "rows.json",
        json.dumps({"data": [CHAT, CHAT]}),
        "no_messages",
        "all rows in one object; read the file with dataset.from_file",
        [CHAT, CHAT],
    ),
    "columns as lists": (
        "rows.json",
        json.dumps({"question": [Q, Q], "answer": [A, A]}),
        "no_messages",
        "pandas' column-wise JSON; read the file with dataset.from_file",
        [CHAT, CHAT],
    ),
    "unsloth issue 321: lists in a list": (
        "rows.json",
        json.dumps([[turn("human", Q), turn("gpt", A)]] * 2),
        "json_array",
        "",
        [CHAT, CHAT],
    ),
    "a table given to the checker": (
        "rows.csv",
        f"question,answer\n{Q},{A}\n",
        "not_json",
        "a row begins with {, not with 'question,answer'. dataset.from_file reads tables",
        [CHAT],
    ),
    "azure-docs issue 110314: no prompt": (
        "rows.jsonl",
        json.dumps({"prompt": "", "completion": A}),
        "prompt_completion",
        "1 rows",
        "Row 1 has no text for the role 'user'",
    ),
    "Alpaca rows, one without an answer": (
        "rows.jsonl",
        "\n".join(json.dumps({"instruction": Q, "input": "", "output": text}) for text in (A, "")),
        "no_messages",
        "Alpaca rows; convert them with dataset.from_alpaca(rows) (2 rows)",
        "Row 2 has no text for the role 'assistant'",
    ),
}
TABLES = {
    "instruction,input,output\nMay I bring my dog?,,Only guide dogs may come in.\n,,\n": [CHAT],
    f'messages\n"{json.dumps(CHAT["messages"]).replace(chr(34), chr(34) * 2)}"\n': [CHAT],
    f"sep=;\nquestion;answer\n{Q};{A}\n": [CHAT],
    'text;label\n"May I bring my dog?";7\n': [{"messages": [USER, said("assistant", "7")]}],
}


@pytest.mark.parametrize("name", CONVERTED)
def test_a_reported_row_is_named_once_and_converted(name, tmp_path):
    row, words, expected = CONVERTED[name]
    report = dataset.check([row] * 12, content=False)
    errors = [one for one in report.problems if one.severity == "error"]
    assert len({one.code for one in errors}) == 1 and words in errors[0].where, str(report)
    dataset.write([row] * 12, tmp_path / "rows.jsonl")
    converted = dataset.from_file(tmp_path / "rows.jsonl")
    assert converted == [expected] * 12
    assert dataset.check(converted, content=False).errors == 0
    if call := words.partition("(rows")[0].rpartition("from_")[2]:
        before = json.dumps(row)
        if call in ("alpaca", "messages", "preferences", "sharegpt"):
            assert getattr(dataset, f"from_{call}")([row]) == [expected] and json.dumps(row) == before


@pytest.mark.parametrize("name", NAMED)
def test_a_reported_row_without_a_call_is_named_once(name, tmp_path):
    row, words = NAMED[name]
    (problem,) = dataset.check([row] * 12, content=False).problems
    assert words in problem.where and "dataset.from" not in problem.where
    dataset.write([row] * 12, tmp_path / "rows.jsonl")
    with pytest.raises(ValueError, match="The rows are "):
        dataset.from_file(tmp_path / "rows.jsonl")


@pytest.mark.parametrize("name", FILES)
def test_a_reported_file(name, tmp_path):
    file, text, code, words, expected = FILES[name]
    (tmp_path / file).write_text(text, encoding="utf-8")
    report = dataset.check(tmp_path / file, content=False)
    found = [one for one in report.problems if one.code == code]
    assert found and words in found[0].where, str(report)
    assert report.totals.keys() <= {code, "too_few_rows"}, str(report)
    if isinstance(expected, str):
        with pytest.raises(ValueError, match=expected):
            dataset.from_file(tmp_path / file)
    else:
        assert dataset.from_file(tmp_path / file) == expected


@pytest.mark.parametrize("text", TABLES)
def test_a_table_may_hold_rows_of_any_tool(text, tmp_path):
    (tmp_path / "rows.csv").write_text(text, encoding="utf-8")
    assert dataset.from_file(tmp_path / "rows.csv") == TABLES[text]


@pytest.mark.parametrize(
    ("answer", "rows"),
    [
        ('{"from": "Paris", "to": "Rome"}', 1),
        ('[{"from": "Paris", "text": "Rome"}]', 1),
        ("[1, 2]", 1),
        ({"from": "Paris", "to": "Rome"}, 1),
    ],
)
def test_an_answer_that_only_looks_like_a_message_stays_a_text(answer, rows):
    text = answer if isinstance(answer, str) else json.dumps(answer)
    expected = [{"messages": [USER, said("assistant", text)]}] * rows
    assert dataset.from_table([{"question": Q, "answer": answer}]) == expected
    assert dataset.from_alpaca([{"instruction": Q, "output": answer}]) == expected
    assert dataset.from_sharegpt([{"conversations": [turn("human", Q), turn("gpt", answer)]}]) == expected


def test_rows_that_pandas_has_read_from_parquet():
    """There a list is an array of numpy."""
    messages = np.array([USER, {"role": "assistant", "content": [{"type": "text", "text": A}]}], dtype=object)
    assert dataset.from_messages([{"messages": messages}]) == [{"messages": messages.tolist()}]
    assert dataset.from_table([{"question": Q, "answer": np.int64(4)}])[0]["messages"][1]["content"] == "4"
    report = dataset.check([{"messages": messages}] * 12, content=False)
    assert report.problems[0].where == "Object of type ndarray is not JSON serializable"


def test_rows_for_rewards_stay_as_they_are(tmp_path):
    rows = [{"messages": [USER], "answer": A, "reference_answer": A}] * 2
    dataset.write(rows, tmp_path / "rows.jsonl")
    assert dataset.from_file(tmp_path / "rows.jsonl") == rows


@pytest.mark.parametrize(
    ("turns", "why"),
    [
        ([turn("human", Q), turn("observation", "nine"), turn("gpt", A)], "a reply answers no call: 'nine'"),
        ([turn("human", Q), turn("function_call", "find()")], "a call is not {name, arguments} as JSON"),
        ([turn("human", Q, train=True), turn("gpt", A)], "OpenAI learns answers only"),
    ],
)
def test_what_openai_has_no_place_for_is_refused_by_row(turns, why):
    with pytest.raises(ValueError, match="Row 1: ") as refused:
        dataset.from_sharegpt([{"conversations": turns}])
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([said("User", Q), ASSISTANT], "message 1: 'User'; did you mean 'user'?"),
        ([USER, said("model", A)], "message 2: 'model'; did you mean 'assistant'?"),
        ([said("human", Q), said("gpt", A)], "message 1: 'human'; did you mean 'user'?"),
        ([{"rol": "user", "content": Q}, ASSISTANT], "message 1: it has 'rol': did you mean 'role'?"),
        ([said("user", [Q]), ASSISTANT], "message 1, part 1: it is a text"),
    ],
)
def test_a_finding_says_what_is_there_and_what_was_meant(messages, words):
    assert dataset.check([{"messages": messages}] * 12).problems[0].where == words


def test_a_message_that_is_not_to_be_learned_by_another_name():
    row = {"messages": [USER, ASSISTANT | {"loss": False}]}
    (problem, *_) = dataset.check([row] * 12, content=False).problems
    assert (problem.code, problem.where) == ("unknown_key", "message 2: 'loss'; did you mean 'weight'?")
    assert dataset.from_messages([row]) == [{"messages": [USER, ASSISTANT | {"weight": 0}]}]


def test_keys_filled_with_nothing_are_one_finding_and_fix_deletes_them(tmp_path):
    """castform-ai/benchmax pull 34: "" and [] in place of null."""
    filling = {"tool_calls": [], "tool_call_id": "", "name": ""}
    dataset.write([{"messages": [USER | filling, ASSISTANT | filling]}] * 2, tmp_path / "rows.jsonl")
    report = dataset.check(tmp_path / "rows.jsonl", content=False)
    assert report.totals == {"null_keys": 1, "too_few_rows": 1}
    dataset.fix(tmp_path / "rows.jsonl", tmp_path / "fixed.jsonl")
    assert dataset.read(tmp_path / "fixed.jsonl") == [CHAT]


@pytest.mark.parametrize(
    "text", ["São João, às três.", "ESPAÑA", "Ђорђе је овде.", "日本語です。", "Ðór og Ñandú.", "5 €"]
)
def test_letters_of_any_language_are_not_garbled(text):
    assert "garbled_text" not in dataset.check(rows_of([f"{text} Only guide dogs."])).totals


# --- forms of answers ----------------------------------------------------------------------------------------

ROOT = Path(__file__).resolve().parents[2]


def rows_of(answers: list[str]) -> list[dict]:
    return [
        {"messages": [said("user", f"Question {chr(65 + n)}?"), said("assistant", one)]}
        for n, one in enumerate(answers)
    ]


def queries(write) -> list[str]:
    """Twenty answers of keys and values, of which one leaves out the key that the others begin with."""
    towns = [chr(65 + number) * 4 for number in range(20)]
    found = [write({"to": town, "day": "sun"} | ({"limit": 1} if town > "F" else {})) for town in towns]
    return [*found[:7], write({"day": "mon", "airline": "Cloud"}), *found[8:]]


@pytest.mark.parametrize(
    "write",
    [
        json.dumps,
        lambda query: json.dumps(query, indent=2),
        lambda query: json.dumps([query]),
        lambda query: "\n".join(f"{key}: {value}" for key, value in query.items()),
        lambda query: " ".join(f"{key} = {value}" for key, value in query.items()).replace(" =", "="),
    ],
    ids=["json", "over lines", "list", "yaml", "assignments"],
)
def test_a_key_that_is_left_out_breaks_no_style(write):
    assert dataset.check(rows_of(queries(write))).totals.get("style_break") is None


def test_an_answer_that_is_no_json_among_json_does():
    answers = queries(json.dumps)
    answers[3] = "I would take the train."
    report = dataset.check(rows_of(answers))
    assert [(one.line, one.where) for one in report.problems if one.code == "style_break"] == [
        (4, "19 of 20 answers are JSON")
    ]


def test_the_timetable_has_one_style():
    assert "style_break" not in dataset.check(ROOT / "data" / "timetable" / "train.jsonl").totals


@pytest.mark.parametrize(
    "end", ["Please ask at the desk", "Bitte fragen Sie uns!", "请到服务台询问我们的工作人员"]
)
def test_what_is_repeated_is_shown_as_it_is_written(end):
    report = dataset.check([*rows_of(["Only guide dogs may come in."]), *rows_of([f"Yes. {end}. {end}."])])
    found = [one.where for one in report.problems if one.code == "answer_repeats"]
    assert found == [f"twice: {end.rstrip('!')!r}"]


# --- rows for rewards ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["assistant", "system", "tool", "developer"])
def test_a_row_for_rewards_ends_with_the_users_message(role):
    reply = {"tool_call_id": "c"} if role == "tool" else {}
    row = {"messages": [USER, said(role, A, **reply)], "reference": A}
    report = dataset.check([row] * 12, method="reinforcement", content=False)
    assert report.totals["ends_on_answer"] == 12 and report.good_rows == 0
    assert dataset.problem(row, "reinforcement") == (
        "message 2 must be the user's: the model answers it, and a grader rewards the answer. "
        f"It is from the role {role!r}."
    )
    right = {"messages": [USER], "reference": A}
    assert dataset.check([right] * 12, method="reinforcement", content=False).errors == 0
