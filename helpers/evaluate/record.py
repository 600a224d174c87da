"""The recorded run: the questions, and what the really trained model answered."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache

import pandas

from .checks import CHECKS, DATA, in_style
from .counting import Answering, evaluate

PRACTICE = ("paraphrase", "new")
WAYS = {  # what answers; without a model, untrained, trained
    "majority": "no model: always the same training answer",
    "nearest_example": "no model: the answer of the most similar training example",
    "nearest_rule": "no model: the rule that a search by meaning puts first, with its desk",
    "base": "untrained model: the question alone",
    "few_shot": "untrained model: house style, three answered questions",
    "few_shot_nearest": "untrained model: house style, the three most similar answered questions",
    "retrieval": "untrained model: house style, four rules that a search finds",
    "few_shot_retrieval": "untrained model: house style, three answered questions with rules, four found rules",
    "book": "untrained model: house style, all rules",
    "tuned": "trained on 112 examples: the question alone",
    "tuned_retrieval": "trained on 112 examples: four found rules",
    "rules_tuned_retrieval": "trained on 140 examples with rules: four found rules",
}


def questions(*kinds: str) -> list[dict]:
    """The recorded questions of these kinds; without a kind the 120 for practice: "paraphrase" and "new"."""
    return [row for row in _read("questions.jsonl") if row["kind"] in (kinds or PRACTICE)]


def rules() -> dict[str, tuple[str, str]]:
    """The rules of the airport's book, data/airport/rules.md: id -> (text, desk)."""
    found, desk = {}, ""
    for line in (DATA / "airport" / "rules.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            desk = line.removeprefix("## ")
        elif rule := re.match(r"- \*\*(\w+)\*\* (.+)", line):
            found[rule[1]] = (rule[2], desk)
    return found


def sealed() -> list[dict]:
    """The 120 questions of the sealed test, with the kinds of the practice rows. To be opened once, at the end."""
    rows = questions(*(f"sealed_{kind}" for kind in PRACTICE))
    return [row | {"kind": row["kind"].removeprefix("sealed_")} for row in rows]


def recorded(way: str, run: str | None = None) -> Answering:
    """An answering function that reads what the really trained model answered; data/README.md names the ways.

    ``run`` is the training run, by default the first of ``runs(way)``; a checkpoint is such as
    "tuned-all-seed0-epoch1". Raises ValueError for one that was not recorded, and KeyError for a question that it
    was not asked.
    """
    known = runs(way)
    every = sorted({row["run"] for row in _answers() if row["way"] == way})
    if not known or run not in (None, *every):
        raise ValueError(f"Not recorded: {way}, {run}. Recorded of {way}: {', '.join(every) or 'nothing'}.")
    answers = {
        row["question"]: row["answer"]
        for row in _answers()
        if (row["way"], row["run"]) == (way, run or known[0])
    }
    return lambda question: answers[question]


def written() -> Answering:
    """An answering function that reads what a person wrote: the answers of the airport's validation file."""
    text = (DATA / "airport" / "valid.jsonl").read_text(encoding="utf-8")
    chats = [json.loads(line)["messages"] for line in text.splitlines()]
    return {chat[-2]["content"]: chat[-1]["content"] for chat in chats}.__getitem__


def runs(way: str, rows: int | None = None) -> list[str]:
    """The training runs of a way, one a seed: those on all rows, or on ``rows`` of them; ["base"] if untrained."""
    found = list(dict.fromkeys(row["run"] for row in _answers() if row["way"] == way))
    wanted = re.compile(rf"base|\w+-{rows or 'all'}-seed\d+")
    return sorted(run for run in found if wanted.fullmatch(run))


def every_run(way: str, rows: Sequence[dict], checks: Mapping = CHECKS) -> list[pandas.DataFrame]:
    """What ``evaluate`` finds in the recorded answers of a way, one table a training run."""
    return [evaluate(recorded(way, run), rows, checks) for run in runs(way)]


def every_epoch(
    way: str, rows: Sequence[dict], checks: Mapping = CHECKS
) -> dict[int, list[pandas.DataFrame]]:
    """What ``evaluate`` finds after each epoch: epoch, from 1 -> a table for each training run.

    Raises ValueError if no checkpoints of the way were recorded.
    """
    checkpoint = re.compile(rf"{re.escape(runs(way)[0])}-epoch(\d+)")
    kept = [int(found[1]) for row in _answers() if (found := checkpoint.fullmatch(row["run"]))]
    if not kept:
        raise ValueError(f"No checkpoints of {way} were recorded.")
    last = max(kept) + 1  # the checkpoint after the last epoch is the model itself
    return {
        epoch: [
            evaluate(recorded(way, run if epoch == last else f"{run}-epoch{epoch}"), rows, checks)
            for run in runs(way)
        ]
        for epoch in range(1, last + 1)
    }


def losses(run: str) -> pandas.DataFrame:
    """The losses of a recorded training, a row a step: step, train_loss, valid_loss, full_valid_loss and more.

    valid_loss is measured on a few validation rows in turn, full_valid_loss on all of them, at the end of an epoch.
    Raises ValueError for a run that was not recorded.
    """
    found = [row for row in _read("losses.jsonl") if row["run"] == run]
    if not found:
        raise ValueError(f"No losses were recorded of {run}.")
    return pandas.DataFrame(found).drop(columns="run")


def side_by_side(answers: Mapping[str, Answering], rows: Sequence[dict]) -> pandas.DataFrame:
    """Real answers next to each other, a row a question: the question, a column a way, the airport's rule.

    Under each answer the checks that it passes (✓) and those that it does not (✗).
    """
    tables, book = {way: evaluate(answer, rows) for way, answer in answers.items()}, rules()
    found = []
    for row in rows:
        given = {way: _marked(table.loc[row["id"]]) for way, table in tables.items()}
        found.append(
            {"question": row["question"]} | given | {"the airport's rule": in_style(*book[row["rule"]])}
        )
    return pandas.DataFrame(found)


def _marked(result: pandas.Series) -> str:
    marks = ", ".join(f"{'✓' if result[name] else '✗'}\u00a0{name}" for name in CHECKS)  # never apart
    return f"{result['answer']}\n({marks})"


def next_to_rules(way: str, rows: Sequence[dict]) -> pandas.DataFrame:
    """The answers of a way's first run next to the rules that they should state: a row a question.

    Columns: question, answer, the airport's rule (with its desk), and True or False for each check.
    """
    table, book = evaluate(recorded(way), rows), rules()
    texts = [in_style(*book[row["rule"]]) for row in rows]
    table.insert(2, "the airport's rule", texts)
    return table.reset_index(drop=True)


def prompts(*ways: str) -> pandas.DataFrame:
    """How the pork question was sent in these ways, and what came back: columns prompt and answer, a row a way.

    Raises ValueError for a way in which that question was not recorded.
    """
    sent = {row["way"]: row["messages"] for row in _read("prompts.jsonl")}
    if unknown := [way for way in ways if way not in sent]:
        raise ValueError(f"No prompt is recorded of {', '.join(unknown)}, only of {', '.join(sent)}.")
    rows = {
        way: {
            "prompt": "\n".join(f"{message['role']}: {message['content']}" for message in sent[way]),
            "answer": recorded(way)(sent[way][-1]["content"].splitlines()[-1]),
        }
        for way in ways
    }
    return pandas.DataFrame.from_dict(rows, orient="index")


@cache
def _answers() -> list[dict]:
    texts = {row["id"]: row["question"] for row in _read("questions.jsonl")}
    return [row | {"question": texts[row["id"]]} for row in _read("answers.jsonl")]


def _read(name: str) -> list[dict]:
    return [json.loads(line) for line in (DATA / "recorded" / name).read_text(encoding="utf-8").splitlines()]
