"""The scoreboard of the recorded run is what the recorded answers say."""

import csv
import json

import pytest

from data.recorded import make, score


def test_scoreboard_is_computed_from_the_answers():
    with open(score.RECORDED / "scoreboard.csv", encoding="utf-8", newline="") as file:
        stored = list(csv.DictReader(file))
    assert stored == [{key: str(value) for key, value in row.items()} for row in score.scoreboard()]


def test_scoreboard_knows_every_way_to_ask():
    assert sorted(score.WAYS) == sorted(make.WAYS)


def test_one_row_counted_by_hand():
    answers = [json.loads(line) for line in open(score.RECORDED / "answers.jsonl", encoding="utf-8")]
    tested = [one for one in answers if one["way"] == "base" and one["id"].startswith("t0")]
    tested += [
        one for one in answers if one["way"] == "base" and one["id"] in {f"t{i}" for i in range(100, 121)}
    ]
    assert len(tested) == 120
    row = score.row("base", ["base"], answers)
    assert row["prompt_tokens"] == pytest.approx(sum(one["prompt_tokens"] for one in tested) / 120, abs=0.05)
    assert row["form"] == sum("\nDesk: " in one["answer"] for one in tested) / 120 == 0
    usd = (row["prompt_tokens"] * 0.5 + row["answer_tokens"] * 1.5) / 1e6 * 1000
    assert row["usd_1000_calls"] == pytest.approx(usd, abs=2e-4)
