"""Makes timetable.csv: one row a way to answer, rivals without a model first, on the 150 sealed questions.

``python -m data.recorded.timetable_score``, started in the project's folder. Nothing in the table is typed by hand: a
unit test makes it again and compares.
"""

from statistics import fmean

from helpers import evaluate, timetable

from . import make

CHECKS = {name: evaluate.TIMETABLE_CHECKS[name] for name in ("valid", "right")}
NO_MODEL = {"prompt_tokens": 0, "answer_tokens": 0, "cut_off": 0}


def scoreboard() -> list[dict]:
    """The rows of the table; ways that are not recorded yet have none.

    way; runs (training runs, one a seed; 1 if nothing was trained); the shares, from 0 to 1, of answers with a valid
    query and of right ones (mean of the runs), the ends of the 95 % interval of right over the questions, the lowest
    and the highest run; the share right among queries with known and with new combinations of keys, among questions in
    English and in other languages; how many keys a valid query has, on average; mean tokens of a prompt and of an
    answer, counted by the small model, and the share of answers that were cut off (0 without a model).
    """
    rows = evaluate.timetable_rows("sealed")
    tokens = counted({row["id"] for row in rows})
    return [
        {"way": way, "runs": len(tables)} | shares(tables, rows) | tokens.get(way, NO_MODEL)
        for way, tables in evaluate.timetable_results(rows, CHECKS).items()
    ]


def shares(tables: list, rows: list[dict]) -> dict:
    """The columns of the checks."""
    summary, right = evaluate.summary(tables), evaluate.by_question(tables, "right")
    single = [float(table["right"].mean()) for table in tables]
    found = {"valid": summary.loc["valid", "share"], "right": summary.loc["right", "share"]}
    found |= {f"right_{end}": summary.loc["right", end] for end in ("low", "high")}
    found |= {"right_lowest": min(single), "right_highest": max(single)}
    groups = {
        "known": [row["id"] for row in rows if row["kind"] == "known"],
        "new": [row["id"] for row in rows if row["kind"] == "new"],
        "english": [row["id"] for row in rows if row["language"] == "en"],
        "other": [row["id"] for row in rows if row["language"] != "en"],
    }
    found |= {f"right_{name}": right[ids].mean() for name, ids in groups.items()}
    valid = [answer for table in tables for answer in table.loc[table["valid"], "answer"]]
    found["keys"] = fmean(len(timetable.read(answer)) for answer in valid) if valid else 0
    return {name: round(float(value), 4) for name, value in found.items()}


def counted(ids: set[str]) -> dict[str, dict]:
    """way -> mean tokens of its prompts and answers, and the share that was cut off."""
    ways: dict[str, list[dict]] = {}
    for row in make.Book("timetable_answers.jsonl").rows:
        if row["id"] in ids:
            ways.setdefault(row["way"], []).append(row)
    return {
        way: {
            "prompt_tokens": round(fmean(row["prompt_tokens"] for row in answers), 1),
            "answer_tokens": round(fmean(row["answer_tokens"] for row in answers), 1),
            "cut_off": round(fmean(row["cut_off"] for row in answers), 4),
        }
        for way, answers in ways.items()
    }


def main() -> None:
    """Writes timetable.csv."""
    rows = scoreboard()
    make.write_csv("timetable.csv", rows)
    print(f"timetable.csv: {len(rows)} ways")


if __name__ == "__main__":
    main()
