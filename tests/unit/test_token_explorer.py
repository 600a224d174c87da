"""The token explorer without a browser: what it shows, and that it follows its controls."""

import html
import re

import ipywidgets
import pytest

from helpers import costs, tokens
from helpers.widgets import token_explorer, token_table
from helpers.widgets.token_explorer import SHOWN_PIECES, shown

OLD, NEW = "gpt-3.5-turbo", "gpt-4.1-mini"
PORK = {
    "English": "May I bring pork products into the country?",
    "Russian": "Можно ли ввезти в страну изделия из свинины?",
    "Chinese": "可以带猪肉制品入境吗？",
}


def controls(explorer: ipywidgets.VBox) -> dict[str, ipywidgets.Widget]:
    """Text area and dropdowns, by their label."""
    inside = [explorer, *explorer.children]
    children = [child for box in inside for child in getattr(box, "children", ())]
    return {child.description: child for child in children if getattr(child, "description", "")}


def shown_html(explorer: ipywidgets.VBox) -> str:
    return explorer.children[-1].value


def boxes(text: str) -> list[list[str]]:
    """The pieces in the boxes, one list a model."""
    return [
        [html.unescape(piece) for piece in re.findall(r"<li[^>]*>(.*?)</li>", part, re.DOTALL)]
        for part in re.findall(r"<ol.*?</ol>", text, re.DOTALL)
    ]


def rows(text: str) -> list[list[str]]:
    cells = (re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall("<tr>(.*?)</tr>", text))
    return [[html.unescape(cell) for cell in row] for row in cells]


def expected_row(text: str, model: str) -> list[str]:
    count = tokens.count(text, model)
    usd = costs.call(model, count).usd
    words = f"{count:,} token{'' if count == 1 else 's'}"
    return [model, words, costs.dollars(usd), costs.dollars(1_000 * usd)]


@pytest.mark.parametrize("text", [*PORK.values(), "", "x", "a\tb\r\n\x00\u200b👩‍👩‍👧", "<|endoftext|>"])
def test_shows_the_pieces_counts_and_prices_of_both_models(text):
    seen = shown_html(token_explorer(text, OLD, NEW))
    assert boxes(seen) == [[shown(piece) for piece in tokens.pieces(text, model)] for model in (OLD, NEW)]
    header, *body = rows(seen)
    assert header == ["Model", "Tokens", "A call", "1,000 calls"]
    assert body == [expected_row(text, OLD), expected_row(text, NEW)]


def test_the_price_comes_with_its_days_and_source():
    seen = html.unescape(shown_html(token_explorer("x", OLD, NEW)))
    for model in (OLD, NEW):
        price = costs.price(model, "base_input")
        assert (
            f"<p>{model}: {price.amount()}, the latest known price ({price.days()}). {price.origin()}</p>"
            in seen
        )


def test_follows_every_control():
    explorer = token_explorer("x", OLD, NEW)
    parts = controls(explorer)
    assert list(parts) == ["Text", "First model", "Second model"] and parts["Text"].continuous_update
    parts["Text"].value = PORK["Russian"]
    assert rows(shown_html(explorer))[1:] == [expected_row(PORK["Russian"], model) for model in (OLD, NEW)]
    parts["First model"].value = "gpt-4o"
    parts["Second model"].value = "gpt-4"
    assert rows(shown_html(explorer))[1:] == [expected_row(PORK["Russian"], m) for m in ("gpt-4o", "gpt-4")]
    assert '<p role="status" aria-live="polite"><strong>gpt-4o: 14 tokens; gpt-4: 22 tokens' in shown_html(
        explorer
    )


def test_offers_the_models_with_a_price_whose_tokens_are_exact():
    options = controls(token_explorer("x", OLD, "gpt-4o-mini-2024-07-18"))["First model"].options
    assert options[:2] == (OLD, "gpt-4o-mini-2024-07-18")
    assert set(options[2:]) == {m for m in costs.models() if tokens.is_exact(m)} - {OLD}
    assert len(options) == len(set(options)) > 10


def test_a_tuned_model_has_the_price_of_a_tuned_model():
    tuned = "ft:gpt-3.5-turbo-0125:org::id"
    assert rows(shown_html(token_explorer("x y z", tuned, OLD)))[1:] == [
        expected_row("x y z", tuned),
        expected_row("x y z", OLD),
    ]


def test_a_model_without_a_price_is_named():
    with pytest.raises(ValueError, match="No price of the kind 'base_input' is known for my-model"):
        token_explorer("x", OLD, "my-model")


def test_text_is_escaped():
    seen = shown_html(token_explorer("<img src=x onerror=alert(1)>&amp;", OLD, NEW))
    assert "<img" not in seen and "&lt;" in seen
    assert "".join(boxes(seen)[0]) == "<img·src=x·onerror=alert(1)>&amp;"


def test_of_a_long_text_the_first_pieces_are_shown_and_all_are_counted():
    text = "pork " * 2_000
    seen = shown_html(token_explorer(text, OLD, NEW))
    assert [len(pieces) for pieces in boxes(seen)] == [SHOWN_PIECES, SHOWN_PIECES]
    assert rows(seen)[1] == expected_row(text, OLD)
    total = tokens.count(text, OLD)
    assert total > 2_000 and f"Only the first {SHOWN_PIECES} of {total:,} tokens are shown." in seen
    assert "Only the first" not in shown_html(token_explorer("pork", OLD, NEW))


def test_bytes_and_invisible_characters_are_made_visible():
    assert [shown(piece) for piece in (b"\xe5\xb8", " in", "\n\n", "\t", "\r", "\u200d", "é")] == [
        "[E5 B8]",
        "·in",
        "↵↵",
        "⇥",
        "␍",
        "U+200D",
        "é",
    ]
    seen = shown_html(token_explorer(PORK["Chinese"], OLD, NEW))
    assert (
        seen.count('<li class="bytes">')
        == sum(isinstance(p, bytes) for p in tokens.pieces(PORK["Chinese"], OLD))
        > 5
    )


def test_an_estimate_says_so(monkeypatch, recwarn):
    monkeypatch.setattr(tokens, "_loaded", {})
    monkeypatch.setattr(tokens, "_failures", {name: "not here" for name in tokens.VOCABULARIES})
    seen = shown_html(token_explorer("abcdefgh", OLD, NEW))
    assert rows(seen)[1][1] == "about 2 tokens" and boxes(seen)[0] == ["abcd", "efgh"]
    assert seen.count("(an estimate: four bytes each)") == 2
    assert not [one for one in recwarn if one.category is tokens.TokenEstimateWarning]


def test_the_two_models_lie_next_to_each_other_and_boxes_change_colour():
    explorer = token_explorer("x", OLD, NEW)
    assert re.search(
        r'<div class="pair"><div><p>.*</ol></div><div><p>.*</ol></div></div>', shown_html(explorer)
    )
    style = explorer.children[0].value
    assert "li:nth-child(odd) { background" in style and "li:nth-child(even) { background" in style


def test_plain_text_is_the_same_for_every_text():
    """Strict nbval compares it."""
    first, second = token_explorer("x", OLD, NEW), token_explorer(PORK["Russian"], NEW, OLD)
    assert first._repr_mimebundle_()["text/plain"] == second._repr_mimebundle_()["text/plain"] == repr(first)


def test_table_holds_what_the_explorer_shows():
    table = token_table(PORK, OLD, NEW)
    header, *body = rows(table._repr_html_())
    assert header == ["Text", "Model", "Tokens", "A call", "1,000 calls", "Pieces"]
    assert len(body) == 6
    for row, (name, text, model) in zip(
        body, [(name, text, model) for name, text in PORK.items() for model in (OLD, NEW)], strict=True
    ):
        pieces = " | ".join(shown(piece) for piece in tokens.pieces(text, model))
        assert row == [name, *expected_row(text, model), pieces]
    assert table._repr_html_().count("the latest known price") == 2


def test_table_as_text():
    lines = repr(token_table(PORK, OLD, NEW)).splitlines()
    assert len(lines) == 6
    assert lines[0] == (
        "English, gpt-3.5-turbo: 9 tokens; as input $0.0000045 a call, $0.0045 for 1,000 calls: "
        "May | ·I | ·bring | ·pork | ·products | ·into | ·the | ·country | ?"
    )
