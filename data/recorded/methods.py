"""Records what preferences and rewards teach the small model, in two tables.

``python -m data.recorded.methods``, started in the project's folder after ``python start.py local``, trains and asks
through the mock API with the ``openai`` client. It can be stopped at any time: what is there is not done again. To
begin anew, delete the ``methods_*`` files of this folder. Nothing is edited or picked by hand.

For each seed: ten rows of the airport's training file are learned as examples. From that model a job with rewards
starts, whose grader is the house style, and one with preferences, whose pairs are the house style and the base
model's own answer; a third job starts with the same pairs from the base. All settings are "auto". Before and after,
the 120 practice questions are asked at temperature 0. Times hold for a quiet computer only: ``load`` says whether it
was one.
"""

import os
import random
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date

from openai import OpenAI

from helpers import evaluate
from helpers.connect import connect
from helpers.evaluate.checks import STYLE

from . import make

SEEDS = (0, 1, 2)
EXAMPLES, QUESTIONS = 10, 60  # rows learned as examples; rows whose questions are answered for a reward
GRADER = {
    "type": "multi",
    "name": "house style",
    "graders": {
        "form": {
            "type": "python",
            "name": "form",
            "source": f"""
DESKS = {make.DESKS!r}

def grade(sample, item):
    *text, last = sample["output_text"].strip().splitlines() or [""]
    words = " ".join(text).split()
    return 0 < len(words) <= {STYLE["most_words"]} and last in [{STYLE["last_line"]!r} + desk for desk in DESKS]
""",
        },
        "desk": {
            "type": "string_check",
            "name": "desk",
            "operation": "like",
            "input": "{{sample.output_text}}",
            "reference": f"{STYLE['last_line']}{{{{item.desk}}}}",
        },
    },
    "calculate_output": "0.5 * form + 0.5 * form * desk",
}
REWARDS = ("seed", "steps", "seconds", "load", "form_before", "form_after", "desk_before", "desk_after")
REWARDS += (
    "desks_named_before",
    "desks_named_after",
    "first_reward",
    "last_reward",
    "first_equal",
    "last_equal",
)
PREFERENCES = (
    "seed",
    "start",
    "pairs",
    "steps",
    "seconds",
    "load",
    "margin",
    "accuracy",
    "form_before",
    "form_after",
)
PREFERENCES += ("desk_before", "desk_after")
MADE = ("precision", "date", "commit")


# --- the jobs ------------------------------------------------------------------------------------------------


def examples(seed: int) -> tuple[list[dict], list[dict]]:
    """The rows that are learned as examples, and the others, in an order that hangs on the seed."""
    rows = make.read_jsonl("train.jsonl")
    rows = random.Random(seed).sample(rows, len(rows))
    return rows[:EXAMPLES], rows[EXAMPLES:]


def with_desk(chat: dict) -> dict:
    """A row in the format of reinforcement fine-tuning."""
    return {"messages": chat["messages"][:2], "desk": make.from_chat(chat)["desk"]}


def pair(chat: dict, other: str) -> dict:
    """A row in the format of DPO."""
    *asked, answer = chat["messages"]
    worse = {"role": "assistant", "content": other}
    return {"input": {"messages": asked}, "preferred_output": [answer], "non_preferred_output": [worse]}


def trained(
    client: OpenAI, run: str, seed: int, rows: list[dict], method: str, model: str = make.MODEL, **more
):
    """The finished job of this name."""

    def create(metadata: dict):
        print(f"{time.strftime('%H:%M:%S')} training {run}", flush=True)
        how = {"type": method, method: {"hyperparameters": {}} | more}
        file = make.upload(client, "train.jsonl", rows)
        options = {
            "seed": seed,
            "suffix": "methods",
            "metadata": metadata | {"load": f"{os.getloadavg()[0]:.1f}"},
        }
        return client.fine_tuning.jobs.create(model=model, training_file=file, method=how, **options)

    return make.finished(client, {"run": f"methods-{run}-seed{seed}"}, create)


def by_examples(client: OpenAI, seed: int):
    return trained(client, "examples", seed, examples(seed)[0], "supervised")


def by_rewards(client: OpenAI, seed: int):
    rows = [with_desk(chat) for chat in examples(seed)[1][:QUESTIONS]]
    start = by_examples(client, seed).fine_tuned_model
    return trained(client, "rewards", seed, rows, "reinforcement", start, grader=GRADER)


def by_preferences(client: OpenAI, seed: int, start: str):
    chats = examples(seed)[1]
    others = answers(client, make.MODEL, [chat["messages"][:2] for chat in chats])
    model = make.MODEL if start == "base" else by_examples(client, seed).fine_tuned_model
    rows = [pair(chat, other) for chat, other in zip(chats, others, strict=True)]
    return trained(client, f"preferences-{start}", seed, rows, "dpo", model)


# --- what they answer ----------------------------------------------------------------------------------------


def answers(client: OpenAI, model: str, chats: list[list[dict]]) -> list[str]:
    with ThreadPoolExecutor(make.TOGETHER) as pool:
        return [reply["answer"] for reply in pool.map(lambda chat: make.ask(client, model, chat), chats)]


def asked(client: OpenAI, book: make.Book, name: str, model: Callable[[], str]) -> list[dict]:
    """The answers to the practice questions, each with its row; asked now unless they are in the book."""
    rows = {row["id"]: row for row in make.questions() if row["kind"] in make.TEST}
    if not book.has(model=name):
        chats = [make.chat(make.SYSTEM, row["question"]) for row in rows.values()]
        print(f"{time.strftime('%H:%M:%S')} asking {name}", flush=True)
        found = answers(client, model(), chats)
        book.add([{"id": id, "answer": answer} for id, answer in zip(rows, found, strict=True)], model=name)
    return [rows[row["id"]] | row for row in book.rows if row["model"] == name]


def counted(found: list[dict]) -> dict:
    """Shares of the answers in house style and with the right desk, and how many desks the last lines name."""
    formal = [row for row in found if evaluate.form(row["answer"], row)]
    desks = {row["answer"].strip().splitlines()[-1] for row in formal}
    right = [bool(evaluate.desk(row["answer"], row)) for row in found]
    return {"form": len(formal) / len(found), "desk": statistics.fmean(right), "desks_named": len(desks)}


# --- the tables ----------------------------------------------------------------------------------------------


def rewards_row(client: OpenAI, book: make.Book, seed: int) -> dict:
    job = by_rewards(client, seed)
    before = counted(
        asked(client, book, f"examples-seed{seed}", lambda: by_examples(client, seed).fine_tuned_model)
    )
    after = counted(asked(client, book, f"rewards-seed{seed}", lambda: job.fine_tuned_model))
    curve = make.steps(client, job)
    ends = {"first": curve[:3], "last": curve[-3:]}
    rewards = {
        f"{k}_reward": statistics.fmean(step["train_mean_reward"] for step in v) for k, v in ends.items()
    }
    equal = {
        f"{k}_equal": statistics.fmean(step["frac_reward_zero_std"] for step in v) for k, v in ends.items()
    }
    return {"seed": seed} | of_the_job(client, job, curve) | compared(before, after) | rewards | equal


def preferences_row(client: OpenAI, book: make.Book, seed: int, start: str) -> dict:
    job = by_preferences(client, seed, start)
    name = "base" if start == "base" else f"examples-seed{seed}"
    before = counted(asked(client, book, name, lambda: job.model))
    after = counted(asked(client, book, f"preferences-{start}-seed{seed}", lambda: job.fine_tuned_model))
    curve = make.steps(client, job)
    last = {"margin": "rewards/margins", "accuracy": "rewards/accuracies"}
    told = {name: statistics.fmean(step[metric] for step in curve[-3:]) for name, metric in last.items()}
    row = {"seed": seed, "start": start, "pairs": len(examples(seed)[1])}
    return row | of_the_job(client, job, curve) | told | compared(before, after)


def compared(before: dict, after: dict) -> dict:
    return {f"{key}_before": value for key, value in before.items()} | {
        f"{k}_after": v for k, v in after.items()
    }


def of_the_job(client: OpenAI, job, curve: list[dict]) -> dict:
    events = list(client.fine_tuning.jobs.list_events(job.id, limit=100))
    started = next(event.created_at for event in events if event.message == "Fine-tuning job started")
    return {"steps": len(curve), "seconds": job.finished_at - started, "load": job.metadata["load"]}


def rows_of(client: OpenAI, book: make.Book, seed: int) -> Iterator[tuple[str, dict]]:
    yield "rewards", rewards_row(client, book, seed)
    for start in ("base", "tuned"):
        yield "preferences", preferences_row(client, book, seed, start)


def write(name: str, columns: tuple[str, ...], rows: list[dict]) -> None:
    """A table of this folder; shares and means with two decimals."""

    def shown(value: object) -> object:
        return f"{value:.2f}" if isinstance(value, float) else value

    columns = (*columns, *MADE)
    told = [{key: shown(row.get(key, "")) for key in columns} for row in rows]
    make.write_csv(f"methods_{name}.csv", told, columns)


def made() -> dict:
    """In which precision, when and with which state of the project."""
    from helpers.local_api.engines.trained import training

    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    )
    precision = str(training.quickest_precision()).removeprefix("torch.")
    return {"precision": precision, "date": date.today().isoformat(), "commit": commit.stdout.strip()}


def main() -> None:
    from helpers.local_api.engines.trained import serving

    serving.GAP_SECONDS = make.GAP
    connect()
    client = OpenAI(timeout=3600, max_retries=0)
    book, kept = make.Book("methods_answers.jsonl"), make.Book("methods_rows.jsonl")
    for seed in SEEDS:
        if kept.has(seed=seed):
            continue
        found = [row | made() for row in ({"table": name} | row for name, row in rows_of(client, book, seed))]
        kept.add(found, seed=seed)
        for name, columns in (("rewards", REWARDS), ("preferences", PREFERENCES)):
            write(name, columns, [row for row in kept.rows if row["table"] == name])
    print(f"{time.strftime('%H:%M:%S')} done", flush=True)


if __name__ == "__main__":
    main()
