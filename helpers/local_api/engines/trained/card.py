"""The page beside exported matrices: what they are, what they were trained on, with which result, how to serve them."""

from ... import history, jobs
from ...store import Row, Store
from ...training_files import Failure
from . import MODEL, base_of, rates, resolve, templates, training, weights

HEAD = """---
base_model: {base.public_name}
library_name: peft
license: {licence}
pipeline_tag: text-generation
tags: [lora]
---
"""

TEXT = """# {name}

Matrices (LoRA) for {link}, trained on one computer by the API of a course on
fine-tuning. They do nothing without that base model{language}.

{table}

## Serve it

**The safe choice is the folder `merged` next to this one, or the file `model.gguf` where there is one:** the whole
model as it answered on the computer that trained it, its numbers rounded to 16 and to 8 bits. {trained_on}
In the folder above this one:

```bash
vllm serve {base.public_name} --host 127.0.0.1 --enable-lora --lora-modules tuned=adapter
```

Two adapters on one base, each asked by its name as the model, whose folders are `one` and `two`:

```bash
vllm serve {base.public_name} --host 127.0.0.1 --enable-lora --max-loras 2 \\
    --lora-modules one=one/adapter two=two/adapter
```

With `--host 127.0.0.1` only that machine can ask; without it vLLM listens on every network, and asks for no key.
(From vLLM's documentation, 2026-11-28; the course's tests do not run vLLM.)
{thinking}
With Ollama, where there is a `Modelfile`:

```bash
ollama create tuned -f Modelfile
```

(From Ollama's documentation; not run here.)

## Licence

{terms} The matrices were made from the examples of the training file: pass them on
only if you may pass on those.
"""

ROUNDED = """These matrices were trained on a copy of the
base whose weights had been rounded{bits}. `adapter_config.json` names the original weights, and on those the
course has not compared the answers. So compare first, with questions of your own."""
THINKING = """
The base thinks aloud unless told not to, and was trained without thoughts. `merged` is told already. Ask `adapter` with
`extra_body={"chat_template_kwargs": {"enable_thinking": False}}`: else it reads another prompt than in training.
"""
AS_IT_IS = "These matrices were trained on {name} as it was added, in bfloat16 or float32."


def card(store: Store, row: Row) -> str:
    """The page of a tuned model of this engine, as Markdown. What is not known, as of a deleted file, is left out."""
    rank = training.rank_of(training.read_tensors(store.data("model", row.id, row.owner)))
    table = [("matrices", f"rank {rank}, alpha {training.alpha(rank)}, next to every linear layer")]
    job = next((job for job in store.every("job") if job.id == row.parent), None)
    if job:
        table += [*_data(store, job), *_settings(store, job), *_result(store, job, row.id)]
    lines = ["| | |", "| --- | --- |", *(f"| {name} | {value.replace('|', '/')} |" for name, value in table)]
    base = weights.base(base_of(row.id))
    head = HEAD.format(base=base, licence=base.licence or "unknown")
    return head + "\n" + TEXT.format(name=row.id, base=base, table="\n".join(lines), **_of_the_base(base))


def _of_the_base(base: weights.Base) -> dict[str, str]:
    """What the page says of a base in sentences."""
    ours = base.name == MODEL
    link = f"[{base.public_name}](https://huggingface.co/{base.public_name})"
    rounded = ROUNDED.format(bits=" to 4 bits" if ours else "")
    template = training.load_tokenizer(base.folder).chat_template
    terms = f"The licence of the base: {base.licence or 'not stated; ask who made it'}."
    return {
        "link": link if "/" in base.public_name else base.public_name,
        "language": ", which speaks English only" if ours else "",
        "thinking": THINKING if templates.NO_THINKING in template else "",
        "trained_on": rounded if base.is_rounded else AS_IT_IS.format(name=base.public_name),
        "terms": "The base is under the Apache licence 2.0." if ours else terms,
    }


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
    base = weights.base(base_of(job.body["model"]))
    rate = rates.usual_rate(method, base) * numbers["learning_rate_multiplier"]
    earlier = [("trained further from", job.body["model"])] if job.body["model"] != base.name else []
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
