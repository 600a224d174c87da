"""The timetable task keeps what data/README.md promises: its files, the query's executor, the checks."""

import json
import re
from collections import Counter
from itertools import combinations, product
from typing import get_args

import numpy as np
import pytest

from helpers import dataset, evaluate, timetable
from helpers.dataset.similar import candidates, share, signature
from tests.environment import ROOT

FOLDER = ROOT / "data" / "timetable"
README = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
TRAIN, VALID, PRACTICE, SEALED, UNLABELLED = map(
    evaluate.timetable_rows, ("train", "valid", "practice", "sealed", "unlabelled")
)
FLIGHTS = timetable.flights()
AHEAD = {  # hours that the clocks of a city are ahead of the airport's
    "Bangkok": -1,
    "Cairo": -6,
    "Dubai": -4,
    "London": -8,
    "Moscow": -5,
    "Paris": -7,
    "Seoul": 1,
    "Sydney": 3,
    "Tokyo": 1,
}
VALUES = {  # of the keys that have a list of them
    "to": get_args(timetable.City),
    "day": get_args(timetable.Day),
    "airline": get_args(timetable.Airline),
    "avoid": get_args(timetable.Airline),
    "via": get_args(timetable.Hub),
    "terminal": (1, 2),
    "sort": tuple(timetable.SORTED_BY),
}


def question(row: dict) -> str:
    return row["messages"][1]["content"] if "messages" in row else row["question"]


def query(row: dict) -> dict:
    return json.loads(row["messages"][2]["content"]) if "messages" in row else row["query"]


def words(text: str) -> set[str]:
    return set(re.findall(r"[\w']+", text.lower()))


def numbers(query: dict) -> list[str]:
    """What a query finds, as flight numbers."""
    return [flight["flight"] for flight in timetable.search(query)]


QUERIES = [query(row) for row in TRAIN + VALID + PRACTICE + SEALED]


# --- the files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_file_is_utf8_without_bom_and_ends_with_one_newline(path):
    text = path.read_bytes().decode("utf-8")
    assert not text.startswith("\ufeff")
    assert "\r" not in text
    assert text.endswith("\n") and not text.endswith("\n\n")
    assert "\\u" not in text


def test_row_counts_are_those_of_the_readme():
    table = dict(re.findall(r"\| `timetable/(\S+)` \| (\d+) \|", README))
    rows = {"train": TRAIN, "valid": VALID, "practice": PRACTICE, "sealed": SEALED, "unlabelled": UNLABELLED}
    expected = {f"{name}.jsonl": str(len(listed)) for name, listed in rows.items()}
    assert table == expected | {"flights.csv": str(len(FLIGHTS))}
    assert [len(listed) for listed in rows.values()] == [300, 60, 60, 150, 200]


def test_the_pages_say_that_the_timetable_is_fictional():
    assert "fictional and not travel advice" in README[README.index("## Timetable") :][:400]


def test_flights_agree_with_themselves():
    """None leaves on a full or half hour: "by nine" and "before nine" are the same. Landing follows from duration."""
    for flight in FLIGHTS:
        assert flight["departs"][3:] not in ("00", "30")
        day, minute = timetable._departure(flight)
        landing = 1440 * day + minute + flight["minutes"] + 60 * AHEAD.get(flight["to"], 0)
        hours, minutes = divmod(landing % 1440, 60)
        assert flight["lands"] == f"{hours:02}:{minutes:02}", flight
        assert flight["lands_on"] == timetable.DAYS[landing // 1440 % 7], flight
        assert flight["via"] != flight["to"]
        assert flight["airline"] in VALUES["airline"]


def test_no_two_flights_to_a_city_are_equal_in_what_is_sorted_by():
    assert len({flight["flight"] for flight in FLIGHTS}) == len(FLIGHTS)
    for city in VALUES["to"]:
        flights = [flight for flight in FLIGHTS if flight["to"] == city]
        assert {flight["day"] for flight in flights} == set(timetable.DAYS)
        assert {flight["terminal"] for flight in flights} == {1, 2}
        for sorted_by in (timetable._departure, timetable.SORTED_BY["cheap"], timetable.SORTED_BY["fast"]):
            assert len(set(map(sorted_by, flights))) == len(flights)


def test_a_chat_row_has_three_messages_and_a_query_as_it_is_written():
    for row in TRAIN + VALID:
        assert list(row) == ["messages"]
        assert [list(message) for message in row["messages"]] == [["role", "content"]] * 3
        assert [message["role"] for message in row["messages"]] == ["system", "user", "assistant"]
        assert row["messages"][0]["content"] == timetable.SYSTEM
        answer = row["messages"][2]["content"]
        assert answer == timetable.written(timetable.read(answer)), question(row)


@pytest.mark.parametrize(("rows", "letter"), [(PRACTICE, "p"), (SEALED, "z")], ids=["practice", "sealed"])
def test_question_row_has_its_keys_and_ids_are_in_order(rows, letter):
    assert {tuple(row) for row in rows} == {("id", "kind", "voice", "language", "question", "query")}
    assert [row["id"] for row in rows] == [f"{letter}{number:03}" for number in range(1, len(rows) + 1)]
    assert {tuple(row) for row in UNLABELLED} == {("id", "question")}


@pytest.mark.parametrize("name", ["train", "valid"])
def test_the_checker_has_nothing_against_the_training_files(name):
    """But that their answers hold numbers: a query does."""
    assert set(dataset.check(FOLDER / f"{name}.jsonl").totals) <= {"unprompted_facts"}


# --- the queries -------------------------------------------------------------------------------------------


def test_every_query_finds_1_to_22_flights_and_eleven_find_none_on_purpose():
    found = [len(numbers(one)) for one in QUERIES]
    assert max(found) <= 22  # all flights to one city
    none = [sum(not numbers(query(row)) for row in rows) for rows in (TRAIN, VALID, PRACTICE, SEALED)]
    assert none == [4, 1, 2, 4]


def test_a_query_that_forgets_a_key_finds_other_flights_as_often_as_the_readme_says():
    matters = []
    for one in QUERIES:
        for key in one:
            if len(one) > 1 and numbers(one):
                rest = {name: value for name, value in one.items() if name != key}
                matters.append(numbers(rest) != numbers(one))
    assert f"in {sum(matters) / len(matters):.0%} of the cases".replace("%", " %") in README


def test_each_value_is_trained():
    counts = Counter(f"{key}={value}" for row in TRAIN for key, value in query(row).items())
    assert [f"{key}={value}" for key in VALUES for value in VALUES[key] if not counts[f"{key}={value}"]] == []
    assert min(counts[f"to={city}"] for city in VALUES["to"]) >= 15
    assert min(Counter(key for row in TRAIN for key in query(row)).values()) >= 15


def test_new_means_that_no_training_or_validation_query_has_just_these_keys():
    known = {frozenset(query(row)) for row in TRAIN + VALID}
    for row in PRACTICE + SEALED:
        assert row["kind"] == ("known" if frozenset(row["query"]) in known else "new"), row["id"]
    assert Counter(row["kind"] for row in SEALED) == {"known": 104, "new": 46}


def test_questions_come_in_six_voices_and_six_languages():
    for rows, least in ((PRACTICE, 4), (SEALED, 15)):
        assert min(Counter(row["voice"] for row in rows).values()) >= least
        assert {row["language"] for row in rows} == {"en", "es", "de", "fr", "zh", "ru"}
    assert Counter(row["language"] for row in SEALED)["en"] == 115


# --- nothing leaks -----------------------------------------------------------------------------------------

ALL = [*TRAIN, *VALID, *PRACTICE, *SEALED, *UNLABELLED]
ANSWERS = "|".join(str(value) for key in ("to", "airline", "day") for value in VALUES[key])
NAMES = re.compile(
    rf"(?<!\w)(?:{ANSWERS}|\d+|\w+day|lychee|kapok|today|tomorrow|tonight)(?!\w)", re.IGNORECASE
)


def nameless(text: str) -> str:
    """A question without cities, airlines, days and numbers."""
    return " ".join(re.findall(r"[\w*]+", NAMES.sub("*", text.lower())))


def test_no_question_stands_twice_not_even_with_other_names():
    texts = Counter(nameless(question(row)) for row in ALL)
    assert {text: count for text, count in texts.items() if count > 1} == {}


def test_held_out_questions_are_far_from_all_others():
    train, valid, rest, tested = (
        [words(question(row)) for row in rows] for rows in (TRAIN, VALID, UNLABELLED, PRACTICE + SEALED)
    )
    pairs = [*product(tested, train + valid + rest), *combinations(tested, 2), *product(valid, train)]
    assert [pair for pair in pairs if len(pair[0] & pair[1]) >= 0.6 * len(pair[0] | pair[1])] == []


def test_no_two_questions_are_nearly_the_same():
    texts = [question(row) for row in ALL]
    pairs = candidates(np.array([signature(text) for text in texts]))
    assert [(texts[a], texts[b]) for a, b in pairs if share(texts[a], texts[b]) >= 0.6] == []


# --- the manual --------------------------------------------------------------------------------------------

EXAMPLES = re.findall(r"^(.+)\n(\{.+\})$", timetable.manual(), re.MULTILINE)


@pytest.mark.parametrize(("asked", "answer"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_of_the_manual_runs(asked, answer):
    assert timetable.find(answer)
    assert answer == timetable.written(timetable.read(answer))
    assert max(share(asked, question(row)) for row in ALL) < 0.4


def test_the_manual_names_all_keys_in_order_and_all_values():
    assert len(EXAMPLES) == 4
    listed = [
        key
        for line in re.findall(r"^- (.+?): ", timetable.manual(), re.MULTILINE)
        for key in re.findall(r"\w+", line)
    ]
    assert tuple(listed) == timetable.KEYS
    for key in ("to", "day", "airline", "via", "terminal", "sort"):
        line = re.search(rf'^- "{key}".*', timetable.manual(), re.MULTILINE)[0]
        assert [value for value in VALUES[key] if not re.search(rf"\b{value}\b", line)] == []
    assert len(timetable.manual().split()) < 600


# --- the executor ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ('{"to": "Tokyo"}', {"to": "Tokyo"}),
        ('Sure! Here it is:\n```json\n{"day": "fri", "to": "Tokyo"}\n```', {"to": "Tokyo", "day": "fri"}),
        ('{"to": "Tokyo", "day": null, "direct": false}', {"to": "Tokyo"}),
        (
            '{"direct": true, "terminal": 2, "limit": 1} {"to": "Paris"}',
            {"direct": True, "terminal": 2, "limit": 1},
        ),
        ('{"after": "00:00", "before": "23:59"}', {"after": "00:00", "before": "23:59"}),
    ],
)
def test_a_query_is_read(text, read):
    assert timetable.read(text) == read
    assert list(timetable.read(text)) == list(read)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "No query found"),
        ("to Tokyo on Friday", "No query found"),
        ('{"to": "Tokyo"', "not valid JSON"),
        ("{'to': 'Tokyo'}", "not valid JSON"),
        ('{"to": "Tokyo", "to": "Paris"}', "twice"),
        ("{}", "empty"),
        ('{"direct": false}', "empty"),
        ('{"to": null}', "empty"),
        ('{"from": "Tokyo"}', "no key 'from'"),
        ('{"to": "Rome"}', "to: Input should be 'Bangkok'"),
        ('{"to": "tokyo"}', "to: "),
        ('{"to": ["Tokyo", "Paris"]}', "to: "),
        ('{"to": {"to": "Tokyo"}}', "to: "),
        ('{"day": "friday"}', "day: Input should be 'mon'"),
        ('{"after": "6 pm"}', "after: '6 pm' is no time"),
        ('{"after": "24:00"}', "after: '24:00' is no time"),
        ('{"after": "9:30"}', "is no time"),
        ('{"after": "18:00\\n"}', "is no time"),
        ('{"after": 18}', "after: "),
        ('{"direct": 1}', "direct: "),
        ('{"direct": "true"}', "direct: "),
        ('{"via": "Paris"}', "via: "),
        ('{"terminal": "2"}', "terminal: "),
        ('{"terminal": true}', "terminal: "),
        ('{"terminal": 3}', "terminal: "),
        ('{"max": 1500.5}', "max: "),
        ('{"max": NaN}', "max: "),
        ('{"max": true}', "max: "),
        ('{"max": -1}', "max: "),
        ('{"sort": "price"}', "sort: "),
        ('{"limit": 0}', "limit: "),
        ('{"limit": "1"}', "limit: "),
        ('{"limit": ' + "9" * 5000 + "}", "not valid JSON"),
        ('{"to": ' * 100_000, "not valid JSON"),
        ('{"' + "k" * 9000 + '": 1}', "no key 'kkk"),
        ('{"after": "' + "9" * 9000 + '"}', "is no time"),
        ('{"to": "' + "T" * 9000 + '"}', "to: "),
        ('{"to": ' + "[" * 100_000, "not valid JSON"),
        ('{"to": "\ud800"}', "to: "),
    ],
    ids=lambda text: text[:40].encode("ascii", "replace").decode(),
)
def test_what_is_no_query_gets_a_clear_error(text, says):
    with pytest.raises(ValueError) as error:
        timetable.find(text)
    assert says in str(error.value)
    assert len(str(error.value)) < 400
    assert not evaluate.TIMETABLE_CHECKS["valid"](text, {})


def found(**query) -> list[dict]:
    return timetable.search(query)


def test_search_keeps_to_every_key():
    """Each key against a plain count over the table."""
    assert found(to="Tokyo") == [flight for flight in FLIGHTS if flight["to"] == "Tokyo"]
    assert found(day="weekend") == found(day="sat") + found(day="sun")
    assert len(found(day="weekday")) + len(found(day="weekend")) == len(FLIGHTS)
    time = FLIGHTS[40]["departs"]
    both = {flight["flight"] for flight in found(after=time)} & {
        flight["flight"] for flight in found(before=time)
    }
    assert both == {flight["flight"] for flight in FLIGHTS if flight["departs"] == time}
    assert found(land="23:59") == [flight for flight in FLIGHTS if flight["lands_on"] == flight["day"]]
    assert len(found(airline="Rice Bird")) + len(found(avoid="Rice Bird")) == len(FLIGHTS)
    assert len(found(direct=True)) + sum(len(found(via=city)) for city in VALUES["via"]) == len(FLIGHTS)
    assert len(found(terminal=1)) + len(found(terminal=2)) == len(FLIGHTS)
    price = FLIGHTS[7]["price"]
    assert FLIGHTS[7] in found(max=price) and FLIGHTS[7] not in found(max=price - 1)


def test_search_sorts_and_limits():
    prices = [flight["price"] for flight in found(to="Paris", sort="cheap")]
    assert prices == sorted(prices)
    minutes = [flight["minutes"] for flight in found(to="Paris", sort="fast")]
    assert minutes == sorted(minutes)
    departures = [timetable._departure(flight) for flight in found(sort="late")]
    assert departures == sorted(departures, reverse=True)
    assert found(sort="early") == FLIGHTS
    assert found(to="Paris", sort="cheap", limit=2) == found(to="Paris", sort="cheap")[:2]
    assert found(limit=10_000) == FLIGHTS


def test_search_and_written_refuse_what_is_no_query():
    for function in (timetable.search, timetable.written):
        with pytest.raises(ValueError, match="no key 'from'"):
            function({"from": "Tokyo"})
    for what in ([], None, {"to": object()}):
        with pytest.raises(ValueError, match="not "):
            timetable.search(what)


# --- the checks --------------------------------------------------------------------------------------------

WANTED = {"query": {"to": "Paris", "sort": "cheap", "limit": 2}}
NOTHING = {"query": {"to": "Sydney", "day": "wed", "before": "12:00"}}


@pytest.mark.parametrize(
    ("row", "answer", "right"),
    [
        (WANTED, '{"to": "Paris", "sort": "cheap", "limit": 2}', True),
        (WANTED, '{"limit": 2, "sort": "cheap", "to": "Paris", "after": "00:00"}', True),
        (WANTED, '{"to": "Paris", "sort": "cheap", "limit": 3}', False),
        (WANTED, '{"to": "Paris", "sort": "cheap"}', False),
        (WANTED, "no idea", False),
        ({"query": {"to": "Paris"}}, '{"to": "Paris", "sort": "cheap"}', True),
        ({"query": {"to": "Paris", "sort": "late"}}, '{"to": "Paris"}', False),
        (NOTHING, '{"to": "Sydney", "day": "wed", "before": "12:00"}', True),
        (NOTHING, '{"to": "Sydney", "max": 1}', False),
        (NOTHING, '{"to": "Sydney"}', False),
        ({"query": {"to": "Sydney"}}, '{"to": "Sydney", "max": 1}', False),
    ],
)
def test_right_means_the_same_flights(row, answer, right):
    assert evaluate.TIMETABLE_CHECKS["right"](answer, row) is right


def test_the_row_of_nothing_finds_nothing():
    assert timetable.search(NOTHING["query"]) == []


@pytest.mark.parametrize(
    ("key", "answer", "right"),
    [
        ("to", '{"to": "Paris"}', True),
        ("to", '{"to": "London"}', False),
        ("to", '{"limit": 2}', False),
        ("to", "no idea", False),
        ("day", '{"to": "Paris"}', None),
        ("day", "no idea", None),
        ("day", '{"day": "fri"}', False),
    ],
)
def test_a_check_for_each_key(key, answer, right):
    assert evaluate.TIMETABLE_CHECKS[key](answer, WANTED) is right


def test_rivals_and_board():
    rivals = evaluate.timetable_rivals(TRAIN)
    rivals["asked right"] = {
        row["question"]: "It is " + json.dumps(row["query"]) for row in PRACTICE
    }.__getitem__
    tables = {
        name: evaluate.evaluate(answer, PRACTICE, evaluate.TIMETABLE_CHECKS)
        for name, answer in rivals.items()
    }
    board = evaluate.timetable_board(tables, PRACTICE)
    assert list(board.columns) == ["valid", "right", "right, known", "right, new"]
    assert board.loc["asked right"].tolist() == [1, 1, 1, 1]
    assert board.loc["majority", "valid"] == 1
    assert (board.loc[["majority", "nearest_example", "nearest_example_by_words"], "right"] < 0.1).all()
    voices = evaluate.timetable_board({"twice": [tables["nearest_example"]] * 2}, PRACTICE, by="voice")
    assert len(voices.columns) == 2 + 6
