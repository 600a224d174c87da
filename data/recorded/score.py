"""Makes scoreboard.csv: one row a way to answer, rivals without a model first, on the 120 questions for practice.

``python -m data.recorded.score``, started in the project's folder. Nothing in the table is typed by hand: a unit
test makes it again and compares.
"""

import json
from pathlib import Path
from statistics import mean

from data.airport.make_with_rules import RULES, read_jsonl
from helpers import costs, evaluate

from . import make

RECORDED = Path(__file__).resolve().parent
PRICED_AS = "gpt-3.5-turbo"  # the small model has no price: what would as many tokens cost there?
WAYS = (
    "base",
    "role",
    "rule",
    "few_shot",
    "few_shot_nearest",
    "instructions",
    "retrieval",
    "few_shot_retrieval",
    "book",
    "tuned",
    "tuned_no_system",
    "tuned_rule",
    "tuned_retrieval",
    "rules_tuned_retrieval",
    "rules_tuned_given",
)


def rivals() -> dict[str, evaluate.Answering]:
    """Ways without a model: always the same, the nearest training example, and the rule that each search finds."""
    train = read_jsonl("train.jsonl")

    def both(texts: list[str]) -> evaluate.rivals.Search:
        return evaluate.merged(evaluate.by_meaning(texts), evaluate.by_words(texts))

    return {
        "majority": evaluate.majority(train),
        "nearest_example": evaluate.nearest_example(train),
        "nearest_rule": evaluate.nearest_rule(RULES),
        "nearest_rule_by_words": evaluate.nearest_rule(RULES, evaluate.by_words),
        "nearest_rule_by_both": evaluate.nearest_rule(RULES, both),
    }


def all_right(answer: str, row: dict) -> bool:
    """Form, desk and fact are all right: the answer could be sent as it is."""
    return all(check(answer, row) for check in evaluate.CHECKS.values())


CHECKS = evaluate.CHECKS | {"all": all_right}


def scoreboard() -> list[dict]:
    """The rows of the table, rivals first; ways that are not recorded yet have none.

    way, runs (training runs, one a seed; 1 if nothing was trained); for form, desk, fact and all the share from 0
    to 1 (mean of the runs), the ends of its 95 % interval over the questions, and the lowest and highest run; the
    share with all facts on rules that were trained (paraphrase) and on others (new); mean tokens of a prompt and
    of an answer, counted by the small model; the share of answers that were cut off because they got too long; the
    price of 1,000 such calls in US dollars, by the latest known price of PRICED_AS, without caching. Without a model
    there are no tokens, and a search on this computer has no price.
    """
    answers = [
        json.loads(line) for line in (RECORDED / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    questions = evaluate.questions()
    found = [
        {"way": name, "runs": 1}
        | shares([evaluate.evaluate(answer, questions, CHECKS)], questions)
        | {"prompt_tokens": 0, "answer_tokens": 0, "cut_off": 0, "priced_as": "no model", "usd_1000_calls": 0}
        for name, answer in rivals().items()
    ]
    return found + [row(way, evaluate.runs(way), answers) for way in WAYS if evaluate.runs(way)]


def shares(tables: list, questions: list[dict]) -> dict:
    """The columns of the checks."""
    found, summary = {}, evaluate.summary(tables)
    for check in CHECKS:
        single = [float(table[check].astype(bool).mean()) for table in tables]
        found[check] = round(mean(single), 4)
        found |= {f"{check}_{end}": round(summary.loc[check, end], 4) for end in ("low", "high")}
        found |= {f"{check}_lowest": round(min(single), 4), f"{check}_highest": round(max(single), 4)}
    facts = evaluate.by_question(tables, "fact")
    for kind in ("paraphrase", "new"):
        ids = [one["id"] for one in questions if one["kind"] == kind]
        found[f"fact_{kind}"] = round(float(facts[ids].mean()), 4)
    return found


def row(way: str, runs: list[str], answers: list[dict]) -> dict:
    """One row of the scoreboard, of a way that asks a model."""
    questions = evaluate.questions()
    tables = [evaluate.evaluate(evaluate.recorded(way, run), questions, CHECKS) for run in runs]
    tested = {one["id"] for one in questions}
    asked = [one for one in answers if one["way"] == way and one["run"] in runs and one["id"] in tested]
    prompt, answer = (sum(one[key] for one in asked) for key in ("prompt_tokens", "completion_tokens"))
    tuned = runs != ["base"]
    usd = costs.call(PRICED_AS, prompt, answer, tuned=tuned).usd
    return (
        {"way": way, "runs": len(runs)}
        | shares(tables, questions)
        | {
            "prompt_tokens": round(prompt / len(asked), 1),
            "answer_tokens": round(answer / len(asked), 1),
            "cut_off": round(mean(one["finish_reason"] == "length" for one in asked), 4),
            "priced_as": f"{'tuned' if tuned else 'base'} {PRICED_AS}",
            "usd_1000_calls": round(1000 * usd / len(asked), 4),
        }
    )


def main() -> None:
    """Writes scoreboard.csv."""
    rows = scoreboard()
    make.write_csv("scoreboard.csv", rows)
    print(f"scoreboard.csv: {len(rows)} ways")


if __name__ == "__main__":
    main()
