"""One thread: a table of the reader, named in one line of lesson 02, is what 03 to 06 upload, train, ask and judge."""

import csv
import json

import pytest

from helpers import mine
from helpers.local_api.store import Store
from tests import by_hand
from tests.notebooks import refresh

LESSONS = ("02", "04", "06", "03", "05")  # the first three are the whole way: 04 uploads too, and 06 asks
LINE = "TABLE = AIRPORT\n"
THINGS = [
    "the watering can",
    "a rake",
    "the big spade",
    "gloves",
    "bulbs",
    "compost",
    "the hose",
    "seeds of beans",
]
THINGS += [
    "a wheelbarrow",
    "labels",
    "the ladder",
    "twine",
    "pots of clay",
    "the saw",
    "bird food",
    "a lantern",
]
THINGS += ["rubber boots", "the sieve", "the key of the shed", "a bucket", "netting", "the map of the beds"]
PLACES = ["on the lower shelf", "behind the shed", "in the third drawer", "next to the pump"]


def garden(folder) -> list[str]:
    """Writes a table of questions and answers, garden.csv; returns the questions."""
    rows = [
        (f"Where do I find {thing}?", f"It is {PLACES[number % 4]}.\nPlace: {PLACES[number % 4].split()[-1]}")
        for number, thing in enumerate(THINGS)
    ]
    with open(folder / "garden.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("question", "answer"), *rows])
    return [question for question, _ in rows]


def questions(lines: bytes) -> list[str]:
    return [json.loads(line)["messages"][-2]["content"] for line in lines.splitlines()]


@pytest.mark.slow
@pytest.mark.endurance(sample=3, soak=len(LESSONS))
def test_ones_own_table_runs_through_the_lessons(tmp_path, monkeypatch, count):
    monkeypatch.setenv("LOCAL_API_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COURSE_MY", str(tmp_path / "my"))
    by_hand.base_model(tmp_path / "state")
    asked = garden(tmp_path)
    said, jobs = {}, {}
    for number in sorted(LESSONS[:count]):
        (path,) = refresh.NOTEBOOKS.glob(f"{number}_*.ipynb")
        notebook = refresh.read(path)
        for cell in refresh.code_cells(notebook):
            if number == "02" and LINE in cell.source:
                cell.source = cell.source.replace(LINE, f"TABLE = {str(tmp_path / 'garden.csv')!r}\n")
        refresh.execute(notebook, path.parent)
        said[number] = "\n".join(str(cell.outputs) for cell in refresh.code_cells(notebook))
        jobs[number] = [row.body for row in Store(tmp_path / "state").every("job")]
    files = {name: (tmp_path / "my" / name).read_bytes() for name in mine.FILES}
    assert sorted(question for lines in files.values() for question in questions(lines)) == sorted(asked)
    store = Store(tmp_path / "state")
    uploaded = {row.id: (store.folder / "files" / row.id).read_bytes() for row in store.every("file")}
    (chosen,) = [job for job in jobs["04"] if job.get("metadata") == {"course": "chosen"}]
    assert uploaded[chosen["training_file"]] == files["train.jsonl"]
    assert uploaded[chosen["validation_file"]] == files["valid.jsonl"]
    assert all(jobs[later] == jobs["04"] for later in said if later > "04"), (
        "05 and 06 find the job that 04 chose"
    )
    assert questions(files["test.jsonl"])[0] in said["06"]
