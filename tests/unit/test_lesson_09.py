"""Lesson 09: its figures, counted again from the recorded answers without helpers.evaluate."""

import re
from math import exp, sqrt
from statistics import mean

import numpy as np
import pandas as pd
import pytest

from data.recorded import make
from helpers import evaluate, teach
from tests.notebooks import refresh
from tests.unit.test_lesson_06 import ANSWERS, QUESTIONS, direction, passed, read

NOTEBOOK = refresh.read(refresh.NOTEBOOKS / "09_train_a_real_model.ipynb")
CELLS = refresh.code_cells(NOTEBOOK)
RUNS = [f"tuned-all-seed{seed}" for seed in range(3)]
CHECKS = ("form", "desk", "fact")
LINE = re.compile(
    r"^(form|desk|fact): (?:(no difference seen) between (.+) and (.+)|(.+) is better than (.+)) \(", re.M
)


def said(beginning: str) -> str:
    """What the one code cell prints and shows whose source holds this text."""
    return refresh.said(NOTEBOOK, beginning)


def percent(passes: dict[str, bool]) -> str:
    return f"{100 * sum(passes.values()) / len(passes):.0f}%"


def verdicts(text: str) -> list[tuple[str, str, str, int]]:
    """The printed comparisons: check, the two ways, and 1 if the second is better, -1 if worse, 0 if unseen."""
    found = []
    for check, unseen, before, after, better, worse in LINE.findall(text):
        found.append((check, before, after, 0) if unseen else (check, worse, better, 1))
    return found


def of(name: str, check: str) -> dict[str, bool]:
    """Whether the answers of a way pass, by question; the way by the name that the lesson gives it."""
    names = {
        "no system prompt": ("tuned_no_system", RUNS[0]),
        "half of the data": ("tuned", "tuned-50-seed0"),
        "all": ("tuned", RUNS[0]),
        "epoch of lowest loss": ("tuned", f"{RUNS[0]}-epoch2"),
        "last epoch": ("tuned", RUNS[0]),
        "found": ("rules_tuned_retrieval", "rules_tuned-all-seed0"),
        "given": ("rules_tuned_given", "rules_tuned-all-seed0"),
    }
    if name in ("majority", "copy"):
        examples = read("airport/train.jsonl")
        answer = getattr(evaluate, name)(examples)
        check_of = evaluate.CHECKS[check]
        test = [row for row in QUESTIONS.values() if row["kind"] in ("paraphrase", "new")]
        return {row["id"]: check_of(answer(row["question"]), row) for row in test}
    model = "rules_tuned-all-seed0" if name.startswith("rules_") else RUNS[0]
    way, run = names.get(name, (name, model if "tuned" in name else "base"))
    return passed(way, run, check)


@pytest.mark.parametrize(
    "beginning, comparisons",
    [
        ("for column in evaluate.CHECKS:", 9),
        ("best_prompt =", 3),
        ('results["no system prompt"] =', 3),
        ("number = int(lowest) - 1", 3),
        ("half = train(", 3),
        ('results["tuned_rule"] =', 6),
        ('("found", "given")', 4),
        ("nlargest(2)", 3),
    ],
)
def test_sentences_that_compare(beginning, comparisons):
    """Every printed verdict follows from the pairs."""
    found = verdicts(said(beginning))
    assert len(found) == comparisons
    for check, before, after, seen in found:
        assert direction(of(before, check), of(after, check)) == seen, (check, before, after)


def test_mean_and_range_of_the_seeds():
    lines = said("the mean of {len(shares)} runs").splitlines()
    for check, line in zip(CHECKS, lines, strict=True):
        shares = [mean(passed("tuned", run, check).values()) for run in RUNS]
        average, low, high = (f"{100 * value:.0f}%" for value in (mean(shares), min(shares), max(shares)))
        assert line == f"{check}: {average}, the mean of 3 runs ({low} to {high})"


def test_each_seed_beside_the_best_that_needs_no_training():
    lines = said("rival =").splitlines()
    for check, line in zip(CHECKS, lines, strict=True):
        rival = re.search(r"(?:than|beside) (\w+)", line)[1]
        counts = {name: sum(of(name, check).values()) for name in ("base", "majority", "copy")}
        assert counts[rival] == max(counts.values())
        ways = [direction(of(rival, check), passed("tuned", run, check)) for run in RUNS]
        numbers = [int(number) for number in re.findall(r"\d+", line)]
        assert numbers == [ways.count(1), ways.count(-1), ways.count(0)]


def test_facts_by_kind_of_question():
    for kind, label in (("trained", "asked in training"), ("paraphrase", "paraphrase"), ("new", "new")):
        passes = passed("tuned", RUNS[0], "fact", (kind,))
        assert re.search(rf"^{label} +{sum(passes.values())} +{len(passes)} ", said("by_kind |="), re.M)


def wilson(passes: dict[str, bool]) -> tuple[float, float, float]:
    """Share and the ends of its interval: the roots of (p - x)^2 = z^2 x (1 - x) / n."""
    n, share = len(passes), mean(passes.values())
    part = 1.959964**2 / n
    low, high = sorted(np.roots([1 + part, -(2 * share + part), share**2]).real)
    return share, max(0.0, low), high


def test_difference_between_kinds_is_the_score_interval_of_newcombe():
    shares = [wilson(passed("tuned", RUNS[0], "fact", (kind,))) for kind in ("trained", "paraphrase", "new")]
    for (p, low_p, high_p), (q, low_q, high_q), line in zip(
        shares, shares[1:], said("hypot").splitlines(), strict=False
    ):
        low = p - q - sqrt((p - low_p) ** 2 + (high_q - q) ** 2)
        high = p - q + sqrt((high_p - p) ** 2 + (q - low_q) ** 2)
        seen = "no difference seen" if low <= 0 <= high else "a difference"
        assert f": {seen}, {100 * (p - q):+.0f} points" in line
        assert f"(95 % interval {100 * low:+.0f} to {100 * high:+.0f})" in line


def test_loss_read_as_a_probability():
    losses = [row["train_loss"] for row in read("recorded/losses.jsonl") if row["run"] == RUNS[0]]
    first, last = losses[0], mean(losses[-8:])
    text = said("exp(-first)")
    assert f"{first:.2f}" in text and f"{last:.2f}" in text
    assert f"{100 * exp(-first):.0f}%" in text and f"{100 * exp(-last):.0f}%" in text


def test_validation_loss_after_each_epoch():
    full = [
        row["full_valid_loss"]
        for row in read("recorded/losses.jsonl")
        if row["run"] == RUNS[0] and row.get("full_valid_loss") is not None
    ]
    text = said("validation loss after each epoch")
    assert text.startswith("validation loss after each epoch: " + " ".join(f"{loss:.2f}" for loss in full))
    lowest = min(range(4), key=full.__getitem__)
    assert f"lowest after epoch {lowest + 1}; at the end it is {full[-1] - full[lowest]:.2f} higher" in text


def test_the_style_leaks_where_the_lesson_says():
    for way, run in (("base", "base"), ("tuned", RUNS[0]), ("tuned_no_system", RUNS[0])):
        asked = [
            one["answer"]
            for one in ANSWERS
            if (one["way"], one["run"]) == (way, run) and QUESTIONS[one["id"]]["kind"] == "elsewhere"
        ]
        leaks = sum("Desk:" in answer for answer in asked)
        assert f"{way}: {leaks} of {len(asked)} name a desk." in said("leaks =")


def test_half_of_the_data():
    for check, line in zip(CHECKS, said("means =").splitlines(), strict=True):
        half = mean(mean(passed("tuned", f"tuned-50-seed{seed}", check).values()) for seed in range(3))
        whole = mean(mean(passed("tuned", run, check).values()) for run in RUNS)
        assert line == f"{check}: {100 * half:.0f}% with 50 rows, {100 * whole:.0f}% with all; no guess"


def test_answers_that_say_there_is_no_rule():
    def honest(way: str, kinds: tuple[str, ...]) -> list[bool]:
        run = "rules_tuned-all-seed0"
        return [
            "no rule" in one["answer"].lower()
            for one in ANSWERS
            if (one["way"], one["run"]) == (way, run) and QUESTIONS[one["id"]]["kind"] in kinds
        ]

    for way in ("rules_tuned_given", "rules_tuned_retrieval"):
        answers = honest(way, ("none",))
        assert f"{way}: {sum(answers)} of {len(answers)} say" in said("unanswerable =")
    shy = honest("rules_tuned_given", ("paraphrase", "new"))
    assert f"{sum(shy)} of {len(shy)} answers say 'no rule'" in said("shy =")


def test_the_prompt_with_a_rule_is_the_one_that_was_recorded():
    row = next(row for row in QUESTIONS.values() if row["kind"] == "paraphrase")
    assert said("def with_rule(row)").strip() == make.with_right_rule(row)


def test_parameters_of_the_adapter():
    """By hand: 30 layers of seven matrices of SmolLM2-135M, 576 wide, 192 for keys and values, 1,536 inside."""
    pairs = [(576, 576), (192, 576), (192, 576), (576, 576), (1536, 576), (1536, 576), (576, 1536)]
    adapter = 30 * sum(8 * (rows + columns) for rows, columns in pairs)
    model = 30 * (sum(rows * columns for rows, columns in pairs) + 2 * 576) + 49152 * 576 + 576
    text = said("whole =")
    assert f"{model:,} parameters" in text and f"{adapter:,} beside them" in text
    assert f"{100 * adapter / model:.1f}%" in text and f"{4 * adapter / 1e6:.0f} MB" in text
    small = 30 * 4 * (576 + 576 + 192 + 576) / model
    right = teach.answer("09-count-lora", small)
    assert right.startswith("Right. ")


def test_times():
    jobs = {job["run"]: job for job in read("recorded/runs.jsonl")}
    small, full = jobs["tuned-25-seed0"], jobs[RUNS[0]]
    predicted = small["seconds"] / small["trained_tokens"] * full["trained_tokens"]
    seconds = [jobs[run]["seconds"] for run in RUNS]
    text = said("predicted =")
    assert f"Predicted from 25 rows: {predicted:.0f} seconds. It took {full['seconds']}." in text
    assert f"{100 * abs(predicted / full['seconds'] - 1):.0f}% too" in text
    assert f"The same job with 3 seeds took {min(seconds)} to {max(seconds)} seconds." in text


def test_the_scoreboard_is_shown_whole():
    board = pd.read_csv(evaluate.DATA / "recorded" / "scoreboard.csv")
    text = said("board.join(")
    assert all(re.search(rf"^{way} ", text, re.M) for way in board["way"])
    shares = [100 * mean(passed("tuned", run, "fact").values()) for run in RUNS]
    wanted = f"{mean(shares):.0f}% ({min(shares):.0f}% to {max(shares):.0f}%)"
    assert wanted in next(line for line in text.splitlines() if line.startswith("tuned "))


def test_the_chosen_way_is_the_best_that_a_passenger_can_use():
    board = pd.read_csv(evaluate.DATA / "recorded" / "scoreboard.csv").to_dict("records")
    able = [row for row in board if row["form"] >= 0.9 and not row["way"].endswith(("rule", "given"))]
    best = max(able, key=lambda row: row["fact"])
    assert teach.answer("09-choose-a-way", best["way"], best["fact"]).startswith("Right. ")


def test_what_is_shown_of_the_loop_is_what_runs():
    source = (evaluate.DATA.parent / "helpers/local_api/engines/trained/training.py").read_text(
        encoding="utf-8"
    )
    for name in ("loss_of", "learn", "gradient", "rate", "train"):
        assert said(f'print(functions["{name}"])').strip("\n") in source


def test_nothing_is_trained_as_the_lesson_stands():
    assert "LIVE = False" in CELLS[0].source
    assert said("LIVE = False").startswith("This lesson replays a recorded run")
