"""What the site is made of, and what looks at its links; without Sphinx. The built site: tests/browser/test_site.py."""

import csv

import pytest

from tests.environment import ROOT
from workshop.site import links, pages


def test_every_notebook_and_page_is_in_the_list_of_contents_once():
    listed = sum(pages.contents().values(), [])
    assert len(listed) == len(set(listed))
    notebooks = {path.relative_to(ROOT).as_posix() for path in (ROOT / "notebooks").rglob("[!.]*.ipynb")}
    assert notebooks <= set(listed)
    assert [page for page in listed if page != pages.CLAIMS and not (ROOT / page).is_file()] == []


def test_every_claim_is_on_the_page_with_its_verdict_and_links():
    text = pages.claims()
    with open(ROOT / "data" / "claims.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert text.count("\n## ") == len(rows) == 25
    for row in rows:
        assert (
            f"## {row['number']}. {row['claim']}\n\n**{row['mark'].capitalize()}:** {row['in_short']}.\n"
            in text
        )
        assert f"\n- Verdict: {row['verdict']}\n" in text
    assert "- Lessons: [01](notebooks/01_decide.ipynb)\n" in text


def test_links_are_led_to_pages_copies_and_words(tmp_path):
    text = (
        "[a](../README.md#start) [b](../helpers/local_api/README.md) [c](../data/studies.csv) [d](../tests) "
        "[e](https://example.org)\n\n```\n[f](../README.md)\n```\n\n![g](pictures/tree.svg)"
    )
    known = {"README.md": "index.md", "helpers/local_api/README.md": "helpers/local_api/README.md"}
    assert pages._led(text, "notebooks/x.ipynb", known, tmp_path) == (
        "[a](../index.md#start) [b](../helpers/local_api/README.md) [c](../data/studies.csv) d "
        "[e](https://example.org)\n\n```\n[f](../README.md)\n```\n\n![g](pictures/tree.svg)"
    )
    copied = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    assert copied == {"data/studies.csv", "notebooks/pictures/tree.svg"}


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        ('<a href="other.html#there">', ""),
        ('<a href="other.html#%D1%82%D0%B0%D0%BC">', ""),
        ('<a href="#here"><p id="here">', ""),
        ('<a href="https://example.org/x.html"><a href="mailto:a@example.org">', ""),
        ('<img src="data:image/png;base64,AA">', ""),
        ('<a href="gone.html">', "page.html: gone.html is not there"),
        ('<img src="gone.png">', "page.html: gone.png is not there"),
        ('<a href="other.html#gone">', "page.html: other.html#gone has no such place"),
        ('<a href="#gone">', "page.html: #gone has no such place"),
        ('<script src="https://example.org/x.js">', "page.html loads https://example.org/x.js"),
        ('<link href="//example.org/x.css" rel="stylesheet">', "page.html loads //example.org/x.css"),
    ],
)
def test_a_link_that_leads_nowhere_is_named(page, problem, tmp_path):
    (tmp_path / "other.html").write_text('<p id="there"><p id="там">', encoding="utf-8")
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    assert links.problems(tmp_path) == ([problem] if problem else [])
