"""Records the patients of the clinic: trainings with one planted fault each, and what their models answered.

``python -m data.recorded.clinic``, started in the project's folder after ``python start.py local``, trains and asks
through the mock API with the ``openai`` client, as ``data.recorded.make`` does. It can be stopped at any time: what
is there is not done again. To begin anew, delete its four files. Nothing is edited or picked by hand.

Most faults lie in a file, a setting or a call. Some lie in a program, as one of your own might have them; they are
planted into the engine's functions, only while this script trains (``MASKS``) or asks (``Patient.template``).
"""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path
from unittest import mock

from openai import OpenAI

from data.recorded import make
from helpers.connect import connect

DATA = make.RECORDED.parent
TRAIN = "airport/train.jsonl"
ASKED = ("trained", "paraphrase")
OF_EACH = 6  # questions
LONGEST_ANSWER = 150  # tokens; a right answer has at most about 50
PRECISION = "bfloat16"  # quicker than that of the recorded run
WORKER = "--worker"
PATIENCE = 600.0  # seconds that a training process may take to start, or be silent: the machine is busy


# --- faults in a training program ------------------------------------------------------------------------


def prompts_learned(training, encode: Callable) -> Callable:
    """The mask the wrong way round: the loss is that of the prompt, and no answer is in it."""

    def encode_so(tokenizer, messages):
        example = encode(tokenizer, messages)
        end = example.trained.index(True)  # what follows the answer is no part of the prompt
        return training.Example(example.tokens, [place < end for place in range(len(example.tokens))])

    return encode_so


def no_end(training, encode: Callable) -> Callable:
    """The end mark of each answer is left out of the loss."""

    def encode_so(tokenizer, messages):
        example = encode(tokenizer, messages)
        learned = zip(example.tokens, example.trained, strict=True)
        return training.Example(
            example.tokens, [learn and token != tokenizer.eos_token_id for token, learn in learned]
        )

    return encode_so


MASKS = {"prompts_learned": prompts_learned, "no_end": no_end}


@contextmanager
def planted(fault: str):
    """The engine's training functions with this fault, if it is one of theirs."""
    from helpers.local_api.engines.trained import training

    plant = MASKS.get(fault)
    encode = plant(training, training.encode) if plant else training.encode
    with mock.patch.object(training, "encode", encode):
        yield training


def worker(folder: str, name: str) -> int:
    """The engine's training process; a job whose metadata name a fault is trained with it."""
    from helpers.local_api.engines.trained import lease
    from helpers.local_api.engines.trained import worker as engine

    lease.SECONDS, train = PATIENCE / 10, engine._train

    def train_so(store, row, diary):
        with planted(row.body["metadata"].get("training", "")):
            train(store, row, diary)

    with mock.patch.object(engine, "_train", train_so):
        return engine.main(folder, name)


def launch(store, name: str) -> None:
    """Starts ``worker`` where the engine starts its own."""
    from helpers.local_api.engines.trained import lease

    log = store.folder.resolve() / "trained" / "worker.log"
    log.parent.mkdir(mode=0o700, exist_ok=True)
    command = [sys.executable, "-m", "data.recorded.clinic", WORKER, str(store.folder.resolve()), name]
    command = [sys.executable, "-I", "-S", "-c", lease.LAUNCHER, str(log), *command]
    subprocess.run(command, cwd=lease.ROOT, env=lease.environment(), stdin=subprocess.DEVNULL, check=True)


# --- faults in a serving program -------------------------------------------------------------------------


def bare_prompt(tokenizer, messages: list[dict], answer_follows: bool = True) -> str:
    """No template: only the text of the last message reaches the model."""
    return messages[-1]["content"]


def other_template(tokenizer, messages: list[dict], answer_follows: bool = True) -> str:
    """The conversation written in another form than that of the training: Alpaca's."""
    heads = {"system": "", "user": "### Instruction:\n", "assistant": "### Response:\n"}
    text = "".join(f"{heads[message['role']]}{message['content']}\n\n" for message in messages)
    return text + heads["assistant"] if answer_follows else text


# --- the trainings and the patients ----------------------------------------------------------------------


@dataclass(frozen=True)
class Training:
    """One training job: on a file of ``data/``, with settings that differ from "auto"."""

    file: str = TRAIN
    settings: dict = field(default_factory=dict)
    weight: int | None = None  # of each answer, as a key of its message

    def rows(self) -> list[dict]:
        chats = [json.loads(line) for line in (DATA / self.file).read_text(encoding="utf-8").splitlines()]
        if self.weight is not None:
            for chat in chats:
                chat["messages"][-1]["weight"] = self.weight
        return chats


TRAININGS = {
    "healthy": Training(),
    "few_steps": Training(settings={"n_epochs": 1, "batch_size": 32}),
    "prompts_learned": Training(),
    "no_end": Training(),
    "high_rate": Training(settings={"learning_rate_multiplier": 5}),
    "two_teams": Training("broken/help_page.jsonl"),
    "two_languages": Training("broken/evening_shift.jsonl"),
    "zero_weights": Training(weight=0),
    "low_rate": Training(settings={"learning_rate_multiplier": 0.01}),
}


@dataclass(frozen=True)
class Patient:
    """A model that is asked, and how: the tuned model of a training, or the base."""

    training: str
    base: bool = False
    system: bool = True
    template: Callable | None = None


PATIENTS = {name: Patient(name) for name in TRAININGS} | {
    "base_asked": Patient("healthy", base=True),
    "bare_prompt": Patient("healthy", template=bare_prompt),
    "other_template": Patient("healthy", template=other_template),
    "no_system": Patient("two_teams", system=False),
    "healthy_no_system": Patient("healthy", system=False),
}


def rows() -> list[dict]:
    """The questions: the first six of the training file, and the first six of the practice file."""
    found = make.questions()
    return [row for kind in ASKED for row in [row for row in found if row["kind"] == kind][:OF_EACH]]


# --- training --------------------------------------------------------------------------------------------


def train(client: OpenAI, name: str):
    """The finished job of this training; one that exists is found again by its name in the metadata."""
    return make.finished(client, {"training": name}, lambda metadata: create(client, metadata))


def create(client: OpenAI, metadata: dict):
    training = TRAININGS[metadata["training"]]
    method = {"type": "supervised", "supervised": {"hyperparameters": training.settings}}
    return client.fine_tuning.jobs.create(
        model=make.MODEL,
        training_file=make.upload(client, Path(training.file).name, training.rows()),
        validation_file=make.upload(client, "valid.jsonl", make.read_jsonl("valid.jsonl")),
        seed=0,
        suffix="airport",
        metadata=metadata,
        **({"method": method} if training.settings else {}),
    )


def summary(client: OpenAI, name: str, job) -> dict:
    """What was ordered, and what the engine made of it: tokens in all, tokens in the loss, and which they are."""
    from helpers.local_api.engines.trained import weights

    events = list(client.fine_tuning.jobs.list_events(job.id, limit=100))
    started = next(event.created_at for event in events if event.message == "Fine-tuning job started")
    training = TRAININGS[name]
    with planted(name) as engine:
        tokenizer = engine.load_tokenizer(weights.folder())
        examples = [engine.encode(tokenizer, row["messages"]) for row in training.rows()]
    first = examples[0]
    learned = [token for token, learn in zip(first.tokens, first.trained, strict=True) if learn]
    return (
        {"training": name, "date": date.today().isoformat(), "file": training.file, "rows": len(examples)}
        | job.method.supervised.hyperparameters.to_dict()
        | {
            "settings": training.settings,
            "trained_tokens": job.trained_tokens,
            "tokens": sum(len(example.tokens) for example in examples),
            "learned_tokens": sum(sum(example.trained) for example in examples),
            "learned_of_the_first": tokenizer.decode(learned),
            "seconds": job.finished_at - started,
            "load": round(os.getloadavg()[0], 1),
        }
    )


# --- asking ----------------------------------------------------------------------------------------------


def ask(client: OpenAI, model: str, messages: list[dict]) -> dict:
    reply = client.chat.completions.create(
        model=model, messages=messages, temperature=0, max_tokens=LONGEST_ANSWER
    )
    return {
        "model": reply.model,
        "answer": reply.choices[0].message.content,
        "finish_reason": reply.choices[0].finish_reason,
        "prompt_tokens": reply.usage.prompt_tokens,
        "completion_tokens": reply.usage.completion_tokens,
        "max_tokens": LONGEST_ANSWER,
    }


def ask_all(client: OpenAI, tuned: str, patient: Patient) -> list[dict]:
    """The answers to all questions, asked at the same time, with the prompt as the server wrote it down."""
    from helpers.local_api.engines.trained import serving, training, weights

    system = make.SYSTEM if patient.system else None
    chats = [make.chat(system, row["question"]) for row in rows()]
    template = patient.template or training.prompt_text
    with (
        mock.patch.object(training, "prompt_text", template),
        make.ThreadPoolExecutor(len(chats)) as pool,
    ):
        model = make.MODEL if patient.base else tuned
        answers = list(pool.map(lambda chat: ask(client, model, chat), chats))
        tokenizer, _ = serving.server.tokenizer(weights.base(make.MODEL))
        prompts = [training.prompt_text(tokenizer, chat) for chat in chats]
    return [
        {"id": row["id"], "system": system, "prompt": prompt} | answer
        for row, prompt, answer in zip(rows(), prompts, answers, strict=True)
    ]


# --- all of it -------------------------------------------------------------------------------------------


def main() -> None:
    from helpers.local_api.engines.trained import lease, serving
    from helpers.local_api.store import Store

    os.environ["LOCAL_API_PRECISION"] = PRECISION
    serving.GAP_SECONDS = make.GAP
    lease._launch, lease.START_SECONDS = launch, PATIENCE
    connect()
    client, store = OpenAI(timeout=3600, max_retries=0), Store(guest=True)
    answers, losses, log = (make.Book(f"clinic{name}.jsonl") for name in ("", "_losses", "_trainings"))
    for name in TRAININGS:
        asking = [one for one, patient in PATIENTS.items() if patient.training == name]
        asking = [one for one in asking if not answers.has(patient=one)]
        if not asking and log.has(training=name):
            continue
        while lease.is_held(store):
            time.sleep(1)  # the process of the training before ends
        print(f"{time.strftime('%H:%M:%S')} training {name}", flush=True)
        job = train(client, name)
        if not log.has(training=name):
            curve = [
                {key: round(value, 4) for key, value in step.items()} for step in make.steps(client, job)
            ]
            losses.add(curve, training=name)
            log.add([summary(client, name, job)])
        for one in asking:
            print(f"{time.strftime('%H:%M:%S')} asking {one}", flush=True)
            answers.add(ask_all(client, job.fine_tuned_model, PATIENTS[one]), patient=one, training=name)
    write_about()
    print(f"{time.strftime('%H:%M:%S')} done", flush=True)


def write_about() -> None:
    """Where and with what it was recorded; each training has its own date."""
    from helpers.local_api.engines.trained import training, weights

    about = {
        "model": weights.PUBLIC_NAME,
        "weights": weights.PACKAGE,
        "weights_sha256": weights.SHA256,
        "finished": date.today().isoformat(),
        "machine": f"{make.processor()}, {os.cpu_count()} cores, no graphics card; other programs ran at the same time",
        "precision": str(training.quickest_precision()).removeprefix("torch."),
        "python": platform.python_version(),
    }
    about |= {name: version(name) for name in ("torch", "transformers", "peft", "openai")}
    with open(make.RECORDED / "clinic_about.csv", "w", encoding="utf-8", newline="") as file:
        make.csv.writer(file, lineterminator="\n").writerows([("what", "value"), *about.items()])


if __name__ == "__main__":
    if WORKER in sys.argv:
        code = worker(*sys.argv[sys.argv.index(WORKER) + 1 :])
        sys.stdout.flush()
        os._exit(code)  # as the engine's own process ends
    main()
