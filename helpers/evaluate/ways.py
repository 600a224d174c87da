"""Every way to answer the airport's questions that was recorded or needs no model, next to the others.

Without other words, the questions are the 120 for practice, and all training runs of a way count.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache

import pandas

from .checks import CHECKS, DATA, STYLE, fact, in_style, no_rule
from .comparing import Comparison, compare
from .counting import Answering, by_question, evaluate, interval
from .record import PRACTICE, WAYS, every_run, questions, recorded, rules, runs
from .rivals import by_meaning, by_words, merged, nearest_rule, without_a_model

CHEATS = {
    "rule": "cheats: untrained model, gets the right rule",
    "tuned_rule": "cheats: the tuned model gets the right rule",
    "rules_tuned_given": "cheats: trained with rules, gets the right one among four",
}
WHAT = WAYS | CHEATS  # what answers, of every way
WHAT |= {
    "nearest_rule_by_words": "no model: the rule that a search by shared words (BM25) puts first",
    "nearest_rule_by_both": "no model: both searches merged",
}
ORDER = ("nearest_rule", "nearest_rule_by_words", "nearest_rule_by_both", "nearest_example", "majority")
ORDER += ("few_shot", "few_shot_nearest", "retrieval", "few_shot_retrieval", "book")
ORDER += ("tuned", "tuned_retrieval", "rules_tuned_retrieval", *CHEATS)
COLUMNS = {  # column: check, kinds of questions
    "form": ("form", PRACTICE),
    "desk": ("desk", PRACTICE),
    "fact, trained rules": ("fact", PRACTICE[:1]),
    "fact, new rules": ("fact", PRACTICE[1:]),
}


def answers_to(row: Mapping, *ways: str, every_run: bool = False) -> pandas.DataFrame:
    """What the rule book says to a question, and what some ways answered: a row a way (the index).

    Columns: what answers, answer, and True or False for each check. Of a way with several trainings the first
    answers, or each of them with ``every_run``. Raises ValueError for an unknown way.
    """
    rows = {"the rule": ("the airport's rule book", in_style(*rules()[row["rule"]]))}
    for way in ways:
        for name, answer in _answering(way, every_run).items():
            rows[name] = (WHAT[way], answer(row["question"]))
    return pandas.DataFrame.from_dict(
        {
            name: {"what answers": what, "answer": said}
            | {check: one(said, row) for check, one in CHECKS.items()}
            for name, (what, said) in rows.items()
        },
        orient="index",
    )


def ways(*names: str) -> pandas.DataFrame:
    """Shares of the questions that each way passed, in percent: a row a way; without names all of them.

    Columns: what answers, form, desk, and fact twice, for trained and for new rules.
    """
    rows = {}
    for way in names or ORDER:
        shares = {
            column: by_question(results(way, *kinds), check).mean()
            for column, (check, kinds) in COLUMNS.items()
        }
        rows[way] = {"what answers": WHAT[way]} | {name: f"{one:.0%}" for name, one in shares.items()}
    return pandas.DataFrame.from_dict(rows, orient="index")


def passed(*kinds: str) -> pandas.DataFrame:
    """How many questions of these kinds each way passed, the mean of its trainings: the best way in all checks first.

    A row a way, without those that cheat; columns form, desk, fact, and all three together.
    """
    checks = (*CHECKS, "all")
    counted = {
        way: [float(by_question(results(way, *kinds), check).sum()) for check in checks]
        for way in ORDER
        if way not in CHEATS
    }
    table = pandas.DataFrame.from_dict(counted, orient="index", columns=checks)
    table = table.sort_values(["all", "fact", "form"], ascending=False, kind="stable")
    return table.round(1).map("{:g}".format)


def compare_ways(before: str, after: str, check: str) -> Comparison:
    """What ``compare`` finds for two ways in one check, all runs of both. "all" is form, desk and fact at once."""
    return compare(results(before), results(after), check, (before, after))


def said(way: str, found: Mapping[str, bool]) -> pandas.DataFrame:
    """What a way answered where the right rule was in its prompt, and where it was missing.

    ``found``: id of a question -> whether the rule was found. A row for each of the two and each kind of answer: the
    fact; "no rule"; something else, with a desk. Columns: the count in each training, asked, mean share, 95 % interval.
    """
    checks = {"the fact": fact, "no rule": no_rule, "something else": _something_else}
    rows = []
    for prompt, there in (("rule found", True), ("rule missed", False)):
        asked = [row for row in questions() if bool(found[row["id"]]) == there]
        tables = every_run(way, asked, checks)
        for name in checks:
            counts = [int(table[name].sum()) for table in tables]
            mean = sum(counts) / len(counts)
            low, high = interval(mean, len(asked))
            rows.append(
                {
                    "prompt": prompt,
                    "the answer says": name,
                    "in each training": ", ".join(map(str, counts)),
                    "of": len(asked),
                    "mean": f"{mean / len(asked):.0%}",
                    "95 % interval": f"{low:.0%} to {high:.0%}",
                }
            )
    return pandas.DataFrame(rows)


def results(way: str, *kinds: str) -> list[pandas.DataFrame]:
    """What ``evaluate`` finds in a way's answers, a table a training, with a column "all" for the checks together.

    Without a kind of questions the 120 for practice. Raises ValueError for an unknown way.
    """
    return [table.copy() for table in _results(way, kinds)]


@cache
def _results(way: str, kinds: tuple[str, ...]) -> list[pandas.DataFrame]:
    rows = questions(*kinds)
    tables = [evaluate(answer, rows) for answer in _answering(way, every=True).values()]
    return [table.assign(all=table[list(CHECKS)].astype(bool).all(axis=1)) for table in tables]


def _answering(way: str, every: bool) -> dict[str, Answering]:
    """Name -> answering function: one, or one for each training."""
    if way not in WHAT:
        raise ValueError(f"No way {way!r}. Known: {', '.join(ORDER)}.")
    if way in airport_without_a_model():
        return {way: airport_without_a_model()[way]}
    if not every or len(runs(way)) == 1:
        return {way: recorded(way)}
    return {f"{way}, training {number}": recorded(way, run) for number, run in enumerate(runs(way), start=1)}


@cache
def airport_without_a_model() -> dict[str, Answering]:
    """The rivals without a model, on the airport's rules and training file: name -> answering function."""
    lines = (DATA / "airport" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    return without_a_model([json.loads(line) for line in lines], rules()) | {
        "nearest_rule_by_words": nearest_rule(rules(), by_words),
        "nearest_rule_by_both": nearest_rule(rules(), _by_both),
    }


def _by_both(texts: Sequence[str]) -> Callable[[str], list[int]]:
    return merged(by_meaning(texts), by_words(texts))


def _something_else(answer: str, row: dict) -> bool:
    return STYLE["last_line"] in answer and not (fact(answer, row) or no_rule(answer, row))
