"""Makes the three files whose prompts hold rules, from rules.md and the files without rules.

``python -m data.airport.make_with_rules``, started in the project's folder, writes them anew. Nothing is left to
chance: the same files come out each time, and a test compares them with the ones in this folder.
"""

import csv
import json
from functools import cache
from pathlib import Path

import numpy as np

from helpers import evaluate
from helpers.evaluate.rivals import words
from helpers.local_api.vectors import embed

AIRPORT = Path(__file__).resolve().parent
RULES_IN_A_PROMPT = 4

# All of them say "no rule", which a program can look for, and none of them states a fact.
NO_RULE = (
    "I have no rule on that. Please ask at the desk.",
    "Sorry, I have no rule on this. Please ask at the desk.",
    "I am afraid I have no rule on that. The desk can help you.",
    "I see no rule on this. Please ask the staff at the desk.",
)

# Answers of train.jsonl that say more than their rule does, and a question that has no question mark.
REPLACED = {
    "In the family room, which is room 318": "Please try the family room, room 318",
    "Yes, the family room. It is room 318": "There is a family room, room 318",
    "Please ask tomorrow. Objects left": "Objects left",
    "leaves at 23:40, so please be on the platform in good time.": "leaves at 23:40.",
    "missed the second one. Please help.": "missed the second one. Can you help me?",
}


def read_jsonl(name: str) -> list[dict]:
    """The rows of a file of this folder."""
    return [json.loads(line) for line in (AIRPORT / name).read_text(encoding="utf-8").splitlines()]


def read_unanswered(set_name: str) -> list[dict]:
    """Questions for prompts in which no rule answers: rows with the keys set, desk and question."""
    with open(AIRPORT / "with_rules_unanswered.csv", encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["set"] == set_name]


RULES = evaluate.rules()
TRAIN = read_jsonl("train.jsonl")
SYSTEM = TRAIN[0]["messages"][0]


def user_message(rules: list[str], question: str) -> str:
    """The one layout of all three files: the rules, one a line, an empty line, the question."""
    return "\n".join([f"- {RULES[rule][0]} Desk: {RULES[rule][1]}" for rule in rules] + ["", question])


def rule_of(answer: str) -> str:
    """The rule that an answer was drawn from: of its desk's rules the one that shares most words with it."""
    text, _, desk = answer.rpartition("\nDesk: ")
    rules = [rule for rule in RULES if RULES[rule][1] == desk]
    return max(rules, key=lambda rule: len({*words(text)} & {*words(RULES[rule][0])}))


def mend(text: str) -> str:
    for old, new in REPLACED.items():
        text = text.replace(old, new)
    return text


@cache
def rule_vectors() -> dict[str, np.ndarray]:
    return dict(zip(RULES, embed([text for text, _ in RULES.values()]), strict=True))


def nearest(question: str, pool: list[str]) -> list[str]:
    """The rules of a pool, those first whose word vectors are most similar to the question's."""
    vectors = rule_vectors()
    (asked,) = embed([question])
    similarity = {rule: vectors[rule] @ asked for rule in pool}
    return sorted(pool, key=lambda rule: -similarity[rule])


def choose(question: str, right: str | None, pool: list[str], position: int | None = None) -> list[str]:
    """The other rules that are nearest to the question, with the right one put in at a position from 0 to 3.

    Without a position the right one stays out, and no rule of the prompt answers.
    """
    others = nearest(question, [rule for rule in pool if rule != right])[:RULES_IN_A_PROMPT]
    return others if position is None else [*others[:position], right, *others[position:-1]]


def chat(rules: list[str], question: str, answer: str | None = None) -> list[dict]:
    """The messages of a row; without an answer they are ready to be sent to a model."""
    messages = [SYSTEM, {"role": "user", "content": user_message(rules, question)}]
    return messages + ([{"role": "assistant", "content": answer}] if answer else [])


def examples(set_name: str) -> list[dict]:
    """The rows of train_with_rules.jsonl or valid_with_rules.jsonl: every fifth has no rule that answers.

    Only rules that train.jsonl draws on are shown, so that the test's new rules stay new.
    """
    right = {row["messages"][1]["content"]: rule_of(row["messages"][2]["content"]) for row in TRAIN}
    pool = [rule for rule in RULES if rule in right.values()]
    unanswered = read_unanswered(set_name)
    rows = []
    for place, row in enumerate(read_jsonl(f"{set_name}.jsonl")):
        question, answer = (mend(message["content"]) for message in row["messages"][1:])
        rules = choose(question, rule_of(answer), pool, place % RULES_IN_A_PROMPT)
        rows.append({"messages": chat(rules, question, answer)})
        if len(rows) % 5 == 4:
            question, desk = (unanswered[len(rows) // 5][key] for key in ("question", "desk"))
            rules = choose(question, right.get(question), pool)
            answer = f"{NO_RULE[len(rows) // 5 % len(NO_RULE)]}\nDesk: {desk}"
            rows.append({"messages": chat(rules, question, answer)})
    return rows


def evaluation_rows() -> list[dict]:
    """The rows of practice_with_rules.jsonl: those of practice.jsonl, then the questions that no rule answers."""
    rows = read_jsonl("practice.jsonl")
    for number, row in enumerate(read_unanswered("practice"), start=1):
        asked = {"question": row["question"], "desk": row["desk"], "facts": [], "rule": None}
        rows.append({"id": f"n{number:03}", "kind": "none"} | asked)
    for place, row in enumerate(rows):
        position = place % RULES_IN_A_PROMPT if row["rule"] else None
        row["rules"] = choose(row["question"], row["rule"], list(RULES), position)
        row["messages"] = chat(row["rules"], row["question"])
    return rows


def files() -> dict[str, str]:
    """The three files: name -> text."""
    all_rows = {"train": examples("train"), "valid": examples("valid"), "practice": evaluation_rows()}
    texts = {name: "\n".join(map(json.dumps, rows)) + "\n" for name, rows in all_rows.items()}
    return {f"{name}_with_rules.jsonl": text for name, text in texts.items()}


if __name__ == "__main__":
    for name, text in files().items():
        (AIRPORT / name).write_text(text, encoding="utf-8", newline="\n")
