"""Lesson 08: its search is that of the recorded run, and its figures are counted again from the raw answers."""

import csv
import html
import json
import re
from math import sqrt
from statistics import mean, median

import numpy as np
import pytest

from data.recorded import changed, make
from helpers import costs, evaluate
from helpers.local_api.vectors import embed
from tests.notebooks import refresh

NOTEBOOK = refresh.read(refresh.NOTEBOOKS / "08_choose.ipynb")
CHECKS = ("form", "desk", "fact", "all")
SEARCH = ["few_shot", "retrieval", "few_shot_retrieval", "tuned", "tuned_retrieval", "rules_tuned_retrieval"]
GIVEN = ["rule", "tuned_rule", "rules_tuned_given"]


def lines(name: str) -> list[dict]:
    return [json.loads(line) for line in (make.RECORDED / name).read_text(encoding="utf-8").splitlines()]


def output(*words: str) -> str:
    """What the first code cell with these words in its source shows: printed lines and HTML."""
    return refresh.shown(NOTEBOOK, *words)


def table(*words: str) -> list[list[str]]:
    """The body of a DataFrame that a cell shows, cell by cell, the index first."""
    body = output(*words).partition("<tbody>")[2]
    return [
        [html.unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)]
        for row in re.findall(r"<tr.*?</tr>", body, re.DOTALL)
    ]


# --- the search ------------------------------------------------------------------------------------------

TEST = [row for row in lines("questions.jsonl") if row["kind"] in ("paraphrase", "new")]


def places(rows: list[dict], rules=None) -> list[int]:
    """How many rules are more similar to each question than the right one."""
    rules = rules or make.RULES
    similarity = embed([row["question"] for row in rows]) @ embed([text for text, _ in rules.values()]).T
    right = [list(rules).index(row["rule"]) for row in rows]
    return [int((row > row[place]).sum()) for row, place in zip(similarity, right, strict=True)]


def test_the_search_of_the_lesson_is_that_of_the_recorded_run():
    """Its cells, with the vectors of the mock in place of the call, make the prompts of the recorded run."""
    names = {"np": np, "embed": lambda texts: embed(list(texts)), "rules": dict(make.RULES)}
    for words in ("def find", "def with_rules"):
        cell = next(c for c in refresh.code_cells(NOTEBOOK) if words in c.source)
        exec(cell.source.partition("\n\n\nprint(")[0], names)
    for row in TEST:
        assert names["find"](row["question"]) == make.found(row["question"])
        assert names["with_rules"](row["question"]) == make.with_found_rules(row)


def test_how_often_the_rule_is_found():
    found = places(TEST)
    for (_, n, count, share), wanted in zip(table("found["), (1, 2, 4, 8, 16), strict=True):
        among = sum(place < wanted for place in found)
        assert (int(n), int(count)) == (wanted, among)
        assert float(share) == pytest.approx(among / 120, abs=0.0051)


def test_similarities_of_the_first_texts():
    texts = [row[0] for row in table("similarity = (vectors")]
    assert len(texts) == 4
    for row, one in zip(table("similarity = (vectors"), embed(texts), strict=True):
        for shown, other in zip(row[1:], embed(texts), strict=True):
            assert float(shown) == pytest.approx(float(one @ other), abs=0.006)


# --- the ways --------------------------------------------------------------------------------------------

ROWS = {row["id"]: row for row in TEST}
DESKS = make.DESKS
ANSWERS: dict[str, dict[str, dict[str, str]]] = {}
for _one in lines("answers.jsonl"):
    if _one["id"] in ROWS and re.fullmatch(r"base|\w+-all-seed\d", _one["run"]):
        ANSWERS.setdefault(_one["way"], {}).setdefault(_one["run"], {})[_one["id"]] = _one["answer"]


def passes(answer: str, row: dict) -> dict[str, bool]:
    """The checks, written again without helpers.evaluate."""
    text, _, last = answer.strip().rpartition("\n")
    form = 0 < len(text.split()) <= 30 and last.removeprefix("Desk: ") in DESKS and last.startswith("Desk: ")
    said = re.findall(r"Desk: *(.+)", answer)
    where = " | ".join(said) if said else answer
    desks = {d for d in DESKS if re.search(rf"(?<!\w){re.escape(d.lower())}(?!\w)", where.lower())}
    fact = all(re.search(rf"(?<!\w){re.escape(one.lower())}(?!\w)", answer.lower()) for one in row["facts"])
    found = {"form": form, "desk": desks == {row["desk"]}, "fact": fact}
    return found | {"all": all(found.values())}


PASSED = {
    way: [[passes(run[id], ROWS[id]) for id in ROWS] for _, run in sorted(runs.items())]
    for way, runs in ANSWERS.items()
}


def share(way: str, check: str) -> float:
    return mean(one[check] for run in PASSED[way] for one in run)


def signs(before: str, after: str, check: str) -> list[int]:
    """For each pair of runs: 1 if the second is better, -1 if worse, 0 if the interval includes none."""
    one, other = PASSED[before], PASSED[after]
    found = []
    for number in range(max(len(one), len(other))):
        pairs = list(zip(one[number % len(one)], other[number % len(other)], strict=True))
        gained = (sum(b[check] > a[check] for a, b in pairs) + 1) / 122
        lost = (sum(b[check] < a[check] for a, b in pairs) + 1) / 122
        spread = 1.959964 * sqrt((gained + lost - (gained - lost) ** 2) / 122)
        found.append((gained - lost > spread) - (lost - gained > spread))
    return found


def words(signs: list[int]) -> str:
    if len(set(signs)) == 1:
        return {1: "better", -1: "worse", 0: "no difference seen"}[signs[0]]
    return f"mixed: better in {signs.count(1)}, worse in {signs.count(-1)} of {len(signs)} runs"


def test_the_shares():
    shown = table("board = shares()")
    assert [row[0] for row in shown] == SEARCH + GIVEN
    for way, *numbers in shown:
        for number, check in zip(numbers, CHECKS, strict=True):
            assert float(number) == pytest.approx(share(way, check), abs=0.0051), (way, check)


def test_what_was_added():
    pairs = [("few_shot", "few_shot_retrieval"), ("few_shot", "tuned"), ("tuned", "tuned_retrieval")]
    pairs += [("tuned_retrieval", "rules_tuned_retrieval"), ("few_shot_retrieval", "rules_tuned_retrieval")]
    pairs += [("rules_tuned_retrieval", "rules_tuned_given")]
    for row, pair in zip(table("added = {"), pairs, strict=True):
        assert row[1:] == [words(signs(*pair, check)) for check in CHECKS], pair


def test_the_sentences_under_the_table():
    said = output("highest is")
    for check in CHECKS:
        first, second = sorted(SEARCH, key=lambda way: -share(way, check))[:2]
        assert f"{check}: highest is {first} with {share(first, check):.0%},\n" in said
        assert f"next is {second} with {share(second, check):.0%}; between them: " in said
        assert f"between them: {words(signs(second, first, check))}.\n" in said
    assert f"{1 - share(first, 'all'):.0%} of the answers could not be sent" in said
    assert "This holds for SmolLM2-135M-Instruct and these 120 questions." in said
    for way in ("tuned_rule", "rules_tuned_given"):
        fact, whole = (words(signs("rule", way, check)) for check in ("fact", "all"))
        assert f"{way}, beside rule. fact: {fact}; all: {whole}" in output("beside rule")


def test_facts_of_new_rules_and_of_found_rules():
    ids, kind = list(ROWS), [row["kind"] for row in TEST]
    for way, *numbers in table("facts.loc[SEARCH]"):
        for number, wanted in zip(numbers, ("paraphrase", "new"), strict=True):
            facts = [
                one["fact"] for run in PASSED[way] for one, k in zip(run, kind, strict=True) if k == wanted
            ]
            assert float(number) == pytest.approx(mean(facts), abs=0.0051)
    among = [row["rule"] in make.found(row["question"]) for row in TEST]
    for word, wanted in (("found", True), ("missed", False)):
        counts = [
            sum(run[n]["fact"] for n in range(len(ids)) if among[n] == wanted)
            for run in PASSED["rules_tuned_retrieval"]
        ]
        assert (
            f"rule {word} by the search, {among.count(wanted)} questions: facts stated in each run {counts}"
            in (output("was_found = place"))
        )


def test_the_reason_of_the_decision_helper():
    """ "The recorded model then stated more facts": in each run."""
    with open(evaluate.DATA / "decision_rules.csv", encoding="utf-8", newline="") as file:
        assert any(
            "the recorded model then stated more facts" in rule["because"] for rule in csv.DictReader(file)
        )
    assert signs("tuned_retrieval", "rules_tuned_retrieval", "fact") == [1, 1, 1]


def test_premise_of_a_quiz_question():
    assert [words(signs("tuned", "tuned_retrieval", check)) for check in ("form", "desk")] == [
        "no difference seen"
    ] * 2


# --- tomorrow, time, price -------------------------------------------------------------------------------


def test_the_changed_rule():
    text, desk = make.RULES[changed.RULE]
    after = make.RULES | {changed.RULE: (text.replace(changed.OLD, changed.NEW), desk)}
    assert changed.NEW in after[changed.RULE][0]
    rows = [row for row in lines("questions.jsonl") if row["rule"] == changed.RULE]
    found = dict(zip((row["id"] for row in rows), places(rows, after), strict=True))
    answers = lines("changed.jsonl")
    assert len(answers) == len(rows) * len(make.SEEDS) * len(changed.ASKED) == 18
    counts: dict[tuple, int] = {}
    for one in answers:
        assert one["found"] == (found[one["id"]] < make.RULES_FOUND)
        key = (one["way"], one["found"], "door 12" in one["answer"])
        counts[key] = counts.get(key, 0) + 1
    assert not [one for one in answers if re.search(r"door 8\b", one["answer"])]
    assert "the old door is named in 0 of 18 answers" in output("pd.crosstab")
    shown = [[int(cell) for cell in row if cell.isdigit()] for row in table("pd.crosstab")]
    assert shown == [
        [counts.get((way, was, new), 0) for new in (True, False)]
        for way in ("rules_tuned_retrieval", "tuned_retrieval")
        for was in (True, False)
    ]


def test_time_and_price():
    for way, prompt, answer, *seconds, usd in table("times = pd.read_json"):
        asked = [one["seconds"] for one in lines("times.jsonl") if one["way"] == way]
        assert len(asked) == 10
        for shown, wanted in zip(seconds, (median(asked), min(asked), max(asked)), strict=True):
            assert float(shown) == pytest.approx(wanted, abs=0.0501)
        tuned = "tuned" in way
        wanted = 1000 * costs.call("gpt-3.5-turbo", 10_000, 0, tuned=tuned).usd / 10_000 * float(prompt)
        wanted += 1000 * costs.call("gpt-3.5-turbo", 0, 10_000, tuned=tuned).usd / 10_000 * float(answer)
        assert float(usd) == pytest.approx(wanted, abs=0.0051 + 0.5 * 6e-3)


def test_a_large_model_with_embeddings():
    asked = [
        one for one in lines("answers.jsonl") if one["way"] == "few_shot_retrieval" and one["id"] in ROWS
    ]
    prompt, answer = (sum(one[key] for one in asked) for key in ("prompt_tokens", "completion_tokens"))
    shown = table("rival = ")
    assert {row[0] for row in shown} > {"gpt-4-0613"}
    with open(make.RECORDED / "scoreboard.csv", encoding="utf-8", newline="") as file:
        usd_of = {row["way"]: float(row["usd_1000_calls"]) for row in csv.DictReader(file)}
    for model, usd, effort, more, _, grade, quality in shown:
        call = costs.call(model, prompt, answer, reasoning=0)
        thousand = 1000 * call.usd / len(asked)
        assert float(usd) == pytest.approx(thousand, abs=0.0051)
        assert (grade, quality) == (call.parts[0][1].grade, "measure it yourself")
        assert effort == (costs.reasons(model) or "not known")
        token = costs.price(model, "base_output").usd_per_1m_tokens / 1000
        dear = usd_of["rules_tuned_retrieval"]
        assert thousand + int(more) * token >= dear - 0.001
        assert int(more) == 0 or thousand + (int(more) - 1) * token < dear + 0.001
    assert {row[0] for row in shown if int(row[3])} == {"gpt-5.6-luna", "gpt-6-luna"}
