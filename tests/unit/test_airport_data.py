"""The airport data set keeps what data/README.md promises."""

import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[2] / "data"
AIRPORT = DATA / "airport"
FILES = ("desks.txt", "rules.md", "train.jsonl", "valid.jsonl", "test.jsonl")
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
TEST = read_jsonl("test.jsonl")
PARAPHRASES = [row for row in TEST if row["kind"] == "paraphrase"]
NEW = [row for row in TEST if row["kind"] == "new"]


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
    assert len(TRAIN) == 112
    assert len(VALID) == 20
    assert (len(PARAPHRASES), len(NEW), len(TEST)) == (60, 60, 120)


def test_row_counts_are_those_of_the_readme():
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    table = dict(re.findall(r"\| `airport/(\S+)` \| (\d+) \|", readme))
    expected = {
        "desks.txt": DESKS,
        "rules.md": RULES,
        "train.jsonl": TRAIN,
        "valid.jsonl": VALID,
        "test.jsonl": TEST,
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


@pytest.mark.parametrize("rule_id", RULE_TEXT)
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


@pytest.mark.parametrize("row", TRAIN + VALID, ids=question)
def test_example_has_three_messages_and_house_style(row):
    assert list(row) == ["messages"]
    assert [list(message) for message in row["messages"]] == [["role", "content"]] * 3
    assert [message["role"] for message in row["messages"]] == ["system", "user", "assistant"]
    assert keeps_house_style(answer(row), DESKS)


@pytest.mark.parametrize("row", TRAIN + VALID, ids=question)
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
    for rows in (PARAPHRASES, NEW):
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
    tested = [row["question"] for row in TEST]
    pairs = [(a, b) for a in valid for b in trained]
    pairs += [(a, b) for a in tested for b in trained + valid]
    pairs += combinations(tested, 2)
    assert [pair for pair in pairs if jaccard(*pair) >= 0.6] == []


def test_test_ids_are_in_order():
    assert [row["id"] for row in TEST] == [f"t{number:03}" for number in range(1, 121)]


@pytest.mark.parametrize("row", TEST, ids=lambda row: row["id"])
def test_test_row_agrees_with_its_rule(row):
    assert list(row) == ["id", "kind", "question", "desk", "facts", "rule"]
    assert row["desk"] == RULE_DESK[row["rule"]]
    assert len(row["facts"]) in (1, 2)
    assert all(fact in RULE_TEXT[row["rule"]] for fact in row["facts"])


@pytest.mark.parametrize("row", TEST, ids=lambda row: row["id"])
def test_facts_point_to_one_rule_only(row):
    assert [rule_id for rule_id, text in RULE_TEXT.items() if has_facts(text, row["facts"])] == [row["rule"]]


@pytest.mark.parametrize("row", TEST, ids=lambda row: row["id"])
def test_question_does_not_give_its_facts_away(row):
    assert not any(fact.lower() in row["question"].lower() for fact in row["facts"])


@pytest.mark.parametrize("row", PARAPHRASES, ids=lambda row: row["id"])
def test_paraphrase_asks_for_what_was_trained(row):
    answers = [answer(example) for example in TRAIN if desk_of(example) == row["desk"]]
    assert any(has_facts(text, row["facts"]) for text in answers)


@pytest.mark.parametrize("row", NEW, ids=lambda row: row["id"])
def test_new_question_was_never_answered_in_training(row):
    assert not any(has_facts(answer(example), row["facts"]) for example in TRAIN + VALID)


def test_each_test_row_has_a_rule_of_its_own():
    assert len({row["rule"] for row in TEST}) == len(TEST)
