"""Makes scoreboard.csv from the recorded answers: one row a way to ask, on the 120 questions of the test.

``python -m data.recorded.score``, started in the project's folder. Nothing in the table is typed by hand: a unit
test makes it again and compares.
"""

import csv
import json
from pathlib import Path
from statistics import mean

from helpers import costs, evaluate

RECORDED = Path(__file__).resolve().parent
PRICED_AS = "gpt-3.5-turbo"  # the small model has no price: what would as many tokens cost there?
WAYS = (
    "base",
    "role",
    "rule",
    "few_shot",
    "instructions",
    "retrieval",
    "few_shot_retrieval",
    "tuned",
    "tuned_no_system",
    "tuned_rule",
    "tuned_retrieval",
    "rules_tuned_retrieval",
    "rules_tuned_given",
)


def scoreboard() -> list[dict]:
    """The rows of the table, in the order of WAYS; ways that are not recorded yet have none.

    way, runs (training runs, one a seed; 1 if nothing was trained); for form, desk and fact the share from 0 to 1
    (mean of the runs) and the lowest and highest run; mean tokens of a prompt and of an answer, counted by the
    small model; the share of answers that were cut off because they got too long; the price of 1,000 such calls
    in US dollars, by the latest known price of PRICED_AS.
    """
    answers = [
        json.loads(line) for line in (RECORDED / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    return [row(way, evaluate.runs(way), answers) for way in WAYS if evaluate.runs(way)]


def row(way: str, runs: list[str], answers: list[dict]) -> dict:
    """One row of the scoreboard."""
    questions = evaluate.questions()
    tables = [evaluate.evaluate(evaluate.recorded(way, run), questions) for run in runs]
    found = {"way": way, "runs": len(runs)}
    for check in evaluate.CHECKS:
        shares = [float(table[check].astype(bool).mean()) for table in tables]
        found[check] = round(mean(shares), 4)
        found[f"{check}_lowest"], found[f"{check}_highest"] = round(min(shares), 4), round(max(shares), 4)
    tested = {one["id"] for one in questions}
    asked = [one for one in answers if one["way"] == way and one["run"] in runs and one["id"] in tested]
    prompt, answer = (sum(one[key] for one in asked) for key in ("prompt_tokens", "completion_tokens"))
    tuned = runs != ["base"]
    usd = costs.call(PRICED_AS, prompt, answer, tuned=tuned).usd
    return found | {
        "prompt_tokens": round(prompt / len(asked), 1),
        "answer_tokens": round(answer / len(asked), 1),
        "cut_off": round(mean(one["finish_reason"] == "length" for one in asked), 4),
        "priced_as": f"{'tuned' if tuned else 'base'} {PRICED_AS}",
        "usd_1000_calls": round(1000 * usd / len(asked), 4),
    }


def main() -> None:
    """Writes scoreboard.csv."""
    rows = scoreboard()
    with open(RECORDED / "scoreboard.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, rows[0], lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    print(f"scoreboard.csv: {len(rows)} ways")


if __name__ == "__main__":
    main()
