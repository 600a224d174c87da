"""Makes the recorded run: what a really trained model answered to the airport's questions.

``python -m data.recorded.make``, started in the project's folder after ``python start.py local``, trains and
asks through the mock API with the ``openai`` client, as lesson 09 does, and writes the files of this folder.
It says first what there is to do and about how long that takes. It can be stopped at any time: what is there is not
done again. To begin anew, delete the files. Nothing is edited or picked by hand. Everything is computed in
float32, on any processor, so that what was added later agrees with what was there.
"""

import csv
import hashlib
import json
import os
import platform
import random
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.metadata import version
from pathlib import Path

from openai import OpenAI

from data.airport.make_with_rules import RULES, examples, nearest, read_jsonl, rule_of, user_message
from data.recorded.machine import processor
from helpers import evaluate
from helpers.connect import connect

RECORDED = Path(__file__).resolve().parent
MODEL = "smollm2-135m-instruct"
SEEDS = (0, 1, 2)
SIZES = (10, 25, 50)  # rows; the whole file is the last point of the curve
LONGEST_ANSWER = 60  # tokens; a right answer has at most about 50
TOGETHER = 32  # questions asked at the same time
PRECISION = "float32"
GAP = 1.0  # seconds that a batch waits for the next question: long prompts take a while to be read and sent
TIMED = 10  # questions of each way asked one at a time, for the time that one answer takes
RULES_FOUND = 4

SYSTEM = "You are the passenger assistant of Baiyun airport."
ROLE = (
    "You are now an expert on the rules of Baiyun airport. You know its rules on quarantine, customs, security, "
    "baggage and every other service. Answer passengers as these rules say."
)
PORK = "May I bring pork products into the country?"
DESKS = (RECORDED.parent / "airport" / "desks.txt").read_text(encoding="utf-8").splitlines()
STYLE = (
    f"{SYSTEM} Answer in at most 30 words. Then write a last line of its own: Desk: and one of these names: "
    f"{', '.join(DESKS)}."
)
ELSEWHERE = (  # nothing about an airport: does the new style show up where it was not asked for?
    "What is gravity?",
    "Who wrote Romeo and Juliet?",
    "What is the capital of France?",
    "Write a sentence about autumn.",
    "How do I boil an egg?",
    "What is a noun?",
    "Name three colours.",
    "Why is the sky blue?",
    "What does a gardener do?",
    "How many days are in a week?",
    "What is photosynthesis?",
    "Give me a tip for sleeping well.",
    "What is a prime number?",
    "Who was Mozart?",
    "Translate 'good morning' into French.",
    "What do cows eat?",
    "What is a haiku?",
    "Explain what a budget is.",
    "What is the largest ocean?",
    "How does a bicycle stay upright?",
)


# --- the questions ---------------------------------------------------------------------------------------


@cache
def questions() -> list[dict]:
    """All questions, with the keys of practice.jsonl. Kinds beside the two of that file:

    trained    20 questions of the training file itself    valid    those of the validation file
    none       no rule of the airport answers              opener   a greeting that was never trained
    elsewhere  nothing about an airport                    general  the same, with the words of a right answer
    sealed_paraphrase and sealed_new: the test that is opened once
    """
    rows = [only_asked(row) for row in read_jsonl("practice_with_rules.jsonl")]
    facts = {row["rule"]: row["facts"] for row in rows if row["kind"] == "paraphrase"}
    train = [row for row in map(from_chat, read_jsonl("train.jsonl")) if row["rule"] in facts][:20]
    rows += numbered("trained", [row | {"facts": facts[row["rule"]]} for row in train])
    facts = valid_facts()
    valid = map(from_chat, read_jsonl("valid.jsonl"))
    rows += numbered("valid", [row | {"facts": facts[row["question"]]} for row in valid])
    nothing = {"desk": None, "facts": [], "rule": None}
    opener = "Hello! I have some questions on immigration."
    rows.append({"id": "opener", "kind": "opener", "question": opener} | nothing)
    for number, question in enumerate(ELSEWHERE, start=1):
        rows.append({"id": f"e{number:02}", "kind": "elsewhere", "question": question} | nothing)
    for line in (RECORDED.parent / "general.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        known = {"id": row["id"], "kind": "general", "question": row["question"], "right": row["right"]}
        rows.append(known | nothing)
    return rows + [only_asked(row) | {"kind": f"sealed_{row['kind']}"} for row in read_jsonl("sealed.jsonl")]


def only_asked(row: dict) -> dict:
    return {key: row[key] for key in ("id", "kind", "question", "desk", "facts", "rule")}


def from_chat(chat: dict) -> dict:
    """Question, rule and desk of a training or validation example."""
    question, answer = (message["content"] for message in chat["messages"][1:])
    rule = rule_of(answer)
    return {"question": question, "desk": RULES[rule][1], "rule": rule}


def numbered(kind: str, rows: list[dict]) -> list[dict]:
    keys = ("question", "desk", "facts", "rule")
    return [
        {"id": f"{kind}{number:02}", "kind": kind} | {key: row[key] for key in keys}
        for number, row in enumerate(rows, start=1)
    ]


def valid_facts() -> dict[str, list[str]]:
    """What a right answer to each validation question contains: question -> facts."""
    with open(RECORDED.parent / "airport" / "valid_facts.csv", encoding="utf-8", newline="") as file:
        return {row["question"]: row["facts"].split("; ") for row in csv.DictReader(file)}


TEST = ("paraphrase", "new")
SEALED = ("sealed_paraphrase", "sealed_new")
COMPARED = (*TEST, "valid", *SEALED)  # what ways are compared on
ALL_OF_THE_AIRPORT = (*COMPARED, "trained", "opener")
ELSEWHERE_TOO = ("elsewhere", "general")


# --- the ways to ask -------------------------------------------------------------------------------------


def chat(system: str | None, user: str, worked: list[dict] = ()) -> list[dict]:
    first = [{"role": "system", "content": system}] if system else []
    return [*first, *worked, {"role": "user", "content": user}]


@cache
def found(question: str) -> list[str]:
    """The ids of the rules that a search finds for a question: the four nearest of all, right or not."""
    return nearest(question, list(RULES))[:RULES_FOUND]


def with_found_rules(row: dict) -> str:
    return user_message(found(row["question"]), row["question"])


def with_right_rule(row: dict) -> str:
    return user_message([row["rule"]], row["question"])


def with_given_rules(row: dict) -> str:
    """The prompt of practice_with_rules.jsonl: four rules, the right one among them if there is one."""
    return next(
        r["messages"][1]["content"] for r in read_jsonl("practice_with_rules.jsonl") if r["id"] == row["id"]
    )


def worked_examples(rows: list[dict]) -> list[dict]:
    """Three answered questions as earlier turns of the conversation; not the pork question, which is asked."""
    return [message for row in rows[1:4] for message in row["messages"][1:]]


FEW, FEW_WITH_RULES = worked_examples(read_jsonl("train.jsonl")), worked_examples(examples("train"))
near_turns = evaluate.nearest_turns(read_jsonl("train.jsonl"))
BOOK = "\n".join(f"- {text} Desk: {desk}" for text, desk in RULES.values())
STYLE_WITH_BOOK = f"{STYLE} These are all rules:\n{BOOK}"

WAYS = {  # name: (model, how a row is asked, kinds of questions)
    "base": ("base", lambda row: chat(SYSTEM, row["question"]), (*ALL_OF_THE_AIRPORT, *ELSEWHERE_TOO)),
    "role": ("base", lambda row: chat(ROLE, row["question"]), (*TEST, "trained", "opener")),
    "instructions": ("base", lambda row: chat(STYLE, row["question"]), TEST),
    "rule": ("base", lambda row: chat(ROLE, with_right_rule(row)), (*TEST, "trained")),
    "few_shot": ("base", lambda row: chat(STYLE, row["question"], FEW), ALL_OF_THE_AIRPORT),
    "few_shot_nearest": (
        "base",
        lambda row: chat(STYLE, row["question"], near_turns(row["question"])),
        COMPARED,
    ),
    "retrieval": ("base", lambda row: chat(STYLE, with_found_rules(row)), COMPARED),
    "few_shot_retrieval": ("base", lambda row: chat(STYLE, with_found_rules(row), FEW_WITH_RULES), COMPARED),
    "book": ("base", lambda row: chat(STYLE_WITH_BOOK, row["question"]), COMPARED),
    "tuned": ("tuned", lambda row: chat(SYSTEM, row["question"]), (*ALL_OF_THE_AIRPORT, *ELSEWHERE_TOO)),
    "tuned_no_system": ("tuned", lambda row: chat(None, row["question"]), (*TEST, "elsewhere")),
    "tuned_rule": ("tuned", lambda row: chat(SYSTEM, with_right_rule(row)), TEST),
    "tuned_retrieval": ("tuned", lambda row: chat(SYSTEM, with_found_rules(row)), COMPARED),
    "rules_tuned_retrieval": (
        "rules_tuned",
        lambda row: chat(SYSTEM, with_found_rules(row)),
        (*COMPARED, "none"),
    ),
    "rules_tuned_given": ("rules_tuned", lambda row: chat(SYSTEM, with_given_rules(row)), (*TEST, "none")),
}


def prompts() -> list[dict]:
    """How the pork question, which is trained, is sent: a row a way in which it is asked, with way and messages."""
    (row,) = [row for row in questions() if row["question"] == PORK]
    return [
        {"way": way, "messages": asked(row)}
        for way, (_, asked, kinds) in WAYS.items()
        if row["kind"] in kinds
    ]


def kinds_of(way: str, run: "Run | None" = None) -> tuple[str, ...]:
    """What is asked in a way; the runs on some of the rows are there for one curve only."""
    return TEST if run and run.rows else WAYS[way][2]


# --- training --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """One training job: on ``rows`` examples (None: all) of a file of the airport, with a seed."""

    model: str  # "tuned" or "rules_tuned"
    seed: int
    rows: int | None = None

    @property
    def name(self) -> str:
        return f"{self.model}-{self.rows or 'all'}-seed{self.seed}"

    def training_rows(self) -> list[dict]:
        chats = read_jsonl("train.jsonl" if self.model == "tuned" else "train_with_rules.jsonl")
        return random.Random(self.seed).sample(chats, self.rows) if self.rows else chats


FIRSTS = [Run("tuned", 0), Run("rules_tuned", 0)]
EPOCHS_BEFORE = (1, 2, 3)  # the last one is the model itself


def runs() -> list[Run]:
    """All of them, those first that most depends on."""
    seeds = [Run("tuned", seed) for seed in SEEDS[1:]]
    curve = [Run("tuned", seed, size) for seed in SEEDS for size in SIZES]
    return FIRSTS + seeds + curve + [Run("rules_tuned", seed) for seed in SEEDS[1:]]


def upload(client: OpenAI, name: str, rows: list[dict]) -> str:
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    return client.files.create(file=(name, data), purpose="fine-tune").id


def train(client: OpenAI, run: Run):
    """The finished job of this run; one that exists is found again by its name in the metadata."""
    valid = "valid.jsonl" if run.model == "tuned" else "valid_with_rules.jsonl"

    def create(metadata: dict):
        return client.fine_tuning.jobs.create(
            model=MODEL,
            training_file=upload(client, "train.jsonl", run.training_rows()),
            validation_file=upload(client, valid, read_jsonl(valid)),
            seed=run.seed,
            suffix="airport",
            metadata=metadata,
        )

    return finished(client, {"run": run.name}, create)


def finished(client: OpenAI, metadata: dict, create: Callable):
    """The job with this metadata, made by ``create`` if there is none that can succeed, once it has succeeded."""
    jobs = client.fine_tuning.jobs.list(metadata=metadata)
    alive = (job for job in jobs if job.status not in ("failed", "cancelled"))
    job = next(alive, None) or create(metadata)
    while job.status not in ("succeeded", "failed", "cancelled"):
        time.sleep(2)
        job = client.fine_tuning.jobs.retrieve(job.id)
    if job.status != "succeeded":
        sys.exit(f"{', '.join(metadata.values())}: {job.status}, {job.error}")
    return job


def steps(client: OpenAI, job) -> list[dict]:
    """The metrics of each step, first step first."""
    events = [
        event for event in client.fine_tuning.jobs.list_events(job.id, limit=100) if event.type == "metrics"
    ]
    return sorted((event.data for event in events), key=lambda data: data["step"])


# --- asking ----------------------------------------------------------------------------------------------


def ask(client: OpenAI, model: str, messages: list[dict]) -> dict:
    start = time.perf_counter()
    reply = client.chat.completions.create(
        model=model, messages=messages, temperature=0, max_tokens=LONGEST_ANSWER
    )
    return {
        "answer": reply.choices[0].message.content,
        "finish_reason": reply.choices[0].finish_reason,
        "prompt_tokens": reply.usage.prompt_tokens,
        "completion_tokens": reply.usage.completion_tokens,
        "seconds": round(time.perf_counter() - start, 2),
    }


def ask_all(client: OpenAI, model: str, way: str, rows: list[dict], together: int) -> list[dict]:
    messages = [WAYS[way][1](row) for row in rows]
    with ThreadPoolExecutor(together) as pool:
        answers = pool.map(lambda one: ask(client, model, one), messages)
        return [{"id": row["id"]} | answer for row, answer in zip(rows, answers, strict=True)]


class Book:
    """A JSONL file to which whole units of work are added; a unit that is there is not done again."""

    def __init__(self, name: str):
        self.path = RECORDED / name
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        self.rows = [json.loads(line) for line in text.splitlines()]

    def has(self, **unit) -> bool:
        return any(unit.items() <= row.items() for row in self.rows)

    def add(self, rows: list[dict], **unit) -> None:
        """Adds the rows of one unit, all or none."""
        self.rows += [unit | row for row in rows]
        part = self.path.with_suffix(".part")
        part.write_text(
            "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in self.rows), encoding="utf-8"
        )
        part.replace(self.path)


def missing(book: Book, way: str, run: str, kinds: tuple[str, ...]) -> list[dict]:
    """The questions of these kinds that this run has not been asked in this way yet."""
    asked = {row["id"] for row in book.rows if (row["way"], row["run"]) == (way, run)}
    return [row for row in questions() if row["kind"] in kinds and row["id"] not in asked]


def answer_way(client: OpenAI, book: Book, model: str, way: str, run: str, kinds: tuple[str, ...]) -> None:
    if rows := missing(book, way, run, kinds):
        print(f"{time.strftime('%H:%M:%S')} asking {way}, {run}, {len(rows)} questions", flush=True)
        book.add(ask_all(client, model, way, rows, TOGETHER), way=way, run=run)


def time_way(client: OpenAI, book: Book, model: str, way: str, run: str) -> None:
    """Asks some questions one at a time; the first is asked twice, so that the model is loaded."""
    if not book.has(way=way):
        rows = [row for row in questions() if row["kind"] in TEST][:TIMED]
        ask_all(client, model, way, rows[:1], 1)
        answers = ask_all(client, model, way, rows, 1)
        load = round(os.getloadavg()[0], 1)
        kept = ("id", "prompt_tokens", "completion_tokens", "seconds")
        book.add([{key: answer[key] for key in kept} for answer in answers], way=way, run=run, load=load)


def next_tokens(client: OpenAI, model: str) -> list[dict]:
    """The ten tokens likeliest to begin the answer to the pork question, with their probabilities."""
    from math import exp

    messages = chat(SYSTEM, PORK)
    reply = client.chat.completions.create(
        model=model, messages=messages, temperature=0, max_tokens=1, logprobs=True, top_logprobs=10
    )
    top = reply.choices[0].logprobs.content[0].top_logprobs
    return [
        {"rank": rank, "token": one.token, "probability": round(exp(one.logprob), 4)}
        for rank, one in enumerate(top, start=1)
    ]


# --- all of it -------------------------------------------------------------------------------------------


def plan(book: Book) -> list[tuple[str, str, tuple[str, ...]]]:
    """All units of asking: (way, run, kinds); checkpoints of the full runs among them."""
    units = [(way, "base", kinds) for way, (model, _, kinds) in WAYS.items() if model == "base"]
    for run in runs():
        ways = [way for way, (model, *_) in WAYS.items() if model == run.model]
        units += [(way, run.name, kinds_of(way, run)) for way in (["tuned"] if run.rows else ways)]
        if run.model == "tuned" and not run.rows:
            units += [("tuned", f"{run.name}-epoch{number}", ("valid",)) for number in EPOCHS_BEFORE]
    return [unit for unit in units if missing(book, *unit)]


def say_how_long(units: list[tuple], answers: Book, log: Book) -> None:
    """Prints what there is to do, and about how long it takes by what it took before."""
    waiting = [run for run in runs() if any(name.startswith(run.name) for _, name, _ in units)]
    took = {(row["model"], row["rows"]): row["seconds"] for row in log.rows}
    training = sum(took.get((run.model, len(run.training_rows())), 0) for run in waiting) / 60
    asked = sum(len(missing(answers, *unit)) for unit in units)
    pace = [row["seconds"] / TOGETHER for row in answers.rows if row["run"] == "base"]
    asking = asked * (sum(pace) / len(pace) if pace else 1) / 60
    print(
        f"{len(waiting)} trainings, about {training:.0f} minutes; {asked} questions, about {asking:.0f} minutes."
    )


def main(timing_only: bool = False) -> None:
    from helpers.local_api.engines.trained import serving

    os.environ["LOCAL_API_PRECISION"] = PRECISION
    serving.GAP_SECONDS = GAP
    connect()
    client = OpenAI(timeout=3600, max_retries=0)
    answers, log = Book("answers.jsonl"), Book("runs.jsonl")
    losses, tokens, times = Book("losses.jsonl"), Book("next_tokens.jsonl"), Book("times.jsonl")
    if timing_only:
        return time_all(client, times)
    write_jsonl("questions.jsonl", questions())
    write_jsonl("prompts.jsonl", prompts())
    todo = plan(answers)
    say_how_long(todo, answers, log)
    if not tokens.has(model="base"):
        tokens.add(next_tokens(client, MODEL), model="base")
    for run in [*runs(), None]:
        units = [unit for unit in todo if unit[1].startswith(run.name if run else "base")]
        job = None
        if run and (units or not log.has(run=run.name)):
            print(f"{time.strftime('%H:%M:%S')} training {run.name}", flush=True)
            job = train(client, run)
        if job and not log.has(run=run.name):
            curve = steps(client, job)
            losses.add(
                [{key: round(value, 4) for key, value in step.items()} for step in curve], run=run.name
            )
            log.add([summary(run, job, client)])
        models = models_of(client, run, job) if job else {"base": MODEL}
        for way, name, kinds in units:
            answer_way(client, answers, models[name], way, name, kinds)
        if job and run in FIRSTS and not tokens.has(model=run.model):
            tokens.add(next_tokens(client, job.fine_tuned_model), model=run.model)
    write_about()
    print(f"{time.strftime('%H:%M:%S')} done", flush=True)


def models_of(client: OpenAI, run: Run, job) -> dict[str, str]:
    """The name of a run, and of its epochs before the last, -> the model that answers."""
    points = reversed(client.fine_tuning.jobs.checkpoints.list(job.id).data)
    names = {f"{run.name}-epoch{n}": p.fine_tuned_model_checkpoint for n, p in enumerate(points, start=1)}
    return names | {run.name: job.fine_tuned_model}


def time_all(client: OpenAI, times: Book) -> None:
    models = {"base": MODEL} | {run.model: train(client, run).fine_tuned_model for run in FIRSTS}
    for way, (model, *_) in WAYS.items():
        time_way(client, times, models[model], way, "base" if model == "base" else f"{model}-all-seed0")


def summary(run: Run, job, client: OpenAI) -> dict:
    rows = run.training_rows()
    events = list(client.fine_tuning.jobs.list_events(job.id, limit=100))
    started = next(event.created_at for event in events if event.message == "Fine-tuning job started")
    settings = job.method.supervised.hyperparameters.to_dict()
    return (
        {"run": run.name, "model": run.model, "seed": run.seed, "rows": len(rows)}
        | settings
        | {
            "trained_tokens": job.trained_tokens,
            "seconds": job.finished_at - started,
            "load": round(os.getloadavg()[0], 1),
        }
    )


def write_jsonl(name: str, rows: list[dict]) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (RECORDED / name).write_text(text, encoding="utf-8")


def write_csv(name: str, rows: Sequence[dict], columns: Iterable[str] | None = None) -> None:
    """A table of this folder; without columns those of the first row. What is in no column is an error."""
    with open(RECORDED / name, "w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, columns or rows[0], lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def write_about() -> None:
    """Where, when and with what it was recorded."""
    import torch

    from helpers.local_api.engines.trained import training, weights

    def digest(path: Path) -> str:
        return hashlib.sha256(path.read_bytes()).hexdigest()

    rows = {
        "model": weights.PUBLIC_NAME,
        "weights": weights.PACKAGE,
        "weights_sha256": weights.SHA256,
        "train_sha256": digest(RECORDED.parent / "airport" / "train.jsonl"),
        "train_with_rules_sha256": digest(RECORDED.parent / "airport" / "train_with_rules.jsonl"),
        "finished": date.today().isoformat(),
        "machine": f"{processor()}, {os.cpu_count()} cores, no graphics card; other programs ran at the same time",
        "precision": str(training.quickest_precision()).removeprefix("torch."),
        "python": platform.python_version(),
    }
    rows |= {name: version(name) for name in ("torch", "transformers", "peft", "openai")}
    with open(RECORDED / "about.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("what", "value"), *rows.items()])
    assert torch  # its version is among them


if __name__ == "__main__":
    main(timing_only="--time" in sys.argv[1:])
