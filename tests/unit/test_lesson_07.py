"""Lesson 07: its figures are computed again in another way, from the CSV files, and its sentences are held to them."""

import csv
import html
import json
import re

import pytest

from helpers import tokens
from tests.environment import ROOT
from tests.notebooks import refresh

NOTEBOOK = refresh.read(ROOT / "notebooks" / "07_count_cost.ipynb")
AIRPORT = ROOT / "data" / "airport"
LAUNCH, CUT, LATER = "2023-08-22", "2023-11-06", "2024-01-25"
OLD, LAST, BIG = "gpt-3.5-turbo-0613", "gpt-3.5-turbo-0125", "gpt-4-0613"
TUNED, RIVAL, LIKE = "tinker/Qwen3-8B", "gpt-6-luna", "gpt-4o"  # LIKE: whose vocabulary counts all three
DATED = {"gpt-3.5-turbo": LAST, "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14"}
CALLS, LOW, HIGH = 10_000, (2, 1, 200), (6, 10, 600)


def rows(table: str) -> list[dict[str, str]]:
    with open(ROOT / "data" / table, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


PRICES, PROVIDERS = rows("prices.csv"), rows("providers.csv")


def usd(model: str, kind: str, day: str = "") -> float:
    """Dollars a token, on a day or the last row of the table."""
    if model == TUNED:
        fact = {"training": "training_price"}.get(kind, f"{kind}_price")
        (row,) = [r for r in PROVIDERS if (r["provider"], r["model"], r["fact"]) == (*TUNED.split("/"), fact)]
        return float(row["value"]) / 1e6
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
    return html.unescape(refresh.shown(NOTEBOOK, *words))


def table(*words: str) -> list[dict[str, str]]:
    """The rows of a DataFrame that a cell shows; the index, where it is shown, under "index"."""
    shown = [
        [re.sub(r"<[^>]*>", "", cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)]
        for row in re.findall(r"<tr.*?</tr>", output(*words), re.DOTALL)
    ]
    assert len(shown) > 1
    names = shown[0] if shown[0][0] else ["index", *shown[0][1:]]
    return [dict(zip(names, row, strict=True)) for row in shown[1:]]


def amount(shown: str) -> float:
    return float(shown.replace("$", "").replace(",", ""))


def assert_dollars(shown: str, wanted: float) -> None:
    """To the cent, and small amounts to the last digit that is shown."""
    number = re.fullmatch(r"(-?)\$([\d,]+)\.(\d+)", shown)
    assert number and len(number[3]) >= 2, shown
    assert abs(amount(shown) - wanted) <= 0.5 * 10.0 ** -len(number[3]) * 1.0001, (shown, wanted)


def size(texts: list[str]) -> int:
    """A chat counted piece by piece: 3 for each message, 1 a role, 3 for the reply."""
    return sum(tokens.count(text, LIKE) + 4 for text in texts) + 3


CHATS = [
    json.loads(line)["messages"]
    for line in (AIRPORT / "train.jsonl").read_text(encoding="utf-8").splitlines()
]
ROLE, QUESTION, REPLY = (message["content"] for message in CHATS[0])
SHORT, ANSWER = size([ROLE, QUESTION]), tokens.count(REPLY, LIKE)
BOOK = tokens.count((AIRPORT / "rules.md").read_text(encoding="utf-8"), LIKE)


def long_prompt() -> int:
    desks = ", ".join((AIRPORT / "desks.txt").read_text(encoding="utf-8").split("\n")[:-1])
    style = "Use at most 30 words. Then, on a last line of its own, write Desk: and one of these: "
    samples = [message["content"] for chat in CHATS[1:9] for message in chat[1:]]
    return size([f"{ROLE} {style}{desks}.", *samples, QUESTION])


def four_rules() -> int:
    lines = (AIRPORT / "train_with_rules.jsonl").read_text(encoding="utf-8").splitlines()
    parts = [json.loads(line)["messages"][1]["content"].split("\n\n") for line in lines]
    assert {len(part) for part in parts} == {2} and len(parts) == 140  # the rules, then the question
    return round(sum(tokens.count_many([part[0] for part in parts], LIKE)) / len(parts))


LONG, FOUR = long_prompt(), four_rules()
TRAINED = 3 * sum(tokens.count_messages(chat, LIKE) for chat in CHATS)
JOB = TRAINED * usd(TUNED, "training")
SHORT_CALL, FAIR_CALL = (call(TUNED, "tuned", SHORT + extra, ANSWER) for extra in (0, FOUR))


def cached_book(model: str, thought: int = 0) -> float:
    return BOOK * usd(model, "base_cached_input") + call(model, "base", SHORT, ANSWER + thought)


def pays_back(once: float, saved: float, months: int = 12) -> int:
    """The first number of calls a month at which the saving has repaid the costs, found by bisection."""
    low, high = 0, 10**9
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if middle * months * saved >= once - 1e-9 else (middle + 1, high)
    return low


def once(work: tuple[int, int, int]) -> float:
    rounds, days, wage = work
    return rounds * (JOB + days * wage)


# --- the figures ---------------------------------------------------------------------------------------------


def test_the_bill_that_opens_the_lesson():
    shown = {row.pop("index"): row for row in table("costs.bill")}
    for name, (rounds, days, wage) in {"low guess": LOW, "high guess": HIGH}.items():
        people, calls = rounds * days * wage, 12 * CALLS * SHORT_CALL
        assert_dollars(shown["people"][name], people)
        assert_dollars(shown["training, all rounds"][name], rounds * JOB)
        assert_dollars(shown["12 months of 10,000 calls each"][name], calls)
        assert_dollars(shown["in all"][name], people + rounds * JOB + calls)
        share = people / (people + rounds * JOB + calls)
        assert shown["of this, people"][name] == f"{share:.0%}" and share > 0.98  # "nearly all of it"


def test_it_comes_before_any_other_section():
    sources = [cell.source for cell in NOTEBOOK.cells]
    bill = next(i for i, source in enumerate(sources) if "costs.bill" in source)
    assert sum(source.count("\n## ") + source.startswith("## ") for source in sources[:bill]) == 1


def test_what_a_day_of_work_buys():
    shown = re.search(r"as much as ([\d,]+) calls", output("one day of work"))[1]
    assert float(shown.replace(",", "")) == pytest.approx(200 / SHORT_CALL, abs=1)
    assert 200 / SHORT_CALL > 1_000_000  # the quiz: one day costs more than millions of calls


def test_one_job():
    shown = next(refresh._outputs(c, "text/plain") for c in refresh.code_cells(NOTEBOOK) if c.source == "job")
    assert_dollars(re.search(r"train\.jsonl: about (\S+)", shown)[1], JOB)
    assert f"= {TRAINED:,}" in shown and "grade T (not confirmed)" in shown


def test_who_bills_a_validation_file():
    found = {row["provider"]: row["value"] for row in table('"validation_tokens"]')}
    assert found == {"openai": "not billed", "together": "billed"}


def test_what_can_be_bought_shows_every_service_with_a_price():
    found = {row["service"]: row for row in table("costs.offers")}
    kinds = {"tuned_serving", "card_price_per_hour"}
    assert set(found) == {row["provider"] for row in PROVIDERS if row["fact"] in kinds}
    for row in PROVIDERS:
        if row["fact"] in ("training_price", "card_price_per_hour") and row["provider"] in found:
            shown = found[row["provider"]]["training"]
            if row["model"].strip("*").replace("*", " ") in shown:
                assert f"${float(row['value']):.2f}" in shown
    (hour,) = [float(row["value"]) for row in PROVIDERS if row["fact"] == "card_price_per_hour"]
    assert hour / JOB > 100  # "more than a hundred jobs like ours"
    assert "T" in found["tinker"]["grades"] and "O" in found["huggingface"]["grades"]


def test_a_card_that_waits():
    (hour,) = [
        float(row["value"])
        for row in PROVIDERS
        if (row["provider"], row["fact"]) == ("crusoe", "deployment_price_per_hour")
    ]
    month = hour * 730
    assert f"${hour:.2f} an hour, ${month:,.2f} a month" in output("costs.always_on")
    for row, adapters in zip(table("shares ="), (1, 10, 100), strict=True):
        assert int(row["adapters on the card"]) == adapters
        assert_dollars(row["a month, for each"], month / adapters)
        assert amount(row["cheaper from calls a month"]) == pytest.approx(
            month / adapters / SHORT_CALL, abs=1
        )
    assert month / SHORT_CALL > 100 * CALLS and month / 100 / SHORT_CALL > CALLS  # "few calls: by the token"
    assert max(int(r["value"]) for r in PROVIDERS if r["fact"] == "adapters_on_one_base") >= 100


def test_the_prompts():
    shown = output("LONG = costs.count")
    assert f"long prompt {LONG} tokens, short prompt {SHORT} tokens, answer {ANSWER} tokens" in shown
    assert f"{(LONG - SHORT) / LONG:.0%} of the prompt" in shown
    assert (LONG, ANSWER) == (384, 31)  # as the quiz has them


def least_to_save(model: str) -> int:
    """Tried out, token by token."""
    base = call(model, "base", LONG, ANSWER)
    return next(n for n in range(LONG + 1) if call(model, "tuned", LONG - n, ANSWER) <= base + 1e-15)


def test_tokens_that_must_go():
    """With one price list our shorter prompt is cheaper, with the other it is not: quiz concepts."""
    shown = output("costs.prompt_to_save")
    needed = {model: least_to_save(model) for model in DATED}
    assert all(f"{model}: {number} of the {LONG} prompt" in shown for model, number in needed.items())
    assert f"in our example {LONG - SHORT} go" in shown
    assert needed["gpt-4.1-mini"] < LONG - SHORT < needed["gpt-3.5-turbo"]


def test_the_studies_of_this_lesson():
    mine = [row for row in rows("studies.csv") if "07" in row["lesson"].split()]
    said = output("studies = pd")
    assert mine and all(row["finding"] in said and row["citation"] in said for row in mine)


def fact(model: str, name: str) -> str:
    return next((r["value"] for r in rows("models.csv") if (r["model"], r["fact"]) == (model, name)), "")


def test_the_rival():
    shown = output("book = costs.call")
    assert_dollars(re.search(r"One call of gpt-6-luna: ([^;]+);", shown)[1], cached_book(RIVAL))
    assert f"{BOOK:,} tokens, base_cached_input" in shown
    assert f"four rules: {FOUR} tokens on average; the whole rule book: {BOOK:,} tokens" in output("FOUR =")
    least = int(fact("*", "cached_input_from"))
    assert any(f"for OpenAI {least:,} tokens" in cell.source for cell in NOTEBOOK.cells)
    assert LONG < least < BOOK and fact(RIVAL, "reasoning_effort").startswith("none")
    wanted = {
        "rule book, cached": cached_book(RIVAL),
        "rule book, nothing cached": call(RIVAL, "base", BOOK + SHORT, ANSWER),
        "rule book, cached, 200 tokens of thought": cached_book(RIVAL, 200),
        "samples, too short for the cache": call(RIVAL, "base", LONG, ANSWER),
        "tuned, no rules": SHORT_CALL,
        "tuned, four rules found": FAIR_CALL,
    }
    found = table("ways =")
    assert [row["way"] for row in found] == list(wanted)
    for row in found:
        assert_dollars(row["1,000 calls"], 1_000 * wanted[row["way"]])
        assert_dollars(row["a year"], 12 * CALLS * wanted[row["way"]])
        assert row["grade"] == ("T" if "tuned" in row["way"] else "O")
    assert 12 * CALLS * cached_book(RIVAL) < 10  # "a few dollars"
    assert FAIR_CALL < cached_book(RIVAL) < call(RIVAL, "base", BOOK + SHORT, ANSWER)


def test_filling_the_cache_again_and_again():
    minutes = int(fact("*", "cache_kept_minutes"))
    write = 730 * 60 / minutes * BOOK * usd(RIVAL, "base_cache_write")
    shown = output("base_cache_write")
    assert f"kept for {minutes} minutes" in shown and "grade T" in shown
    assert_dollars(re.search(r": (\S+) a month", shown)[1], write)
    assert usd(RIVAL, "base_cache_write") > usd(RIVAL, "base_input")
    month = CALLS * cached_book(RIVAL) + write
    assert 2 * month < CALLS * call(RIVAL, "base", BOOK + SHORT, ANSWER)  # "less than half"


USED = [("gpt-6-luna", 0), ("gpt-6-luna", 200), ("gpt-6.1-terra", 200), ("gpt-6.1-sol", 200)]


def test_when_it_pays_back():
    found = table("used =")
    assert [(row["used now"], int(row["thinks"])) for row in found] == USED
    for row, (model, thought) in zip(found, USED, strict=True):
        now = cached_book(model, thought)
        assert_dollars(row["1,000 calls"], 1_000 * now)
        for name, work in (("low guess", LOW), ("high guess", HIGH)):
            wanted = pays_back(once(work), now - FAIR_CALL)
            assert row[f"pays from, {name}"] == f"{wanted:,}"
            assert wanted > CALLS  # it pays for the airport in no row
    assert not fact("gpt-6.1-sol", "reasoning_effort").startswith("none")
    small, large = (pays_back(once(LOW), cached_book(*used) - FAIR_CALL) for used in (USED[0], USED[-1]))
    assert small > 100 * large and small > 4_000_000  # the solution of the memo


def test_the_chart_and_the_plan_below_the_calculator_say_the_same():
    calls = pays_back(once(LOW), cached_book("gpt-6.1-terra", 200) - FAIR_CALL)
    assert f"from {calls:,} calls a month" in next(
        refresh._outputs(c, "text/plain") for c in refresh.code_cells(NOTEBOOK) if c.source == "plan"
    )
    assert f"They cross at {calls:,} calls a month" in output("charts.break_even")
    assert "Marked as yours: 10,000 calls a month" in output("charts.break_even")


def test_the_prices_of_2023():
    wanted = [(OLD, OLD, LAUNCH, "tuned"), (OLD, OLD, CUT, "tuned"), (LAST, LAST, LATER, "tuned")]
    wanted += [(OLD, BIG, LAUNCH, "tuned"), (OLD, BIG, CUT, "tuned"), (OLD, BIG, LAUNCH, "base")]
    found = table("costs.times")
    ratios = []
    for row, (model, rival, day, family) in zip(found, wanted, strict=True):
        assert (row["on"], row["compared with"]) == (day, rival)
        assert row["model"] == (f"{model}, tuned" if family == "tuned" else model)
        sides = []
        for side in ("input", "output"):
            ratio = usd(model, f"{family}_{side}", day) / usd(rival, f"base_{side}", day)
            assert abs(float(row[f"a token of {side}"]) - ratio) <= 0.00501
            sides.append(ratio)
        one, other = call(model, family, SHORT, ANSWER, day), call(rival, "base", LONG, ANSWER, day)
        assert abs(float(row["a whole call"]) - one / other) <= 0.00501
        ratios.append(sides)
    assert not any(all(6 <= ratio <= 7 for ratio in sides) for sides in ratios)  # six to seven: in no row
    third = [all(0.25 <= ratio <= 0.401 for ratio in sides) for sides in ratios]
    assert third[3:5] == [True, False]  # a third: at the launch, not after the cut
    assert max(ratios[5]) < 0.1  # untuned: under a tenth of GPT-4
    assert max(float(row["a whole call"]) for row in found[:3]) > 2 * min(
        float(row["a whole call"]) for row in found[:3]
    )


# --- the sentences -------------------------------------------------------------------------------------------


def test_no_price_of_a_dead_model_stands_before_the_section_on_2023():
    sources = [cell.source for cell in NOTEBOOK.cells]
    last = next(i for i, source in enumerate(sources) if source.startswith("## The prices of the article"))
    named = [source for source in sources[:last] if "gpt-3.5" in source or "gpt-4" in source]
    assert len(named) == 1 and "prompt_to_save" in named[0]  # that a tuned token may cost more
    after = next(i for i, source in enumerate(sources) if source.startswith("## Try it"))
    assert sum(cell.cell_type == "code" for cell in NOTEBOOK.cells[last:after]) == 1


def test_the_speed_of_the_recorded_run():
    """ "No faster than a prompt with samples, as far as could be seen": claim 6, recounted in test_claims."""
    (claim,) = [row for row in rows("claims.csv") if row["number"] == "6"]
    assert "no difference seen to a prompt with samples" in claim["verdict"]
    assert "faster: not stated by OpenAI" in claim["verdict"]
