"""Takes a job out of the local API, to run it with TRL where one computer is too small.

python -m helpers.local_api export-job JOB_ID --to DIR

Writes the rows, the settings and a script into DIR; DIR/README.md says how to start it.
"""

import json
import math
import re
import shutil
from pathlib import Path

from ... import graders, history, jobs
from ...store import Row, Store
from ...training_files import Failure
from . import MODEL, base_of, preferences, problem, rates, resolve, rewards, training, weights, worker
from .export import ExportError, save_adapter

SCRIPT = Path(__file__).with_name("train_trl.py")
GRADERS = Path(graders.__file__).parent
TESTED = ("torch==2.13.0", "transformers==5.24.0", "peft==0.21.2", "accelerate==1.15.0", "trl==1.16.0")

README = """# A fine-tuning job, to be run with TRL

Job {job} of the course's local API ({method}): {rows} rows, {epochs} epochs, batches of {batch}, on {base}.
`settings.json` has the numbers, `train_trl.py` is {code}.

## Train

```bash
pip install -r requirements.txt
accelerate launch train_trl.py
```

`accelerate launch` takes all graphics cards of the machine. For two processes without any (the option is needed,
in spite of its name):

```bash
accelerate launch --multi_gpu --num_processes 2 train_trl.py
```

A batch is shared out among the processes, so their number must divide {shared}. The base model comes from the
Hugging Face hub; `--base FOLDER` takes the same model from a folder. The trained matrices are written to `adapter`
with a page that says what they are, the loss of every step to `output/trainer_state.json`.

## A larger base

**Do not keep the learning rate.** {rate:g} fits {base} with few rows. `train_trl.py` ends before it carries
that to a model that is wider, and says which rate follows from a published rule ({rule}: for
8 billion parameters about 0.0003 with a Llama, 0.00047 with a Qwen). For LoRA TRL's documents recommend {usual:g},
ten times their rate without LoRA ({source}).
Begin with one of them, and compare it with a lower and a higher one on the validation rows. Change these in
`settings.json`:

- `base`: the name of the other model, and `base_license`: its licence;
- `learning_rate`, and `learning_rate_up_to_width`: the width (`hidden_size`) of the model that it is for;
- `max_tokens` and `lora`, if your rows are longer or many.

## Serve it with vLLM

```bash
vllm serve {base} --host 127.0.0.1 --enable-lora --lora-modules {name}=adapter
```

With `--host 127.0.0.1` only that machine can ask (from yours: `ssh -L 8000:localhost:8000 MACHINE`); without it vLLM
listens on every network, and asks for no key. With the base from the hub, the matrices were trained on the weights
that they are served on. The adapter's rank, {rank}, is below vLLM's default limit of 16. (From vLLM's documentation;
this project's tests do not run vLLM.)
Then ask it with the client that you know:

```python
client = OpenAI(base_url="http://localhost:8000/v1", api_key="none")
client.chat.completions.create(model="{name}", messages=[...])
```

A base that thinks aloud unless told not to, such as Qwen3, is trained without thoughts. Then ask with
`extra_body={{"chat_template_kwargs": {{"enable_thinking": False}}}}`: else it reads another prompt than in training.

## What is the same, and what is not

The same: rows, {same}, LoRA matrices and their first values, optimizer, batch size,
highest learning rate, its fall along a cosine. Not the same: the order of the rows; the learning rate begins one
step later, at 0; and the course trains a copy of the base that was once rounded to 4 bits, the hub has the
original. {other}
"""
ALL, WITH_GRADERS = (
    "all the code",
    "the code; `graders` is the course's, which `settings.json` has the grader for",
)
METHODS = {  # (what is the code, what is the same, what is not), beside what all methods have in common
    "supervised": (
        ALL,
        "loss on the assistant's answers only",
        "A chat with several answers is here one row for each answer that is learned.",
    ),
    "dpo": (
        ALL,
        "DPO's loss with its beta, the share of the usual loss on the better answer, the reference (the model that the "
        "job starts from)",
        "The loss on the better answers is a mean over the tokens of what one process computes at a time.",
    ),
    "reinforcement": (
        WITH_GRADERS,
        "grader, number of answers to a question and their greatest length, advantages within a group, a mean over all "
        "drawn tokens",
        "Other answers are drawn, so the rewards are not the same. A `python` grader runs on that machine: read it "
        "first.",
    ),
}


START_PAGE = """# Where the job begins

The matrices of an earlier job. `train_trl.py` trains them further; for anything else, export that model itself.
"""

# TRL's table for supervised fine-tuning with LoRA. Our own rate was measured on the small model only.
USUAL_RATE = 2e-4
RATE_SOURCE = "https://github.com/huggingface/trl/blob/main/docs/source/peft_integration.md"


def export_job(store: Store, job_id: str, target: Path) -> Path:
    """Writes the job ``job_id`` into the folder ``target`` and returns it. Raises ExportError."""
    row = _job(store, job_id)
    target.mkdir(parents=True, exist_ok=True)
    try:
        if what := problem(row.body["model"]):
            raise ExportError(what)
        base = weights.base(base_of(row.body["model"]))
        files = history.read_files(store, row)
        adapter = worker.start_adapter(store, row)
        _write_start(adapter, base, target / "start")
    except Failure as failure:
        raise ExportError(failure.error["message"]) from None
    method = row.body["method"]["type"]
    train, valid = (ROWS[method](file) if file else [] for file in files)
    _write_rows(train, target / "train.jsonl")
    if valid:
        _write_rows(valid, target / "valid.jsonl")
    job = jobs.view(store, row)
    made = job["fine_tuned_model"] and store.data("model", job["fine_tuned_model"], row.owner)
    matrices = training.read_tensors(adapter or made) if adapter or made else {}
    settings = settings_of(job, base, len(train), training.rank_of(matrices))
    _write(target / "settings.json", json.dumps(settings, indent=2) + "\n")
    _write(target / "requirements.txt", "\n".join(TESTED) + "\n")
    _write(target / "README.md", _readme(row, settings, len(train)))
    shutil.copyfile(SCRIPT, target / SCRIPT.name)
    if "grader" in settings:
        no_cache = shutil.ignore_patterns("__pycache__")
        shutil.copytree(GRADERS, target / GRADERS.name, ignore=no_cache, dirs_exist_ok=True)
    return target


def _job(store: Store, job_id: str) -> Row:
    found = [row for row in store.every("job") if row.id == job_id]
    if not found:
        raise ExportError(f"There is no job {job_id} in {store.folder}")
    if not jobs.is_trained_here(found[0].body):
        raise ExportError(f"{job_id} is simulated. Create the job with model {MODEL} to export it.")
    grader = found[0].body["method"].get("reinforcement", {}).get("grader")
    if grader and (judges := graders.judges(grader)):
        raise ExportError(
            f"The grader of {job_id} asks {judges[0]}, which answers on this computer only. Only jobs with python, "
            "string_check and text_similarity graders can be taken to TRL."
        )
    return found[0]


def learned(examples: list[dict]) -> list[dict]:
    """One chat for each answer that is to be learned; it ends with that answer."""
    return [
        {"messages": training.plain(example["messages"][: number + 1])}
        for example in examples
        for number, message in enumerate(example["messages"])
        if message["role"] == "assistant" and message.get("weight") != 0
    ]


def pairs(rows: list[dict]) -> list[dict]:
    """The rows in TRL's preference format."""
    names = ("prompt", "chosen", "rejected")
    return [dict(zip(names, map(training.plain, preferences.parts_of(row)), strict=True)) for row in rows]


def questions(rows: list[dict]) -> list[dict]:
    """The rows, their messages as plain texts; the other keys are for the grader."""
    return [row | {"messages": training.plain(row["messages"])} for row in rows]


ROWS = {  # what is written of a file, for each method
    "supervised": lambda file: learned(file.sample),
    "dpo": lambda file: pairs(file.rows),
    "reinforcement": lambda file: questions(file.rows),
}


def settings_of(job: dict, base: weights.Base, rows: int, rank: int) -> dict:
    """What the script needs to know of a job with so many rows, and matrices of this rank."""
    method = job["method"]["type"]
    numbers = resolve(method, job["method"][method]["hyperparameters"])
    steps = math.ceil(rows / numbers["batch_size"]) * numbers["n_epochs"]
    own = {name: numbers[name] for name in ("beta", "rpo_alpha", "eval_interval") if name in numbers}
    if method == "reinforcement":
        drawn = rewards.drawn(numbers["compute_multiplier"])
        own |= {"grader": job["method"][method]["grader"], "drawn": drawn, "max_answer": rewards.MAX_ANSWER}
    return {
        "method": method,
        "base": base.public_name,
        "base_license": base.licence or "unknown",
        "lora": {"r": rank, "lora_alpha": training.alpha(rank), "target_modules": "all-linear"},
        "n_epochs": numbers["n_epochs"],
        "batch_size": numbers["batch_size"],
        "learning_rate": rates.usual_rate(method, base) * numbers["learning_rate_multiplier"],
        "learning_rate_up_to_width": rates.family_and_width(base.folder)[1],
        "learning_rate_rule": {
            "source": rates.SOURCE,
            "at_width_2000": rates.AT_WIDTH_2000,
            "powers": rates.POWERS,
        },
        "warmup_steps": max(1, round(training.WARM_UP * steps)),
        "max_grad_norm": training.LONGEST_NORM,
        "adam_betas": training.BETAS,
        "seed": job["seed"],
        "max_tokens": training.MAX_TOKENS,
        # batches of similar length, as in the course; TRL can do that for examples only. "sequential": as in the file
        "order": "group_by_length" if method == "supervised" else "random",
        **own,
    }


def _write_start(adapter: bytes | None, base: weights.Base, target: Path) -> None:
    """The matrices that the job trains further, if it does not begin with new ones."""
    if adapter:
        plain = training.AutoModelForCausalLM.from_pretrained(base.folder)
        save_adapter(training.with_lora(plain, adapter, seed=0), base, target, START_PAGE)


def _write_rows(rows: list[dict], path: Path) -> None:
    _write(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _readme(row: Row, settings: dict, rows: int) -> str:
    code, same, other = METHODS[settings["method"]]
    return README.format(
        job=row.id,
        method=settings["method"],
        code=code,
        same=same,
        other=other,
        shared=settings["batch_size"] * settings.get("drawn", 1),
        rows=rows,
        epochs=settings["n_epochs"],
        batch=settings["batch_size"],
        base=settings["base"],
        rate=settings["learning_rate"],
        usual=USUAL_RATE,
        rule=rates.SOURCE,
        source=RATE_SOURCE,
        rank=settings["lora"]["r"],
        name=re.sub(r"[^A-Za-z0-9_-]", "-", row.body["user_provided_suffix"] or "tuned"),
    )
