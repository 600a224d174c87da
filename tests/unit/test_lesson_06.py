"""Lesson 06: its figures and verdicts, counted again by tests.recount, which shares no code with the lesson."""

import csv
import json
import re
import tomllib
from types import SimpleNamespace

import numpy as np
import openai
import pandas as pd
import pytest

from data.tickets import record
from helpers import evaluate, teach
from helpers.local_api.vectors import embed
from tests import recount
from tests.notebooks import refresh
from tests.recount import DATA, RECORDED, ROWS, jsonl

NOTEBOOK = refresh.read(refresh.NOTEBOOKS / "06_find_out.ipynb")
CELLS = refresh.code_cells(NOTEBOOK)
PRACTICE = ("paraphrase", "new")
SEALED = ("sealed_paraphrase", "sealed_new")
RUNS = [f"tuned-all-seed{seed}" for seed in range(3)]
PROMPTS = ("few_shot", "few_shot_nearest")
TRICKS = ("majority", "nearest_example", "nearest_rule")
COUNTED = ("form", "desk", "fact, trained rules")


# --- what the lesson shows ---------------------------------------------------------------------------------


def said(beginning: str) -> str:
    """What the one code cell prints and shows whose source holds this text."""
    return refresh.said(NOTEBOOK, beginning)


def text_of(cell_words: str) -> str:
    """The Markdown cell that holds these words, on one line."""
    (cell,) = [c for c in NOTEBOOK.cells if c.cell_type == "markdown" and cell_words in c.source]
    return " ".join(cell.source.split())


def table(beginning: str) -> list[dict[str, str]]:
    """The table that a cell shows, a dict a row; "" is the key of the index."""
    (cell,) = [cell for cell in CELLS if beginning in cell.source]
    (source,) = [out.data["text/html"] for out in cell.outputs if "text/html" in out.get("data", {})]
    head, *rows = refresh.rows(source)
    if len(rows[0]) > 1 and not any(rows[0][1:]):
        rows = rows[1:]  # the name of the index stands in a row of its own
    return [{"": row[0]} | dict(zip(head[1:], row[1:], strict=True)) for row in rows]


def shown_shares(beginning: str) -> dict[str, dict[str, float]]:
    return {row[""]: {name: float(value) for name, value in row.items() if name} for row in table(beginning)}


# --- what was recorded -------------------------------------------------------------------------------------

CHECKS = recount.CHECKS | {
    "fact, trained rules": recount.fact,
    "fact, new rules": recount.fact,
    "right": lambda answer, row: any(recount.names(answer, one) for one in row["right"]),
    "no_desk_line": lambda answer, row: "Desk:" not in answer,
}


def asked(check: str, *kinds: str) -> list[str]:
    """The ids of the questions of these kinds in which a check has something to look for."""
    only = {
        "fact, trained rules": lambda kind: not kind.endswith("new"),
        "fact, new rules": lambda kind: kind.endswith("new"),
    }
    return [id for id in recount.ids(*kinds) if only.get(check, bool)(ROWS[id]["kind"])]


def results(way: str, check: str, *kinds: str, runs: list[str] | None = None) -> np.ndarray:
    """0 and 1 for each question (rows) and each training run (columns) of a way or a trick."""
    ids = asked(check, *kinds)
    if way in recount.WITHOUT_A_MODEL:
        answers = [{id: recount.WITHOUT_A_MODEL[way](ROWS[id]["question"]) for id in ids}]
    else:
        answers = [RECORDED[way][run] for run in runs or (RUNS if way == "tuned" else ["base"])]
    return np.array([[float(CHECKS[check](one[id], ROWS[id])) for one in answers] for id in ids])


def share(way: str, check: str, *kinds: str, runs: list[str] | None = None) -> float:
    return float(results(way, check, *(kinds or PRACTICE), runs=runs).mean())


# --- comparisons, counted anew -----------------------------------------------------------------------------


def possible(
    names: tuple[str, str], before: np.ndarray, after: np.ndarray, p: float | None = None
) -> set[str]:
    """The verdicts that a count may bring; ``p`` corrected, if there were many looks.

    It is one, unless several runs are drawn by chance and the interval or p end at the edge.
    """
    difference, low, high, p_alone = recount.compared(before, after)
    p, end = p_alone if p is None else p, low if difference > 0 else -high
    drawn = before.shape[1] + after.shape[1] > 2 and abs(end) > 1e-9
    without_0 = {True, False} if drawn and abs(end) < 0.008 else {end > 1e-9}
    small = {True, False} if drawn and abs(p - 0.05) < 0.012 else {p < 0.05}
    found = set()
    for one in without_0:
        for other in small:
            better = f"{names[difference > 0]} is better"
            found.add("not settled" if one != other else better if one else "no difference seen")
    return found


def assert_compared(beginning: str, sides) -> list[dict[str, str]]:
    """Each row of a table of comparisons holds what we count; ``sides(check, name)`` gives the results of a way.

    At most one row, or one in four, may end at the edge, where either verdict would do. Returns the rows.
    """
    rows = table(beginning)
    found = []
    for row in rows:
        names = tuple(row[side].rpartition(" ")[0] for side in ("before", "after"))
        before, after = (sides(row["check"], name) for name in names)
        for side, shown in zip((before, after), (row["before"], row["after"]), strict=True):
            assert float(shown.split()[-1].rstrip("%")) == pytest.approx(100 * side.mean(), abs=0.51), row
        found.append((names, before, after, *recount.compared(before, after)))
    looks = [place for place, row in enumerate(rows) if row["kind"] == "look"]
    ps = [one[-1] for one in found]
    for place, p in zip(looks, recount.corrected([ps[place] for place in looks]), strict=True):
        ps[place] = p
    edges = 0
    for row, (names, before, after, difference, low, high, _), p in zip(rows, found, ps, strict=True):
        assert float(row["points"]) == pytest.approx(100 * difference, abs=0.51), row
        ends = [float(end) for end in row["95 % interval"].split(" to ")]
        assert ends == pytest.approx([100 * low, 100 * high], abs=2.1), row
        verdicts = possible(names, before, after, p)
        assert row["verdict"] in verdicts, (row, verdicts)
        edges += len(verdicts) > 1
    assert edges <= max(1, len(rows) / 4)
    return rows


def of_kinds(*kinds: str):
    return lambda check, way: results(way, check, *kinds)


# --- shares ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("beginning", "kind"),
    [("evaluate.summary(tuned)", "paraphrase"), ("evaluate.summary(seen)", "trained")],
)
def test_the_first_tables(beginning, kind):
    for row in table(beginning):
        found = results("tuned", row[""], kind, runs=RUNS[:1])
        assert (int(float(row["passed"])), int(float(row["asked"]))) == (found.sum(), len(found))


def test_trained_questions_are_answered_better():
    """The wrong way: what is counted on the training file is memory."""
    for check in ("desk", "fact"):
        trained, others = (share("tuned", check, kind, runs=RUNS[:1]) for kind in ("trained", "paraphrase"))
        assert trained > others + 0.3


def charted(beginning: str) -> dict[tuple[str, str], int]:
    """(check, way) -> the percent that the chart of a cell says aloud."""
    (cell,) = [cell for cell in CELLS if beginning in cell.source]
    (said,) = [out.data["text/plain"] for out in cell.outputs if "image/png" in out.get("data", {})]
    found = re.findall(r"(form|desk|fact, \w+ rules), ([\w-]+): (\d+)% \(", said)
    return {(check, way): int(percent) for check, way, percent in found}


def test_the_chart_of_the_practice_rows():
    shown = charted("evaluate.chart(practice,")
    ways = ("base", *PROMPTS, *TRICKS, "tuned")
    assert set(shown) == {(check, way) for check in (*COUNTED, "fact, new rules") for way in ways}
    for (check, way), percent in shown.items():
        assert percent == pytest.approx(100 * share(way, check), abs=0.51), (check, way)


def test_the_table_of_shares_of_the_sealed_test():
    shown = shown_shares("evaluate.board(final |")
    assert list(shown)[:7] == ["base", *PROMPTS, *TRICKS, "tuned"]
    for way, shares in list(shown.items())[:7]:
        assert shares == pytest.approx(
            {check: share(way, check, *SEALED) for check in (*COUNTED, "fact, new rules")}, abs=0.0051
        )


def test_of_two_answers_side_by_side_each_way_is_right_once():
    rows = table("evaluate.their_answers({way: practice")
    ids = re.findall(r'"(t\d+)"', next(c.source for c in CELLS if "their_answers({way" in c.source))
    sides = {
        way: dict(zip(asked("desk", *PRACTICE), results(way, "desk", *PRACTICE)[:, 0], strict=True))
        for way in ("tuned", "nearest_rule")
    }
    facts = {
        way: dict(zip(asked("fact", *PRACTICE), results(way, "fact", *PRACTICE)[:, 0], strict=True))
        for way in ("tuned", "nearest_rule")
    }
    assert [row["question"] for row in rows] == [ROWS[id]["question"] for id in ids]
    for way, right in (("tuned", [0, 1]), ("nearest_rule", [1, 0])):
        assert [sides[way][id] for id in ids] == [facts[way][id] for id in ids] == right


def test_what_the_text_says_of_the_practice_rows():
    assert "names as many right desks as the tuned model, the nearest rule more" in text_of(
        "A constant answer has"
    )
    assert share("majority", "form") == 1
    assert abs(share("nearest_example", "desk") - share("tuned", "desk")) < 0.01
    assert share("nearest_rule", "desk") > share("tuned", "desk") + 0.1
    for trick in ("nearest_example", "nearest_rule"):
        assert share(trick, "fact, trained rules") > share("tuned", "fact, trained rules") + 0.2


def test_a_check_that_fails_a_right_answer():
    written = [chat["messages"][-1]["content"] for chat in jsonl("airport/valid.jsonl")]
    without = [answer for answer in written if not any(letter.isdigit() for letter in answer)]
    assert len(without) == 1 and without[0] in said("without a number:")


# --- pairs and seeds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("beginning", "rival", "kinds", "verdict"),
    [
        ('practice["tuned"][0], "desk"', "nearest_rule", PRACTICE, "nearest_rule is better"),
        ('valid["tuned"][0], "desk"', "majority", ("valid",), "not settled"),
    ],
)
def test_sentences_on_one_run(beginning, rival, kinds, verdict):
    before, after = results(rival, "desk", *kinds), results("tuned", "desk", *kinds, runs=RUNS[:1])
    text = said(beginning)
    assert text.startswith(f"desk: {verdict}.")
    assert possible((rival, "tuned"), before, after) == {verdict}
    ahead = (int((after > before).sum()), int((before > after).sum()))
    assert f"tuned ahead on {ahead[0]}, {rival} on {ahead[1]}." in text


def test_seeds_agree_in_number_and_differ_in_answers():
    shown = shown_shares('evaluate.board(dict(zip(evaluate.runs("tuned")')
    assert list(shown) == RUNS
    passed = results("tuned", "desk", *PRACTICE)
    assert len(set(passed.sum(axis=0))) == 1  # "Their share of right desks is the same."
    assert {shown[run]["desk"] for run in RUNS} == {round(passed.mean(), 2)}
    for row in table("evaluate.same_answers("):
        one, other = (int(number) for number in row[""].split(" and "))
        a, b = passed[:, one], passed[:, other]
        texts = [RECORDED["tuned"][RUNS[number]] for number in (one, other)]
        same = sum(texts[0][id] == texts[1][id] for id in asked("desk", *PRACTICE))
        counts = [int((a * b).sum()), int((a != b).sum()), int((1 - np.maximum(a, b)).sum()), same]
        assert [
            int(row[name]) for name in ("both pass", "only one passes", "none passes", "same words")
        ] == counts
        assert 0.18 < counts[1] / len(a) < 0.25 and same <= 3  # "about a fifth", "hardly two"


def test_that_the_seeds_agree_was_chance():
    """On the sealed test they do not, as the lesson says; it shows them below the ways."""
    shown = shown_shares("evaluate.board(final |")
    desks = results("tuned", "desk", *SEALED).mean(axis=0)
    assert [shown[run]["desk"] for run in RUNS] == [round(share, 2) for share in desks]
    assert max(desks) - min(desks) > 0.05


def strongest(kinds: tuple[str, ...]) -> list[tuple[str, str]]:
    """In each check the strongest prompt and the strongest trick; of equal ones the first."""
    return [
        (max(group, key=lambda way: round(share(way, check, *kinds), 2)), check)
        for check in COUNTED
        for group in (PROMPTS, TRICKS)
    ]


def test_looks_on_the_practice_rows():
    rows = assert_compared("strongest, practice))", of_kinds(*PRACTICE))
    assert [(row["before"].split()[0], row["check"]) for row in rows] == strongest(PRACTICE)
    assert {row["kind"] for row in rows} == {"look"}


def test_one_of_twenty_comparisons_without_a_difference_says_better():
    """As the lesson says of looks: two ways that are alike, 100 questions, 4,000 times."""
    random = np.random.default_rng(6)
    ahead, behind, _ = random.multinomial(100, [0.15, 0.15, 0.7], 4000).T
    seen = np.abs(ahead - behind) > 1.959964 * np.sqrt(ahead + behind)
    assert seen.mean() == pytest.approx(0.05, abs=0.012)


# --- the loop ----------------------------------------------------------------------------------------------


def test_the_curve_of_sizes():
    sizes = {size: [f"tuned-{size}-seed{seed}" for seed in range(3)] for size in (10, 25, 50)} | {112: RUNS}
    (cell,) = [cell for cell in CELLS if "evaluate.growth(" in cell.source]
    (told,) = [out.data["text/plain"] for out in cell.outputs if "image/png" in out.get("data", {})]
    for check in (*COUNTED, "fact, new rules"):
        (line,) = re.findall(rf"{check}: ((?:\d+% with \d+ rows(?:, )?)+)", told)
        shown = {int(size): int(percent) for percent, size in re.findall(r"(\d+)% with (\d+) rows", line)}
        assert list(shown) == list(sizes)
        for size, percent in shown.items():
            assert percent == pytest.approx(100 * share("tuned", check, runs=sizes[size]), abs=0.51)
    rows = assert_compared(
        "evaluate.comparisons([], pairs)",
        lambda check, name: results("tuned", check, *PRACTICE, runs=sizes[int(name.split()[0])]),
    )
    assert [row["check"] for row in rows] == list(COUNTED)
    assert (
        max(share("tuned", "fact, new rules", runs=runs) for runs in sizes.values()) < 0.02
    )  # nothing is taught


def test_what_got_worse():
    rows = assert_compared("for name in elsewhere]", of_kinds("general"))
    assert [(row["check"], row["verdict"]) for row in rows] == [
        ("right", "no difference seen"),
        ("no_desk_line", "base is better"),
    ]
    assert float(rows[0]["points"]) < 0  # "a smaller one may hide in the interval"
    shown = table("general = evaluate.questions(")
    ids = re.findall(r'"(g\d\d)"', next(c.source for c in CELLS if "general =" in c.source))
    for row, id in zip(shown, ids, strict=True):
        answers = [RECORDED["base"]["base"][id], *(RECORDED["tuned"][run][id] for run in RUNS)]
        assert [" ".join(text.split()) for text in (ROWS[id]["question"], *answers)] == [
            " ".join(text.split()) for name, text in row.items() if name
        ]
        found = [CHECKS["right"](answer, ROWS[id]) for answer in answers]
        assert found[0] and not all(found)


# --- people ------------------------------------------------------------------------------------------------


def test_kappa_of_the_invented_raters():
    source = next(cell.source for cell in CELLS if "evaluate.agreement(" in cell.source)
    anna, ben = (words.split() for words in re.findall(r'"([yesno ]+)"\.split', source))
    same = sum(one == other for one, other in zip(anna, ben, strict=True)) / 12
    chance = sum(anna.count(word) * ben.count(word) for word in ("yes", "no")) / 144
    assert f"on {round(12 * same)} of 12" in said("evaluate.agreement(")
    assert f"kappa {(same - chance) / (1 - chance):.2f}." in said("evaluate.agreement(")


def test_a_sheet_that_somebody_has_filled_in_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_MY", str(tmp_path / "my"))
    (cell,) = [cell for cell in CELLS if "write_sheet" in cell.source]
    tuned = evaluate.evaluate(evaluate.recorded("tuned"), evaluate.questions("paraphrase"), {})
    exec(cell.source, {"tuned": tuned, "evaluate": evaluate})
    path = tmp_path / "my" / "sheet.csv"
    empty = pd.read_csv(path, index_col="id")
    assert list(empty["answer"]) == list(tuned["answer"][:12]) and empty["right"].isna().all()
    path.write_text("mine")
    exec(cell.source, {"tuned": tuned, "evaluate": evaluate})
    assert path.read_text() == "mine" and (tmp_path / "my" / "sheet.html").exists()


# --- the sealed test ---------------------------------------------------------------------------------------


def test_comparisons_are_planned_before_the_sealed_test_is_opened():
    sources = [cell.source for cell in CELLS]
    opened = [place for place, source in enumerate(sources) if "evaluate.sealed()" in source]
    written = [place for place, source in enumerate(sources) if re.search(r"^planned = ", source, re.M)]
    assert len(opened) == len(written) == 1 and opened[0] == written[0] + 1
    lines = said("planned = strongest").splitlines()[1:]
    assert lines == [f"{check}, tuned against {way}" for way, check in strongest(PRACTICE)]


def test_comparisons_on_the_sealed_test():
    rows = assert_compared("compared = evaluate.comparisons(", of_kinds(*SEALED))
    met = [(row["before"].split()[0], row["check"]) for row in rows]
    planned = strongest(PRACTICE)
    assert met[: len(planned)] == planned and {row["kind"] for row in rows[: len(planned)]} == {"planned"}
    assert {row["kind"] for row in rows[len(planned) :]} == {"look"}
    assert sorted(met) == sorted((way, check) for way in (*PROMPTS, *TRICKS) for check in COUNTED)
    verdicts = dict(zip(met, (row["verdict"] for row in rows), strict=True))
    assert {verdicts[prompt, check] for prompt in PROMPTS for check in ("form", "desk")} == {
        "tuned is better"
    }
    for check in COUNTED:  # "in no check does it beat every rival"
        assert {verdicts[way, check] for way in (*PROMPTS, *TRICKS)} != {"tuned is better"}
    assert verdicts["nearest_rule", "desk"] == "no difference seen"
    assert verdicts["nearest_rule", "fact, trained rules"] == "nearest_rule is better"
    assert (
        share("nearest_rule", "fact, new rules", *SEALED) > share("tuned", "fact, new rules", *SEALED) + 0.4
    )
    practice = {row["check"]: row["verdict"] for row in table("strongest, practice))")[3:4]}
    assert practice == {"desk": "nearest_rule is better"}  # and "the sealed test does not confirm it"
    for line in said("unbeaten = ").splitlines():
        check, _, names = line.partition(": ")
        assert names == ", ".join(
            row["before"] for row in rows if row["check"] == check and row["verdict"] != "tuned is better"
        )


def test_the_quiz_on_rivals():
    """Right is "In none of them"; why the others are wrong is said of the sealed test and holds on it."""
    quiz = tomllib.loads((DATA / "quizzes" / "06.toml").read_text(encoding="utf-8"))["question"][0]
    assert [option["text"] for option in quiz["options"] if option.get("right")] == ["In none of them."]
    why = [option["why"] for option in quiz["options"]]
    verdicts = {
        (row["before"].split()[0], row["check"]): row["verdict"] for row in table("compared = evaluate")
    }
    assert "No difference to the tricks was seen" in why[0]
    assert {verdicts[trick, "form"] for trick in TRICKS} == {"no difference seen"}
    assert "no difference to the nearest example and the nearest rule was seen" in why[1]
    assert {verdicts[trick, "desk"] for trick in TRICKS[1:]} == {"no difference seen"}
    assert "so does a prompt with the examples that a search chooses" in why[2]
    for way in ("few_shot_nearest", *TRICKS[1:]):
        assert verdicts[way, "fact, trained rules"] == f"{way} is better"


# --- your own model ---------------------------------------------------------------------------------------------


def test_the_readers_own_model_is_judged_on_their_rows_by_what_is_wanted():
    """By default 20 of the airport's practice rows; the rivals without a model are counted again."""
    test, train = jsonl("airport/practice.jsonl")[:20], jsonl("airport/train.jsonl")
    answers = [row["messages"][-1]["content"] for row in train]
    ends = {row["before"].rpartition(" ")[0]: row["before"].split()[-1] for row in table("rivals, judged))")}
    assert set(ends) == {"base", "few_shot_nearest", "majority", "nearest_example"}
    for way in ("majority", "nearest_example"):
        told = [recount.WITHOUT_A_MODEL[way](row["question"]) for row in test]
        assert set(told) <= set(answers)
        right = [text.split("\n")[-1] == f"Desk: {row['desk']}" for text, row in zip(told, test, strict=True)]
        assert ends[way] == f"{100 * sum(right) / len(right):.0f}%"
    assert "simulated" in text_of("Now the model of lesson 05.")


def test_a_file_of_chat_rows_is_judged_too(tmp_path):
    system = {"role": "system", "content": "Sort the mail."}
    rows = [
        {"messages": [system, {"role": "user", "content": text}, {"role": "assistant", "content": label}]}
        for text, label in (("Where is my bill?", "billing"), ("It is broken.", "repair"))
    ]
    path = tmp_path / "test.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n", encoding="utf-8")
    found = evaluate.held_out(path, tmp_path / "not-read.jsonl")
    assert [row["question"] for row in found] == [row["messages"][:-1] for row in rows]
    assert [row["wanted"] for row in found] == ["billing", "repair"]
    checks, why = evaluate.fitting([row["wanted"] for row in found])
    assert list(checks) == ["equal"]
    table = evaluate.evaluate(lambda messages: "billing", found, checks)
    assert list(table["equal"]) == [True, False]


def test_the_practice_rows_get_the_system_prompt_of_the_training_file_and_the_rule():
    airport = DATA / "airport"
    (row, *_) = evaluate.held_out(airport / "practice.jsonl", airport / "train.jsonl")
    first = jsonl("airport/train.jsonl")[0]["messages"][0]
    assert row["question"] == [first, {"role": "user", "content": ROWS[row["id"]]["question"]}]
    assert row["wanted"].endswith(f"\nDesk: {ROWS[row['id']]['desk']}")


def test_rows_that_are_neither_are_refused(tmp_path):
    path = tmp_path / "test.jsonl"
    path.write_text('{"question": "Why?", "answer": "So."}\n', encoding="utf-8")
    with pytest.raises(ValueError, match="each row needs messages"):
        evaluate.held_out(path, path)


# --- exercises and claims ----------------------------------------------------------------------------------


def task(name: str) -> dict:
    return tomllib.loads((teach.DATA / "exercises" / "06.toml").read_text(encoding="utf-8"))[name]


def test_which_run_is_better():
    """One run of each size, as in the exercise; and what it says of all three."""
    every = [f"tuned-25-seed{seed}" for seed in range(3)]
    truth = {}
    for check in COUNTED:
        sides = [results("tuned", check, *PRACTICE, runs=runs) for runs in (every, RUNS)]
        assert possible(("A", "B"), *sides) == {"B is better"}  # "all seeds together see more"
        (verdict,) = possible(("A", "B"), *(side[:, :1] for side in sides))
        truth[check] = verdict.removesuffix(" is better")
        assert sides[1][:, 0].sum() > sides[0][:, 0].sum()
    assert task("which-run")["right"]["parts"] == truth


def test_so_many_rows_show_the_difference_in_four_of_five_trials():
    """The plan of the exercise played 20,000 times: gains on 16 of 100 rows, losses on 6; McNemar's test."""
    rows = int(re.search(r"rows_needed == (\d+)", task("how-many-rows")["right"]["when"])[1])
    gains, losses, _ = np.random.default_rng(6).multinomial(rows, [0.16, 0.06, 0.78], 20_000).T
    seen = np.mean(gains - losses > 1.959964 * np.sqrt(gains + losses))
    assert seen == pytest.approx(0.8, abs=0.02)


def test_cases_of_both_kinds_are_published():
    """Claim 22: at least one case in which the tuned model was better, and one in which it was worse."""
    with open(DATA / "cases.csv", encoding="utf-8", newline="") as file:
        cases = [row for row in csv.DictReader(file) if row["base_value"] and row["better_is"] != "neither"]
    gains = [
        (float(row["tuned_value"]) > float(row["base_value"])) == (row["better_is"] == "higher")
        for row in cases
    ]
    assert any(gains) and not all(gains)


def test_the_cookbooks_table_as_it_is():
    """Each column is of the same 100 questions, 53 with the answer in the text; the sums and sentences follow."""
    with open(DATA / "cases.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["case"].startswith("OpenAI's cookbook")]
    columns = ("base_value", "tuned_value", "few_shot_value")
    correct, skipped, wrong, made_up, unknown, right = (
        [int(row[column]) for column in columns] for row in rows
    )
    assert (correct, skipped, wrong) == ([44, 32, 44], [0, 18, 5], [9, 3, 4])
    assert (made_up, unknown) == ([47, 7, 25], [0, 40, 22])
    for column in range(3):
        assert correct[column] + skipped[column] + wrong[column] == 53
        assert made_up[column] + unknown[column] == 47
        assert right[column] == correct[column] + unknown[column]
    assert [row["better_is"] for row in rows] == ["higher", "lower", "lower", "lower", "higher", "higher"]
    assert [row["grade"] for row in rows] == ["O"] * 5 + ["I"]
    shown = [
        [row["base_value"], row["tuned_value"], row["few_shot_value"]] for row in table("cookbook = cases")
    ]
    assert shown == [[row[column] for column in columns] for row in rows]
    assert "asked 100 questions on given texts; for 53 the text held the answer" in text_of(
        "OpenAI's cookbook"
    )
    with open(DATA / "claims.csv", encoding="utf-8", newline="") as file:
        verdict = next(row["verdict"] for row in csv.DictReader(file) if row["number"] == "22")
    assert f"({right[1]} against {right[0]} of 100)" in verdict
    assert f"({correct[1]} against {correct[0]} of 53)" in verdict


def test_the_studies_of_this_lesson_are_quoted_with_their_sources():
    with open(DATA / "studies.csv", encoding="utf-8", newline="") as file:
        studies = [row for row in csv.DictReader(file) if "06" in row["lesson"].split()]
    shown = table('studies[["study", "finding", "url"]]')
    assert [row["study"] for row in shown] == [row["study"] for row in studies] and len(studies) >= 5
    assert [(row["finding"], row["url"]) for row in shown] == [
        (row["finding"], row["url"]) for row in studies
    ]
    assert {row["grade"] for row in studies} == {"O"}  # one of grade T would have to be called so


# --- tickets -----------------------------------------------------------------------------------------------

TICKETS = jsonl("tickets/test.jsonl")
URGENT = "today tonight tomorrow now immediately hurry".split()


def plain_code(ticket: dict) -> dict:
    """The ticket by the words in it, without the lesson's patterns."""
    question = ticket["question"]
    words = re.findall(r"\w+", question)
    numbers = [word for word in words if len(word) == 5 and word[0] in "ABCD" and word[1:].isdigit()]
    lowered = " ".join(words).lower()
    urgent = any(word in lowered.split() for word in URGENT) or any(
        f" {part} " in f" {lowered} " for part in ("at once", "within the hour")
    )
    train = jsonl("tickets/train.jsonl")
    place = int((embed([one["question"] for one in train]) @ embed([question])[0]).argmax())
    return {"topic": train[place]["topic"], "urgent": urgent, "order": numbers[0] if numbers else None}


def ticket_results(key: str, way: str) -> np.ndarray:
    if way in ("always", "plain_code"):
        constant = {"topic": "delivery", "urgent": False, "order": None}
        given = [constant if way == "always" else plain_code(ticket) for ticket in TICKETS]
        return np.array(
            [[one[key] == ticket[key]] for one, ticket in zip(given, TICKETS, strict=True)], float
        )
    answers = {one["id"]: one["answer"] for one in jsonl("tickets/answers.jsonl") if one["way"] == way}
    return np.array([[has(answers[ticket["id"]], key, ticket)] for ticket in TICKETS], float)


def has(answer: str, key: str, ticket: dict) -> bool:
    """Whether the answer is JSON that gives this key the value of the ticket."""
    wanted = json.dumps(ticket[key])
    return (value := teach.parsed(answer)) is not None and key in value and json.dumps(value[key]) == wanted


def test_the_recorded_tickets():
    """Each way was asked all test tickets; the shares that the lesson shows are counted again."""
    train, test = jsonl("tickets/train.jsonl"), {row["id"]: row for row in TICKETS}
    answers = jsonl("tickets/answers.jsonl")
    assert [(one["way"], one["id"]) for one in answers] == [
        (way, id) for way in ("base", "few_shot", "tuned") for id in test
    ]
    assert not {row["question"] for row in train} & {row["question"] for row in test.values()}
    assert {row["topic"] for row in train if row["id"] in record.WORKED} == {row["topic"] for row in train}
    shown = shown_shares("\nevaluate.board(told)")
    assert set(shown) == {"base", "few_shot", "tuned", "always", "plain_code"}
    for way, shares in shown.items():
        again = {key: ticket_results(key, way).mean() for key in record.KEYS}
        assert shares == pytest.approx(again, abs=0.0051), way


def test_plain_code_is_not_beaten():
    rows = assert_compared("rivals, told))", ticket_results)
    met = {(row["before"].split()[0], row["check"]): row["verdict"] for row in rows}
    assert set(met) == {
        (way, key) for way in ("few_shot", "always", "plain_code") for key in ("topic", "urgent", "order")
    }
    assert {met["plain_code", key] for key in record.KEYS} == {"no difference seen"}
    won = {
        key: met["few_shot", key] for key in record.KEYS
    }  # "beats the prompt in the topic", "the rest is open"
    assert won == {"topic": "tuned is better", "urgent": "not settled", "order": "not settled"}
    assert [int(ticket_results(key, "plain_code").sum()) for key in record.KEYS] == [17, 20, 20]


def test_the_patterns_of_plain_code_fit_the_training_tickets():
    """They were written for these, so they fit all of them; the test tickets were not looked at."""
    assert all(
        (found := plain_code(ticket))["order"] == ticket["order"] and found["urgent"] == ticket["urgent"]
        for ticket in jsonl("tickets/train.jsonl")
    )


# --- the check of the exercise with tickets ----------------------------------------------------------------

TASK = "Ticket to JSON."
KEYS = ("topic", "urgent", "order")


def ticket_work(system=TASK, json_check=lambda answer, row: answer.startswith("{")):
    """What a learner hands to the check: all right but for what is given here."""
    train, test = (
        [
            json.loads(line)
            for line in (teach.DATA / "tickets" / f"{name}.jsonl").read_text("utf-8").splitlines()
        ]
        for name in ("train", "test")
    )
    client = openai.OpenAI(base_url="http://127.0.0.1:9/v1", api_key="sk-none")

    def messages(question, system):
        return [{"role": "system", "content": system}, {"role": "user", "content": question}]

    def ask(question):
        reply = client.chat.completions.create(model="tuned", messages=messages(question, system))
        return reply.choices[0].message.content

    answers = [json.dumps({key: ticket[key] for key in KEYS}) for ticket in train]
    rows = [
        {"messages": [*messages(ticket["question"], TASK), {"role": "assistant", "content": answer}]}
        for ticket, answer in zip(train, answers, strict=True)
    ]
    checks = dict.fromkeys(KEYS, lambda answer, row: len(answer) > 40) | {"json": json_check}
    result = pd.DataFrame({key: True for key in checks}, index=[ticket["id"] for ticket in test])
    return rows, SimpleNamespace(status="succeeded"), checks, ask, result, train, test


def test_tickets_are_asked_with_the_system_message_of_the_training():
    assert teach.answer("06-tickets", *ticket_work()).startswith("Right. ")
    said = teach.answer("06-tickets", *ticket_work(system="You are the passenger assistant."))
    assert said.startswith(
        f'Not yet. ask_ticket does not send the system message that you trained with: "{TASK}".'
    )


def test_two_people_may_be_named_by_what_they_are():
    memo = (
        "What is counted, on how many rows: right desk, 160\nWhat it must beat, and by how much: the rule, 10\n"
        "Who judges, and how we count their agreement: support lead and one agent"
    )
    with_memo = {"memo": memo} | teach.FOR_RULES
    hints = task("memo")["hints"]
    assert not any(eval(hint["when"], dict(with_memo)) for hint in hints)


def test_which_run_says_which_part_is_wrong():
    given = {"form": "B", "desk": "B", "fact, trained rules": "no difference seen"}
    assert teach.answer("06-which-run", given) == (
        "Not yet. Not what the pairs say: form. Compare a and b once for each check."
    )
    assert ": form, fact, trained rules." in teach.answer("06-which-run", dict.fromkeys(COUNTED, "B"))


def test_a_check_of_tickets_that_stops_is_told_with_its_error():
    said = teach.answer("06-tickets", *ticket_work(json_check=lambda answer, row: bool(json.loads(answer))))
    assert said.startswith(
        "Not yet. A function of yours stopped with an error when this check called it. JSONDecodeError: "
    )
    assert "bool(json.loads(answer))" in said and 'It was given "I am sorry to hear that."' in said
