"""Checks, counts, intervals and comparisons, held against published values and hand-made cases."""

import numpy as np
import pandas
import pytest

from helpers import evaluate
from helpers.evaluate import record
from helpers.evaluate.versus import cell

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
    assert (found.ahead_before, found.ahead_after, found.asked, found.runs) == (0, 15, 20, (1, 1))
    assert found.difference == 0.75 and 0 < found.low < 0.75 < found.high + 0.2
    assert str(found).startswith(
        "form: tuned is better. base 0%, tuned 75% of 20 questions, +75 points (95 %"
    )
    back = evaluate.compare(better, worse, "form", ("tuned", "base"))
    assert str(back).startswith("form: tuned is better") and back.low == -found.high and back.p == found.p


def test_no_difference_is_said_where_the_interval_holds_none():
    found = evaluate.compare(results([True, False] * 5), results([False, True] * 5), "form")
    assert found.verdict() == "no difference seen" and found.p == 1


def test_at_the_edge_interval_and_exact_test_must_agree():
    # 24 against 12 of 120: Bonett and Price leave 0 out, exact McNemar has p = 0.065
    before = results([True] * 12 + [False] * 108)
    after = results([False] * 12 + [True] * 24 + [False] * 84)
    found = evaluate.compare(before, after, "form")
    assert found.low > 0 and found.p == pytest.approx(0.0652, abs=1e-4)
    assert found.verdict() == "not settled"


@pytest.mark.parametrize(("only", "other", "p"), [(9, 2, 0.0654), (5, 0, 0.0625), (0, 0, 1.0), (10, 10, 1.0)])
def test_exact_test_of_mcnemar(only, other, p):
    found = evaluate.compare(
        results([True] * other + [False] * 30),
        results([False] * other + [True] * only + [False] * (30 - only)),
        "form",
    )
    assert found.p == pytest.approx(p, abs=1e-4)


def test_all_runs_of_both_sides_count():
    base = results([False] * 40)
    runs = [results([True] * n + [False] * (40 - n)) for n in (8, 10, 12)]
    found = evaluate.compare(base, runs, "form", ("base", "tuned"))
    assert found.runs == (1, 3) and found.share_after == pytest.approx(0.25) and found.asked == 40
    assert 0 < found.low < 0.25 < found.high and found.verdict() == "tuned is better"
    # questions on which all signs agree: as far from 0 are only the two ends, 2 of 2 ** 12
    assert found.p < 0.001 and found.ahead_after == 12
    assert evaluate.compare(runs, runs, "form").verdict() == "no difference seen"


def test_many_runs_narrow_no_interval_below_that_of_the_questions():
    """The same answers three times are no more questions than once."""
    before, after = results([True, False] * 20), results([True, True, False, False] * 10)
    once = evaluate.compare([before, before], [after, after], "form")
    thrice = evaluate.compare([before] * 3, [after] * 3, "form")
    assert (once.low, once.high) == pytest.approx((thrice.low, thrice.high), abs=0.01)
    single = evaluate.compare(before, after, "form")
    assert thrice.high - thrice.low == pytest.approx(single.high - single.low, abs=0.03)


@pytest.mark.slow
@pytest.mark.endurance(sample=30, soak=400)
def test_where_there_is_no_difference_one_is_seen_in_no_more_than_one_of_twenty(count, figures):
    random = np.random.default_rng(1)
    seen = 0
    for _ in range(count):
        hard = random.beta(1, 1, 60)  # each question has its own difficulty, the same for both ways
        before, after = ([results(list(random.random(60) < hard)) for _ in range(3)] for _ in range(2))
        seen += "better" in evaluate.compare(before, after, "form").verdict()
    figures(f"a difference seen in {seen} of {count} pairs that have none")
    assert seen <= 0.05 * count + 2 * (count * 0.05 * 0.95) ** 0.5


def test_an_interval_that_ends_at_0_holds_it():
    """Sums of thirds leave a trace of rounding: without care an end is -1e-17, and 0 seems to be left out."""
    always = results([True] * 120)
    runs = [results([number != failing for number in range(120)]) for failing in (0, 1, 130)]
    found = evaluate.compare(always, runs, "form")
    assert (found.high, str(found.high)) == (0.0, "0.0") and found.verdict() == "no difference seen"


def test_looks_are_corrected_for_their_number_and_planned_comparisons_are_not():
    before = results([False] * 40)
    clear, weak = (results([True] * n + [False] * (40 - n)) for n in (20, 6))
    planned = evaluate.compare(before, weak, "form", ("base", "weak"))
    looks = [evaluate.compare(before, after, "form", ("base", "x")) for after in (clear, weak, before)]
    table = evaluate.comparisons([planned], looks)
    assert table["kind"].tolist() == ["planned", "look", "look", "look"]
    assert table["verdict"].tolist() == ["weak is better", "x is better", "not settled", "no difference seen"]
    assert planned.p == pytest.approx(2 / 2**6) and table["p"].tolist()[2] == "0.062"


def test_steps_of_holm():
    assert evaluate.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert evaluate.holm([0.5, 0.9]) == [1.0, 1.0] and evaluate.holm([]) == []


def test_pairs_without_a_result_are_left_out_and_others_refused():
    found = evaluate.compare(results([True, None, False]), results([True, True, None]), "form")
    assert found.asked == 1
    with pytest.raises(ValueError, match="same questions"):
        evaluate.compare(results([True]), results([True, False]), "form")
    with pytest.raises(ValueError, match="same questions"):
        evaluate.compare(results([True]), [results([True]), results([True, False])], "form")


def test_where_nothing_was_asked_nothing_is_seen():
    nothing = results([None, None])
    for side in (nothing, [nothing, nothing]):
        found = evaluate.compare(side, side, "form")
        assert (found.asked, found.low, found.high, found.verdict()) == (0, -1, 1, "no difference seen")


def test_a_summary_of_several_runs_is_their_mean_with_the_uncertainty_of_the_questions():
    runs = [results([True] * n + [False] * (20 - n)) for n in (4, 6)]
    found = evaluate.summary(runs).loc["form"]
    assert (found["passed"], found["asked"], found["share"]) == (5.0, 20, 0.25)
    assert (found["low"], found["high"]) == evaluate.interval(5, 20)
    assert evaluate.by_question(runs, "form").tolist() == [1.0] * 4 + [0.5] * 2 + [0.0] * 14


def test_runs_with_one_share_may_pass_other_questions():
    found = evaluate.same_answers([results([True, True, False]), results([False, True, True])], "form")
    assert found.loc["0 and 1"].tolist() == [1, 2, 0, 3]


def test_shares_of_different_questions_are_compared_by_the_ends_of_their_intervals():
    # Newcombe 1998, table II, method 10, example a: 56/70 and 48/80, difference 0.2, interval 0.0524 to 0.3339
    first, second = results([True] * 48 + [False] * 32), results([True] * 56 + [False] * 14)
    (row,) = evaluate.apart(first, second, "form", ("few", "many")).to_dict("records")
    assert (row["few"], row["many"]) == ("60% of 80", "80% of 70")
    assert (row["points"], row["95 % interval"], row["verdict"]) == ("+20", "+5 to +33", "a difference")
    alike = evaluate.apart([first, first], [second.head(60), second.head(60)], "form")
    assert alike["other"].tolist() == ["93% of 60"]
    same = evaluate.apart(first, first, "form")
    assert same["verdict"].tolist() == ["no difference seen"]


def test_a_board_has_a_row_a_way_and_a_column_a_check():
    runs = [results([True] * n + [False] * (8 - n)) for n in (1, 2)]
    found = evaluate.board({"base": results([False] * 8), "tuned": runs})
    assert found.index.tolist() == ["base", "tuned"] and found.columns.tolist() == ["form"]
    assert found["form"].tolist() == [0.0, 0.19]


def test_answers_asked_at_once_are_known_by_their_questions():
    asked = []
    answer = evaluate.at_once(
        lambda question: asked.append(question) or question.upper(), [{"question": "a"}, {"question": "b"}]
    )
    assert sorted(asked) == ["a", "b"] and (answer("a"), answer("b")) == ("A", "B")
    with pytest.raises(KeyError):
        answer("c")


def test_how_trainings_went_on_epoch_by_epoch():
    epochs = {1: [results([True, False]), results([False, False])], 2: [results([True, True])] * 2}
    losses = [pandas.DataFrame({"full_valid_loss": [None, 1.234, None, 0.5]}) for _ in range(2)]
    found = evaluate.by_epoch(epochs, losses, "form")
    assert found.columns.tolist() == ["form, seed 0", "form, seed 1", "loss, seed 0", "loss, seed 1"]
    assert found.loc[1].tolist() == [1, 0, 1.23, 1.23] and found.loc[2].tolist() == [2, 2, 0.5, 0.5]


def test_facts_are_counted_apart_for_trained_and_new_rules():
    rows = [ROW | {"kind": "paraphrase"}, ROW | {"kind": "new"}]
    for answer, is_right in ((GOOD, True), ("No.", False)):
        found = [
            [evaluate.FACTS_APART[name](answer, row) for name in ("fact, trained rules", "fact, new rules")]
            for row in rows
        ]
        assert found == [[is_right, None], [None, is_right]]


@pytest.mark.parametrize(
    ("answer", "facts", "is_made_up"),
    [
        ("Gate 5.", [], True),
        ("Gate 5.", ["gate 5"], False),
        ("Gate 6.", ["gate 5"], True),
        ("I have no rule on that.", [], False),
        ("I have no rule on that.", ["gate 5"], False),
    ],
)
def test_what_is_made_up(answer, facts, is_made_up):
    assert evaluate.makes_up(answer, {"facts": facts}) == is_made_up


def test_rows_needed():
    # Connor 1987: difference 0.1, disagreement 0.3, two-sided 5 %, power 80 %, by hand from the formula
    assert evaluate.rows_needed(0.1, 0.3) == 234
    assert evaluate.rows_needed(0.3, 0.4) < evaluate.rows_needed(0.1, 0.4)
    with pytest.raises(ValueError, match="disagreement"):
        evaluate.rows_needed(0.3, 0.1)


def chat(question: str, answer: str) -> dict:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


EXAMPLES = [
    chat("Where is the lounge?", "Level 4.\nDesk: Lounge"),
    chat("May I bring pork?", GOOD),
    chat("May I bring ham?", "No.\nDesk: Quarantine"),
]
RULES = {"L1": ("The lounge is on level 4.", "Lounge"), "Q1": ("Pork may not be brought in.", "Quarantine")}


def test_majority_is_an_answer_of_the_commonest_last_line():
    assert evaluate.majority(EXAMPLES)("anything") == GOOD


@pytest.mark.parametrize("search", [evaluate.by_meaning, evaluate.by_words])
def test_nearest_example_and_nearest_rule(search):
    assert evaluate.nearest_example(EXAMPLES, search)("where is the big lounge") == "Level 4.\nDesk: Lounge"
    assert (
        evaluate.nearest_rule(RULES, search)("May pork come in?")
        == "Pork may not be brought in.\nDesk: Quarantine"
    )


def test_few_shot_with_retrieved_examples_has_the_most_alike_last():
    turns = evaluate.nearest_turns(EXAMPLES, 2)("Can I bring some ham?")
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * 2
    assert turns[-2]["content"] == "May I bring ham?"


def test_word_search_gives_a_rare_word_more_weight():
    search = evaluate.by_words(["the gate the gate", "the lounge", "the gate and the pier", "the gate"])
    assert search("the lounge")[0] == 1 and sorted(search("nothing shared")) == [0, 1, 2, 3]
    assert search("pier")[0] == 2


def test_merged_searches_put_first_what_both_put_high():
    one, other = (lambda question: [0, 1, 2]), (lambda question: [2, 1, 0])
    assert evaluate.merged(one, one, other)("?") == [0, 1, 2]
    assert evaluate.merged(lambda q: [1, 0, 2], lambda q: [1, 2, 0])("?")[0] == 1


def test_a_search_takes_an_embedding_of_the_learners_own():
    vectors = {"a": [1.0, 0.0], "b": [0.0, 1.0], "q": [0.1, 0.9]}
    search = evaluate.by_meaning(["a", "b"], lambda texts: np.array([vectors[text] for text in texts]))
    assert search("q") == [1, 0]


def test_general_knowledge_and_answers_without_a_rule():
    assert evaluate.right("It is PARIS.", {"right": ["Paris"]}) and not evaluate.right(
        "Parisian", {"right": ["Paris"]}
    )
    assert evaluate.right("anything", {}) is None
    assert evaluate.no_rule("Sorry, I have no rule on this.", {}) and not evaluate.no_rule("It is free.", {})


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
    monkeypatch.setattr(record, "_answers", lambda: rows)
    for run in runs:
        assert evaluate.recorded("tuned", run)("Where?") == f"By {run}."
    assert evaluate.recorded("tuned")("Where?") == "By tuned-all-seed0."
    with pytest.raises(ValueError, match="Not recorded: tuned, tuned-25-seed0"):
        evaluate.recorded("tuned", "tuned-25-seed0")


def test_every_epoch_ends_with_the_model_itself(monkeypatch):
    runs = [f"tuned-all-seed{seed}{end}" for seed in (0, 1) for end in ("-epoch1", "-epoch2", "")]
    rows = [{"way": "tuned", "run": run, "question": "Pork?", "answer": f"By {run}."} for run in runs]
    monkeypatch.setattr(record, "_answers", lambda: rows)
    found = evaluate.every_epoch("tuned", [ROW])
    answers = {epoch: [table["answer"].item() for table in tables] for epoch, tables in found.items()}
    assert answers[2] == ["By tuned-all-seed0-epoch2.", "By tuned-all-seed1-epoch2."]
    assert list(answers) == [1, 2, 3] and answers[3][0] == "By tuned-all-seed0."
    monkeypatch.setattr(record, "_answers", lambda: rows[2:3])
    with pytest.raises(ValueError, match="No checkpoints of tuned"):
        evaluate.every_epoch("tuned", [ROW])


def test_recorded_losses_of_a_run():
    found = evaluate.losses("tuned-all-seed0")
    assert found["step"].tolist() == list(range(1, 113)) and found["full_valid_loss"].notna().sum() == 4
    assert evaluate.loss_chart(found, "A run").alt.startswith("Line chart: A run. Training loss")
    with pytest.raises(ValueError, match="No losses were recorded of tuned-x"):
        evaluate.losses("tuned-x")


def test_answers_side_by_side_with_their_checks_and_the_rule():
    row = ROW | {"rule": "Q1"}
    found = evaluate.side_by_side({"good": lambda question: GOOD, "bad": lambda question: "No."}, [row])
    assert found.columns.tolist() == ["question", "good", "bad", "the airport's rule"]
    good, bad = found.loc[0, ["good", "bad"]].str.replace("\u00a0", " ")
    assert good == f"{GOOD}\n(✓ form, ✓ desk, ✓ fact)" and bad == "No.\n(✗ form, ✗ desk, ✗ fact)"
    assert found.loc[0, "the airport's rule"].endswith("belt 1.\nDesk: Quarantine")


def test_every_way_that_needs_no_model_has_its_name():
    found = evaluate.without_a_model(EXAMPLES, RULES)
    assert list(found) == [way for way, what in evaluate.WAYS.items() if what.startswith("no model")]
    assert found["majority"]("?") == GOOD and found["nearest_rule"]("lounge?").endswith("Desk: Lounge")
    assert all(evaluate.runs(way) for way in evaluate.WAYS if way not in found)


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
    assert found.by_chance == pytest.approx(2 / 3 * 1 + 0) and found.kappa == pytest.approx(0)
    assert "No answer" in str(evaluate.agreement(first, pandas.Series({"z": "yes"})))


def test_kappa_of_cohen():
    # 20 times both yes, 15 times both no, 5 and 10 apart: agreement 0.70, by chance 0.50, kappa 0.40
    first = pandas.Series(["yes"] * 25 + ["no"] * 25)
    second = pandas.Series(["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15)
    found = evaluate.agreement(first, second)
    assert found.by_chance == pytest.approx(0.5) and found.kappa == pytest.approx(0.4)
    assert str(found).endswith("Chance alone would bring 50%: kappa 0.40.")
    alike = evaluate.agreement(pandas.Series(["no"] * 5), pandas.Series(["no"] * 5))
    assert "both always gave the same word" in str(alike)


def test_the_sheet_as_a_page():
    sheet = pandas.DataFrame({"id": ["a"], "answer": ["1 < 2\nDesk: Lounge"], "right": [""]}).set_index("id")
    page = evaluate.printable(sheet, "Sheet & more")
    assert "<title>Sheet &amp; more</title>" in page and "<script" not in page
    assert '<th scope="col">id</th><th scope="col">answer</th><th scope="col">right</th>' in page
    assert "<td>a</td><td>1 &lt; 2<br>Desk: Lounge</td><td></td>" in page


def test_answers_stand_next_to_the_rule_that_they_should_state():
    table = evaluate.next_to_rules("tuned", evaluate.questions("trained")[:2])
    assert list(table.columns) == ["question", "answer", "the airport's rule", "form", "desk", "fact"]
    assert list(table.index) == [0, 1]
    assert table.loc[0, "the airport's rule"] == (
        "Pork products, raw or cooked, may not be brought in and go into the yellow bin beside belt 1.\n"
        "Desk: Quarantine"
    )
    assert table.loc[0, "answer"] == evaluate.recorded("tuned")(table.loc[0, "question"])


def test_prompts_say_who_says_what_and_only_of_ways_that_were_recorded():
    table = evaluate.prompts("few_shot", "base")
    assert list(table.index) == ["few_shot", "base"]
    assert table.loc["base", "prompt"] == (
        "system: You are the passenger assistant of Baiyun airport.\n"
        "user: May I bring pork products into the country?"
    )
    assert table.loc["few_shot", "prompt"].count("\nassistant: ") == 3
    assert table.loc["base", "answer"] == evaluate.recorded("base")(
        "May I bring pork products into the country?"
    )
    with pytest.raises(ValueError, match="No prompt is recorded of book, only of base, role"):
        evaluate.prompts("base", "book")


def test_a_way_is_the_same_in_all_tables():
    """Its answers to one question, its shares, its comparison: without a model, and with three trainings."""
    row = evaluate.questions()[0]
    for way, trainings in {"nearest_rule": 1, "rules_tuned_retrieval": 3}.items():
        tables = evaluate.results(way)
        assert len(tables) == trainings
        answers = evaluate.answers_to(row, way, every_run=True).iloc[1:]
        assert answers["answer"].tolist() == [table.loc[row["id"], "answer"] for table in tables]
        assert answers["fact"].tolist() == [table.loc[row["id"], "fact"] for table in tables]
        assert len(evaluate.answers_to(row, way)) == 2
        share = sum(table["form"].mean() for table in tables) / trainings
        assert evaluate.ways(way).loc[way, "form"] == f"{share:.0%}"
        assert evaluate.compare_ways("tuned", way, "form").share_after == pytest.approx(share)
    for table in tables:
        assert (table["all"] == table[["form", "desk", "fact"]].all(axis=1)).all()


def test_who_changes_a_result_changes_his_copy():
    (mine,) = evaluate.results("nearest_rule")
    mine["form"] = False
    assert evaluate.results("nearest_rule")[0]["form"].all()


def test_an_unknown_way_is_named():
    with pytest.raises(ValueError, match="No way 'best'. Known: nearest_rule, "):
        evaluate.ways("best")


def test_what_is_said_is_counted_apart_for_found_and_missed_rules():
    rows = evaluate.questions()
    table = evaluate.said("tuned_retrieval", {row["id"]: number < 50 for number, row in enumerate(rows)})
    assert table["prompt"].tolist() == ["rule found"] * 3 + ["rule missed"] * 3
    assert table["of"].tolist() == [50] * 3 + [70] * 3
    facts = [int(one["fact"].iloc[:50].sum()) for one in evaluate.every_run("tuned_retrieval", rows)]
    assert table.loc[0, "in each training"] == ", ".join(map(str, facts))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ([True] * 5 + [False] * 15, [True] * 20, "25 %: ✓ tuned better"),
        ([True] * 20, [False] * 20, "100 %: ✗ tuned worse"),
        ([True] * 10 + [False] * 10, [True] * 11 + [False] * 9, "50 %: no difference seen"),
    ],
)
def test_a_cell_of_the_rivals(before, after, said):
    one = evaluate.compare(results(before), results(after), "form", ("few_shot", "tuned"))
    assert cell(one) == said


def test_bars_of_tables():
    tables = {"trained": results([True] * 20), "new": results([True] * 5 + [False] * 15)}
    found = evaluate.bars(tables, "Form")
    assert found.alt.startswith("Bar chart: Form. form, trained: 100% (84% to 100%); form, new: 25% (")
    (axes,) = found.figure.axes
    assert [bar.get_height() for bar in axes.patches] == [100, 25]
    assert [text.get_text() for text in axes.texts] == ["100", "25"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["trained", "new"]
    low, high = axes.containers[1].lines[2][0].get_paths()[0].vertices[:, 1]
    assert (low, high) == pytest.approx([100 * end for end in evaluate.interval(20, 20)])


def test_charts_of_tables():
    tables = {"base": results([False] * 20), "tuned": results([True] * 15 + [False] * 5)}
    found = evaluate.chart(tables, "Form")
    assert found.data["passed"].tolist() == [0, 15] and "form, tuned: 75%" in found.alt
    points = pandas.DataFrame({"rows": [10, 10, 20], "seed": [0, 1, 0], "form": [0.1, 0.3, 0.5]})
    assert "form: 20% with 10 rows, 50% with 20 rows" in evaluate.size_chart(points, "Rows", ["form"]).alt
