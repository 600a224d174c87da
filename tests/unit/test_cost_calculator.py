"""The cost calculator without a browser: what it shows, and that it follows its controls."""

import html
import re

import ipywidgets
import pytest

from helpers import costs
from helpers.widgets import cost_calculator
from helpers.widgets.cost_calculator import GUESSED, NUMBERS, sums

MODEL = "gpt-4.1-mini"
START = {label: value for label, (value, *_) in NUMBERS.items()}


def controls(calculator: ipywidgets.VBox) -> dict[str, ipywidgets.Widget]:
    """Dropdowns and number boxes, by their label without "(a guess)"."""
    inside = [child for box in calculator.children for child in getattr(box, "children", ())]
    return {
        child.description.removesuffix(" (a guess)"): child
        for child in inside
        if getattr(child, "description", "")
    }


def shown(calculator: ipywidgets.VBox) -> str:
    return html.unescape(calculator.children[-1].value)


def rows(text: str) -> dict[str, str]:
    """The table: name and value; of a name that comes twice, the last value."""
    return dict(re.findall(r"<tr><th[^>]*>(.*?)</th><td[^>]*>(.*?)</td></tr>", text))


def test_the_sums_worked_out_by_hand():
    """gpt-4.1-mini: 5.00 training, 0.40 and 1.60 base, 0.80 and 3.20 tuned, for a million tokens."""
    found = sums(MODEL, MODEL, START | {"People: days a round": 2, "People: dollars a day": 100})
    assert found.once == pytest.approx(3 * (100 * 60 * 3 * 5 / 1e6 + 200))  # three rounds
    assert found.now.usd == pytest.approx((1_000 * 0.4 + 30 * 1.6) / 1e6)
    assert found.tuned.usd == pytest.approx((100 * 0.8 + 30 * 3.2) / 1e6)
    assert (found.calls, found.months) == (10_000, 12)


def test_cache_thought_and_a_card_that_waits_are_in_the_sums():
    """gpt-6-luna: 0.10, 0.01 cached and 0.50; Tinker's Qwen3-8B: 0.44, 0.195 and 0.60, for a million tokens."""
    numbers = START | {
        "Prompt tokens now": 3_000,
        "Of these, cached": 2_000,
        "Thinking tokens now": 200,
        "Card that waits: dollars a month": 50,
    }
    found = sums("tinker/Qwen3-8B", "gpt-6-luna", numbers)
    assert found.now.usd == pytest.approx((1_000 * 0.1 + 2_000 * 0.01 + 230 * 0.5) / 1e6)
    assert found.tuned.usd == pytest.approx((2_100 * 0.195 + 30 * 0.6) / 1e6)
    assert found.once == pytest.approx(3 * 100 * 60 * 3 * 0.44 / 1e6) and found.monthly == 50
    with pytest.raises(ValueError, match="the cached ones are a part of the input"):
        cost_calculator("tinker/Qwen3-8B", "gpt-6-luna", of_these_cached=2_000)  # of a prompt of 1,000 tokens
    with pytest.raises(ValueError, match="'base_input' is known for tinker/Qwen3-8B"):
        cost_calculator("tinker/Qwen3-8B")


def test_the_page_shows_the_sums():
    seen = shown(cost_calculator(MODEL))
    assert seen.startswith(
        '<p role="status" aria-live="polite"><strong>Tuning pays back within 12 months from 83 calls a month.'
    )
    table = rows(seen)
    assert table["Before the first call"] == "$0.27"
    assert table["10,000 calls a month, 12 months"] == "as now $53.76, tuned $21.39: tuning saves $32.37"
    assert table["Tuned gpt-4.1-mini"] == "100 input, 30 output: $0.00018; 1,000 such calls: $0.18"
    assert costs.price(MODEL, "tuned_input").origin() in table["Prices"]
    assert 'aria-label="Line chart: US dollars in 12 months.' in seen
    assert "Marked as yours: 10,000 calls a month. They cross at 83 calls a month" in seen
    assert ">yours: 10,000</text>" in seen


@pytest.mark.parametrize("label", NUMBERS)
def test_every_number_has_a_slider_that_is_linked_to_its_box(label):
    calculator = cost_calculator(MODEL, people_days_a_round=1, people_dollars_a_day=1)
    box, slider = next(
        line.children
        for line in calculator.children
        if isinstance(line, ipywidgets.HBox)
        and line.children[0].description.removesuffix(" (a guess)") == label
    )
    assert ("(a guess)" in box.description) == (label in GUESSED)
    before = shown(calculator)
    assert (slider.min, slider.max, slider.value) == (box.min, box.max, box.value)
    slider.value += 1
    assert box.value == slider.value and shown(calculator) != before
    box.value -= 1
    assert slider.value == box.value and shown(calculator) == before


def test_follows_its_dropdowns():
    calculator = cost_calculator(MODEL)
    parts = controls(calculator)
    assert list(parts) == ["Model to tune", "Compare with", *NUMBERS]
    parts["Compare with"].value = "gpt-5.6-luna"
    parts["Model to tune"].value = "gpt-4o-mini"
    found = sums("gpt-4o-mini", "gpt-5.6-luna", START)
    assert f"<strong>{found.title()}.</strong>" in shown(calculator)
    assert set(parts["Model to tune"].options) == set(costs.models("training"))


def test_start_values_and_unknown_ones():
    parts = controls(cost_calculator(MODEL, rows_in_the_file=112, people_days_a_round=4))
    assert (parts["Rows in the file"].value, parts["People: days a round"].value) == (112, 4)
    with pytest.raises(TypeError, match=r"Unknown: row\. Known: rows_in_the_file, tokens_in_a_row"):
        cost_calculator(MODEL, row=1)


@pytest.mark.parametrize(("model", "kind"), [("my-model", "training"), ("gpt-5.6-luna", "training")])
def test_a_model_without_a_price_is_named(model, kind):
    with pytest.raises(ValueError, match=f"{kind!r} is known for {model}"):
        cost_calculator(model)


def test_impossible_numbers_are_explained_and_can_be_mended():
    calculator = cost_calculator(MODEL)
    before, box = shown(calculator), controls(calculator)["Prompt tokens saved"]
    box.value = 1_001
    assert shown(calculator).startswith('<p role="alert">More prompt tokens are saved than the prompt has.')
    assert "<svg" not in shown(calculator)
    box.value = 900
    assert shown(calculator) == before


def test_a_tuned_call_that_is_no_cheaper_never_pays_back():
    calculator = cost_calculator(MODEL, prompt_tokens_saved=0)
    assert "Tuning never pays back: a call does not get cheaper." in shown(calculator)
    assert "The lines do not cross." in shown(calculator)


def test_plain_text_is_the_same_for_all_numbers():
    """Strict nbval compares it."""
    first, second = cost_calculator(MODEL), cost_calculator("gpt-4o", epochs=7)
    assert first._repr_mimebundle_()["text/plain"] == second._repr_mimebundle_()["text/plain"] == repr(first)
