"""The page beside exported matrices: what they are, what they were trained on, with which result, how to serve them."""

from ... import history, jobs
from ...store import Row, Store
from ...training_files import Failure
from . import MODEL, USUAL_RATES, resolve, training
from .weights import LICENCE, PUBLIC_NAME

HEAD = f"""---
base_model: {PUBLIC_NAME}
library_name: peft
license: {LICENCE}
pipeline_tag: text-generation
tags: [lora]
---
"""

TEXT = """# {name}

Matrices (LoRA) for [{base}](https://huggingface.co/{base}), trained on one computer by the API of a course on
fine-tuning. They do nothing without that base model, which speaks English only.

{table}

## Serve it

**The safe choice is the folder `merged` next to this one, or the file `model.gguf`:** the whole model as it answered
on the computer that trained it, its numbers rounded to 16 and to 8 bits. These matrices were trained on a copy of the
base whose weights had been rounded to 4 bits. `adapter_config.json` names the original weights, and on those the
course has not compared the answers. So compare first, with questions of your own. In the folder above this one:

```bash
vllm serve {base} --enable-lora --lora-modules tuned=adapter
```

(From vLLM's documentation; the course's tests do not run vLLM.)

## Licence

The base is under the Apache licence 2.0. The matrices were made from the examples of the training file: pass them on
only if you may pass on those.
"""


def card(store: Store, row: Row) -> str:
    """The page of a tuned model of this engine, as Markdown. What is not known, as of a deleted file, is left out."""
    table = [("matrices", f"rank {training.RANK}, alpha {training.ALPHA}, next to every linear layer")]
    job = next((job for job in store.every("job") if job.id == row.parent), None)
    if job:
        table += [*_data(store, job), *_settings(store, job), *_result(store, job, row.id)]
    lines = ["| | |", "| --- | --- |", *(f"| {name} | {value.replace('|', '/')} |" for name, value in table)]
    return HEAD + "\n" + TEXT.format(name=row.id, base=PUBLIC_NAME, table="\n".join(lines))


def _data(store: Store, job: Row) -> list[tuple[str, str]]:
    try:
        read = dict(zip(("training_file", "validation_file"), history.read_files(store, job), strict=True))
    except Failure:  # a file was deleted
        read = {}
    found = []
    for param, file in read.items():
        if file:
            kept = store.get("file", job.body[param], job.owner)
            found.append((param.replace("_", " "), f"{kept.body['filename']}, {file.count} rows"))
    return found


def _settings(store: Store, job: Row) -> list[tuple[str, str]]:
    method = job.body["method"]["type"]
    numbers = resolve(method, jobs.view(store, job)["method"][method]["hyperparameters"])
    rate = USUAL_RATES[method] * numbers["learning_rate_multiplier"]
    earlier = [("trained further from", job.body["model"])] if job.body["model"] != MODEL else []
    return earlier + [
        ("job", f"{job.id}, seed {job.body['seed']}"),
        ("method", method),
        (
            "settings",
            f"{numbers['n_epochs']} epochs, batches of {numbers['batch_size']}, learning rate {rate:g}",
        ),
    ]


def _result(store: Store, job: Row, name: str) -> list[tuple[str, str]]:
    """The step at which these matrices were kept, and what was measured there."""
    for kept in store.children("checkpoint", job.id):
        if kept.body["fine_tuned_model_checkpoint"] == name:
            measured = {key: value for key, value in kept.body["metrics"].items() if key != "step"}
            return [
                ("step", str(kept.body["step_number"])),
                *((key.replace("_", " "), f"{value:.2f}") for key, value in measured.items()),
            ]
    return []
