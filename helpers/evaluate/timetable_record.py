"""What was recorded of the timetable: the answers of each way, counted, and what may be said of two ways.

``data/recorded/timetable.py`` made the answers and says what stands behind each way.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from statistics import fmean

import pandas

from .. import timetable
from .checks import DATA
from .comparing import Comparison, compare, comparisons
from .counting import by_question, evaluate
from .timetable import TIMETABLE_CHECKS, timetable_rivals, timetable_rows
from .timetable_parser import answer_by_parser
from .ways import CHEATS, ORDER, WHAT, results

RECORDED = DATA / "recorded"
PROMPTS = ("manual", "few_shot", "few_shot_manual")
TIMETABLE_WAYS = {  # what answers; without a model, untrained, trained
    "majority": "no model: always the same query",
    "nearest_example": "no model: the query of the most similar of 300 questions",
    "nearest_example_by_words": "no model: the same, by shared words",
    "parser": "no model: code written by hand for this task",
    "manual": "untrained: the manual",
    "few_shot": "untrained: the six most similar of 300 questions, answered",
    "few_shot_manual": "untrained: both",
    "manual_schema": "untrained: the manual, held to a schema",
    "few_shot_schema": "untrained: the six, held to a schema",
    "tuned-25": "25 examples",
    "tuned-50": "50 examples",
    "tuned-100": "100 examples",
    "tuned-200": "200 examples",
    "tuned-300": "300 examples",
    "tuned-100_schema": "100 examples, held to a schema",
    "preferred": "100 examples, then pairs from 200 other rows",
    "rewarded": "100 examples, then a reward for the right flights",
    "patient": "100 examples, then the same reward, three times the questions, a fifth of the rate",
    "lenient": "100 examples, then a reward if no flight is missing",
    "agreed": "100 examples, then a reward for agreeing with itself",
    "self_taught": "100 examples, and unlabelled questions on which it agrees with itself",
    "distilled": "unlabelled questions on which the untrained model, with a long prompt, agrees",
}
AGREED = {"unlabelled": "100 examples", "labelled": None}  # whose questions have labels do not count
UNTRAINED = "no model", "untrained"  # how what is said of a way without training begins
TRAINED = "trained"
TIMETABLE_PLANNED = {  # written down before the last test was opened; "prompt" is the best on validation rows
    "Did 300 examples beat the best prompt?": ("prompt", "tuned-300"),
    "Did they beat a copy of the nearest example?": ("nearest_example", "tuned-300"),
    "Did they beat the parser written by hand?": ("parser", "tuned-300"),
    "Did 300 examples beat 100?": ("tuned-100", "tuned-300"),
    "After 100 examples, did pairs help?": ("tuned-100", "preferred"),
    "Did a reward for the right flights help?": ("tuned-100", "rewarded"),
    # added when the validation rows had shown fewer right queries after the one above
    "Did it with a fifth of the rate and three times the questions?": ("tuned-100", "patient"),
    "Did the reward that can be cheated?": ("tuned-100", "lenient"),
    "Did a reward for agreeing with itself?": ("tuned-100", "agreed"),
    "Did its own agreeing answers, as examples?": ("tuned-100", "self_taught"),
    "Were 200 more labels better as examples than as pairs?": ("preferred", "tuned-300"),
    "Was the distilled model better than its teacher's long prompt?": ("prompt", "distilled"),
}


def nothing_missing(answer: str, row: dict) -> bool:
    """The query of the answer finds all flights that are wanted, and perhaps others: a check that can be cheated."""
    return {flight["flight"] for flight in timetable.search(row["query"])} <= set(timetable.numbers(answer))


REWARDED = {"right": TIMETABLE_CHECKS["right"], "missing": nothing_missing}  # what a reward may look at
REWARDS = {  # what was rewarded, as a check where labels are needed, and the model that the job started from
    "untrained": ("the right flights", "right", None),
    "rewarded": ("the right flights", "right", "tuned-100"),
    "patient": ("the right flights", "right", "tuned-100"),
    "lenient": ("no wanted flight is missing", "missing", "tuned-100"),
    "agreed": ("what most of its own answers found", None, "tuned-100"),
}
AGREE = 3  # drawn answers to a question that have to find the same flights


def timetable_results(
    rows: Sequence[dict], checks: Mapping = TIMETABLE_CHECKS, ways: Collection[str] | None = None
) -> dict[str, list[pandas.DataFrame]]:
    """What ``evaluate`` finds in the answers of each way to these rows, or of some ways: way -> a table for each seed.

    Ways without a model answer now; of the others those are there whose answers to all rows were recorded.
    """
    rivals = timetable_rivals(timetable_rows("train")) | {"parser": answer_by_parser}
    found = {
        way: [evaluate(answer, rows, checks)] for way, answer in rivals.items() if ways is None or way in ways
    }
    ids = {row["question"]: row["id"] for row in rows}
    for way, seeds in _answers().items():
        runs = [answers for _, answers in sorted(seeds.items()) if answers.keys() >= set(ids.values())]
        if runs and (ways is None or way in ways):
            found[way] = [evaluate(lambda asked, of=of: of[ids[asked]], rows, checks) for of in runs]
    order = [*TIMETABLE_WAYS, *found]
    return dict(sorted(found.items(), key=lambda item: order.index(item[0])))


def timetable_asked(name: str) -> list[dict]:
    """The chat rows of "train" or "valid" as questions with the right query, and ids such as "valid001"."""
    asked = [row["messages"][1:] for row in timetable_rows(name)]
    return [
        {
            "id": f"{name}{number:03}",
            "question": question["content"],
            "query": timetable.read(answer["content"]),
        }
        for number, (question, answer) in enumerate(asked, start=1)
    ]


def timetable_prompt() -> str:
    """The prompt with which the untrained model got most of the validation questions right."""
    results = timetable_results(timetable_asked("valid"), {"right": TIMETABLE_CHECKS["right"]}, PROMPTS)
    return max(PROMPTS, key=lambda way: by_question(results[way], "right").sum() if way in results else -1)


def timetable_planned(results: Mapping[str, Sequence[pandas.DataFrame]]) -> dict[str, Comparison]:
    """The planned comparisons of two ways, in the share of right queries: question -> comparison, if both are there.

    Of two trained ways those seeds count that both have: then a model is compared with the one that it started from.
    """
    pairs = {
        question: (timetable_prompt() if one == "prompt" else one, two)
        for question, (one, two) in TIMETABLE_PLANNED.items()
    }
    return {
        question: compare(*_of_the_same_seeds(results, one, two), "right", (one, two))
        for question, (one, two) in pairs.items()
        if {one, two} <= results.keys()
    }


def _of_the_same_seeds(results: Mapping[str, Sequence[pandas.DataFrame]], *ways: str) -> list:
    tables = [results[way] for way in ways]
    if any(TIMETABLE_WAYS.get(way, "").startswith(UNTRAINED) for way in ways):
        return tables
    return [of_way[: min(map(len, tables))] for of_way in tables]


def timetable_verdicts(results: Mapping[str, Sequence[pandas.DataFrame]]) -> pandas.DataFrame:
    """The planned questions, a row each, with the answer that these rows give: yes, no, or that it is not seen.

    Columns: question, answer, before and after (the ways, with the share that is right), points, 95 % interval.
    """
    planned = timetable_planned(results)
    table = comparisons(list(planned.values()))
    answers = [_answer(one) for one in planned.values()]
    return pandas.DataFrame({"question": list(planned), "answer": answers}).join(
        table[["before", "after", "points", "95 % interval"]]
    )


def timetable_each_training(results: Mapping[str, Sequence[pandas.DataFrame]]) -> pandas.DataFrame:
    """The answers to the planned questions about what goes on from 100 examples, if there were but one training.

    A row a question (the index), a column a training.
    """
    start, found = "tuned-100", {}
    for number in range(len(results[start])):
        alone = {way: tables[number : number + 1] for way, tables in results.items() if len(tables) > number}
        found[f"training {number + 1}"] = {
            question: _answer(one)
            for question, one in timetable_planned(alone).items()
            if one.before == start
        }
    return pandas.DataFrame(found)


def _answer(one: Comparison) -> str:
    """To the question whether the way after is better."""
    words = {f"{one.after} is better": "yes", f"{one.before} is better": "no, the other way round"}
    return words.get(one.verdict(), one.verdict())


def timetable_conclusion(results: Mapping[str, Sequence[pandas.DataFrame]]) -> str:
    """Which way was right most often, and against which rivals without training 300 examples won: two sentences."""
    shares = {way: by_question(tables, "right").mean() for way, tables in results.items()}
    best = max(shares, key=shares.get)
    rivals = [way for way in results if TIMETABLE_WAYS.get(way, "").startswith(UNTRAINED)]
    lost = [
        way
        for way in rivals
        if compare(results[way], results["tuned-300"], "right", (way, "tuned-300")).verdict()
        != "tuned-300 is better"
    ]
    against = f"all but {' and '.join(lost)}" if lost else "every one"
    return (
        f"Right most often: {best}, {shares[best]:.0%}. Of {len(rivals)} rivals that need no training, "
        f"tuned-300 ({shares['tuned-300']:.0%}) beat {against}."
    )


def both_tasks(opened: Mapping[str, Sequence[pandas.DataFrame]]) -> pandas.DataFrame:
    """The best way of each kind in both tasks: a row a kind (no model, untrained, trained).

    Columns: form, desk and fact, on the airport's questions for practice; right queries, on the rows of ``opened``
    (from ``timetable_results``). In each the best way of the kind and its share. Ways that cheat are left out.
    """
    shares = {
        column: {way: by_question(results(way), check).mean() for way in ORDER if way not in CHEATS}
        for column, check in (("form", "form"), ("desk", "desk"), ("fact", "fact"))
    }
    shares["right queries"] = {way: by_question(tables, "right").mean() for way, tables in opened.items()}
    found: dict[str, dict[str, str]] = {}
    for column, of_ways in shares.items():
        for kind in (*UNTRAINED, TRAINED):
            best = max((way for way in of_ways if _kind(way) == kind), key=of_ways.get)
            found.setdefault(kind, {})[column] = f"{of_ways[best]:.0%} {best}"
    return pandas.DataFrame.from_dict(found, orient="index")


def _kind(way: str) -> str:
    """No model, untrained or trained, by what is said of the way."""
    said = (TIMETABLE_WAYS | WHAT).get(way, "")
    return next((kind for kind in UNTRAINED if said.startswith(kind)), TRAINED)


def timetable_growth(results: Mapping[str, Sequence[pandas.DataFrame]]) -> pandas.DataFrame:
    """How results grow with the examples, for ``size_chart``: columns rows, seed, right (a share, 0 to 1)."""
    return pandas.DataFrame(
        {"rows": int(way.removeprefix("tuned-")), "seed": seed, "right": float(table["right"].mean())}
        for way, tables in results.items()
        if way.removeprefix("tuned-").isdigit()
        for seed, table in enumerate(tables)
    ).sort_values(["rows", "seed"], ignore_index=True)


def timetable_next_to(rows: Sequence[dict], *ways: str) -> pandas.DataFrame:
    """Answers next to each other, a row a question: the question, the right query, and what each way answered.

    Behind an answer stands whether it finds the right flights (✓) or not (✗). Ways that were not recorded are left out.
    """
    results = timetable_results(rows, {"right": TIMETABLE_CHECKS["right"]}, ways)
    found = {"question": [row["question"] for row in rows]}
    found["right query"] = [timetable.written(row["query"]) for row in rows]
    for way in (way for way in ways if way in results):
        table = results[way][0]
        found[way] = [f"{one.answer} {'✓' if one.right else '✗'}" for one in table.itertuples()]
    return pandas.DataFrame(found)


def timetable_rewards(*ways: str) -> pandas.DataFrame:
    """What each reward did, a row a reward (the index), means of the seeds; of some ways or of all that were recorded.

    Columns: rewarded (in words); mean reward in the training; alike (share of its questions whose answers all got the
    same reward); then, on the validation rows, before and after the training: reward, right (right queries) and
    flights (found by an answer, on average; 0 without a query). NaN where it was not asked, or has no label.
    """
    results = _of_rewards(ways or REWARDS)
    rows = {}
    for way in ways or REWARDS:
        what, check, _ = REWARDS[way]
        of_way = [job for job in _read("jobs") if job["way"] == way]
        if of_way:
            rows[way] = {
                "rewarded": what,
                "reward in training": fmean(fmean(job["reward"]) for job in of_way),
                "alike": fmean(fmean(job["equal"]) for job in of_way),
            }
            before, after = _before_and_after(results, way)
            for name, count in (
                ("reward", partial(_share, check=check)),
                ("right", partial(_share, check="right")),
                ("flights", _flights),
            ):
                rows[way] |= {f"{name} before": count(before), f"{name} after": count(after)}
    return pandas.DataFrame.from_dict(rows, orient="index").round(2)


def timetable_cheat() -> str:
    """What the reward that can be cheated did on the validation rows, in two lines. Nothing if it was not recorded."""
    table = timetable_rewards("lenient")
    before, after = _before_and_after(_of_rewards(["lenient"]), "lenient")
    if table.empty or not after:
        return ""
    row = table.iloc[0]
    compared = compare(before, after, "right").verdict()
    rose = "more" if row["reward after"] > row["reward before"] else "not more"
    return (
        f"After the training {rose} answers get the reward: {row['reward before']:.0%} to {row['reward after']:.0%}.\n"
        f"Right queries: {row['right before']:.0%} to {row['right after']:.0%} ({compared})."
    )


def _of_rewards(ways: Collection[str]) -> dict[str, list[pandas.DataFrame]]:
    """What these rewarded ways, and those that they start from, made of the validation rows."""
    return timetable_results(timetable_asked("valid"), REWARDED, {*ways, *(REWARDS[way][2] for way in ways)})


def _before_and_after(results: Mapping[str, list], way: str) -> tuple[list, list]:
    """The tables of a rewarded way, and those of its start, of the same seeds."""
    after = results.get(way, [])
    return results.get(REWARDS[way][2], [])[: len(after)], after


def _share(tables: Sequence[pandas.DataFrame], check: str | None) -> float:
    return float(by_question(tables, check).mean()) if tables and check else float("nan")


def _flights(tables: Sequence[pandas.DataFrame]) -> float:
    """How many flights an answer finds, on average; one without a query finds none."""
    counts = [len(timetable.numbers(answer)) for table in tables for answer in table["answer"]]
    return fmean(counts) if counts else float("nan")


def timetable_jobs(*ways: str) -> pandas.DataFrame:
    """The recorded trainings of some ways or of all, a row each.

    Columns: way, seed, method, rows, steps, seconds, load, precision, date, commit. Of jobs with rewards also reward
    and equal, each a list with a number a step: the mean reward, and the share of questions whose answers all got the
    same reward.
    """
    rows = [job for job in _read("jobs") if not ways or job["way"] in ways]
    return pandas.DataFrame(rows, columns=None if rows else ["way", "seed", "rows"])


def timetable_agreement() -> pandas.DataFrame:
    """How often each model agrees with itself on questions without a label, of which it drew four answers each.

    A row a model (the index); columns: questions; agreed, for each of its trainings, on how many of them three answers
    or more find the same flights, and some.
    """
    found: dict = {}
    for row in _read("drawn"):
        if model := AGREED.get(row["way"], f"untrained: {row['way']}"):
            found.setdefault(model, {}).setdefault(row["seed"], []).append({"question": ""} | row)
    return pandas.DataFrame.from_dict(
        {
            model: {
                "questions": len(seeds[min(seeds)]),
                "agreed": ", ".join(str(len(agreeing(rows))) for _, rows in sorted(seeds.items())),
            }
            for model, seeds in found.items()
        },
        orient="index",
    )


def agreeing(rows: Sequence[dict], least: int = AGREE) -> list[dict]:
    """The rows of whose answers at least so many find the same flights, some; each with the query of these."""
    found = []
    for row in rows:
        queries = {}
        for answer in row["answers"]:
            try:
                query = timetable.read(answer)
            except ValueError:
                continue
            if flights := tuple(flight["flight"] for flight in timetable.search(query)):
                queries.setdefault(flights, []).append(query)
        most = max(queries.values(), key=len, default=[])
        if len(most) >= least:
            found.append({"id": row["id"], "question": row["question"], "query": most[0]})
    return found


def _answers() -> dict[str, dict[int, dict[str, str]]]:
    """way -> seed -> id -> answer."""
    found: dict = {}
    for row in _read("answers"):
        found.setdefault(row["way"], {}).setdefault(row["seed"], {})[row["id"]] = row["answer"]
    return found


def _read(name: str) -> list[dict]:
    path = RECORDED / f"timetable_{name}.jsonl"
    return (
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    )
