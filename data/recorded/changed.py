"""Makes changed.jsonl: rule G1 is changed, and the models of the recorded run are asked for it again.

``python -m data.recorded.changed``, in the project's folder and with the state folder in which
``python -m data.recorded.make`` has trained. Yesterday the taxis waited outside door 8, now outside door 12: every
question of the recorded run that this rule answers is asked in the two tuned ways in which a search brings rules.
"""

from openai import OpenAI

from data.airport import make_with_rules
from data.airport.make_with_rules import RULES
from data.recorded import make
from helpers.connect import connect

RULE, OLD, NEW = "G1", "door 8", "door 12"
ASKED = {"tuned_retrieval": "tuned", "rules_tuned_retrieval": "rules_tuned"}  # way: model


def main() -> None:
    """Writes changed.jsonl: way, run, id, found (was the changed rule in the prompt?), answer."""
    connect()
    client = OpenAI(timeout=3600, max_retries=0)
    text, desk = RULES[RULE]
    make_with_rules.RULES[RULE] = (text.replace(OLD, NEW), desk)
    rows = [row for row in make.questions() if row["rule"] == RULE and row["kind"] not in make.SEALED]
    answers = []
    for way, model in ASKED.items():
        for seed in make.SEEDS:
            run = make.Run(model, seed).name
            (job, *_) = client.fine_tuning.jobs.list(metadata={"run": run})
            for answer in make.ask_all(client, job.fine_tuned_model, way, rows, len(rows)):
                row = next(row for row in rows if row["id"] == answer["id"])
                kept = {
                    "id": row["id"],
                    "found": RULE in make.found(row["question"]),
                    "answer": answer["answer"],
                }
                answers.append({"way": way, "run": run} | kept)
    make.write_jsonl("changed.jsonl", answers)
    print(f"changed.jsonl: {len(answers)} answers")


if __name__ == "__main__":
    main()
