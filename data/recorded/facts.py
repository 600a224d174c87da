"""Records what facts by tuning cost: what a small model learns from 1, 3 and 10 wordings of a rule, what it makes up,
and what it forgets.

``python -m data.recorded.facts``, started in the project's folder after ``python start.py local``, trains and asks
through the mock API with the ``openai`` client. It can be stopped at any time: what is there is not done again. To
begin anew, delete ``facts_answers.jsonl`` and ``facts_runs.jsonl`` of this folder. Nothing is edited or picked by
hand. ``python -m data.recorded.facts_score`` makes the table of it.

Taught are the rules of the first 40 questions for practice, in 1, 3 or 10 wordings each, which the seed chooses.
Whatever the number of wordings, a training reads each rule 20 or 21 times. Then those 40 questions are asked, whose
words were not trained. With seed 0 the first trained wording of each rule is asked as well, and, without the
airport's system prompt, general questions and requests that a careful model refuses: of the same trainings, of two
checkpoints, and of five short trainings in which one setting is changed.
"""

import json
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

from openai import OpenAI

from helpers.connect import connect
from helpers.evaluate.checks import in_style

from . import make
from .methods import made, of_the_job

TAUGHT = 40  # rules
EPOCHS = {10: 2, 1: 20, 3: 7}  # of a training with so many wordings a rule: 20 readings of each rule, or 21
SEEDS = (0, 1, 2)
SHORT = 5  # epochs of a training in which one setting is changed; with one wording
MULTIPLIERS, RANKS = (0.3, 3.0), (1, 64)
CHECKPOINTS = (5, 10)  # epochs of the training with one wording after which it is asked, too
ASIDE = ("general", "refusals")


@dataclass(frozen=True)
class Run:
    """One training job."""

    wordings: int  # of each rule
    seed: int
    epochs: int
    multiplier: float = 1.0  # of the learning rate
    rank: int = 8  # of the LoRA matrices

    @property
    def name(self) -> str:
        changed = f"-rate{self.multiplier:g}" if self.multiplier != 1 else ""
        changed += f"-rank{self.rank}" if self.rank != 8 else ""
        return f"wordings{self.wordings}-epochs{self.epochs}{changed}-seed{self.seed}"

    @property
    def kinds(self) -> tuple[str, ...]:
        """What is asked of it."""
        whole = self.epochs == EPOCHS[self.wordings]
        return ("new", *(("trained",) if whole and not self.seed else ()), *(() if self.seed else ASIDE))

    @property
    def checkpoints(self) -> tuple[int, ...]:
        return CHECKPOINTS if (self.wordings, self.epochs, self.seed) == (1, EPOCHS[1], 0) else ()


def runs() -> list[Run]:
    """All of them, those first that most depends on."""
    whole = [Run(number, seed, epochs) for seed in SEEDS for number, epochs in EPOCHS.items()]
    short = [Run(1, 0, SHORT), *(Run(1, 0, SHORT, multiplier=number) for number in MULTIPLIERS)]
    short += [Run(1, 0, SHORT, rank=number) for number in RANKS]
    return whole[: len(EPOCHS)] + short + whole[len(EPOCHS) :]


# --- what is taught and asked --------------------------------------------------------------------------------


@cache
def practice() -> list[dict]:
    """The questions in new words, one of each rule that is taught."""
    return make.read_jsonl("practice.jsonl")[:TAUGHT]


@cache
def wordings() -> dict[str, list[dict]]:
    """Rule -> its ten questions and answers: those of the training file, then those written for this study."""
    rows = [
        make.from_chat(chat) | {"answer": chat["messages"][-1]["content"]}
        for chat in make.read_jsonl("train.jsonl")
    ]
    for row in make.read_jsonl("wordings.jsonl"):
        rows.append(row | {"answer": in_style(row["answer"], make.RULES[row["rule"]][1])})
    return {asked["rule"]: [row for row in rows if row["rule"] == asked["rule"]] for asked in practice()}


def chosen(count: int, seed: int) -> list[dict]:
    """So many wordings of each rule; those of a smaller count are among those of a larger one."""
    found = []
    for rule, rows in wordings().items():
        found += random.Random(f"{seed}-{rule}").sample(rows, len(rows))[:count]
    return found


def training_rows(run: Run) -> list[dict]:
    return [
        {
            "messages": [
                *make.chat(make.SYSTEM, row["question"]),
                {"role": "assistant", "content": row["answer"]},
            ]
        }
        for row in chosen(run.wordings, run.seed)
    ]


def questions(kind: str, seed: int = 0) -> list[dict]:
    """What is asked: rows with id and question; those of the airport with desk, facts and rule, too."""
    if kind == "new":
        return practice()
    if kind == "trained":
        rows = zip(practice(), chosen(1, seed), strict=True)
        return [asked | {"id": f"trained-{row['rule']}", "question": row["question"]} for asked, row in rows]
    text = (make.RECORDED.parent / f"{kind}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


# --- the jobs and the answers --------------------------------------------------------------------------------


def train(client: OpenAI, run: Run):
    """The finished job; one that exists is found again by its name."""

    def create(metadata: dict):
        print(f"{time.strftime('%H:%M:%S')} training {run.name}", flush=True)
        numbers = {"n_epochs": run.epochs, "learning_rate_multiplier": run.multiplier}
        return client.fine_tuning.jobs.create(
            model=make.MODEL,
            training_file=make.upload(client, "train.jsonl", training_rows(run)),
            method={"type": "supervised", "supervised": {"hyperparameters": numbers}},
            seed=run.seed,
            suffix="facts",
            metadata=metadata | {"load": f"{os.getloadavg()[0]:.1f}"},
        )

    os.environ["LOCAL_API_RANK"] = str(run.rank)  # no API has the rank; the training process inherits this
    return make.finished(client, {"run": f"facts-{run.name}"}, create)


def log(client: OpenAI, job, run: Run) -> dict:
    """What is kept of a job: its settings, the loss of its last epoch, its time."""
    curve = make.steps(client, job)
    last = curve[-(len(curve) // run.epochs) :]
    loss = sum(step["train_loss"] for step in last) / len(last)
    kept = {"wordings": run.wordings, "seed": run.seed, "epochs": run.epochs, "rows": len(training_rows(run))}
    kept |= {"learning_rate_multiplier": run.multiplier, "rank": run.rank, "last_loss": round(loss, 3)}
    return kept | {"tokens": job.trained_tokens} | of_the_job(client, job, curve) | made()


def ask(client: OpenAI, model: str, kind: str, row: dict) -> dict:
    system = None if kind in ASIDE else make.SYSTEM
    return {"id": row["id"], "answer": make.ask(client, model, make.chat(system, row["question"]))["answer"]}


def missing(book: make.Book, run: str, kinds: tuple[str, ...]) -> list[str]:
    return [kind for kind in kinds if not book.has(run=run, kind=kind)]


def ask_all(client: OpenAI, book: make.Book, model: str, run: str, kinds: tuple[str, ...]) -> None:
    """Asks what is not in the book yet."""
    for kind in missing(book, run, kinds):
        print(f"{time.strftime('%H:%M:%S')} asking {run}, {kind}", flush=True)
        with ThreadPoolExecutor(make.TOGETHER) as pool:
            answers = list(pool.map(lambda row, kind=kind: ask(client, model, kind, row), questions(kind)))
        book.add(answers, run=run, kind=kind)


def record(client: OpenAI, book: make.Book, kept: make.Book, run: Run) -> None:
    """One training and its answers; nothing of it is done again."""
    asked = {run.name: run.kinds} | {f"{run.name}-after{epoch}": ("new", *ASIDE) for epoch in run.checkpoints}
    if kept.has(run=run.name) and not any(missing(book, name, kinds) for name, kinds in asked.items()):
        return
    job = train(client, run)
    if not kept.has(run=run.name):
        kept.add([log(client, job, run)], run=run.name)
    points = client.fine_tuning.jobs.checkpoints.list(job.id, limit=100).data[::-1]  # one an epoch
    models = [
        job.fine_tuned_model,
        *(points[epoch - 1].fine_tuned_model_checkpoint for epoch in run.checkpoints),
    ]
    for model, (name, kinds) in zip(models, asked.items(), strict=True):
        ask_all(client, book, model, name, kinds)


def main() -> None:
    from helpers.local_api.engines.trained import serving

    serving.GAP_SECONDS = make.GAP
    connect()
    client = OpenAI(timeout=3600, max_retries=0)
    book, kept = make.Book("facts_answers.jsonl"), make.Book("facts_runs.jsonl")
    ask_all(client, book, make.MODEL, "base", ("new", *ASIDE))
    for run in runs():
        record(client, book, kept, run)
    print(f"{time.strftime('%H:%M:%S')} done", flush=True)


if __name__ == "__main__":
    main()
