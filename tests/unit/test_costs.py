"""The price book, and what a training job and a call will cost."""

import csv
import dataclasses

import pytest

from helpers import costs, dataset, tokens
from helpers.dataset.report import Report, auto_epochs
from tests.environment import ROOT

TRAIN = ROOT / "data" / "airport" / "train.jsonl"


def a_report(model: str | None, kept: int = 100_000, **changes) -> Report:
    """A report with so many tokens after cutting, in 100 good rows."""
    plain = {"name": "train.jsonl", "model": model, "rows": 100, "good_rows": 100, "tokens": kept}
    plain |= {"kept_tokens": kept, "answer_tokens": 0, "exact": True, "totals": {}, "problems": []}
    return Report(**(plain | changes))


# --- training ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "usd"), [("gpt-3.5-turbo-0125", 2.40), ("gpt-4o-mini", 0.90)])
@pytest.mark.parametrize("on", [None, "2025-06-01"])
def test_the_example_that_openai_published(model, usd, on):
    """100,000 tokens x 3 epochs: https://platform.openai.com/docs/guides/fine-tuning, "Estimate costs"."""
    cost = costs.training(a_report(model), model, n_epochs=3, on=on)
    assert (cost.billing_tokens, round(cost.usd, 6)) == (300_000, usd)
    assert cost.title() == f"Training {cost.model} on train.jsonl: ${usd:.2f}"


def test_billing_tokens_of_the_airport_file_counted_in_another_way():
    model = "gpt-3.5-turbo"
    rows = dataset.read(TRAIN)
    counted = sum(tokens.count_messages(row["messages"], model) for row in rows)
    cost = costs.training(dataset.check(TRAIN, model=model), model)
    assert (cost.tokens, cost.epochs, cost.billing_tokens) == (counted, 3, 3 * counted)
    assert cost.usd == pytest.approx(3 * counted * 8 / 1e6)


def test_a_row_is_paid_up_to_the_training_context():
    long = {
        "messages": [{"role": "user", "content": "word " * 5_000}, {"role": "assistant", "content": "Yes."}]
    }
    short = [
        {"messages": [{"role": "user", "content": f"{n}?"}, {"role": "assistant", "content": "Yes."}]}
        for n in range(9)
    ]
    model = "gpt-3.5-turbo-0613"  # trained on 4,096 tokens an example
    report = dataset.check([long, *short], model=model)
    cost = costs.training(report, model, on="2024-01-01")
    short_tokens = sum(tokens.count_messages(row["messages"], model) for row in short)
    assert cost.tokens == 4_096 + short_tokens
    cut = tokens.count_messages(long["messages"], model) - 4_096
    assert f"{cost.tokens:,} in 10 examples; {cut:,} more are cut off" in str(cost)


@pytest.mark.parametrize(
    ("examples", "epochs"),
    [(1, 25), (4, 25), (5, 20), (10, 10), (33, 3), (34, 3), (8_333, 3), (8_334, 2), (12_501, 1), (90_000, 1)],
)
def test_auto_epochs(examples, epochs):
    """The rule of OpenAI's cookbook, Chat_finetuning_data_prep.ipynb, worked out by hand."""
    assert auto_epochs(examples) == epochs
    report = a_report("gpt-4o-mini", rows=examples, good_rows=examples)
    assert costs.training(report, "gpt-4o-mini").epochs == epochs


def test_what_is_shown():
    report = a_report("gpt-3.5-turbo", rows=103, tokens=100_007, exact=False)
    text = str(costs.training(report, "gpt-3.5-turbo", on="2025-06-01"))
    assert text.splitlines() == [
        "Training gpt-3.5-turbo-0125 on train.jsonl: about $2.40",
        "  Tokens: 100,000 in 100 examples (an estimate); 7 more are cut off; rows with errors, left out: 3",
        '  Epochs: 3 ("auto", by the rule of OpenAI\'s notebook)',
        "  Billed tokens: 100,000 x 3 = 300,000",
        "  Price: $8.00 for 1 million tokens, the price on 2025-06-01 (2024-01-25 to 2026-10-22)",
        "  Source: https://developers.openai.com/api/docs/pricing of 2026-09-01, grade O (OpenAI's own words)",
    ]


def test_without_a_day_it_says_that_it_took_the_latest_known_price():
    text = repr(costs.training(a_report("gpt-4o"), "gpt-4o", n_epochs=2))
    assert "the latest known price (start not known, not before 2024-08-06, to 2027-01-05)" in text
    assert "2 (as asked)" in text


def test_in_a_notebook_it_is_a_table_with_a_caption_and_escaped():
    cost = costs.training(a_report("gpt-4o", name="<b>.jsonl"), "gpt-4o")
    shown = cost._repr_html_()
    assert "<strong>Training gpt-4o-2024-08-06 on &lt;b&gt;.jsonl: $7.50</strong></caption>" in shown
    assert shown.count('<th scope="row"') == len(cost.lines()) == 5 and "<b>" not in shown


def test_a_cost_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        costs.training(a_report("gpt-4o"), "gpt-4o").epochs = 1


@pytest.mark.parametrize(
    ("counted_for", "model"),
    [(None, "gpt-3.5-turbo"), ("gpt-3.5-turbo-0613", "gpt-3.5-turbo"), ("gpt-4o", "gpt-3.5-turbo")],
)
def test_a_report_that_counted_for_another_model_is_refused(counted_for, model):
    with pytest.raises(
        ValueError, match=r"did not count tokens as .* does\. Check again: dataset\.check\(file, model="
    ):
        costs.training(a_report(counted_for), model)


@pytest.mark.parametrize(
    "counted_for", [None, "gpt-4o", "gpt-4.1-nano-2025-04-14", "ft:gpt-4o-mini-2024-07-18:o::x"]
)
def test_a_report_of_a_model_that_counts_alike_will_do(counted_for):
    assert costs.training(a_report(counted_for), "gpt-4.1-mini", n_epochs=1).usd == pytest.approx(0.50)


@pytest.mark.parametrize("n_epochs", [0, -1, 2.0, True, "3", None])
def test_impossible_epochs(n_epochs):
    with pytest.raises(ValueError, match="n_epochs must be"):
        costs.training(a_report("gpt-4o"), "gpt-4o", n_epochs=n_epochs)


def test_a_file_without_a_good_row():
    with pytest.raises(ValueError, match="no row without errors"):
        costs.training(a_report("gpt-4o", good_rows=0, kept=0), "gpt-4o")


# --- the price book ------------------------------------------------------------------------------------------


def test_every_row_of_the_table_is_found_on_its_days():
    with open(costs.DATA / "prices.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        day = row["from"] or "2024-01-03"  # the last day of the oldest prices without a known start
        if not row["from"] and row["model"] not in ("ada", "babbage", "curie", "davinci"):
            day = max("2026-10-22", row["date"])
        found = costs.price(row["model"], row["kind"], day)
        assert found.usd_per_1m_tokens == float(row["usd_per_1m_tokens"]), row
        assert (found.source, str(found.source_date), found.note) == (row["source"], row["date"], row["note"])
    assert (
        sum(len(costs.history(*key)) for key in {(row["model"], row["kind"]) for row in rows})
        == len(rows)
        > 100
    )


def test_a_price_cut_changes_on_its_day():
    model = "ft:gpt-3.5-turbo-0613:org::id"
    before, after = (costs.price(model, "tuned_input", day) for day in ("2023-11-05", "2023-11-06"))
    assert (before.usd_per_1m_tokens, after.usd_per_1m_tokens) == (12, 3)
    assert costs.history(model, "tuned_input") == [before, after]
    assert costs.price(model, "tuned_input") == after
    assert before.days() == "2023-08-22 to 2023-11-05"


@pytest.mark.parametrize(
    "name", ["gpt-4.1-mini", "gpt-4.1-mini-2025-04-14", "ft:gpt-4.1-mini-2025-04-14:o:s:id"]
)
def test_short_and_tuned_names_count_as_their_base(name):
    assert costs.price(name, "training").model == "gpt-4.1-mini-2025-04-14"


@pytest.mark.parametrize(
    ("model", "kind", "on", "words"),
    [
        (
            "gpt-3.5-turbo-0613",
            "training",
            "2024-09-13",
            r"on 2024-09-13\. Days .*: 2023-08-22 to 2024-09-12\.$",
        ),
        (
            "gpt-3.5-turbo-0613",
            "tuned_input",
            "2023-08-21",
            "2023-08-22 to 2023-11-05; 2023-11-06 to 2026-10-22",
        ),
        ("gpt-4o-mini", "training", "2024-07-17", "start not known, not before 2024-07-18, to 2027-01-05"),
        ("gpt-4", "training", None, "for gpt-4-0613. Known for this model: base_input, base_output."),
        ("o4-mini", "training", None, "training_per_hour"),
        ("my-model", "training", None, "Known for this model: nothing."),
    ],
)
def test_a_day_or_model_without_a_price(model, kind, on, words):
    with pytest.raises(ValueError, match=words):
        costs.price(model, kind, on)


def test_a_day_that_is_none():
    with pytest.raises(ValueError, match="isoformat"):
        costs.price("gpt-4o", "training", "soon")


def test_models_with_a_price():
    names = costs.models()
    assert {"gpt-3.5-turbo", "gpt-4o-mini", "gpt-5.6-luna", "babbage-002"} <= set(names)
    assert "gpt-4o-mini-2024-07-18" not in names and "*" not in names and len(names) == len(set(names))
    assert all(costs.price(name, "base_input") for name in names)
    assert "gpt-5.6-luna" not in costs.models("training") and "gpt-4o-mini" in costs.models("training")


def test_a_model_of_another_provider_has_its_prices_in_the_table_of_providers():
    """Tinker: 0.44 for training, 0.195 and 0.60 for the tuned model, for a million tokens."""
    model = "tinker/Qwen3-8B"
    assert costs.call(model, 1_000, 100, tuned=True).usd == pytest.approx((1_000 * 0.195 + 100 * 0.6) / 1e6)
    assert costs.training(TRAIN, model, n_epochs=1).usd == pytest.approx(
        sum(tokens.count_messages(row["messages"], "gpt-4o") for row in dataset.read(TRAIN)) * 0.44 / 1e6
    )
    assert costs.training(TRAIN, model).title().startswith("Training tinker/Qwen3-8B on train.jsonl: about $")
    price = costs.price(model, "tuned_input")
    assert price.amount() == "$0.195 for 1 million tokens" and "grade T (not confirmed)" in price.origin()
    assert model in costs.models("training") and model not in costs.models()
    with pytest.raises(ValueError, match="'base_input' is known for tinker/Qwen3-8B"):
        costs.call(model, 1_000)
    for nothing in ("tinker/", "tinker", "nobody/Qwen3-8B", "tinker/other"):
        assert costs.history(nothing, "training") == []
    assert costs.price("nebius/meta-llama/Llama-3.1-8B-Instruct", "training").usd_per_1m_tokens == 0.4


def test_offers_say_how_training_and_using_are_paid():
    found = {offer["service"]: offer for offer in costs.offers()}
    assert {"nebius", "crusoe", "together", "fireworks", "tinker", "huggingface"} <= set(found)
    assert "openai" not in found and "azure" not in found
    assert all(text.count("$") <= 1 for offer in found.values() for text in offer.values())  # else a formula
    assert found["tinker"] == {
        "service": "tinker",
        "training": "by the token: $0.44 for 1 million (Qwen3-8B)",
        "using the tuned model": "per token: $0.195 in, 0.60 out, for 1 million",
        "grades": "T",
        "oldest source": "2026-10-07",
    }
    assert found["crusoe"]["training"] == "by the token: $0.40 for 1 million (llama 3.1 8b)"
    assert found["nebius"]["using the tuned model"] == "per token: price not found"
    assert found["huggingface"]["training"] == "by the hour of a card: $2.50 (Nvidia A100)"
    assert found["crusoe"]["using the tuned model"] == "by the hour: $5.50"
    assert found["fireworks"]["training"] == "by the token: price not found"
    assert found["fireworks"]["using the tuned model"].endswith("; up to 100 adapters on one base")


def test_a_card_that_waits():
    card = costs.always_on("crusoe")
    assert card.usd_a_month == pytest.approx(5.5 * 365 * 24 / 12)
    assert str(card).startswith("crusoe (one H100): $5.50 an hour, $4,015.00 a month\n  Source: https://")
    with pytest.raises(ValueError, match="No price of a deployment by the hour is known for tinker"):
        costs.always_on("tinker")


def test_an_edited_table_counts_at_once(tmp_path, monkeypatch):
    for name in ("prices.csv", "models.csv", "providers.csv"):
        (tmp_path / name).write_bytes((costs.DATA / name).read_bytes())
    monkeypatch.setattr(costs, "DATA", tmp_path)
    old = costs.price("gpt-4.1", "training").usd_per_1m_tokens
    with open(tmp_path / "prices.csv", "a", encoding="utf-8") as file:
        file.write("gpt-4.1-2025-04-14,training,99.50,2026-11-01,,https://example.com,2026-11-01,T,\n")
    new = costs.price("gpt-4.1", "training")
    assert (old, new.usd_per_1m_tokens, new.days()) == (25, 99.5, "from 2026-11-01, no end known")
    assert costs.price("gpt-4.1", "training", "2026-10-31").usd_per_1m_tokens == old


@pytest.mark.parametrize(
    ("usd", "shown"),
    [(8.0, "$8.00"), (0.025, "$0.025"), (1.875, "$1.875"), (0.5, "$0.50"), (120.0, "$120.00")],
)
def test_prices_are_shown_as_exact_as_they_are(usd, shown):
    assert dataclasses.replace(costs.price("gpt-4o", "training"), usd_per_1m_tokens=usd).amount() == (
        f"{shown} for 1 million tokens"
    )


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (0, "$0.00"),
        (2.4, "$2.40"),
        (12345.678, "$12,345.68"),
        (0.0149, "$0.015"),
        (0.0000018, "$0.0000018"),
        (0.00123, "$0.0012"),
        (-0.5, "-$0.50"),
        (-0.00123, "-$0.0012"),
    ],
)
def test_dollars(amount, shown):
    assert costs.dollars(amount) == shown


# --- one call ------------------------------------------------------------------------------------------------


def test_a_call_of_a_base_and_of_a_tuned_model():
    assert costs.call("gpt-3.5-turbo", 1_000, 100).usd == pytest.approx((1_000 * 0.5 + 100 * 1.5) / 1e6)
    by_name = costs.call("ft:gpt-3.5-turbo-0125:o::x", 1_000, 100)
    assert by_name.usd == pytest.approx((1_000 * 3 + 100 * 6) / 1e6)
    assert costs.call("gpt-3.5-turbo", 1_000, 100, tuned=True).parts == by_name.parts
    assert costs.call("ft:gpt-3.5-turbo-0125:o::x", 1_000, 100, tuned=False).usd < by_name.usd


def test_cached_tokens_are_a_part_of_the_input_and_cheaper():
    cost = costs.call("gpt-4o-mini", 2_000, 10, cached=1_600)
    assert cost.usd == pytest.approx((400 * 0.15 + 1_600 * 0.075 + 10 * 0.6) / 1e6)
    assert [price.kind for _, price in cost.parts] == ["base_input", "base_cached_input", "base_output"]
    assert cost.notes == ()


def least_cached() -> int:
    with open(costs.DATA / "models.csv", encoding="utf-8", newline="") as file:
        return next(int(row["value"]) for row in csv.DictReader(file) if row["fact"] == "cached_input_from")


@pytest.mark.parametrize("tuned", [False, True])
def test_a_beginning_below_the_minimum_is_not_cached_and_the_sum_says_so(tuned):
    least = least_cached()
    assert least == 1_024
    short = costs.call("gpt-4.1-mini", 3_000, 31, cached=least - 1, tuned=tuned)
    enough = costs.call("gpt-4.1-mini", 3_000, 31, cached=least, tuned=tuned)
    assert short.parts == costs.call("gpt-4.1-mini", 3_000, 31, tuned=tuned).parts
    assert short.notes == (("Not cached", "1,023 tokens: a beginning is cached from 1,024 tokens on"),)
    assert (
        dict(short.lines())["Not cached"]
        and short.notes[0] in costs.break_even(short, enough, 1, calls=1).lines()
    )
    family = "tuned" if tuned else "base"
    full, cheap = (costs.price("gpt-4.1-mini", f"{family}_{kind}") for kind in ("input", "cached_input"))
    saved = least * (full.usd_per_1m_tokens - cheap.usd_per_1m_tokens) / 1e6
    assert short.usd - enough.usd == pytest.approx(saved) and enough.notes == ()


def test_the_minimum_is_that_of_the_table(tmp_path, monkeypatch):
    for name in ("prices.csv", "models.csv"):
        text = (costs.DATA / name).read_text(encoding="utf-8")
        text = text.replace("*,cached_input_from,1024,", "*,cached_input_from,64,")
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(costs, "DATA", tmp_path)
    assert costs.call("gpt-4o-mini", 100, cached=64).notes == ()
    assert costs.call("gpt-4o-mini", 100, cached=63).notes


@pytest.mark.parametrize("model", ["gpt-5.6-luna", "gpt-6-luna", "gpt-6.1-sol", "gpt-6.1-terra"])
def test_the_price_of_a_model_that_reasons_says_what_it_leaves_out(model):
    bare, off, thought = (costs.call(model, 384, 31, reasoning=number) for number in (None, 0, 200))
    assert costs.reasons(model) == "medium"
    always = costs.always_reasons(model)
    assert always == (model == "gpt-6.1-sol")
    assert bare.usd == off.usd and (bare.complete, off.complete, thought.complete) == (
        False,
        not always,
        True,
    )
    assert f"One call of {model}, without its reasoning: $" in bare.title() == str(bare).splitlines()[0]
    assert ", reasoning not counted: $" in bare.short()
    assert "billed as output" in dict(bare.lines())[costs.REASONING_LEFT_OUT]
    if always:
        assert off.notes == ((costs.REASONING_LEFT_OUT, f"{model} cannot be asked to answer without it"),)
    else:
        assert off.notes == () and "reasoning" not in off.short() + off.title()
    out = costs.price(model, "base_output").usd_per_1m_tokens
    assert thought.usd - bare.usd == pytest.approx(200 * out / 1e6)
    assert thought.notes == (("Reasoning", "200 of the output tokens"),) and thought.parts[-1][0] == 231


def test_nothing_is_said_of_reasoning_where_none_is_known_or_nothing_is_answered():
    for call in (
        costs.call("gpt-4.1-mini", 384, 31),
        costs.call("gpt-4.1-mini", 384, 31, tuned=True),
        costs.call("gpt-6-luna", 384),
    ):
        assert call.complete and call.notes == () and "reasoning" not in str(call)
    assert costs.reasons("gpt-4.1-mini") is None


def test_what_is_shown_of_a_call():
    cost = costs.call("gpt-4o-mini", 12, on="2025-06-01")
    assert str(cost).splitlines() == [
        "One call of gpt-4o-mini: $0.0000018; 1,000 such calls: $0.0018",
        "  12 tokens, base_input: $0.15 for 1 million tokens, the price on 2025-06-01 (start not known, "
        "not before 2024-07-18, to 2027-01-13)",
        "  Source: https://developers.openai.com/api/docs/pricing of 2026-09-01, grade O (OpenAI's own words)",
    ]
    assert "$0.0018</strong></caption>" in cost._repr_html_()


def test_a_source_of_several_prices_is_said_once():
    names = [name for name, _ in costs.call("gpt-6-luna", 3_000, 31, cached=2_000, reasoning=0).lines()]
    assert names == [
        "1,000 tokens, base_input",
        "2,000 tokens, base_cached_input",
        "31 tokens, base_output",
        "Source",
    ]
    luna = costs.call(
        "gpt-5.6-luna", 3_000, 31, cached=2_000, reasoning=0
    )  # its cached price is of another page
    assert [name for name, _ in luna.lines()].count("Source") == 3


@pytest.mark.parametrize(
    "numbers", [(-1, 0, 0, 0), (1, -1, 0, 0), (1, 0, 2, 0), (1, 0, -1, 0), (1, 0, 0, -1)]
)
def test_impossible_calls(numbers):
    with pytest.raises(ValueError, match="cannot be negative"):
        costs.call("gpt-4o", numbers[0], numbers[1], cached=numbers[2], reasoning=numbers[3])


def test_no_cached_price_where_there_was_none():
    with pytest.raises(ValueError, match="'base_cached_input' is known for gpt-3.5-turbo-0125"):
        costs.call("gpt-3.5-turbo", 3_000, cached=2_000)


# --- whole months --------------------------------------------------------------------------------------------


def plan(once: float = 12.0, saved: int = 900, model: str = "gpt-4.1-mini", **settings) -> costs.BreakEven:
    now = costs.call(model, 1_000, 100)
    return costs.break_even(
        now, costs.call(model, 1_000 - saved, 100, tuned=True), once, **({"calls": 1_000} | settings)
    )


def test_a_path_is_checked_for_the_model():
    by_report = costs.training(dataset.check(TRAIN, model="gpt-4o"), "gpt-4o")
    assert costs.training(str(TRAIN), "gpt-4o").lines() == by_report.lines()
    assert costs.training(TRAIN, "gpt-4o").usd == by_report.usd > 0


def test_count_of_a_text_and_of_a_chat():
    chat = [{"role": "user", "content": "May I bring pork products into the country?"}]
    assert costs.count(chat[0]["content"], "gpt-3.5-turbo") == 9
    assert costs.count(chat, "gpt-3.5-turbo") == tokens.count_messages(chat, "gpt-3.5-turbo") == 16


def test_break_even_worked_out_by_hand():
    """As now 1,000 x 0.40 + 100 x 1.60 = 560, tuned 100 x 0.80 + 100 x 3.20 = 400 millionths of a dollar."""
    found = plan(once=12.0, months=12)
    assert found.saved == pytest.approx(0.00016)
    assert found.calls_a_month == 6_250 == 12 / 0.00016 / 12
    assert found.spent(6_250) == pytest.approx((42.0, 42.0))
    assert found.title() == "Tuning pays back within 12 months from 6,250 calls a month"
    assert dict(found.lines())["1,000 calls a month, 12 months"] == (
        "as now $6.72, tuned $16.80: tuning costs $10.08"
    )


@pytest.mark.parametrize(("once", "months", "calls"), [(12, 1, 75_000), (12.0001, 12, 6_251), (0, 12, 0)])
def test_break_even_is_the_fewest_calls(once, months, calls):
    found = plan(once=once, months=months)
    assert found.calls_a_month == calls
    now, tuned = found.spent(calls)
    assert tuned <= now + 1e-9
    if calls:
        now, tuned = found.spent(calls - 1)
        assert tuned > now


@pytest.mark.parametrize("saved", [0, 600])
def test_it_never_pays_back_if_a_call_does_not_get_cheaper(saved):
    found = plan(saved=saved)
    assert found.saved < 0 and found.calls_a_month is None
    assert found.title() == "Tuning never pays back: a call does not get cheaper"


def test_points_hold_start_break_even_own_calls_and_the_end():
    assert [point["Calls a month"] for point in plan().points()] == [0, 1_000, 6_250, 12_500]
    assert plan().points()[2] == {
        "Calls a month": 6_250,
        "As now": pytest.approx(42),
        "Tuned": pytest.approx(42),
    }
    assert [point["Calls a month"] for point in plan(saved=0).points()] == [0, 1_000, 2_000]
    # a break-even at 62.5 times the own calls would leave them invisible at the edge
    assert [point["Calls a month"] for point in plan(calls=100).points()] == [0, 100, 200]
    assert [point["Calls a month"] for point in plan(calls=0).points()] == [0, 6_250, 12_500]
    assert [point["Calls a month"] for point in plan(once=0, calls=0).points()] == [0, 2]


def test_a_card_that_waits_is_paid_each_month():
    found = plan(once=12.0, months=12, monthly=3.0)
    assert found.fixed == 48 and found.calls_a_month == 25_000 == 48 / 0.00016 / 12
    assert found.pays_from == "25,000" and not found.pays
    assert found.spent(0) == (0, 48)
    assert dict(found.lines())["Each month, called or not"] == "$3.00"
    assert "Each month, called or not" not in dict(plan().lines())
    assert plan(once=0, monthly=3.0, saved=0).calls_a_month is None


def test_both_bills_and_the_verdict_at_the_own_calls():
    found = plan(once=12.0, months=12)
    assert (found.bills, found.pays) == ("as now $6.72, tuned $16.80", False)
    assert plan(calls=6_250).pays and not plan(calls=6_249).pays
    assert plan(saved=0).pays_from == "never"


def test_the_bill_of_a_year():
    job, call = costs.training(TRAIN, "gpt-4o", n_epochs=1), costs.call("gpt-4o", 1_000, tuned=True)
    found = costs.bill(job, call, 1_000, 2, 1.5, 100)
    assert found == {
        "people": "$300.00",
        "training, all rounds": costs.dollars(2 * job.usd),
        "12 months of 1,000 calls each": "$45.00",  # 12,000 times 1,000 tokens at 3.75 for a million
        "in all": costs.dollars(345 + 2 * job.usd),
        "of this, people": f"{300 / (345 + 2 * job.usd):.0%}",
    }


def test_times_the_price_of_another_model():
    """At the launch: tuned 12 and 16, base 1.50 and 2; a call of 100 and 10 against one of 1,000 and 10."""
    old = "gpt-3.5-turbo-0613"
    found = costs.times(old, old, "2023-08-22", before=1_000, after=100, answer=10)
    assert found == {
        "on": "2023-08-22",
        "model": f"{old}, tuned",
        "compared with": old,
        "a token of input": 8.0,
        "a token of output": 8.0,
        "a whole call": round(1_360 / 1_520, 2),
    }
    plain = costs.times(old, "gpt-4-0613", "2023-08-22", before=100, after=100, answer=0, tuned=False)
    assert plain["model"] == old and plain["a token of input"] == plain["a whole call"] == 0.05


@pytest.mark.parametrize("wrong", [{"once": -1}, {"calls": -1}, {"months": 0}, {"monthly": -1}])
def test_impossible_plans(wrong):
    with pytest.raises(ValueError, match="cannot be negative, and there must be at least one month"):
        plan(**wrong)


@pytest.mark.parametrize("model", ["gpt-3.5-turbo", "gpt-4.1-mini", "gpt-4o"])
def test_the_prompt_that_must_be_saved_is_the_smallest(model):
    found = costs.prompt_to_save(model, 1_000, 50)
    now = costs.call(model, 1_000, 50).usd
    assert costs.call(model, 1_000 - found, 50, tuned=True).usd <= now + 1e-12
    assert costs.call(model, 1_001 - found, 50, tuned=True).usd > now
    assert costs.prompt_to_save(model, 10, 1_000) is None


def test_prompt_to_save_by_hand():
    """1,000 x 0.40 - 50 x (3.20 - 1.60) = 320, which pays for 400 tuned tokens at 0.80."""
    assert costs.prompt_to_save("gpt-4.1-mini", 1_000, 50) == 600


def test_the_short_line_of_a_call_and_its_origin():
    cost = costs.call("gpt-4o-mini", 2_000, 10, cached=1_600)
    assert cost.short() == ("400 input, 1,600 cached input, 10 output: $0.00019; 1,000 such calls: $0.19")
    assert cost.origin().count("https://") == 1 and "grade O" in cost.origin()
