"""Trains the airport file on a graphics card and, for a few steps, on the processor, and compares them.

    PY -m tests.on_gpu                  five minutes at most; LOCAL_API_DEVICE names another device than the quickest
    PY -m tests.on_gpu --steps 2        compares fewer steps

It needs ``python start.py local --cuda`` and is no test of the three tiers: no machine of theirs has a card. It trains
by examples, by preferences and by rewards, with the classes that the jobs use. Printed are the losses of the first
steps on both in float32 (rewards: the mean rewards), which are to agree, then for the whole of each training on the
device, in the precision that it chooses, tokens a second and memory. Ends with 1 if losses differ by more than
``TOLERANCE``.
"""

import argparse
import itertools
import json
import os
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field

import psutil

from helpers.local_api.engines import trained
from helpers.local_api.engines.trained import weights
from helpers.local_api.training_files import TrainingFile
from tests.environment import ROOT

TOLERANCE = 0.01  # share by which a loss in float32 may differ: sums are made in another order
SEED, EXAMPLES, QUESTIONS = (
    0,
    10,
    8,
)  # rows learned as examples before the other two; questions whose answers are graded
SHOWN = {"supervised": "train_loss", "dpo": "train_loss", "reinforcement": "train_mean_reward"}
GRADER = {
    "type": "string_check",
    "name": "desk",
    "operation": "like",
    "input": "{{sample.output_text}}",
    "reference": "Desk: ",
}


@dataclass
class Run:
    """What one training gave: the loss or the mean reward of each step, tokens, seconds, bytes at most."""

    values: list[float] = field(default_factory=list)
    tokens: int = 0
    seconds: float = 0.0
    memory: int = 0
    adapter: bytes = b""


def chats() -> list[dict]:
    lines = (ROOT / "data" / "airport" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def pair(chat: dict) -> dict:
    """A row of preferences: the house style, and the same answer without its last line."""
    *asked, answer = chat["messages"]
    worse = answer | {"content": answer["content"].splitlines()[0]}
    return {"input": {"messages": asked}, "preferred_output": [answer], "non_preferred_output": [worse]}


def rows_for(method: str) -> list[dict]:
    if method == "supervised":
        return chats()
    if method == "dpo":
        return [pair(chat) for chat in chats()[EXAMPLES:]]
    return [{"messages": chat["messages"][:-1]} for chat in chats()[EXAMPLES : EXAMPLES + QUESTIONS]]


def train(
    device: str, method: str, rows: list[dict], start: bytes | None, steps: int | None, precision=""
) -> Run:
    """Trains on this device; all steps, or the first ``steps``. ``precision`` is the device's own choice if empty."""
    import torch

    from helpers.local_api.engines.trained import courses, training

    os.environ |= {"LOCAL_API_DEVICE": device, "LOCAL_API_PRECISION": precision}
    training.quickest_precision.cache_clear()
    job = {"model": trained.MODEL, "seed": SEED, "method": {"type": method, method: {"grader": GRADER}}}
    numbers = trained.AUTO[method] | {"n_epochs": 1}
    is_cuda = device.startswith("cuda")
    if is_cuda:
        torch.cuda.reset_peak_memory_stats()
    with closing(
        courses.COURSES[method](job, numbers, [TrainingFile(len(rows), rows, set()), None], start, None)
    ) as course:
        course.prepare()
        run, begin = Run(), time.monotonic()
        run.values = [metrics[SHOWN[method]] for metrics in itertools.islice(course.steps(), steps)]
        run.seconds = time.monotonic() - begin
        run.tokens = round(course.tokens() * course.trainer.step / course.trainer.total)
        run.adapter = training.adapter_bytes(course.trainer.model)
    run.memory = torch.cuda.max_memory_allocated() if is_cuda else psutil.Process().memory_info().rss
    return run


def compare(device: str, method: str, start: bytes | None, steps: int) -> bool:
    """Prints the first steps on the device and on the processor. True if the losses agree."""
    rows = rows_for(method)
    both = [train(where, method, rows, start, steps, "float32").values for where in ("cpu", device)]
    for number, (cpu, other) in enumerate(zip(*both, strict=True), 1):
        print(f"{method:>14} step {number}: {SHOWN[method]} {cpu:.4f} on cpu, {other:.4f} on {device}")
    if method == "reinforcement":  # a draw that rounding turns changes all that follows
        return True
    return all(abs(cpu - other) <= TOLERANCE * abs(cpu) for cpu, other in zip(*both, strict=True))


def main(arguments: list[str] | None = None) -> int:
    """Returns 0 if all losses agree."""
    from helpers.local_api.engines.trained import devices, training

    parser = argparse.ArgumentParser(prog="python -m tests.on_gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=6, help="steps that are compared (default: %(default)s)")
    steps = parser.parse_args(arguments).steps
    device, name = str(devices.device()), devices.described()
    print(f"{trained.MODEL} from {weights.base(trained.MODEL).public_name}, on {name}")
    start = train(device, "supervised", chats()[:EXAMPLES], None, None).adapter
    starts = dict.fromkeys(SHOWN, start) | {"supervised": None}
    compared = dict.fromkeys(SHOWN, steps) | {"reinforcement": min(steps, 2)}
    agreed = [compare(device, method, starts[method], compared[method]) for method in SHOWN]
    for method in SHOWN:
        run = train(device, method, rows_for(method), starts[method], None)
        speed = f"{run.tokens / run.seconds:,.0f} tokens a second, {run.seconds:.0f} s"
        print(
            f"{method:>14} whole, in {training.quickest_precision()}: {SHOWN[method]} {run.values[0]:.2f} to "
            f"{run.values[-1]:.2f}, {speed}, {run.memory / 1e9:.1f} GB at most"
        )
    print("The losses agree." if all(agreed) else f"Losses differ by more than {TOLERANCE:.0%}.")
    return 0 if all(agreed) else 1


if __name__ == "__main__":
    sys.exit(main())
