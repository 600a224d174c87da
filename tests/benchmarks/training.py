"""What our training loop costs, against transformers.Trainer and TRL's SFTTrainer.

``python -m tests.benchmarks.training`` after ``python start.py test --all``. The three train the same model, with
the same LoRA matrices and precision, on the same batches of the airport's examples in the same order, at a constant
learning rate. Each runs in a process of its own, in turn, three times; the table has the medians, and the last loss,
which must be the same. Times are without loading and without the first two steps. CPU seconds mean something on a
busy computer too, the others less.

``--job`` measures a whole job on the airport's file instead, as the training process does it: minutes and memory;
``--job dpo`` and ``--job reinforcement`` do that for the other methods.
``--rewards`` measures how many answers a second are drawn together, and what share of a step with rewards that takes.
``--profile`` says which operations of our loop take the CPU seconds.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[2]
ROUNDS, STEPS, WARM_UP = 3, 12, 2  # WARM_UP steps of STEPS are not timed
BATCH, RATE, SEED = 4, 1e-3, 0
MOST_OF_TRL = 0.8  # our CPU seconds a token, as a share of TRL's
SAME_LOSS = 0.01  # relative
CLOSE = {
    "type": "text_similarity",
    "name": "close",
    "input": "{{sample.output_text}}",
    "reference": "{{item.answer}}",
    "evaluation_metric": "fuzzy_match",
}


class Stopwatch:
    """Seconds and CPU seconds from the end of the warm-up to the last step."""

    def __init__(self):
        self.start = self.end = None

    def step_ends(self, number: int) -> None:
        if number == WARM_UP:
            self.start = time.perf_counter(), time.process_time()
        if number == STEPS:
            self.end = time.perf_counter(), time.process_time()

    def seconds(self) -> tuple[float, float]:
        return self.end[0] - self.start[0], self.end[1] - self.start[1]


def chats(name: str = "train.jsonl") -> list[dict]:
    text = (ROOT / "data" / "airport" / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def chosen() -> tuple:
    """(model with LoRA, tokenizer, the batches as our examples, the same batches as chats)."""
    import random

    from helpers.local_api.engines.trained import training, weights

    tokenizer = training.load_tokenizer(weights.folder())
    rows = chats()
    examples = [training.encode(tokenizer, row["messages"]) for row in rows]
    where = {id(example): row for example, row in zip(examples, rows, strict=True)}
    groups = training.batches(examples, BATCH, random.Random(SEED))[:STEPS]
    model = training.with_lora(training.load_model(weights.folder()), None, SEED)
    return model, tokenizer, groups, [[where[id(example)] for example in group] for group in groups]


# --- the three ways --------------------------------------------------------------------------------------------


def ours(model, tokenizer, groups, rows, watch: Stopwatch) -> float:
    from helpers.local_api.engines.trained import training

    trainer = training.Trainer(model, training.Settings(1, BATCH), BATCH * STEPS)
    trainer.rate = lambda: RATE
    for group in groups:
        loss = trainer.learn(group)["train_loss"]
        watch.step_ends(trainer.step)
    return loss


def with_trainer(model, tokenizer, groups, rows, watch: Stopwatch) -> float:
    import torch
    from transformers import Trainer, TrainingArguments

    def collate(batch: list) -> dict:
        length = max(len(example["tokens"]) for example in batch)
        pad = [length - len(example["tokens"]) for example in batch]
        labels = [[t if on else -100 for t, on in zip(e["tokens"], e["trained"], strict=True)] for e in batch]
        parts = {
            "input_ids": [e["tokens"] + [0] * n for e, n in zip(batch, pad, strict=True)],
            "attention_mask": [[1] * len(e["tokens"]) + [0] * n for e, n in zip(batch, pad, strict=True)],
            "labels": [line + [-100] * n for line, n in zip(labels, pad, strict=True)],
        }
        return {name: torch.tensor(part) for name, part in parts.items()}

    data = [{"tokens": e.tokens, "trained": e.trained} for group in groups for e in group]
    with tempfile.TemporaryDirectory() as folder:
        options = TrainingArguments(folder, remove_unused_columns=False, **_options())
        trainer = Trainer(model, options, data_collator=collate, train_dataset=data)
        return _watched(trainer, watch)


def with_trl(model, tokenizer, groups, rows, watch: Stopwatch) -> float:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    from helpers.local_api.engines.trained.train_trl import prompt_of

    data = Dataset.from_list(
        [
            {
                "prompt": prompt_of(row["messages"][:-1], tokenizer),
                "completion": row["messages"][-1]["content"],
            }
            for group in rows
            for row in group
        ]
    )
    with tempfile.TemporaryDirectory() as folder:
        options = SFTConfig(
            folder, completion_only_loss=True, gradient_checkpointing=False, bf16=False, **_options()
        )
        trainer = SFTTrainer(model, options, train_dataset=data, processing_class=tokenizer)
        return _watched(trainer, watch)


def _options() -> dict:
    """What transformers and TRL are told: as our loop does it."""
    return {
        "max_steps": STEPS,
        "per_device_train_batch_size": BATCH,
        "train_sampling_strategy": "sequential",
        "learning_rate": RATE,
        "lr_scheduler_type": "constant",
        "adam_beta1": 0.9,
        "adam_beta2": 0.99,
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "seed": SEED,
        "logging_steps": 1,
        "save_strategy": "no",
        "use_cpu": True,
        "report_to": "none",
        "disable_tqdm": True,
    }


def _watched(trainer, watch: Stopwatch) -> float:
    from transformers import TrainerCallback

    class Steps(TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            watch.step_ends(state.global_step)

    trainer.add_callback(Steps())
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry][-1]


WAYS = {"our loop": ours, "transformers.Trainer": with_trainer, "TRL SFTTrainer": with_trl}


# --- measuring -------------------------------------------------------------------------------------------------


def measure(way: str, threads: int) -> dict:
    """Runs in a process of its own."""
    import torch

    torch.set_num_threads(threads)
    model, tokenizer, groups, rows = chosen()
    watch = Stopwatch()
    loss = WAYS[way](model, tokenizer, groups, rows, watch)
    wall, cpu = watch.seconds()
    timed = [example for group in groups[WARM_UP:] for example in group]
    tokens = sum(len(example.tokens) for example in timed)
    return {
        "wall": 1000 * wall / tokens,
        "cpu": 1000 * cpu / tokens,
        "memory": memory_mb(),
        "loss": loss,
        "flop": flop(model, tokens, sum(sum(example.trained[1:]) for example in timed)) / cpu,
        "peak": matmul_peak(torch, next(model.parameters()).dtype),
        "precision": str(next(model.parameters()).dtype).removeprefix("torch."),
    }


def flop(model, tokens: int, trained: int) -> float:
    """What the products need: the frozen matrices forward and for the gradient of their input, LoRA once more."""
    lora = sum(p.numel() for p in model.parameters() if p.requires_grad)
    head = model.get_output_embeddings().weight.numel()
    body = sum(p.numel() for p in model.parameters()) - lora - head
    return 4 * body * tokens + 4 * head * trained + 6 * lora * tokens


def matmul_peak(torch, dtype) -> float:
    """Operations in a CPU second of a large product, the best of ten."""
    left, right = torch.ones(1024, 2048, dtype=dtype), torch.ones(2048, 2048, dtype=dtype)
    times = []
    for _ in range(10):
        start = time.process_time()
        left @ right
        times.append(time.process_time() - start)
    return 2 * 1024 * 2048 * 2048 / min(times)


def memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def in_a_process(way: str, threads: int) -> dict:
    command = [sys.executable, "-m", "tests.benchmarks.training", "--way", way, "--threads", str(threads)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if run.returncode:
        sys.exit(run.stderr)
    return json.loads(run.stdout.splitlines()[-1])


def compare(threads: int) -> int:
    """Measures in turn, prints the table. Returns 0 if the goal is reached at the same loss."""
    found = {way: [] for way in WAYS}
    for _ in range(ROUNDS):
        for way in WAYS:
            found[way].append(in_a_process(way, threads))
    first = found["our loop"][0]
    print(
        f"{first['precision']}, {threads} threads, batches of {BATCH}, {STEPS - WARM_UP} steps; medians of {ROUNDS}"
    )
    print(
        f"\n{'per 1,000 tokens':22} {'CPU s':>6} {'ratio':>6} {'wall s':>7} {'memory MB':>10} {'loss':>7} of peak"
    )
    middle = {
        way: {key: statistics.median(run[key] for run in runs) for key in ("cpu", "wall", "memory", "loss")}
        for way, runs in found.items()
    }
    peak = max(run["peak"] for runs in found.values() for run in runs)
    trl = middle["TRL SFTTrainer"]
    for way, of in middle.items():
        share = statistics.median(run["flop"] for run in found[way]) / peak
        print(
            f"{way:22} {of['cpu']:6.2f} {of['cpu'] / trl['cpu']:6.2f} {of['wall']:7.2f} {of['memory']:10.0f} "
            f"{of['loss']:7.4f} {share:7.0%}"
        )
    print(f"\nPeak: {peak / 1e9:.0f} GFLOP in a CPU second, measured with a product of 1024 x 2048 x 2048")
    ratio = middle["our loop"]["cpu"] / trl["cpu"]
    apart = abs(middle["our loop"]["loss"] / trl["loss"] - 1)
    print(
        f"Our loop needs {ratio:.2f} of TRL's CPU seconds; the goal is {MOST_OF_TRL}. Last losses differ by {apart:.2%}"
    )
    return int(ratio > MOST_OF_TRL or apart > SAME_LOSS)


def rewards_step() -> int:
    """Draws answers of the untrained model and learns from rewards for their length; prints rates and shares."""
    import torch

    from helpers.local_api.engines.trained import rewards, training, weights
    from helpers.local_api.graders import Grade

    threads = training.quickest_threads()
    parts = training.share_out_threads(BATCH)
    tokenizer = training.load_tokenizer(weights.folder())
    asked = [row | {"messages": row["messages"][:2]} for row in chats()[: BATCH * (WARM_UP + ROUNDS)]]
    questions = [rewards.encode(tokenizer, row) for row in asked]
    model = training.with_lora(training.load_model(weights.folder()), None, SEED)
    trainer = training.Trainer(
        model, training.Settings(1, BATCH, seed=SEED, usual_rate=0.0), len(questions), parts
    )
    answering = rewards.Answering(trainer, tokenizer)

    def grade(answers: list) -> list[Grade]:
        return [Grade(len(text) / 1000) for text, _ in answers]

    wishes = rewards.Wishes(eval_interval=BATCH * len(questions))
    steps = list(rewards.train(trainer, answering, questions, [], grade, wishes))[WARM_UP:]
    sampling, learning = (
        statistics.median(step["timing"]["step"][name] for step in steps) for name in ("sampling", "training")
    )
    count = BATCH * rewards.DRAWN
    tokens = statistics.fmean(step["completion_tokens_mean"] for step in steps)
    print(
        f"{training.quickest_precision()}, {threads} threads; {count} answers a step of {tokens:.0f} tokens in the mean"
    )
    print(
        f"drawn together: {count / sampling:.2f} answers a second, {count * tokens / sampling:.0f} tokens a second"
    )
    print(
        f"a step with rewards: {sampling / (sampling + learning):.0%} sampling, the rest learning; median of {ROUNDS}"
    )
    return int(not torch.isfinite(torch.tensor(sampling)))


KINDS = {  # of operations, by what their names contain
    "products of matrices": ("mm", "linear", "mkldnn"),
    "normalizing, activations, adding": (
        "mul",
        "add",
        "silu",
        "pow",
        "mean",
        "rsqrt",
        "softmax",
        "cat",
        "neg",
    ),
    "moving and changing precision": ("copy", "to", "clone", "index", "slice", "fill", "zero", "empty"),
}


def profile() -> int:
    """Prints the share of each kind of operation in the CPU seconds of our loop, forward, backward and optimizer."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    from helpers.local_api.engines.trained import training

    model, _, groups, _ = chosen()
    trainer = training.Trainer(model, training.Settings(1, BATCH), BATCH * STEPS)
    trainer.pool = SimpleNamespace(map=map)  # the profiler sees what this thread does
    for group in groups[:WARM_UP]:
        trainer.learn(group)
    with profiler(activities=[ProfilerActivity.CPU]) as watched:
        for group in groups[WARM_UP:]:
            trainer.learn(group)
    events = watched.key_averages()
    whole = sum(event.self_cpu_time_total for event in events)
    shares = dict.fromkeys([*KINDS, "the rest"], 0.0)
    for event in events:
        name = event.key.removeprefix("aten::")
        kind = next(
            (kind for kind, parts in KINDS.items() if any(part in name for part in parts)), "the rest"
        )
        shares[kind] += event.self_cpu_time_total / whole
    for kind, share in shares.items():
        print(f"{share:6.0%} {kind}")
    print()
    for event in sorted(events, key=lambda event: -event.self_cpu_time_total)[:12]:
        print(f"{event.self_cpu_time_total / whole:6.1%} {event.count:6} times {event.key}")
    return 0


def rows_for(method: str) -> list[dict]:
    """The airport's training rows in the format of the method; with rewards few, for each is answered eight times."""
    rows = chats()
    if method == "dpo":
        others = [*rows[1:], rows[0]]  # the answer to another question is the worse one
        return [
            {
                "input": {"messages": row["messages"][:2]},
                "preferred_output": row["messages"][2:],
                "non_preferred_output": other["messages"][2:],
            }
            for row, other in zip(rows, others, strict=True)
        ]
    if method == "reinforcement":
        return [
            {"messages": row["messages"][:2], "answer": row["messages"][2]["content"]} for row in rows[:16]
        ]
    return rows


def whole_job(method: str) -> int:
    """A job of this method on the airport's file through the API; prints what its training process needed."""
    from openai import OpenAI

    from helpers.connect import connect
    from helpers.jobs import new_events
    from helpers.local_api.engines.trained import lease
    from helpers.local_api.store import Store

    with tempfile.TemporaryDirectory() as folder:
        os.environ["LOCAL_API_HOME"] = folder
        connect()
        client = OpenAI(max_retries=0)
        lines = "".join(json.dumps(row) + "\n" for row in rows_for(method))
        more = {"grader": CLOSE} if method == "reinforcement" else {}
        job = client.fine_tuning.jobs.create(
            model="smollm2-135m-instruct",
            training_file=client.files.create(file=("rows.jsonl", lines.encode()), purpose="fine-tune").id,
            method={"type": method, method: more},
            seed=SEED,
        )
        most, cpu = 0.0, 0.0
        while job.status not in ("succeeded", "failed", "cancelled"):
            if (held := lease.read(Store(folder))) and held.body["pid"]:
                most, cpu = max(most, _peak_mb(held.body["pid"])), max(cpu, _cpu_seconds(held.body["pid"]))
            time.sleep(0.5)
            job = client.fine_tuning.jobs.retrieve(job.id)
        started = next(e for e in new_events(client, job.id) if e.message == "Fine-tuning job started")
        seconds = job.finished_at - started.created_at
        print(
            f"{method}, {job.status}: {job.trained_tokens} tokens in {seconds} s of training, "
            f"{cpu:.0f} CPU s with loading, at most {most:.0f} MB in memory"
        )
    return int(job.status != "succeeded")


def _peak_mb(pid: int) -> float:
    import re

    try:
        return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1000
    except (OSError, TypeError):
        return 0.0


def _cpu_seconds(pid: int) -> float:
    import psutil

    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return times.user + times.system


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--way", choices=WAYS, help="run only this, in this process")
    methods = ("supervised", "dpo", "reinforcement")
    parser.add_argument(
        "--job", choices=methods, nargs="?", const=methods[0], help="measure a whole job of this method"
    )
    parser.add_argument(
        "--rewards", action="store_true", help="measure drawing answers, and a step with rewards"
    )
    parser.add_argument(
        "--profile", action="store_true", help="show which operations of our loop take the time"
    )
    options = parser.parse_args()
    if options.rewards or options.profile:
        return rewards_step() if options.rewards else profile()
    if options.way:
        print(json.dumps(measure(options.way, options.threads)))
        return 0
    return whole_job(options.job) if options.job else compare(options.threads)


if __name__ == "__main__":
    sys.exit(main())
