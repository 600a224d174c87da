"""The recording of the timetable: its parts, what is counted of it, and its table, which is made again here."""

import csv
import json
from types import SimpleNamespace

import pytest

from data.recorded import make, timetable_score
from data.recorded import timetable as recording
from helpers import dataset, evaluate, timetable
from helpers.evaluate import timetable_record
from helpers.local_api.graders import Grading
from helpers.local_api.structured import of_schema

ROW = {
    "id": "x1",
    "question": "the two cheapest to Tokyo on Friday",
    "query": {"to": "Tokyo", "day": "fri", "sort": "cheap", "limit": 2},
}
RIGHT = timetable.written(ROW["query"])


# --- what is trained on ------------------------------------------------------------------------------------


def test_each_seed_has_an_order_of_its_own_and_smaller_runs_are_part_of_larger_ones():
    orders = [[row["id"] for row in recording.shuffled(seed)] for seed in recording.SEEDS]
    assert len({tuple(order) for order in orders}) == 3
    assert all(sorted(order) == sorted(orders[0]) and len(set(order)) == 300 for order in orders)


def test_an_example_is_a_row_of_the_training_file():
    rows = evaluate.timetable_rows("train")
    assert [recording.example(row) for row in recording.rows_of("train")] == rows


def test_the_first_wrong_answer_is_the_first_that_finds_other_flights():
    other = '{"to": "Tokyo", "day": "fri"}'
    assert recording.first_wrong(ROW | {"answers": [RIGHT, " ", other, "no"]}) == other
    assert recording.first_wrong(ROW | {"answers": [RIGHT, RIGHT]}) is None


def test_answers_agree_if_enough_of_them_find_the_same_flights():
    shorter = '{"to": "Tokyo", "day": "fri"}'
    same = '{"to": "Tokyo", "day": "fri", "after": "00:00"}'
    nowhere = '{"to": "Tokyo", "max": 1}'
    rows = [
        {"id": "a", "question": "?", "answers": ["no", shorter, same, RIGHT]},
        {"id": "b", "question": "?", "answers": [RIGHT, shorter, "no", "no"]},
        {"id": "c", "question": "?", "answers": [nowhere] * 4},  # flights that are not there tell nothing
        {"id": "d", "question": "?", "answers": ["no"] * 4},
    ]
    assert recording.agreeing(rows, 2) == [{"id": "a", "question": "?", "query": timetable.read(shorter)}]
    assert [row["id"] for row in recording.agreeing(rows, 1)] == ["a", "b"]
    assert recording.agreeing(rows, 3) == []


# --- the recording -----------------------------------------------------------------------------------------

ALWAYS = '{"to": "Tokyo"}'


@pytest.fixture
def rehearsed(tmp_path, monkeypatch):
    """A recording without a model: each answer is ALWAYS, a job is a file that is checked. Says what was asked."""
    monkeypatch.setattr(make, "RECORDED", tmp_path)
    monkeypatch.setattr(timetable_record, "RECORDED", tmp_path)
    monkeypatch.setattr(recording, "keeps_to_a_schema", lambda _: True)
    asked, trained = [], []

    def ask_all(client, model, chats, n=1, **options):
        asked.append((model, len(chats), "response_format" in options))
        one = {
            "answer": ALWAYS,
            "answers": [ALWAYS] * n,
            "cut_off": False,
            "prompt_tokens": 9,
            "answer_tokens": 5,
        }
        return [one for _ in chats]

    def check(rows, method):
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        assert dataset.check(path, method=method).errors == 0

    def job(self, way, seed, rows, method, model=make.MODEL, settings=None, **more):
        if seed == 0:  # the others have the same form
            check(rows, method)
        trained.append((way, seed, len(rows), method, model))
        return SimpleNamespace(fine_tuned_model=f"ft:{way}:{seed}")

    monkeypatch.setattr(recording, "ask_all", ask_all)
    monkeypatch.setattr(recording.Recording, "trained", job)
    monkeypatch.setattr(recording.Recording, "checkpoint", lambda self, seed, number: f"ft:{seed}:{number}")

    def run() -> tuple[list, list]:
        asked.clear(), trained.clear()
        for unit in recording.Recording(None).units():
            unit()
        return list(asked), list(trained)

    return run


def test_every_way_is_asked_every_sealed_question_once(rehearsed):
    asked, trained = rehearsed()
    sealed = [(model, schema) for model, number, schema in asked if number == 150 and model != make.MODEL]
    assert len(sealed) == len(set(sealed)) == 3 * (5 + 7) + 1
    assert sum(model == make.MODEL and number == 150 for model, number, _ in asked) == 3 + 2
    ways = {row["way"] for row in make.Book("timetable_answers.jsonl").rows if row["split"] == "sealed"}
    assert ways | {"majority", "nearest_example", "nearest_example_by_words", "parser"} == set(
        evaluate.TIMETABLE_WAYS
    )
    for way, method in (("preferred", "dpo"), ("rewarded", "reinforcement"), ("distilled", "supervised")):
        assert {(found[1], found[3]) for found in trained if found[0] == way} == {
            (seed, method) for seed in (0, 1, 2)
        }
    starts = {found[0] for found in trained if found[4] != make.MODEL}
    assert starts == {"preferred", "rewarded", "patient", "lenient", "agreed"}
    assert rehearsed()[0] == []  # what is there is not asked again


def test_one_row_is_repeated_beside_the_recorded_one(rehearsed, tmp_path, monkeypatch, capsys):
    sealed = recording.rows_of("sealed")
    make.Book("timetable_answers.jsonl").add(
        [{"id": row["id"], "answer": timetable.written(row["query"])} for row in sealed],
        **{"way": "rewarded", "seed": 1, "split": "sealed"},
    )
    monkeypatch.setenv("COURSE_MY", str(tmp_path / "my"))
    right = sum(timetable.same_flights(ALWAYS, row["query"]) for row in sealed)
    for way, seed, then in (
        ("rewarded", 1, "150 of 150"),
        ("few_shot", 0, "nothing"),
        ("tuned-25", 0, "nothing"),
    ):
        recording.again(way, seed)
        said = capsys.readouterr().out.splitlines()[-1]
        assert said == f"{way}, seed {seed}: right now {right} of 150, recorded {then}"
    kept = make.Book(tmp_path / "my" / "timetable" / "timetable_answers.jsonl").rows
    assert {row["way"] for row in kept} == {"rewarded", "few_shot", "tuned-25"}


# --- the graders -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["SAME", "NOTHING_MISSING"])
def graded(request):
    """The body of a grader, and what it gives for an answer to a row."""
    source = recording.GRADER.format(project=str(recording.PROJECT), test=getattr(recording, request.param))
    with Grading({"type": "python", "name": "flights", "source": source}) as grading:
        yield (
            request.param,
            lambda answers: [
                one.reward
                for one in grading.grades([(a, {"query": timetable.written(q)}) for a, q in answers])
            ],
        )


def test_a_grader_rewards_what_it_is_for(graded):
    """Each practice row: its own query, all flights to the city, all flights, no query."""
    name, rewards = graded
    rows = [row for row in evaluate.timetable_rows("practice") if timetable.search(row["query"])]
    answers = [RIGHT, '{"to": "Tokyo"}', '{"max": 99999}', '{"limit": "two"}', "Tokyo", ""]
    pairs = [(timetable.written(row["query"]), row["query"]) for row in rows]
    pairs += [(answer, row["query"]) for row in rows for answer in answers]
    given = rewards(pairs)
    if name == "SAME":
        wanted = [timetable.same_flights(answer, query) for answer, query in pairs]
    else:
        assert all(given[i] for i, pair in enumerate(pairs) if pair[0] == '{"max": 99999}')  # the cheat
        flights = [(timetable.search(query), timetable.numbers(answer)) for answer, query in pairs]
        wanted = [{one["flight"] for one in right} <= set(found) for right, found in flights]
    assert given == wanted
    assert all(given[: len(rows)])


# --- the schema --------------------------------------------------------------------------------------------


def test_the_schema_takes_every_query_and_no_other_answer():
    form = of_schema(timetable.schema(), strict=False)
    queries = [row["query"] for name in ("practice",) for row in evaluate.timetable_rows(name)]
    queries += [row["query"] for name in ("train", "valid") for row in evaluate.timetable_asked(name)]
    assert [query for query in queries if not form.takes(timetable.written(query))] == []
    for answer in ('{"to": "Rome"}', '{"from": "Tokyo"}', '{"after": "9:30"}', '{"terminal": 3}', "Tokyo"):
        assert not form.takes(answer)


# --- what is counted ---------------------------------------------------------------------------------------


@pytest.fixture
def book(tmp_path, monkeypatch):
    """Recorded answers, invented: what each way answers to the validation rows."""
    monkeypatch.setattr(timetable_record, "RECORDED", tmp_path)
    rows = evaluate.timetable_asked("valid")

    def right_in(share: float) -> list[str]:
        return [
            timetable.written(row["query"]) if i < share * len(rows) else "no" for i, row in enumerate(rows)
        ]

    shares = {
        "manual": 0.1,
        "few_shot": 0.3,
        "tuned-25": 0.2,
        "tuned-100": 0.5,
        "lenient": 0.4,
        "tuned-300": 0.9,
    }
    lines = [
        {"way": way, "seed": seed, "id": row["id"], "answer": answer}
        for way, share in shares.items()
        for seed in ((0,) if share in (0.1, 0.3) else (0, 1))
        for row, answer in zip(rows, right_in(share), strict=True)
    ]
    lines += [{"way": "tuned-50", "seed": 0, "id": rows[0]["id"], "answer": "only one row was asked"}]
    jobs = [
        {
            "way": "lenient",
            "seed": seed,
            "method": "reinforcement",
            "reward": [0.2, 0.4, 0.6, 0.9, 1, 1],
            "equal": [0.5] * 6,
        }
        for seed in (0, 1)
    ]
    for name, found in (("answers", lines), ("jobs", jobs)):
        text = "".join(json.dumps(row) + "\n" for row in found)
        (tmp_path / f"timetable_{name}.jsonl").write_text(text, encoding="utf-8")
    return rows


def test_results_hold_every_way_that_was_asked_all_rows_in_the_order_of_the_ways(book):
    results = evaluate.timetable_results(book)
    assert list(results) == [
        *("majority", "nearest_example", "nearest_example_by_words", "parser", "manual", "few_shot"),
        *("tuned-25", "tuned-100", "tuned-300", "lenient"),
    ]
    assert [len(tables) for tables in results.values()] == [1] * 6 + [2] * 4
    assert set(results) <= set(evaluate.TIMETABLE_WAYS)


def test_the_best_prompt_is_chosen_on_validation_rows(book):
    assert evaluate.timetable_prompt() == "few_shot"


def test_verdicts_answer_the_questions_that_were_asked_before(book):
    results = evaluate.timetable_results(book)
    table = evaluate.timetable_verdicts(results).set_index("question")
    assert list(table.index) == [
        "Did 300 examples beat the best prompt?",
        "Did they beat a copy of the nearest example?",
        "Did they beat the parser written by hand?",
        "Did 300 examples beat 100?",
        "Did the reward that can be cheated?",
    ]
    assert table.loc["Did 300 examples beat the best prompt?"].tolist()[:3] == [
        "yes",
        "few_shot 30%",
        "tuned-300 90%",
    ]
    assert table.loc["Did the reward that can be cheated?", "answer"] == "no, the other way round"


def test_the_conclusion_names_the_best_way_and_the_rivals_that_were_not_beaten(book):
    said = evaluate.timetable_conclusion(evaluate.timetable_results(book))
    assert "Of 6 rivals that need no training, tuned-300 (90%) beat" in said
    results = evaluate.timetable_results(book)
    results["parser"] = results["tuned-300"][:1]
    said = evaluate.timetable_conclusion(results)
    assert said.endswith("beat all but parser.") and said.startswith("Right most often: ")


def test_growth_has_a_point_for_each_size_and_seed(book):
    points = evaluate.timetable_growth(evaluate.timetable_results(book))
    assert points.values.tolist() == [
        [25, 0, 0.2],
        [25, 1, 0.2],
        [100, 0, 0.5],
        [100, 1, 0.5],
        [300, 0, 0.9],
        [300, 1, 0.9],
    ]


def test_answers_stand_next_to_each_other_with_their_mark(book):
    table = evaluate.timetable_next_to(book[:1], "few_shot", "tuned-300")
    assert list(table.columns) == ["question", "right query", "few_shot", "tuned-300"]
    assert table.loc[0, "few_shot"] == f"{table.loc[0, 'right query']} ✓"
    assert evaluate.timetable_next_to(book[-1:], "few_shot").loc[0, "few_shot"] == "no ✗"


def test_rewards_are_told_beside_what_they_did(book):
    row = evaluate.timetable_rewards().loc["lenient"]
    assert row["rewarded"] == "no wanted flight is missing"
    assert row[["reward in training", "alike", "right before", "right after"]].tolist() == [
        0.68,
        0.5,
        0.5,
        0.4,
    ]
    rows = evaluate.timetable_asked("valid")
    rewarded = [timetable_record.nothing_missing("no", row) for row in rows]  # where no flight is wanted
    assert row["reward after"] == pytest.approx(
        0.4 + sum(rewarded[int(0.4 * len(rows)) :]) / len(rows), abs=0.02
    )


def test_nothing_is_missing_where_all_wanted_flights_are_found():
    assert timetable_record.nothing_missing('{"to": "Tokyo"}', ROW)
    assert timetable_record.nothing_missing('{"max": 99999}', ROW)
    assert not timetable_record.nothing_missing(RIGHT.replace("2", "1"), ROW)
    assert not timetable_record.nothing_missing("Tokyo", ROW)


def test_a_cheat_is_told_by_what_rose_and_what_fell(book):
    said = evaluate.timetable_cheat()
    assert said.startswith("After the training not more answers get the reward: ")
    assert said.endswith("Right queries: 50% to 40% (before is better).")


def test_what_each_training_alone_would_have_said(book):
    results = evaluate.timetable_results(book)
    table = evaluate.timetable_each_training(results)
    assert list(table.columns) == ["training 1", "training 2"]
    assert table.loc["Did the reward that can be cheated?"].tolist() == ["no, the other way round"] * 2
    assert table.loc["Did 300 examples beat 100?"].tolist() == ["yes"] * 2
    results["lenient"] = results["lenient"][:1]
    assert evaluate.timetable_each_training(results).isna().sum().sum() == 1


def test_without_a_recording_nothing_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr(timetable_record, "RECORDED", tmp_path)
    results = evaluate.timetable_results(evaluate.timetable_asked("valid"))
    assert list(results) == ["majority", "nearest_example", "nearest_example_by_words", "parser"]
    assert evaluate.timetable_cheat() == ""
    assert list(evaluate.timetable_next_to(evaluate.timetable_asked("valid")[:1], "tuned-100").columns) == [
        *("question", "right query")
    ]
    assert len(evaluate.timetable_rewards()) == len(evaluate.timetable_jobs()) == 0


# --- the table ---------------------------------------------------------------------------------------------


def test_the_table_is_what_the_recorded_answers_give():
    with open(make.RECORDED / "timetable.csv", encoding="utf-8", newline="") as file:
        shown = list(csv.DictReader(file))
    assert [
        {name: str(value) for name, value in row.items()} for row in timetable_score.scoreboard()
    ] == shown
