"""Lesson 01: its prompts are those of the recorded run, its sums those of helpers.costs, its verdicts are counted."""

import csv
import re

import pandas as pd
import pytest

from data.recorded import make
from helpers import costs, evaluate
from tests.notebooks import refresh

NOTEBOOK = refresh.read(refresh.NOTEBOOKS / "01_decide.ipynb")
TEXT = "\n".join(cell.source for cell in NOTEBOOK.cells)
MODELS = ("gpt-3.5-turbo-0125", "gpt-4.1-mini-2025-04-14", "gpt-4o-mini-2024-07-18")


def table(way: str, *kinds: str, run: str | None = None) -> pd.DataFrame:
    return evaluate.evaluate(evaluate.recorded(way, run), evaluate.questions(*kinds))


def share(way: str, check: str, *kinds: str, run: str | None = None) -> tuple[float, float]:
    """The 95 % interval."""
    asked = table(way, *kinds, run=run)[check]
    return evaluate.interval(int(asked.sum()), len(asked))


def verdict(number: int) -> str:
    with open(evaluate.DATA / "claims.csv", encoding="utf-8", newline="") as file:
        return next(row["verdict"] for row in csv.DictReader(file) if row["number"] == str(number))


def difference(before: str, after: str, check: str, run: str | None = None) -> int:
    """1 if the second way is better on the test questions, -1 if worse, 0 if no difference is seen."""
    found = evaluate.compare(table(before), table(after, run=run), check)
    return (found.low > 0) - (found.high < 0)


def test_prompts_of_the_lesson_are_those_of_the_recorded_run():
    assert make.ROLE in TEXT and f'"{make.SYSTEM}"' in TEXT


@pytest.mark.parametrize("model", MODELS)
def test_break_even_is_that_of_the_price_book(model):
    """One token of prompt below the printed length the base call is cheaper, one above it is dearer."""
    board = pd.read_csv(evaluate.DATA / "recorded" / "scoreboard.csv", index_col="way")
    output = "".join(
        output.get("text", "") for cell in refresh.code_cells(NOTEBOOK) for output in cell.outputs
    )
    length = int(re.search(rf"^{re.escape(model)}: break-even at (\d+)", output, re.MULTILINE)[1])

    def dollars(way: str, prompt: float, tuned: bool) -> float:
        tenths = (round(10 * prompt), round(10 * board.loc[way, "answer_tokens"]))
        return costs.call(model, *tenths, tuned=tuned).usd / 10

    tuned = dollars("tuned", board.loc["tuned", "prompt_tokens"], True)
    assert dollars("few_shot", length - 1, False) < tuned < dollars("few_shot", length + 1, False)


def test_verdict_of_claim_5():
    runs = evaluate.runs("tuned")
    better = {
        name: sum(difference("few_shot", "tuned", name, run) for run in runs)
        for name in ("form", "desk", "fact")
    }
    assert better == {"form": 3, "desk": 3, "fact": 1}
    assert [difference("rule", "tuned", "fact", run) for run in runs] == [-1, -1, -1]
    assert "better in form and desk" in verdict(5) and "in facts so in only one of three" in verdict(5)
    assert "worse in facts than a prompt that holds the rule" in verdict(5)
    output = "".join(out.get("text", "") for cell in refresh.code_cells(NOTEBOOK) for out in cell.outputs)
    assert (
        "than few_shot: better in form, desk, worse in nothing; than rule: better in form, worse in fact"
        in output
    )


def test_verdict_of_claim_6_on_time():
    times = pd.read_json(evaluate.DATA / "recorded" / "times.jsonl", lines=True)
    seconds = times.pivot(index="id", columns="way", values="seconds")
    ends = {
        way: evaluate.interval(int((seconds["tuned"] < seconds[way]).sum()), len(seconds))
        for way in ("base", "few_shot")
    }
    assert ends["base"][0] > 0.5 and ends["few_shot"][0] < 0.5 < ends["few_shot"][1]
    assert "faster than the untrained model asked as shortly" in verdict(6)
    assert "no clear difference to a prompt with samples" in verdict(6)


def test_verdict_of_claims_7_and_8():
    kinds = ("trained", "paraphrase", "new")
    assert not table("base", *kinds)["fact"].any() and len(table("base", *kinds)) == 140
    assert difference("base", "role", "fact") == 0 and difference("role", "rule", "fact") == 1
    assert not table("rule")["fact"].all()
    assert "did not state the airport's facts" in verdict(7) and "no difference seen in facts" in verdict(8)


def test_verdict_of_claim_9():
    for run in evaluate.runs("tuned"):
        assert all(
            share("tuned", "form", kind, run=run)[0] > 0.5 for kind in ("trained", "paraphrase", "new")
        )
        assert all(share("tuned", "fact", kind, run=run)[1] < 0.5 for kind in ("paraphrase", "new"))
        assert share("tuned", "fact", "trained", run=run)[0] < 0.5
    assert "mostly missed the facts on paraphrases and on new rules" in verdict(9)
