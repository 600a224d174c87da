"""The airport data set keeps what data/README.md promises."""

import csv
import functools
import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

from data.airport.make_with_rules import NO_RULE, files, rule_of
from data.recorded import make
from helpers import dataset, evaluate, tokens
from helpers.dataset import similar
from helpers.local_api.engines.simulated.reading import read_prompt
from helpers.local_api.vectors import embed
from tests.each import of_each

DATA = Path(__file__).resolve().parents[2] / "data"
AIRPORT = DATA / "airport"
MADE = ("train_with_rules.jsonl", "valid_with_rules.jsonl", "practice_with_rules.jsonl")
FILES = (
    "desks.txt",
    "house_style.toml",
    "rules.md",
    "train.jsonl",
    "valid.jsonl",
    "practice.jsonl",
    "sealed.jsonl",
    "valid_facts.csv",
    "wordings.jsonl",
    "details.toml",
    "with_rules_unanswered.csv",
    *MADE,
)
MAX_WORDS = 30


def read_jsonl(name: str) -> list[dict]:
    return [json.loads(line) for line in (AIRPORT / name).read_text(encoding="utf-8").splitlines()]


def read_rules() -> list[tuple[str, str, str]]:
    """Every bullet of rules.md as (id, desk, text)."""
    rules, desk = [], ""
    for line in (AIRPORT / "rules.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            desk = line.removeprefix("## ")
        elif line.startswith("- "):
            match = re.fullmatch(r"- \*\*([A-Z]\d+)\*\* (.+)", line)
            assert match, f"rules.md: not a rule: {line!r}"
            rules.append((match[1], desk, match[2]))
    return rules


def split_answer(answer: str) -> tuple[str, str]:
    """The text before the last line, and the last line."""
    text, _, last_line = answer.rpartition("\n")
    return text, last_line


def keeps_house_style(answer: str, desks: list[str]) -> bool:
    text, last_line = split_answer(answer)
    return 1 <= len(text.split()) <= MAX_WORDS and last_line in {f"Desk: {desk}" for desk in desks}


@functools.cache
def words(text: str) -> set[str]:
    return set(re.findall(r"[\w']+", text.lower()))


def jaccard(a: str, b: str) -> float:
    return len(words(a) & words(b)) / len(words(a) | words(b))


def has_facts(text: str, facts: list[str]) -> bool:
    return all(fact.lower() in text.lower() for fact in facts)


def numbers(text: str) -> set[str]:
    return set(re.findall(r"\d+(?:[,.:]\d+)*", text))


def question(row: dict) -> str:
    return row["messages"][1]["content"]


def answer(row: dict) -> str:
    return row["messages"][2]["content"]


def desk_of(row: dict) -> str:
    return split_answer(answer(row))[1].removeprefix("Desk: ")


DESKS = (AIRPORT / "desks.txt").read_text(encoding="utf-8").splitlines()
RULES = read_rules()
RULE_TEXT = {rule_id: text for rule_id, _, text in RULES}
RULE_DESK = {rule_id: desk for rule_id, desk, _ in RULES}
TRAIN = read_jsonl("train.jsonl")
VALID = read_jsonl("valid.jsonl")
PRACTICE = read_jsonl("practice.jsonl")
PARAPHRASES = [row for row in PRACTICE if row["kind"] == "paraphrase"]
NEW = [row for row in PRACTICE if row["kind"] == "new"]
SEALED = read_jsonl("sealed.jsonl")
SEALED_PARAPHRASES = [row for row in SEALED if row["kind"] == "paraphrase"]
SEALED_NEW = [row for row in SEALED if row["kind"] == "new"]

TRAIN_WITH, VALID_WITH, PRACTICE_WITH = map(read_jsonl, MADE)
with open(AIRPORT / "with_rules_unanswered.csv", encoding="utf-8", newline="") as stream:
    UNANSWERED = list(csv.DictReader(stream))
VALID_FACTS = make.valid_facts()


@pytest.mark.parametrize("name", FILES)
def test_file_is_utf8_without_bom_and_ends_with_one_newline(name):
    raw = (AIRPORT / name).read_bytes()
    text = raw.decode("utf-8")
    assert not text.startswith("\ufeff")
    assert "\r" not in text
    assert text.endswith("\n") and not text.endswith("\n\n")
    assert "\\u" not in text


def test_row_counts():
    assert len(DESKS) == len(set(DESKS)) == 14
    assert len(RULES) == 136
    assert evaluate.rules() == {rule_id: (text, desk) for rule_id, desk, text in RULES}
    assert len(TRAIN) == 112
    assert len(VALID) == 20
    assert (len(PARAPHRASES), len(NEW), len(PRACTICE)) == (60, 60, 120)
    assert (len(SEALED_PARAPHRASES), len(SEALED_NEW), len(SEALED)) == (60, 60, 120)


def test_the_facts_of_the_validation_rows_stand_in_their_answers_and_their_rules():
    assert list(VALID_FACTS) == [question(row) for row in VALID]
    for row, facts in zip(VALID, VALID_FACTS.values(), strict=True):
        assert facts and has_facts(answer(row), facts), row
        assert has_facts(RULE_TEXT[rule_of(answer(row))], facts), row


def test_row_counts_are_those_of_the_readme():
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    table = dict(re.findall(r"\| `airport/(\S+)` \| (\d+) \|", readme))
    expected = {
        "desks.txt": DESKS,
        "rules.md": RULES,
        "train.jsonl": TRAIN,
        "valid.jsonl": VALID,
        "valid_facts.csv": VALID_FACTS,
        "practice.jsonl": PRACTICE,
        "sealed.jsonl": SEALED,
        "wordings.jsonl": read_jsonl("wordings.jsonl"),
        "train_with_rules.jsonl": TRAIN_WITH,
        "valid_with_rules.jsonl": VALID_WITH,
        "practice_with_rules.jsonl": PRACTICE_WITH,
        "with_rules_unanswered.csv": UNANSWERED,
    }
    assert table == {name: str(len(rows)) for name, rows in expected.items()}
    assert "\n## Tables\n" in readme


@pytest.mark.parametrize("path", [DATA / "README.md", AIRPORT / "rules.md"], ids=lambda path: path.name)
def test_says_that_it_is_fictional(path):
    assert "fictional and not travel advice" in path.read_text(encoding="utf-8")


def test_rules_have_unique_ids_and_texts_under_the_desks():
    assert len(RULE_TEXT) == len(set(RULE_TEXT.values())) == len(RULES)
    assert list(dict.fromkeys(RULE_DESK.values())) == DESKS
    assert len({(rule_id[0], desk) for rule_id, desk in RULE_DESK.items()}) == len(DESKS)
    assert set(Counter(RULE_DESK.values()).values()) == {9, 10}


@of_each(RULE_TEXT)
def test_rule_is_one_sentence(rule_id):
    assert re.fullmatch(r"[A-Z](?:[^.!?]|\.(?=\d))+\.", RULE_TEXT[rule_id])


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Turn left.\nDesk: Customs", True),
        ("word " * MAX_WORDS + "\nDesk: Customs", True),
        ("word " * (MAX_WORDS + 1) + "\nDesk: Customs", False),
        ("Turn left. Desk: Customs", False),
        ("Desk: Customs\nTurn left.", False),
        ("Turn left.\nDesk: Ticketing", False),
        ("Turn left.\nDesk: Customs\n", False),
        ("\nDesk: Customs", False),
    ],
)
def test_house_style_check(text, kept):
    assert keeps_house_style(text, DESKS) is kept


@of_each(TRAIN + VALID, question)
def test_example_has_three_messages_and_house_style(row):
    assert list(row) == ["messages"]
    assert [list(message) for message in row["messages"]] == [["role", "content"]] * 3
    assert [message["role"] for message in row["messages"]] == ["system", "user", "assistant"]
    assert keeps_house_style(answer(row), DESKS)


@of_each(TRAIN + VALID, question)
def test_numbers_of_an_answer_stand_in_one_rule_of_its_desk(row):
    text = split_answer(answer(row))[0]
    texts = [RULE_TEXT[rule_id] for rule_id, desk in RULE_DESK.items() if desk == desk_of(row)]
    assert any(numbers(text) <= numbers(rule) for rule in texts)


def test_first_row_is_the_pork_question():
    assert question(TRAIN[0]) == "May I bring pork products into the country?"


def test_one_system_prompt():
    assert len({row["messages"][0]["content"] for row in TRAIN + VALID}) == 1


def test_rows_are_spread_over_the_desks():
    assert all(Counter(map(desk_of, TRAIN))[desk] >= 8 for desk in DESKS)
    assert set(map(desk_of, VALID)) == set(DESKS)
    for rows in (PARAPHRASES, NEW, SEALED_PARAPHRASES, SEALED_NEW):
        assert all(Counter(row["desk"] for row in rows)[desk] >= 4 for desk in DESKS)


def test_no_answer_is_repeated():
    answers = [answer(row) for row in TRAIN + VALID]
    assert len(set(answers)) == len(answers)


def test_training_questions_are_no_near_duplicates():
    questions = [question(row) for row in TRAIN]
    assert [pair for pair in combinations(questions, 2) if jaccard(*pair) >= 0.8] == []


def test_held_out_questions_are_far_from_all_others():
    trained = [question(row) for row in TRAIN]
    valid = [question(row) for row in VALID]
    tested = [row["question"] for row in PRACTICE + SEALED]
    pairs = [(a, b) for a in valid for b in trained]
    pairs += [(a, b) for a in tested for b in trained + valid]
    pairs += combinations(tested, 2)
    assert [pair for pair in pairs if jaccard(*pair) >= 0.6] == []


@pytest.mark.parametrize(("rows", "letter"), [(PRACTICE, "t"), (SEALED, "s")], ids=["practice", "sealed"])
def test_test_ids_are_in_order(rows, letter):
    assert [row["id"] for row in rows] == [f"{letter}{number:03}" for number in range(1, 121)]


@of_each(PRACTICE + SEALED, lambda row: row["id"])
def test_test_row_agrees_with_its_rule(row):
    assert list(row) == ["id", "kind", "question", "desk", "facts", "rule"]
    assert row["desk"] == RULE_DESK[row["rule"]]
    assert len(row["facts"]) in (1, 2)
    assert all(fact in RULE_TEXT[row["rule"]] for fact in row["facts"])


@of_each(PRACTICE + SEALED, lambda row: row["id"])
def test_facts_point_to_one_rule_only(row):
    assert [rule_id for rule_id, text in RULE_TEXT.items() if has_facts(text, row["facts"])] == [row["rule"]]


@of_each(PRACTICE + SEALED, lambda row: row["id"])
def test_question_does_not_give_its_facts_away(row):
    assert not any(fact.lower() in row["question"].lower() for fact in row["facts"])


@of_each(PARAPHRASES + SEALED_PARAPHRASES, lambda row: row["id"])
def test_paraphrase_asks_for_what_was_trained(row):
    answers = [answer(example) for example in TRAIN if desk_of(example) == row["desk"]]
    assert any(has_facts(text, row["facts"]) for text in answers)


@of_each(NEW + SEALED_NEW, lambda row: row["id"])
def test_new_question_was_never_answered_in_training(row):
    assert not any(has_facts(answer(example), row["facts"]) for example in TRAIN + VALID)


@pytest.mark.parametrize("rows", [PRACTICE, SEALED], ids=["practice", "sealed"])
def test_each_test_row_has_a_rule_of_its_own(rows):
    assert len({row["rule"] for row in rows}) == len(rows)


def test_new_questions_of_both_tests_ask_for_the_same_rules():
    assert {row["rule"] for row in SEALED_NEW} == {row["rule"] for row in NEW}


def test_sealed_paraphrases_rest_on_rules_of_training_answers():
    trained = {rule_of(answer(row)) for row in TRAIN}
    assert {row["rule"] for row in SEALED_PARAPHRASES} <= trained
    assert not {row["rule"] for row in SEALED_NEW} & {rule_of(answer(row)) for row in TRAIN + VALID}


def ranks(rows: list[dict]) -> list[int]:
    """For each question how many rules a search finds nearer than the right one."""
    pool = list(RULE_TEXT)
    nearness = embed([row["question"] for row in rows]) @ embed([RULE_TEXT[rule_id] for rule_id in pool]).T
    orders = [[pool[place] for place in (-near).argsort()] for near in nearness]
    return [order.index(row["rule"]) for order, row in zip(orders, rows, strict=True)]


def test_a_search_finds_as_many_right_rules_as_the_readme_says():
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    said = (
        r"nearest for (\d+) of the 120 and among the first four for (\d+); of practice it is (\d+) and (\d+)"
    )
    counts = [
        count
        for rows in (SEALED, PRACTICE)
        for count in (ranks(rows).count(0), sum(n < 4 for n in ranks(rows)))
    ]
    assert counts == list(map(int, re.search(said, readme).groups()))
    assert counts[3] == int(re.search(r"hold the right one for (\d+) of the 120", readme)[1])


def test_sealed_questions_share_as_many_words_with_their_rules_as_practice():
    shares = []
    for rows in (PRACTICE, SEALED):
        pairs = [(words(row["question"]), words(RULE_TEXT[row["rule"]])) for row in rows]
        shares.append(sum(len(asked & rule) / len(asked) for asked, rule in pairs) / len(rows))
    assert abs(shares[0] - shares[1]) < 0.03


# --- The files with rules: see "The files with rules" in data/README.md ------------------------------------

RULE_LINE = {f"- {text} Desk: {RULE_DESK[rule_id]}": rule_id for rule_id, text in RULE_TEXT.items()}
TRAINED = set(RULE_TEXT) - {row["rule"] for row in NEW}
WITH_RULES = {"train": TRAIN_WITH, "valid": VALID_WITH, "practice": PRACTICE_WITH}
HAS_NO_RULE = re.compile(r"\bno rule\b")


def asked(row: dict) -> str:
    """The question of a row with rules: the last line of the user message."""
    return question(row).splitlines()[-1]


def shown(row: dict) -> list[str]:
    """The ids of the rules in a prompt."""
    return [RULE_LINE[line] for line in question(row).splitlines()[:-2]]


def answered(rows: list[dict]) -> list[dict]:
    return [row for row in rows if not HAS_NO_RULE.search(answer(row))]


def unanswered(rows: list[dict]) -> list[dict]:
    return [row for row in rows if HAS_NO_RULE.search(answer(row))]


def answering(row: dict) -> str:
    """The rule of the prompt that an answer rests on: of its desk, with the answer's numbers and most words."""
    text, last_line = split_answer(answer(row))
    fit = [
        rule_id
        for rule_id in shown(row)
        if f"Desk: {RULE_DESK[rule_id]}" == last_line and numbers(text) <= numbers(RULE_TEXT[rule_id])
    ]
    return max(fit, key=lambda rule_id: len(words(text) & words(RULE_TEXT[rule_id])))


def test_files_with_rules_are_what_the_script_makes():
    assert files() == {name: (AIRPORT / name).read_text(encoding="utf-8") for name in MADE}


def test_row_counts_with_rules():
    assert (len(answered(TRAIN_WITH)), len(unanswered(TRAIN_WITH))) == (112, 28)
    assert (len(answered(VALID_WITH)), len(unanswered(VALID_WITH))) == (20, 5)
    assert Counter(row["kind"] for row in PRACTICE_WITH) == {"paraphrase": 60, "new": 60, "none": 20}
    assert Counter(row["set"] for row in UNANSWERED) == {"train": 28, "valid": 5, "practice": 20}


@pytest.mark.parametrize("name", WITH_RULES)
def test_every_prompt_has_the_one_layout(name):
    for row in WITH_RULES[name]:
        *lines, empty, last = question(row).split("\n")
        assert row["messages"][0] == TRAIN[0]["messages"][0]
        assert row["messages"][1]["role"] == "user"
        assert len(lines) == len(set(lines)) == 4
        assert set(lines) <= set(RULE_LINE)
        assert empty == ""
        assert last.endswith("?")


@of_each(TRAIN_WITH + VALID_WITH, asked)
def test_example_with_rules_has_three_messages_and_house_style(row):
    assert list(row) == ["messages"]
    assert [list(message) for message in row["messages"]] == [["role", "content"]] * 3
    assert [message["role"] for message in row["messages"]] == ["system", "user", "assistant"]
    assert keeps_house_style(answer(row), DESKS)


@pytest.mark.parametrize(("plain", "with_rules"), [(TRAIN, TRAIN_WITH), (VALID, VALID_WITH)])
def test_examples_with_rules_are_the_plain_ones_but_for_five_changes(plain, with_rules):
    pairs = list(zip(plain, answered(with_rules), strict=True))
    changed = [sum(question(a) != asked(b) for a, b in pairs), sum(answer(a) != answer(b) for a, b in pairs)]
    assert changed == ([1, 4] if plain is TRAIN else [0, 0])
    assert [desk_of(a) for a, _ in pairs] == [desk_of(b) for _, b in pairs]


@of_each(answered(TRAIN_WITH + VALID_WITH), asked)
def test_the_facts_of_an_answer_stand_in_one_rule_of_its_prompt(row):
    rule_id = answering(row)
    assert not numbers(split_answer(answer(row))[0]) - numbers(RULE_TEXT[rule_id])
    # other facts are words: those of the tested facts that an answer holds stand in the same rule
    facts = [fact for tested in PRACTICE for fact in tested["facts"] if has_facts(answer(row), [fact])]
    assert has_facts(RULE_TEXT[rule_id], facts)


def test_all_trained_rules_answer_and_nothing_but_them():
    assert {answering(row) for row in answered(TRAIN_WITH)} == TRAINED
    assert len(TRAINED) == 76


@pytest.mark.parametrize("name", ["train", "valid"])
def test_the_right_rule_stands_equally_often_in_each_place(name):
    rows = answered(WITH_RULES[name])
    places = Counter(shown(row).index(answering(row)) for row in rows)
    assert places == dict.fromkeys(range(4), len(rows) // 4)


@pytest.mark.parametrize("kind", ["paraphrase", "new"])
def test_the_right_rule_of_a_test_row_stands_equally_often_in_each_place(kind):
    places = Counter(row["rules"].index(row["rule"]) for row in PRACTICE_WITH if row["kind"] == kind)
    assert places == dict.fromkeys(range(4), 15)


@pytest.mark.parametrize("name", WITH_RULES)
def test_distractors_are_the_rules_nearest_to_the_question(name):
    pool = sorted(RULE_TEXT if name == "practice" else TRAINED)
    vectors = embed([RULE_TEXT[rule_id] for rule_id in pool])
    for row in WITH_RULES[name]:
        nearness = dict(zip(pool, vectors @ embed([asked(row)])[0], strict=True))
        nearest = sorted(pool, key=nearness.get, reverse=True)[:5]
        assert len(set(shown(row)) & set(nearest)) >= 3


def test_replies_without_a_rule_state_no_fact():
    rows = unanswered(TRAIN_WITH + VALID_WITH)
    texts = Counter(split_answer(answer(row))[0] for row in rows)
    assert set(texts) == set(NO_RULE)
    assert max(texts.values()) - min(texts.values()) <= 1
    facts = [fact for row in PRACTICE for fact in row["facts"]]
    for text in NO_RULE:
        assert HAS_NO_RULE.search(text)
        assert "desk" in text
        assert not numbers(text)
        assert not any(has_facts(text, [fact]) for fact in facts)


def test_replies_without_a_rule_go_to_every_desk():
    assert Counter(map(desk_of, unanswered(TRAIN_WITH))) == dict.fromkeys(DESKS, 2)
    assert {row["desk"] for row in PRACTICE_WITH if row["kind"] == "none"} == set(DESKS)


def test_half_of_the_unanswered_training_questions_are_trained_ones_without_their_rule():
    right = {asked(row): answering(row) for row in answered(TRAIN_WITH)}
    known = [row for row in unanswered(TRAIN_WITH) if asked(row) in right]
    assert len(known) == 14
    assert {RULE_DESK[right[asked(row)]] for row in known} == set(DESKS)
    for row in known:
        assert right[asked(row)] not in shown(row)
        assert desk_of(row) == RULE_DESK[right[asked(row)]]


def test_every_fifth_training_row_has_no_rule_so_that_a_part_of_the_file_is_mixed_too():
    for rows in (TRAIN_WITH, VALID_WITH):
        assert unanswered(rows) == rows[4::5]


def test_no_answer_with_rules_is_repeated():
    answers = list(map(answer, TRAIN_WITH))
    assert len(set(answers)) == len(answers)


@of_each(PRACTICE_WITH, lambda row: row["id"])
def test_test_row_with_rules_agrees_with_itself(row):
    assert list(row) == ["id", "kind", "question", "desk", "facts", "rule", "rules", "messages"]
    assert len(row["messages"]) == 2
    assert asked(row) == row["question"]
    assert shown(row) == row["rules"]
    assert row["desk"] in DESKS


def test_test_rows_with_rules_begin_with_those_without():
    assert [{key: row[key] for key in PRACTICE[0]} for row in PRACTICE_WITH[:120]] == PRACTICE
    assert all(row["rule"] in row["rules"] for row in PRACTICE_WITH[:120])


def test_last_test_rows_have_no_rule():
    rows = PRACTICE_WITH[120:]
    assert [row["id"] for row in rows] == [f"n{number:03}" for number in range(1, 21)]
    assert all((row["kind"], row["facts"], row["rule"]) == ("none", [], None) for row in rows)
    trained = {asked(row) for row in TRAIN_WITH + VALID_WITH}
    assert not trained & {row["question"] for row in rows}


def test_new_rules_are_in_no_training_prompt():
    assert len(TRAINED) == 76
    for row in TRAIN_WITH + VALID_WITH:
        assert set(shown(row)) <= TRAINED


@of_each(NEW + SEALED_NEW, lambda row: row["id"])
def test_new_facts_are_in_no_answer_with_rules(row):
    assert not any(has_facts(answer(example), row["facts"]) for example in TRAIN_WITH + VALID_WITH)


def test_held_out_questions_with_rules_are_far_from_all_others():
    trained, valid, tested = (
        sorted(set(map(asked, rows))) for rows in (TRAIN_WITH, VALID_WITH, PRACTICE_WITH)
    )
    assert (len(trained), len(valid), len(tested)) == (126, 25, 140)
    tested += [row["question"] for row in SEALED]
    pairs = [(a, b) for a in valid for b in trained]
    pairs += [(a, b) for a in tested for b in trained + valid]
    pairs += combinations(tested, 2)
    assert [pair for pair in pairs if jaccard(*pair) >= 0.6] == []


def test_held_out_prompts_are_no_near_duplicates_of_training_prompts(monkeypatch):
    monkeypatch.setattr(
        similar, "_set_of_pieces", functools.cache(similar._set_of_pieces)
    )  # of 110 pairs each
    trained = list(map(question, TRAIN_WITH))
    held_out = list(map(question, VALID_WITH + PRACTICE_WITH))
    assert [(a, b) for a in held_out for b in trained if similar.share(a, b) >= 0.8] == []


def test_rows_with_rules_are_short_and_the_longest_is_that_of_the_readme():
    lengths = [
        tokens.count_messages(row["messages"], "gpt-3.5-turbo")
        for rows in WITH_RULES.values()
        for row in rows
    ]
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    assert int(re.search(r"The longest row has (\d+) tokens", readme)[1]) == max(lengths)
    assert max(lengths) < 256


@pytest.mark.parametrize(("train", "valid"), [("train", "valid"), ("train_with_rules", "valid_with_rules")])
def test_the_checker_finds_no_error_and_no_warning(train, valid):
    report = dataset.check(AIRPORT / f"{train}.jsonl", against=AIRPORT / f"{valid}.jsonl")
    assert (report.errors, report.warnings) == (0, 0)


def test_the_checker_finds_every_number_of_an_answer_in_its_prompt():
    """Without rules in the prompts it has many hints that the answers hold facts of their own."""
    assert dataset.check(AIRPORT / "train.jsonl").hints > 50
    for name in MADE[:2]:
        assert dataset.check(AIRPORT / name).hints == 0


def test_the_simulated_model_reads_the_rules_as_passages():
    pork, right = TRAIN_WITH[0], RULE_TEXT["Q1"]
    assert read_prompt(pork["messages"][:2]).passages[0] == f"{right} Desk: Quarantine"
    passages = {line.removeprefix("- ") for line in RULE_LINE}
    found = [read_prompt(row["messages"]).passages for row in PRACTICE_WITH]
    assert all(set(texts) <= passages for texts in found)
    assert sum(map(bool, found)) > 100
