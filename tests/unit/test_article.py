"""The page about the article of 2023: its tables, its program, and what it says of OpenAI's command line."""

import csv
import re

import pytest

from helpers import article
from tests.notebooks import refresh

PAGE = refresh.read(refresh.NOTEBOOKS / "article.ipynb")
MOST_WORDS = 20  # of a verdict in short


def rows() -> list[dict]:
    with open(article.ROOT / "data" / "claims.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_claim_has_a_mark_and_a_verdict_in_short():
    for row in rows():
        assert row["mark"] in article.MARKS, row
        assert 3 <= len(row["in_short"].split()) <= MOST_WORDS, row
        assert not re.search(r"\d{2}", row["in_short"].replace("lesson 00", "")), (
            row
        )  # figures: the whole verdict


def test_claims_come_without_verdicts():
    found = article.claims(3, 5)
    assert list(found["number"]) == [3, 4, 5] and list(found.columns) == ["number", "claim"]
    assert list(article.claims()["number"]) == list(range(1, 26))


def test_verdicts_are_folded_and_compared_with_the_guess():
    found = article.verdicts(1, 3, "Yn ?")._repr_html_()
    assert found.startswith("<details><summary>")
    assert (
        ">✓ that is what the word means<" in found and ">depends: simple to run, hard to make good<" in found
    )
    assert "(you agree with 1 of the 2 that you guessed)" in found
    assert ">–<" in found and ">✗<" in found
    assert '<a href="00_start_here.ipynb">00</a>, <a href="06_find_out.ipynb">06</a>' in found
    assert "you agree" not in article.verdicts(1, 3)._repr_html_()


@pytest.mark.parametrize("guess", ["", "y", "yyyyyy", "12 34 xyz", "ä?"])
def test_a_guess_of_another_length_breaks_nothing(guess):
    assert article.verdicts(1, 3, guess)._repr_html_().count("<tr>") == 4


def test_every_link_of_the_verdicts_leads_to_a_lesson():
    found = article.verdicts(1, 25)._repr_html_()
    links = re.findall(r'href="([^"]+)"', found)
    assert len(links) == sum(len(row["lessons"].split()) for row in rows())
    assert not [link for link in links if not (refresh.NOTEBOOKS / link).exists()]


def test_a_claim_in_full():
    found = article.claim(14)["claim 14"]
    assert list(found.index) == ["claim", "tested", "verdict", "held", "source"]
    assert found["held"] == "2023-08-22 to 2024-09-13"
    assert article.claim(15)["claim 15"]["held"] == "? to 2024-01-04"
    assert "held" not in article.claim(9).index


def test_models_are_those_of_the_table_in_the_order_of_their_ends():
    found = article.models().set_index("model")
    assert list(found.index[found["in the article"]]) == sorted(article.NAMED)
    assert list(found["base model until"]) == sorted(found["base model until"])
    assert found.loc["ada", "tuned through"] == "/v1/fine-tunes"
    assert found.loc["gpt-3.5-turbo-0613", "base model until"] == "2024-09-13"
    assert found.loc["gpt-3.5-turbo-0613", "tuned models until"] == "2026-10-23"
    assert set(found.loc[found["tuned models until"] == "2027-01-14", "who says so"]) == {"somebody else"}
    assert "smollm2-135m-instruct" not in found.index


def test_the_program_is_short_and_needs_no_openai_package():
    code = [cell.source for cell in refresh.code_cells(PAGE)[1:3]]
    lines = [line for line in "\n".join(code).splitlines() if line.strip() and not line.startswith("#")]
    assert len(lines) <= 22
    assert "openai" not in "\n".join(code).lower().replace("openai_api_key", "").replace(
        "openai_base_url", ""
    )
    assert refresh.said(PAGE, "# 3. Use").endswith("Desk: Quarantine\n")


def test_openai_has_no_command_line():
    assert refresh.said(PAGE, "find_spec") == "openai has a command line: False\n"


def test_what_is_printed_for_a_terminal_holds_no_key():
    names = re.findall(r"^export (\w+)=(\S+)$", refresh.said(PAGE, '"export FILE_ID="'), re.MULTILINE)
    assert [name for name, _ in names] == ["OPENAI_BASE_URL", "OPENAI_API_KEY", "FILE_ID", "MODEL_NAME"]
    assert dict(names)["OPENAI_API_KEY"] == "sk-local-<token>"
