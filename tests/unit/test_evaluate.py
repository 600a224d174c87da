"""Checks, counts, intervals and comparisons, held against published values and hand-made cases."""

import pandas
import pytest

from helpers import evaluate

ROW = {"id": "t1", "question": "Pork?", "desk": "Quarantine", "facts": ["belt 1", "yellow bin"]}
GOOD = "No. Leave it in the yellow bin beside belt 1.\nDesk: Quarantine"


@pytest.mark.parametrize(
    ("answer", "form", "desk", "fact"),
    [
        (GOOD, True, True, True),
        (GOOD.replace("belt 1", "belt 12"), True, True, False),
        (GOOD.replace("Quarantine", "Customs"), True, False, True),
        (GOOD.replace("\n", " "), False, True, True),
        ("word " * 31 + "\nDesk: Quarantine", False, True, False),
        ("word " * 30 + "\nDesk: Quarantine", True, True, False),
        ("Please ask the quarantine desk.", False, True, False),
        ("Please ask customs or quarantine.", False, False, False),
        ("Desk: Quarantine", False, True, False),
        ("", False, False, False),
        ("Ask at customs.\nDesk: Quarantine", True, True, False),
        ("Ask.\nDesk: Quarantine\nDesk: Customs", True, False, False),
    ],
)
def test_checks(answer, form, desk, fact):
    found = (evaluate.form(answer, ROW), evaluate.desk(answer, ROW), evaluate.fact(answer, ROW))
    assert found == (form, desk, fact)


def test_what_cannot_be_checked_is_not_counted():
    rows = [ROW, {"id": "e1", "question": "Gravity?", "desk": None, "facts": []}]
    table = evaluate.evaluate(lambda question: GOOD, rows)
    assert list(table.index) == ["t1", "e1"] and table.loc["e1", "desk"] is None
    counted = evaluate.summary(table)
    assert counted["passed"].to_dict() == {"form": 2, "desk": 1, "fact": 1}
    assert counted["asked"].to_dict() == {"form": 2, "desk": 1, "fact": 1}


def test_any_function_and_any_check():
    table = evaluate.evaluate(str.upper, [{"question": "a"}], {"loud": lambda answer, row: answer.isupper()})
    assert table["loud"].tolist() == [True] and evaluate.summary(table)["share"].tolist() == [1.0]


def test_interval_of_wilson():
    # Newcombe 1998, Statistics in Medicine 17, table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29
    published = {(81, 263): (0.2553, 0.3662), (15, 148): (0.0624, 0.1605)}
    published |= {(0, 20): (0.0, 0.1611), (1, 29): (0.0061, 0.1718)}
    for (passed, asked), ends in published.items():
        assert evaluate.interval(passed, asked) == pytest.approx(ends, abs=1e-4)
    assert evaluate.interval(0, 0) == (0.0, 1.0)


def results(passed: list[bool | None]) -> pandas.DataFrame:
    return pandas.DataFrame({"question": "q", "answer": "a", "form": passed})


def test_a_clear_difference_is_named_and_both_directions():
    worse, better = results([False] * 20), results([True] * 15 + [False] * 5)
    found = evaluate.compare(worse, better, "form", ("base", "tuned"))
    assert (found.only_before, found.only_after, found.asked) == (0, 15, 20)
    assert found.difference == 0.75 and 0 < found.low < 0.75 < found.high + 0.2
    assert str(found).startswith("form: tuned is better than base (only tuned passed 15, only base 0 of 20")
    back = evaluate.compare(better, worse, "form", ("tuned", "base"))
    assert str(back).startswith("form: tuned is better than base") and back.low == -found.high


def test_no_difference_is_said_where_the_interval_holds_none():
    found = evaluate.compare(results([True, False] * 5), results([False, True] * 5), "form")
    assert str(found).startswith("form: no difference seen between before and after")


def test_pairs_without_a_result_are_left_out_and_others_refused():
    found = evaluate.compare(results([True, None, False]), results([True, True, None]), "form")
    assert found.asked == 1
    with pytest.raises(ValueError, match="same questions"):
        evaluate.compare(results([True]), results([True, False]), "form")


def test_rows_needed():
    # Connor 1987: difference 0.1, disagreement 0.3, two-sided 5 %, power 80 %, by hand from the formula
    assert evaluate.rows_needed(0.1, 0.3) == 234
    assert evaluate.rows_needed(0.3, 0.4) < evaluate.rows_needed(0.1, 0.4)
    with pytest.raises(ValueError, match="disagreement"):
        evaluate.rows_needed(0.3, 0.1)


def chat(question: str, answer: str) -> dict:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def test_baselines():
    examples = [chat("Where is the lounge?", "Level 4.\nDesk: Lounge"), chat("May I bring pork?", GOOD)]
    examples.append(chat("May I bring ham?", "No.\nDesk: Quarantine"))
    assert evaluate.majority(examples)("anything") == GOOD
    assert evaluate.copy(examples)("where is the big lounge") == "Level 4.\nDesk: Lounge"


def test_recorded_answers_are_found_by_their_question():
    rows = evaluate.questions()
    assert len(rows) == 120 and {row["kind"] for row in rows} == {"paraphrase", "new"}
    table = evaluate.evaluate(evaluate.recorded("base"), rows)
    assert table["answer"].str.len().gt(0).sum() > 100
    with pytest.raises(ValueError, match="Not recorded: magic"):
        evaluate.recorded("magic")
    assert evaluate.runs("base") == ["base"]


def test_a_recorded_checkpoint_and_a_smaller_run_can_be_named(monkeypatch):
    runs = ("tuned-all-seed0", "tuned-all-seed0-epoch1", "tuned-10-seed0")
    rows = [{"way": "tuned", "run": run, "question": "Where?", "answer": f"By {run}."} for run in runs]
    monkeypatch.setattr(evaluate, "_answers", lambda: rows)
    for run in runs:
        assert evaluate.recorded("tuned", run)("Where?") == f"By {run}."
    assert evaluate.recorded("tuned")("Where?") == "By tuned-all-seed0."
    with pytest.raises(ValueError, match="Not recorded: tuned, tuned-25-seed0"):
        evaluate.recorded("tuned", "tuned-25-seed0")


def test_preference_names_the_winner_only_beyond_one_half():
    assert evaluate.preference(1, 12, 3, ("base", "tuned")).startswith("tuned is preferred to base (votes:")
    assert evaluate.preference(12, 1, 3, ("base", "tuned")).startswith("base is preferred to tuned")
    assert evaluate.preference(6, 7, 3).startswith("no preference seen between before and after")
    nobody = evaluate.preference(0, 0, 3)
    assert (
        nobody == "no preference seen between before and after (votes: after 0, before 0, no difference 3)."
    )


def test_agreement_of_two_raters():
    first = pandas.Series({"a": "yes", "b": "Yes ", "c": "no", "d": "", "e": None})
    second = pandas.Series({"a": "yes", "b": "yes", "c": "yes", "d": "no", "f": "no"})
    found = evaluate.agreement(first, second)
    assert (found.rated, found.same, found.differ) == (3, 2, ["c"])
    assert str(found).startswith("The raters agree on 2 of 3 answers, 67% (95 % interval 21% to 94%).")
    assert "No answer" in str(evaluate.agreement(first, pandas.Series({"z": "yes"})))


def test_the_sheet_as_a_page():
    sheet = pandas.DataFrame({"id": ["a"], "answer": ["1 < 2\nDesk: Lounge"], "right": [""]}).set_index("id")
    page = evaluate.printable(sheet, "Sheet & more")
    assert "<title>Sheet &amp; more</title>" in page and "<script" not in page
    assert '<th scope="col">id</th><th scope="col">answer</th><th scope="col">right</th>' in page
    assert "<td>a</td><td>1 &lt; 2<br>Desk: Lounge</td><td></td>" in page


def test_charts_of_tables():
    tables = {"base": results([False] * 20), "tuned": results([True] * 15 + [False] * 5)}
    found = evaluate.chart(tables, "Form")
    assert found.data["passed"].tolist() == [0, 15] and "form, tuned: 75%" in found.alt
    points = pandas.DataFrame({"rows": [10, 10, 20], "seed": [0, 1, 0], "form": [0.1, 0.3, 0.5]})
    assert "form: 20% with 10 rows, 50% with 20 rows" in evaluate.size_chart(points, "Rows", ["form"]).alt
