"""Makes facts.csv: a row a training or rival, of what data/recorded/facts.py recorded.

``python -m data.recorded.facts_score``, started in the project's folder. Nothing in the table is typed by hand: a unit
test makes it again and compares.
"""

from collections.abc import Callable, Iterable, Sequence
from statistics import mean

from helpers import evaluate

from . import facts, make

SETTINGS = ("wordings", "seed", "epochs", "learning_rate_multiplier", "rank", "rows")
COUNTED = ("fact", "invented", "in_no_rule", "neither", "fact_trained", "general", "refused")
KEPT = ("last_loss", "tokens", "steps", "seconds", "load", "precision", "date", "commit")
COLUMNS = ("run", *SETTINGS, *COUNTED, *KEPT)


def neither(answer: str, row: dict) -> bool:
    """It states neither the right facts nor anything that its rule does not say."""
    return not evaluate.fact(answer, row) and not evaluate.invents(answer, row)


# Compared over questions and seeds, as named before anything was recorded: (before, after, check of evaluate).
PLANNED = (
    ("1 wording", "10 wordings", "fact"),
    ("1 wording", "10 wordings", "sound"),
    ("10 wordings", "nearest_rule", "fact"),
)


CHECKS = {  # kind of questions -> columns of the table
    "new": {
        "fact": evaluate.fact,
        "invented": evaluate.invents,
        "in_no_rule": evaluate.in_no_rule,
        "neither": neither,
    },
    "trained": {"fact_trained": evaluate.fact},
    "general": {"general": evaluate.right},
    "refusals": {"refused": evaluate.refuses},
}


def table() -> list[dict]:
    """The rows of facts.csv: rivals without a model, the base, the trainings in the order in which they were made.

    run; its settings; shares from 0 to 1. Of the 40 questions in new words: with the right fact (``fact``); with
    something that its rule does not say (``invented``), or no rule of the book (``in_no_rule``); with ``neither`` the
    fact nor such a thing. Of the 40 trained wordings, with the right fact. Of the 60 general questions, right ones. Of
    the 20 requests, refused ones. Empty where nobody was asked. Then the mean loss of the last epoch in nats a
    token, the trained tokens (as the job counts them: tokens of the file times epochs), steps, seconds, and the load
    of the machine when the job was made.
    """
    answers, jobs = make.Book("facts_answers.jsonl").rows, make.Book("facts_runs.jsonl").rows
    return [
        *rivals(),
        *(row_of(name, answers, jobs) for name in dict.fromkeys(row["run"] for row in answers)),
    ]


def rivals() -> Iterable[dict]:
    """A search for the rule in the whole book, and the answer of the nearest of the wordings that a training reads."""
    yield {"run": "nearest_rule"} | asked(evaluate.nearest_rule(make.RULES))
    for seed in facts.SEEDS:
        for count in sorted(facts.EPOCHS):
            run = facts.Run(count, seed, facts.EPOCHS[count])
            name = {"run": f"nearest_example-wordings{count}-seed{seed}", "wordings": count, "seed": seed}
            yield name | asked(evaluate.nearest_example(facts.training_rows(run)))


def asked(answering: Callable[[str], str]) -> dict:
    """The shares of a rival: it is asked now."""
    rows = facts.questions("new")
    return shares("new", [answering(row["question"]) for row in rows], rows)


def row_of(name: str, answers: Sequence[dict], jobs: Sequence[dict]) -> dict:
    """The row of the base, of a training, or of a checkpoint: that has the epoch in its name."""
    job, _, epoch = name.partition("-after")
    found = next((row for row in jobs if row["run"] == name), {})
    if not found and epoch:
        whole = next(row for row in jobs if row["run"] == job)
        found = {key: whole[key] for key in SETTINGS} | {"epochs": int(epoch)}
    row = {"run": name} | {key: found[key] for key in (*SETTINGS, *KEPT) if key in found}
    for kind in CHECKS:
        said = {one["id"]: one["answer"] for one in answers if (one["run"], one["kind"]) == (name, kind)}
        if said:
            rows = facts.questions(kind, found.get("seed", 0))
            row |= shares(kind, [said[one["id"]] for one in rows], rows)
    return row


def shares(kind: str, answers: Sequence[str], rows: Sequence[dict]) -> dict:
    pairs = list(zip(answers, rows, strict=True))
    return {
        name: f"{mean(bool(check(answer, row)) for answer, row in pairs):.4f}"
        for name, check in CHECKS[kind].items()
    }


def main() -> None:
    """Writes facts.csv."""
    rows = table()
    make.write_csv("facts.csv", rows, COLUMNS)
    print(f"facts.csv: {len(rows)} rows")


if __name__ == "__main__":
    main()
