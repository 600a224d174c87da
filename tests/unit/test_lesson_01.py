"""Lesson 01: its prompts are those of the recorded run, its sums those of helpers.costs, its verdicts are counted
again by tests.recount, which shares no code with the lesson."""

import csv
import html
import re
import tomllib
from functools import cache

import pytest

from data.airport.make_with_rules import RULES, TRAIN, rule_of
from data.recorded import make
from helpers import costs, teach
from tests.notebooks import refresh
from tests.recount import CHECKS, RECORDED, ROWS, WITHOUT_A_MODEL, better, ids, jsonl, share, side

NOTEBOOK = refresh.read(refresh.NOTEBOOKS / "01_decide.ipynb")
TEXT = " ".join("\n".join(cell.source for cell in NOTEBOOK.cells).split())
MODELS = ("gpt-3.5-turbo-0125", "gpt-4.1-mini-2025-04-14", "gpt-4o-mini-2024-07-18")
TEST = ("paraphrase", "new")
ALL = ("trained", *TEST)
PROMPTS = ("base", "role", "rule", "few_shot")
COLUMNS = {  # of the table of rivals: check, kinds of questions
    "form": ("form", TEST),
    "desk": ("desk", TEST),
    "fact, trained rules": ("fact", TEST[:1]),
    "fact, new rules": ("fact", TEST[1:]),
}
PORK = "May I bring pork products into the country?"


def text_of(part: str) -> str:
    """A piece of HTML as the text that a reader sees, its spaces and line breaks as one space each."""
    return " ".join(html.unescape(re.sub(r"<br ?/?>", " ", part)).split())


def table(words: str) -> dict[str, dict[str, str]]:
    """The table that the code cell with these words shows: row -> column -> text."""
    found = refresh.shown(NOTEBOOK, words)
    head, *rows = (
        [text_of(part) for part in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)]
        for row in re.findall(r"<tr.*?</tr>", found, re.DOTALL)
    )
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows if any(row[1:])}


def numbers(words: str) -> dict[tuple[str, str], list[float]]:
    """What the chart of the code cell with these words says: (check, way) -> share, low, high in percent."""
    found = re.findall(r"(\w+), (\w+): (\d+)% \((\d+)% to (\d+)%\)", refresh.said(NOTEBOOK, words))
    return {(check, way): [float(part) for part in parts] for check, way, *parts in found}


@cache
def who(rival: str, column: str) -> str:
    """Which of the two is better, the rival or the tuned model, or ""."""
    check, kinds = COLUMNS[column]
    return better(rival, "tuned", check, *kinds)


# --- five answers, three kinds ---------------------------------------------------------------------------


def test_the_first_five_are_the_first_five_and_each_has_the_form_and_a_wrong_fact():
    shown = text_of(refresh.shown(NOTEBOOK, "questions()[:5]"))
    assert ids(*TEST)[:5] == ids("paraphrase")[:5]  # "the five above are such"
    for id in ids(*TEST)[:5]:
        row, answer = ROWS[id], RECORDED["tuned"]["tuned-all-seed0"][id]
        rule, desk = RULES[row["rule"]]
        for said in (row["question"], answer, f"{rule} Desk: {desk}"):
            assert text_of(said) in shown
        assert CHECKS["form"](answer, row) and not CHECKS["fact"](answer, row)
    trained = {message["content"] for chat in TRAIN for message in chat["messages"]}
    assert not trained & {row["question"] for id, row in ROWS.items() if id in ids(*TEST)}


def test_chart_of_three_kinds_of_questions():
    shown = numbers("evaluate.bars(tuned")
    assert set(shown) == {(check, kind) for check in CHECKS for kind in ALL}
    for (check, kind), (found, low, high) in shown.items():
        assert found == pytest.approx(100 * share("tuned", check, kind), abs=0.51) and low <= found <= high
    assert [len(ids(kind)) for kind in ALL] == [20, 60, 60]
    assert all(f"**{kind}**: {len(ids(kind))} questions" in TEXT for kind in ALL)
    assert all(side("tuned", "fact", kind).shape[1] == 3 for kind in ALL)


def test_what_the_lesson_reads_from_that_chart():
    assert "The form is kept everywhere." in TEXT
    assert all(share("tuned", "form", kind) > 0.95 for kind in ALL)
    assert "The right desk is found less often, the further a question is from the training file" in TEXT
    assert (
        share("tuned", "desk", "trained")
        > share("tuned", "desk", "paraphrase")
        > share("tuned", "desk", "new")
    )
    assert "some are missing even where the question was trained, most where it comes in other words" in TEXT
    assert 0.5 < share("tuned", "fact", "trained") < 1
    assert 0 < share("tuned", "fact", "paraphrase") < 0.5 and share("tuned", "fact", "new") == 0


# --- pairs, before and after -----------------------------------------------------------------------------


def test_each_fact_is_in_one_or_two_pairs():
    assert "All 112 pairs share the form. Each fact is in one or two of them." in TEXT
    rules = [rule_of(row["messages"][-1]["content"]) for row in TRAIN]
    assert len(rules) == 112 and {rules.count(rule) for rule in rules} == {1, 2}


def test_three_trainings_on_the_same_pair_have_left_one_no_and_two_yes():
    assert 'one answers "No" and two answer "Yes"' in TEXT
    (id,) = [id for id, row in ROWS.items() if row["question"] == PORK]
    assert id in ids("trained")
    whole = [run for run in sorted(RECORDED["tuned"]) if re.fullmatch(r"tuned-all-seed\d", run)]
    answers = [RECORDED["tuned"][run][id] for run in whole]
    assert sorted(answer.split()[0] for answer in answers) == ["No.", "Yes.", "Yes."]
    assert all(CHECKS["form"](answer, ROWS[id]) for answer in answers)
    shown = table("before tuning")
    assert [row["answer"] for row in shown.values()] == [
        text_of(answer) for answer in (RECORDED["base"]["base"][id], *answers)
    ]


def test_after_tuning_an_answer_begins_as_training_answers_begin():
    assert "now it begins as the training answers begin" in TEXT
    first = {row["messages"][-1]["content"].split()[0].strip(".,") for row in TRAIN}
    top = jsonl("recorded/next_tokens.jsonl")
    before, after = ([row["token"] for row in top if row["model"] == model] for model in ("base", "tuned"))
    assert {*after[:5]} <= first and len({*before[:5]} & first) < 4


# --- prompts and rivals ----------------------------------------------------------------------------------


def test_prompts_of_the_lesson_are_those_of_the_recorded_run():
    assert jsonl("recorded/prompts.jsonl") == make.prompts()
    shown = table("evaluate.prompts(")
    assert tuple(shown) == PROMPTS
    sent = {row["way"]: row["messages"] for row in make.prompts()}
    (id,) = [id for id, row in ROWS.items() if row["question"] == PORK]
    for way, row in shown.items():
        texts = (f"{message['role']}: {message['content']}" for message in sent[way])
        assert row["prompt"] == text_of(" ".join(texts))
        assert row["answer"] == text_of(RECORDED[way]["base"][id])


def test_chart_of_four_prompts():
    shown = numbers("evaluate.bars(asked")
    assert set(shown) == {(check, way) for check in CHECKS for way in PROMPTS}
    for (check, way), (found, *_) in shown.items():
        assert found == pytest.approx(100 * share(way, check, *ALL), abs=0.51), (check, way)
    assert len(ids(*ALL)) == 140
    assert "the prompt got longer, and not one fact was added" in TEXT
    assert share("role", "fact", *ALL) == share("base", "fact", *ALL) == 0
    assert "about half of the answers state it" in TEXT and 0.45 < share("rule", "fact", *ALL) < 0.6


def test_every_cell_of_the_table_of_rivals():
    shown = table("evaluate.against(")
    assert list(shown) == [
        "base",
        "few_shot",
        "few_shot_nearest",
        "book",
        "rule",
        *list(WITHOUT_A_MODEL)[::-1],
    ]
    for rival in shown:
        for name, (check, kinds) in COLUMNS.items():
            tuned = f"{name} (tuned: {100 * share('tuned', check, *kinds):.0f} %)"
            words = {"tuned": "✓ tuned better", rival: "✗ tuned worse", "": "no difference seen"}[
                who(rival, name)
            ]
            assert shown[rival][tuned] == f"{100 * share(rival, check, *kinds):.0f} %: {words}", (rival, name)


def test_what_the_lesson_says_of_that_table():
    assert (
        "Against prompts without the rule, tuning wins in form and desk; in facts it loses to samples" in TEXT
    )
    for way in ("base", "few_shot", "few_shot_nearest"):
        assert [who(way, column) for column in ("form", "desk")] == ["tuned"] * 2
    assert who("few_shot_nearest", "fact, trained rules") == "few_shot_nearest"
    said = "it wins nothing, and loses in facts (to `nearest_rule` in the desk, too)."
    assert f"Against a search that prints what it finds {said}" in TEXT
    assert who("nearest_rule", "desk") == "nearest_rule" and who("nearest_example", "desk") == ""
    for rival in ("nearest_example", "nearest_rule"):
        won = {who(rival, column) for column in COLUMNS}
        assert "tuned" not in won and who(rival, "fact, trained rules") == rival


def test_the_study_is_quoted_with_its_source():
    with open(teach.DATA / "studies.csv", encoding="utf-8", newline="") as file:
        (study,) = [row for row in csv.DictReader(file) if "01" in row["lesson"].split()]
    columns = ("finding", "citation", "url")
    assert table("studies.loc[") == {study["study"]: {name: study[name] for name in columns}}
    assert study["grade"] == "O"


# --- what it costs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_break_even_is_that_of_the_price_book(model):
    """One token of prompt below the printed length the base call is cheaper, one above it is more expensive."""
    with open(teach.DATA / "recorded" / "scoreboard.csv", encoding="utf-8", newline="") as file:
        board = {row["way"]: row for row in csv.DictReader(file)}
    shown = table("break_even = (")[model]
    length = int(shown["break_even"])

    def dollars(way: str, prompt: float, tuned: bool) -> float:
        tenths = (round(10 * prompt), round(10 * float(board[way]["answer_tokens"])))
        return costs.call(model, *tenths, tuned=tuned).usd / 10

    tuned = dollars("tuned", float(board["tuned"]["prompt_tokens"]), True)
    assert dollars("few_shot", length - 1, False) < tuned < dollars("few_shot", length + 1, False)
    cheaper = tuned < dollars("few_shot", float(board["few_shot"]["prompt_tokens"]), False)
    assert shown["tuned_is_cheaper"].split()[0] in ({"True", "✓"} if cheaper else {"False", "✗"})
    assert float(shown["our_prompt"]) == float(board["few_shot"]["prompt_tokens"])


def test_times_in_one_sentence():
    """Ten questions each: quicker than the untrained model by more than chance, than few_shot not (test_claims)."""
    assert "the tuned model was quicker than the untrained one, whose answers are longer" in TEXT
    rows = jsonl("recorded/times.jsonl")
    seconds, tokens = (
        {way: sum(row[key] for row in rows if row["way"] == way) for way in ("base", "few_shot", "tuned")}
        for key in ("seconds", "completion_tokens")
    )
    assert seconds["tuned"] < seconds["base"] and tokens["tuned"] < tokens["base"]


# --- quiz, memo, what to take home -----------------------------------------------------------------------


def test_verdicts_at_the_end():
    verdicts = dict(re.findall(r"\| ([^|]+\?) \| (✓ yes|✗ no|depends) \|", NOTEBOOK.cells[-2].source))
    assert list(verdicts.values()) == ["✓ yes", "depends", "✗ no", "depends", "depends"]
    assert share("tuned", "form", *TEST) > 0.95 and share("tuned", "fact", *TEST) < 0.1
    assert who("few_shot_nearest", "desk") == "tuned" and who("nearest_rule", "desk") == "nearest_rule"
    assert {row["tuned_is_cheaper"].split()[0] for row in table("break_even = (").values()} in (
        {"True", "False"},
        {"✓", "✗"},
    )


def questions(lesson: str) -> list[dict]:
    return tomllib.loads((teach.DATA / "quizzes" / f"{lesson}.toml").read_text(encoding="utf-8"))["question"]


def test_quizzes_say_what_was_counted():
    asked = {one["ask"]: next(o["text"] for o in one["options"] if o.get("right")) for one in questions("01")}
    role = next(right for ask, right in asked.items() if ask.startswith("A role as expert"))
    assert "None of the airport's facts" in role and share("role", "fact", "trained", *TEST) == 0
    pays = next(right for ask, right in asked.items() if "Does tuning pay" in ask)
    assert "has the form as well, and states more facts" in pays
    assert [who("nearest_rule", column) for column in ("form", "fact, trained rules", "fact, new rules")] == [
        "",
        "nearest_rule",
        "nearest_rule",
    ]
    (why,) = [
        o["why"]
        for one in questions("concepts")
        for o in one["options"]
        if o["text"].startswith("Let a search")
    ]
    assert "given found rules, stated fewer of their facts than the search alone" in why
    for way in ("retrieval", "few_shot_retrieval", "rules_tuned_retrieval"):
        assert better("nearest_rule", way, "fact", *TEST) == "nearest_rule"


def test_memo_of_the_lesson():
    """Many answers of the prompt with three samples miss the form; those of the search do not."""
    assert "many answers still miss the form; a search that prints the rule does not" in TEXT
    assert share("few_shot", "form", *TEST) < 0.75 and share("nearest_rule", "form", *TEST) == 1
