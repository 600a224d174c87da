"""Lesson 07: its figures are computed again in another way, from the CSV file, and its exercise answers mistakes."""

import csv
import html
import json
import re

from helpers import tokens
from tests.environment import ROOT
from tests.notebooks import refresh

PATH = ROOT / "notebooks" / "07_count_cost.ipynb"
NOTEBOOK = refresh.read(PATH)
LAUNCH, CUT, NEWEST, SEEN = "2023-08-22", "2023-11-06", "2024-01-25", "2026-09-01"
OLD, MIDDLE, LAST = "gpt-3.5-turbo-0613", "gpt-3.5-turbo-1106", "gpt-3.5-turbo-0125"
DATED = {"gpt-3.5-turbo": LAST} | {
    f"gpt-4.1{size}": f"gpt-4.1{size}-2025-04-14" for size in ("", "-mini", "-nano")
}
DATED |= {"gpt-4o": "gpt-4o-2024-08-06", "gpt-4o-mini": "gpt-4o-mini-2024-07-18"}
TUNABLE = [name for name in DATED if name != "gpt-3.5-turbo"]

with open(ROOT / "data" / "prices.csv", encoding="utf-8", newline="") as _file:
    PRICES = list(csv.DictReader(_file))
with open(ROOT / "data" / "airport" / "train.jsonl", encoding="utf-8") as _file:
    CHATS = [json.loads(line)["messages"] for line in _file]


def usd(model: str, kind: str, day: str = "") -> float:
    """Dollars a token, on a day or the last row of the table."""
    found = [
        float(row["usd_per_1m_tokens"]) / 1e6
        for row in PRICES
        if (row["model"], row["kind"]) == (DATED.get(model, model), kind)
        and (not day or row["from"] <= day < (row["until"] or "9999"))
    ]
    assert len(found) == 1 or (found and not day), (model, kind, day)
    return found[-1]


def call(model: str, family: str, prompt: int, answer: int, day: str = "") -> float:
    return prompt * usd(model, f"{family}_input", day) + answer * usd(model, f"{family}_output", day)


def output(*words: str) -> str:
    """What the first code cell with these words in its source shows: printed lines and HTML."""
    return refresh.shown(NOTEBOOK, *words)


def table(*words: str) -> list[dict[str, str]]:
    """The rows of a DataFrame that a cell shows."""
    rows = refresh.rows(output(*words))
    assert len(rows) > 1
    return [dict(zip(rows[0][1:], row[1:], strict=True)) for row in rows[1:]]


def assert_dollars(shown: str, amount: float) -> None:
    """To the cent, and small amounts to the last digit that is shown."""
    number = re.fullmatch(r"(-?)\$([\d,]+)\.(\d+)", shown)
    assert number and len(number[3]) >= 2, shown
    unit = 10.0 ** -len(number[3])
    assert abs(float(shown.replace("$", "").replace(",", "")) - amount) <= 0.5 * unit * 1.0001, (
        shown,
        amount,
    )


def assert_ratio(shown: str, ratio: float, digits: int = 2) -> None:
    assert abs(float(shown) - ratio) <= 0.5 * 10**-digits * 1.0001, (shown, ratio)


def prompt_sizes() -> tuple[int, int, int]:
    """Long prompt, short prompt, answer, counted piece by piece: 3 for each message, 1 a role, 3 for the reply."""

    def size(texts):
        return sum(tokens.count(text, OLD) + 4 for text in texts) + 3

    role, question, answer = (message["content"] for message in CHATS[0])
    desks = ", ".join((ROOT / "data" / "airport" / "desks.txt").read_text(encoding="utf-8").split("\n")[:-1])
    style = "Use at most 30 words. Then, on a last line of its own, write Desk: and one of these: "
    samples = [message["content"] for chat in CHATS[1:9] for message in chat[1:]]
    long = size([f"{role} {style}{desks}.", *samples, question])
    return long, size([role, question]), tokens.count(answer, OLD)


LONG, SHORT, ANSWER = prompt_sizes()


def trained(model: str) -> int:
    """Billed tokens of three epochs of the airport file."""
    return 3 * sum(tokens.count_messages(chat, model) for chat in CHATS)


def pays_back(once: float, saved: float, months: int = 12) -> int:
    """The first number of calls a month at which the saving has repaid the costs, found by bisection."""
    low, high = 0, 10**9
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if middle * months * saved >= once - 1e-12 else (middle + 1, high)
    return low


# --- the figures ---------------------------------------------------------------------------------------------


def test_the_prompts():
    assert f"long prompt {LONG} tokens, short prompt {SHORT} tokens, answer {ANSWER} tokens" in output(
        "LONG, SHORT ="
    )
    assert f"{(LONG - SHORT) / LONG:.0%} of the prompt" in output("LONG, SHORT =")


def test_one_job_and_one_call():
    job = re.search(r"train\.jsonl: (\$[\d.]+)<", output("costs.training(TRAIN, MODEL)"))
    assert_dollars(job[1], trained(LAST) * usd(LAST, "training"))
    base, tuned = re.findall(r"One call of gpt-3.5-turbo: (\S+);", output("print(costs.call(MODEL, LONG"))
    assert_dollars(base, call(LAST, "base", LONG, ANSWER))
    assert_dollars(tuned, call(LAST, "tuned", SHORT, ANSWER))


def least_to_save(model: str, day: str = "") -> int:
    """Tried out, token by token."""
    base = call(model, "base", LONG, ANSWER, day)
    return next(n for n in range(LONG + 1) if call(model, "tuned", LONG - n, ANSWER, day) <= base + 1e-15)


def test_tokens_that_must_go():
    assert f"At least {least_to_save(LAST)} of the {LONG}" in output("costs.prompt_to_save(MODEL")


def test_days_of_the_prices():
    assert [line.split()[-1] for line in output("launch, cut =").splitlines()] == [LAUNCH, CUT, NEWEST]


def test_ratios_per_token():
    pairs = [(OLD, OLD, LAUNCH), ("gpt-3.5-turbo-16k-0613", OLD, LAUNCH), (OLD, OLD, CUT)]
    pairs += [(MIDDLE, MIDDLE, CUT), (LAST, LAST, NEWEST)]
    rows = table("ratios = pd")
    for row, (base, tuned, day) in zip(rows, pairs, strict=True):
        assert (row["base"], row["tuned"], row["on"], row["grades"]) == (base, tuned, day, "O")
        for kind in ("input", "output"):
            assert_ratio(row[kind], usd(tuned, f"tuned_{kind}", day) / usd(base, f"base_{kind}", day))
    assert [(float(row["input"]), float(row["output"])) for row in rows] == [
        (8, 8),
        (4, 4),
        (2, 3),
        (3, 3),
        (6, 4),
    ]
    assert output("inside =").splitlines() == [
        "both: 0 of 5 pairs",
        f"one of the two: ['{LAST} from {NEWEST}']",
    ]
    (flat,) = table("base_day=flat.start")
    assert flat["grades"] == "OT"
    for kind in ("input", "output"):
        assert_ratio(
            flat[kind], usd(OLD, f"tuned_{kind}", LAUNCH) / usd("gpt-3.5-turbo-0301", f"base_{kind}")
        )


def test_ratios_per_call_with_the_training():
    for row, (model, day) in zip(
        table("whole ="), [(OLD, LAUNCH), (OLD, CUT), (MIDDLE, CUT), (LAST, NEWEST)], strict=True
    ):
        base, tuned = call(model, "base", LONG, ANSWER, day), call(model, "tuned", SHORT, ANSWER, day)
        job = trained(model) * usd(model, "training", day)
        assert (row["model"], row["on"]) == (model, day)
        same = call(model, "tuned", SHORT, ANSWER, day) / call(model, "base", SHORT, ANSWER, day)
        assert_ratio(row["same prompt"], same)
        assert_ratio(row["short for long"], tuned / base)
        for number in (100, 1_000, 10_000):
            assert_ratio(row[f"{number:,} calls"], (tuned * number + job) / (base * number))


def test_where_six_to_seven_holds():
    base = call(OLD, "base", LONG, ANSWER, LAUNCH)
    rows = table("steps = pd")
    assert len(rows) == 10
    for part, row in enumerate(rows):
        ratio = call(OLD, "tuned", LONG - LONG * part // 10, ANSWER, LAUNCH) / base
        assert int(row["tokens saved"]) == LONG * part // 10
        assert_ratio(row["times"], ratio)
        assert row["six to seven"] == ("yes" if 6 <= ratio <= 7 else "")
    assert 0 < sum(row["six to seven"] == "yes" for row in rows) < 10


def test_a_tenth_and_a_third():
    pairs = [(OLD, "gpt-4-0613", LAUNCH), (OLD, "gpt-4-0613", CUT), (MIDDLE, "gpt-4-1106-preview", CUT)]
    pairs += [(LAST, "gpt-4-0613", NEWEST)]
    pairs += [(LAST, big, SEEN) for big in ("gpt-4-turbo-2024-04-09", "gpt-4o", "gpt-4.1")]
    tenth, third = [], []
    for row, (small, big, day) in zip(table("big = pd"), pairs, strict=True):
        assert (row["small"], row["big"], row["on"]) == (small, big, day)
        ratio = {
            f"{family} {kind}": usd(small, f"{family}_{kind}", day) / usd(big, f"base_{kind}", day)
            for family in ("base", "tuned")
            for kind in ("input", "output")
        }
        for name, value in ratio.items():
            assert_ratio(row[name], value, digits=3)
        assert_ratio(
            row["tuned call"],
            call(small, "tuned", SHORT, ANSWER, day) / call(big, "base", LONG, ANSWER, day),
            digits=3,
        )
        if max(ratio["base input"], ratio["base output"]) < 0.1 - 1e-9:
            tenth.append(f"{big} from {day}")
        if all(0.25 <= round(ratio[f"tuned {kind}"], 3) <= 0.4 for kind in ("input", "output")):
            third.append(f"{big} from {day}")
    assert output("tenth =").splitlines() == [
        f"under a tenth: {tenth}",
        f"about a third: {third}",
        f"the prices of the first row ended on {CUT}",
    ]
    assert len(tenth) == 4 and third == [f"gpt-4-0613 from {LAUNCH}"]


def test_the_last_tunable_models():
    for row, model in zip(table("successor(model) for"), TUNABLE, strict=True):
        assert (row["base"], row["on"]) == (model, SEEN)
        for kind in ("input", "output"):
            assert_ratio(row[kind], usd(model, f"tuned_{kind}") / usd(model, f"base_{kind}"))
        ratio = call(model, "tuned", SHORT, ANSWER) / call(model, "base", LONG, ANSWER)
        assert_ratio(row["short for long"], ratio)
        assert int(row["prompt to save"]) == least_to_save(model)


def fact(model: str, name: str) -> str:
    with open(ROOT / "data" / "models.csv", encoding="utf-8", newline="") as file:
        return next(
            (r["value"] for r in csv.DictReader(file) if (r["model"], r["fact"]) == (model, name)), ""
        )


def test_todays_base_models():
    rows = table("today = [")
    without_end = {row["model"] for row in PRICES if row["kind"] == "base_input" and not row["until"]}
    assert {row["model"] for row in rows[:-1]} == without_end
    amounts = {row["model"]: call(row["model"], "base", LONG, ANSWER) for row in rows[:-1]}
    tuned = call("gpt-4.1-mini", "tuned", SHORT, ANSWER)
    for row in rows[:-1]:
        assert_dollars(row["1,000 calls"], 1_000 * amounts[row["model"]])
        grades = {p["grade"] for p in PRICES if (p["model"], p["kind"]) == (row["model"], "base_input")}
        assert {row["grade"]} == grades
        assert row["reasons by default"] == fact(row["model"], "reasoning_default") != ""
    assert rows[-1]["prompt"] == "short, tuned"
    assert_dollars(rows[-1]["1,000 calls"], 1_000 * tuned)
    assert rows[-1]["reasons by default"] == "no"
    flips = dict(re.findall(r"(\S+): cheaper, until it writes (\d+) output tokens", output("a_token =")))
    assert set(flips) == {model for model, amount in amounts.items() if amount < tuned}
    for model, more in flips.items():
        assert call(model, "base", LONG, ANSWER + int(more)) >= tuned
        assert call(model, "base", LONG, ANSWER + int(more) - 1) < tuned
    assert {"gpt-6.1-terra", "gpt-6.1-sol", "gpt-6-sol"} <= set(amounts)


def test_a_price_with_and_without_reasoning():
    bare, thought = re.findall(r"One call of gpt-6-luna(.*?): (\S+);", output("reasoning=200"))
    assert bare[0] == ", without its reasoning" and thought[0] == ""
    assert_dollars(bare[1], call("gpt-6-luna", "base", LONG, ANSWER))
    assert_dollars(thought[1], call("gpt-6-luna", "base", LONG, ANSWER + 200))
    assert call("gpt-6-luna", "base", LONG, ANSWER + 200) > call("gpt-4.1-mini", "tuned", SHORT, ANSWER)
    efforts = {row["model"]: row["value"] for row in table('"reasoning_effort"]')}
    assert efforts and efforts["gpt-6.1-sol"].startswith("low") and efforts["gpt-6-luna"].startswith("none")


def test_who_bills_a_validation_file():
    rows = {row["provider"]: row["value"] for row in table('"validation_tokens"]')}
    assert rows == {"openai": "not billed", "together": "billed"}


def test_the_studies_of_this_lesson():
    with open(ROOT / "data" / "studies.csv", encoding="utf-8", newline="") as file:
        mine = [row for row in csv.DictReader(file) if "07" in row["lesson"].split()]
    said = output("studies = pd")
    assert mine and all(row["finding"] in said and row["citation"] in said for row in mine)


def test_break_even():
    for row, model in zip(table('"in a month"'), DATED, strict=True):
        saved = call(model, "base", LONG, ANSWER) - call(model, "tuned", SHORT, ANSWER)
        once = trained(model) * usd(model, "training")
        for name, months in (("in a month", 1), ("in a year", 12)):
            assert row[name] == (f"{pays_back(once, saved, months):,}" if saved > 0 else "never"), model
    assert row["model"] == "gpt-4o-mini" and row["price ends"] == "2027-01-14"


MINI = "gpt-4.1-mini"
ONCE = trained(MINI) * usd(MINI, "training")
SAVED = call(MINI, "base", LONG, ANSWER) - call(MINI, "tuned", SHORT, ANSWER)


def test_cached_input_and_longer_answers():
    too_short = output("minimum = facts")
    least = int(fact("*", "cached_input_from"))
    assert LONG < least < 1_200 and f"caches from {least:,} tokens on" in too_short
    assert_dollars(
        re.search(r"1,000 such calls: (\S+)", too_short)[1], 1_000 * call(MINI, "base", LONG, ANSWER)
    )
    assert f"Not cached: {LONG - SHORT} tokens" in too_short and "cached_input:" not in too_short

    text = output("LONGER =")
    plain = call(MINI, "base", 1_200, ANSWER)
    cached = plain - (1_200 - SHORT) * (usd(MINI, "base_input") - usd(MINI, "base_cached_input"))
    tuned = call(MINI, "tuned", SHORT, ANSWER)
    shown = re.findall(r"1,000 such calls: (\S+)", text)
    for amount, sum_of_it in zip(shown, (plain, cached, tuned), strict=True):
        assert_dollars(amount, 1_000 * sum_of_it)
    assert shown == ["$0.53", "$0.18", "$0.12"]
    for way, saved in (("nothing", plain - tuned), ("the beginning", cached - tuned)):
        calls = pays_back(ONCE, saved)
        assert f"{way} cached: Tuning pays back within 12 months from {calls} calls" in text
    assert f"{(cached - tuned) / (plain - tuned):.0%} is left" in text
    assert 0 < (cached - tuned) / (plain - tuned) < 0.5  # the quiz: most of it is gone, and not all
    worth = re.findall(r"(\S+): one answer token costs as much as (\S+) prompt", output("worth ="))
    assert [model for model, _ in worth] == list(DATED)
    for model, ratio in worth:
        assert_ratio(ratio, usd(model, "tuned_output") / usd(model, "tuned_input"))
    wordy = SAVED + ANSWER * usd(MINI, "base_output")
    assert f"untuned:  Tuning pays back within 12 months from {pays_back(ONCE, wordy)} calls" in output(
        "wordy ="
    )


def test_rounds_and_people():
    lines = output("plans = {}").splitlines()
    for (rounds, days, wage), job, verdict in zip(
        [(2, 1, 200), (6, 10, 600)], lines[::2], lines[1::2], strict=True
    ):
        training, people = re.search(r"training (\S+), people (\S+)$", job).groups()
        assert_dollars(training, rounds * ONCE)
        assert_dollars(people, rounds * days * wage)
        calls = int(re.search(r"from ([\d,]+) calls", verdict)[1].replace(",", ""))
        assert calls == pays_back(rounds * (ONCE + days * wage), SAVED)


def test_the_rival():
    with open(ROOT / "data" / "airport" / "train_with_rules.jsonl", encoding="utf-8") as file:
        prompts = [json.loads(line)["messages"][1]["content"].split("\n\n") for line in file]
    assert {len(parts) for parts in prompts} == {2}  # the rules, then the question
    four = round(sum(tokens.count_many([parts[0] for parts in prompts], OLD)) / len(prompts))
    assert f"four rules in the prompt: {four} tokens" in output("FOUR =")
    tuned_prompt, base_prompt = SHORT + four, LONG + four
    lookup = tokens.count(CHATS[0][1]["content"], OLD) * usd("text-embedding-3-small", "embedding")
    rows = table('thousand("big')
    expected = [
        call(OLD, "tuned", SHORT, ANSWER, LAUNCH),
        call(OLD, "tuned", tuned_prompt, ANSWER, LAUNCH) + lookup,
        call("gpt-4-0613", "base", base_prompt, ANSWER, LAUNCH) + lookup,
        call(MINI, "tuned", SHORT, ANSWER),
        call(MINI, "tuned", tuned_prompt, ANSWER) + lookup,
        *(call(row["model"], "base", base_prompt, ANSWER) + lookup for row in rows[5:]),
    ]
    for row, amount in zip(rows, expected, strict=True):
        assert_dollars(row["1,000 calls"], 1_000 * amount)
        assert (row["reasoning"] == "not counted") == bool(fact(row["model"], "reasoning_default"))


def test_what_stands_below_the_calculator_says_the_same():
    calls = pays_back(2 * (ONCE + 200), SAVED)
    assert f"from {calls:,} calls a month" in output('plans["low"]')
    assert f"They cross at {calls:,} calls a month" in html.unescape(output("charts.break_even"))
