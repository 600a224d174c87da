"""Checks that fit any file, and what the starter counts on a reader's own file."""

import json
import re

import pandas
import pytest

from helpers import evaluate


def chat(*texts, **more) -> dict:
    """A row whose messages are the user's and the assistant's in turn."""
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)]} | more


@pytest.mark.parametrize(
    ("check", "answer", "wanted", "expected"),
    [
        (evaluate.equal, " Gate 7\n", "Gate 7", True),
        (evaluate.equal, "Gate 7.", "Gate 7", False),
        (evaluate.equal, '{"b": 2, "a": [1]}', '{"a": [1], "b": 2}', True),
        (evaluate.equal, '{"a": 1}', '{"a": 2}', False),
        (evaluate.equal, "null", "None", False),
        (evaluate.contains, "It is GATE 7, sir.", "Gate 7", True),
        (evaluate.contains, "It is gate 8.", "Gate 7", False),
        (evaluate.last_line, "Go there.\nDesk: A \n", "Stay.\nDesk: A", True),
        (evaluate.last_line, "Desk: A\nGo there.", "Stay.\nDesk: A", False),
        (evaluate.last_line, "A", "A", True),
        (evaluate.json_keys, '{"b": 5, "a": 0}', '{"a": 1, "b": 2}', True),
        (evaluate.json_keys, '{"a": 1, "b": 2, "c": 3}', '{"a": 1, "b": 2}', False),
        (evaluate.json_keys, '```json\n{"a": 1}\n```', '{"a": 1}', False),
        (evaluate.json_keys, '[{"a": 1}]', '{"a": 1}', False),
        (evaluate.json_keys, "", "", False),
        (evaluate.regex("[0-9]+"), "30 yuan, at gate 7", "Pay 30 at gate 7.", True),
        (evaluate.regex("[0-9]+"), "300 yuan, at gate 7", "Pay 30 at gate 7.", False),
        (evaluate.regex("[0-9]+"), "30", "Nothing to pay.", None),
    ],
)
def test_checks_that_fit_any_file(check, answer, wanted, expected):
    assert check(answer, {"wanted": wanted}) is expected


def test_a_pattern_that_is_none_is_named_at_once():
    with pytest.raises(re.error):
        evaluate.regex("(")


@pytest.mark.parametrize(
    ("wanted", "names", "why"),
    [
        (["bike"] * 3, ["equal"], "one line each: equal."),
        (
            ["a long answer of eight words or so"] * 3,
            ["equal"],
            "With 8 words or so in each, that is strict.",
        ),
        (["Text.\nDesk: A", "Text.\nDesk: B", "bike"], ["last_line"], "several lines"),
        ([json.dumps({"a": 1}, indent=2), '{"a": 2}', "bike"], ["json_keys", "equal"], "JSON objects"),
        (["bike", "a\nb"], ["last_line"], "several lines"),
    ],
)
def test_the_checks_that_fit_are_chosen_and_explained(wanted, names, why):
    checks, said = evaluate.fitting(wanted)
    assert list(checks) == names and why in said and all(name in said for name in names)


def test_rows_that_can_be_asked():
    picture = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
    call = {"role": "assistant", "content": "", "tool_calls": [{"id": "c"}]}
    rows = [
        chat("Q", "A"),
        chat("Q", " "),
        chat("Q"),
        chat("Q", "A", tools=[{}]),
        chat(picture, "A"),
        {"messages": [{"role": "user", "content": "Q"}, call, {"role": "assistant", "content": "A"}]},
        chat("Q", "A", "Q2", "A2"),
        chat("Q", "A", "Q2"),
    ]
    found = evaluate.askable(rows)
    assert [(row["id"], row["wanted"]) for row in found] == [(1, "A"), (7, "A2")]
    assert [message["content"] for message in found[1]["question"]] == ["Q", "A", "Q2"]
    assert found[0]["messages"] == rows[0]["messages"]


def test_the_opening_is_that_of_most_examples():
    short, long = ({"role": "system", "content": text} for text in ("Be short.", "Be long."))
    with_prompt = [
        {"messages": [one, *chat(str(n), "A")["messages"]]} for n, one in enumerate([long, short, short])
    ]
    assert evaluate.opening([chat("Q", "A"), *with_prompt]) == [short]
    assert evaluate.opening([*(chat(str(n), "A") for n in range(3)), *with_prompt]) == []
    assert evaluate.opening([]) == []


def test_rivals_answer_messages():
    examples = [chat("Where is the lounge?", "Gate 1.\nA"), chat("Where is the chapel?", "Gate 2.\nB")]
    examples += [chat("May I smoke?", "No.\nB"), chat("May I swim?", "Perhaps.\nC")]
    seen = []
    rivals = evaluate.untrained(lambda asked: seen.append(asked) or "base", examples)
    system = {"role": "system", "content": "Be short."}
    asked = [system, {"role": "user", "content": "Is there a lounge here?"}]
    answers = {name: rival(asked) for name, rival in rivals.items()}
    assert answers == {
        "base": "base",
        "few_shot_nearest": "base",
        "majority": "Gate 2.\nB",
        "nearest_example": "Gate 1.\nA",
    }
    assert seen[0] == asked
    assert seen[1][0] == system and seen[1][-1] == asked[-1] and len(seen[1]) == 8
    assert seen[1][-3:-1] == examples[0]["messages"]
    assert list(evaluate.untrained(str, [])) == ["base"]


def table(passed: list[bool]) -> pandas.DataFrame:
    return pandas.DataFrame(
        {"question": "q", "answer": "a", "right": passed}, index=range(1, len(passed) + 1)
    )


def test_tuning_counts_where_it_beats_every_rival():
    tables = {
        "base": table([False] * 20),
        "nearest": table([True] * 19 + [False]),
        "tuned": table([True] * 20),
    }
    compared = [
        evaluate.compare(tables[way], tables["tuned"], "right", (way, "tuned")) for way in ("base", "nearest")
    ]
    assert evaluate.against_all(compared) == "right: tuned is not shown to be better than nearest."
    assert evaluate.against_all(compared[:1]) == "right: tuned is better than every rival."


def test_what_so_many_questions_show():
    for questions in (12, 23, 57, 155, 1000):
        points = int(re.search(r"about (\d+) points", evaluate.sees(questions))[1])
        needed = [evaluate.rows_needed(n / 100, n / 100 + 0.1) for n in (points, points - 1)]
        assert needed[0] <= questions < needed[1]
    assert "For one of 20 points you need 57" in evaluate.sees(23)
    assert "For one of" not in evaluate.sees(57)
    assert "no difference, however large" in evaluate.sees(3)


def test_results_to_keep():
    rows = [{"id": 1, "question": [{"role": "user", "content": "Q"}], "wanted": "A"}]
    checks = {"equal": evaluate.equal, "number": evaluate.regex("[0-9]")}
    tables = {way: evaluate.evaluate(lambda _, way=way: way, rows, checks) for way in ("A", "b")}
    (found,) = evaluate.as_results(rows, tables)
    assert json.loads(json.dumps(found)) == {
        "question": rows[0]["question"],
        "wanted": "A",
        "answers": {"A": "A", "b": "b"},
        "passed": {"equal": {"A": True, "b": False}, "number": {"A": None, "b": None}},
    }
