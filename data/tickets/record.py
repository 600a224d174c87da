"""Records what a really trained model makes of the tickets: answers.jsonl, a row an answer.

``python -m data.tickets.record``, started in the project's folder, after ``python start.py local``. One training on
train.jsonl with all settings on "auto", then the tickets of test.jsonl in three ways, at temperature 0. Nothing is
edited or chosen by hand.
"""

import json
import sys
import time
from pathlib import Path

from openai import OpenAI

from helpers.connect import connect

FOLDER = Path(__file__).resolve().parent
MODEL = "smollm2-135m-instruct"
KEYS = ("topic", "urgent", "order")
TASK = "Turn the support ticket into JSON with the keys topic, urgent and order."
RULES = (
    f"{TASK} topic is delivery, refund, login, damage or invoice. urgent is true or false. "
    "order is the number of the order, or null. Answer with the JSON alone."
)
WORKED = ("k01", "k11", "k19", "k26", "k35")  # one a topic
LONGEST_ANSWER = 60


def read(name: str) -> list[dict]:
    return [json.loads(line) for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()]


def write(name: str, rows: list[dict]) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (FOLDER / name).write_text(text, encoding="utf-8")


def turns(ticket: dict) -> list[dict]:
    """A ticket and its JSON as two turns of a conversation."""
    answer = json.dumps({key: ticket[key] for key in KEYS})
    return [{"role": "user", "content": ticket["question"]}, {"role": "assistant", "content": answer}]


def train(client: OpenAI) -> str:
    """The name of the tuned model; a job that has been ordered is found again."""
    jobs = [
        job for job in client.fine_tuning.jobs.list(metadata={"data": "tickets"}) if job.status != "failed"
    ]
    rows = [
        {"messages": [{"role": "system", "content": TASK}, *turns(ticket)]} for ticket in read("train.jsonl")
    ]
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    job = (
        jobs[0]
        if jobs
        else client.fine_tuning.jobs.create(
            model=MODEL,
            training_file=client.files.create(file=("tickets.jsonl", data), purpose="fine-tune").id,
            seed=1,
            metadata={"data": "tickets"},
        )
    )
    while job.status not in ("succeeded", "failed", "cancelled"):
        time.sleep(2)
        job = client.fine_tuning.jobs.retrieve(job.id)
    if job.status != "succeeded":
        sys.exit(f"{job.status}, {job.error}")
    return job.fine_tuned_model


def main() -> None:
    connect()
    client = OpenAI(timeout=3600, max_retries=0)
    known = {ticket["id"]: ticket for ticket in read("train.jsonl")}
    worked = [turn for id in WORKED for turn in turns(known[id])]
    ways = {
        "base": (MODEL, RULES, []),
        "few_shot": (MODEL, RULES, worked),
        "tuned": (train(client), TASK, []),
    }
    answers = []
    for way, (model, system, before) in ways.items():
        for ticket in read("test.jsonl"):
            messages = [{"role": "system", "content": system}, *before, turns(ticket)[0]]
            reply = client.chat.completions.create(
                model=model, messages=messages, temperature=0, max_tokens=LONGEST_ANSWER
            )
            answers.append({"way": way, "id": ticket["id"], "answer": reply.choices[0].message.content})
        print(f"{time.strftime('%H:%M:%S')} {way}", flush=True)
    write("answers.jsonl", answers)


if __name__ == "__main__":
    main()
