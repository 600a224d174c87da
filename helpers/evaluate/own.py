"""The reader's own file: its questions, the rivals of a model that was tuned on it, and the results to keep.

Here a question is what is sent to a model: the messages before the answer.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import pandas

from .comparing import Comparison, rows_needed
from .rivals import majority, nearest_example, nearest_turns

Asking = Callable[[list[dict]], str]  # from messages to an answer
DISAGREEMENT = 0.1  # so much more often than the difference two ways may part, as we plan


def askable(rows: Sequence[dict]) -> list[dict]:
    """Of some training rows those that models can be compared on: text only, a question, and then an answer.

    They keep their "messages" and get "id" (their place, from 1), "question" (the messages before the answer) and
    "wanted" (its text). Left out are rows with tools, pictures, or an answer that is empty.
    """
    found = []
    for place, row in enumerate(rows, start=1):
        messages = row["messages"]
        if row.get("tools") or len(messages) < 2 or not all(_is_text(message) for message in messages):
            continue
        *question, answer = messages
        if answer["role"] == "assistant" and answer["content"].strip():
            found.append(row | {"id": place, "question": question, "wanted": answer["content"]})
    return found


def _is_text(message: dict) -> bool:
    return isinstance(message.get("content"), str) and not message.get("tool_calls")


def untrained(base: Asking, examples: Sequence[dict]) -> dict[str, Asking]:
    """The rivals that need no training, by name; each answers messages, as ``base`` does, the model before tuning.

    few_shot_nearest: the base model with the three training examples before the question that are most like it;
    majority: always the same, the commonest kind of answer; nearest_example: the answer of the training example that
    is most like the question. Without examples there is only the base.
    """
    if not examples:
        return {"base": base}
    turns, constant, nearest = nearest_turns(examples), majority(examples), nearest_example(examples)
    return {
        "base": base,
        "few_shot_nearest": lambda asked: base([*asked[:-1], *turns(asked[-1]["content"]), asked[-1]]),
        "majority": lambda asked: constant(asked[-1]["content"]),
        "nearest_example": lambda asked: nearest(asked[-1]["content"]),
    }


def opening(examples: Sequence[dict]) -> list[dict]:
    """The system prompt that most training examples begin with, as a list of one message; empty if most have none."""
    firsts = (row["messages"][0] for row in examples)
    openings = Counter(json.dumps(one if one["role"] in ("system", "developer") else None) for one in firsts)
    most = json.loads(openings.most_common(1)[0][0]) if openings else None
    return [most] if most else []


def against_all(compared: Sequence[Comparison]) -> str:
    """For each check, in a line: whether the way after is better than every way before."""
    lines = []
    for check in dict.fromkeys(one.check for one in compared):
        those = [one for one in compared if one.check == check]
        after = those[0].after
        rest = [one.before for one in those if one.verdict() != f"{after} is better"]
        said = f"not shown to be better than {', '.join(rest)}" if rest else "better than every rival"
        lines.append(f"{check}: {after} is {said}.")
    return "\n".join(lines)


def sees(questions: int) -> str:
    """What so many questions can show, in a sentence: the smallest difference that is seen in four of five trials."""
    seen = next(
        (
            points
            for points in range(1, 91)
            if rows_needed(points / 100, points / 100 + DISAGREEMENT) <= questions
        ),
        None,
    )
    if seen is None:
        return f"{questions} questions show no difference, however large. Hold back more."
    few = f" For one of 20 points you need {rows_needed(0.2, 0.3)}." if seen > 20 else ""
    return f"{questions} questions show a difference of about {seen} points or more, and no smaller one.{few}"


def as_results(rows: Sequence[dict], tables: Mapping[str, pandas.DataFrame]) -> list[dict]:
    """What ``evaluate`` found for each way, to be kept as JSON: a dict a question.

    Its keys: question, wanted, answers (way -> text) and passed (check -> way -> True, False or None). starter.py
    writes the same.
    """
    checks = next(iter(tables.values())).columns.drop(["question", "answer"])
    return [
        {
            "question": row["question"],
            "wanted": row["wanted"],
            "answers": {way: table.loc[row["id"], "answer"] for way, table in tables.items()},
            "passed": {
                check: {way: _verdict(table.loc[row["id"], check]) for way, table in tables.items()}
                for check in checks
            },
        }
        for row in rows
    ]


def _verdict(found) -> bool | None:
    return None if pandas.isna(found) else bool(found)
