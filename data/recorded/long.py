"""Makes long.jsonl and long_losses.jsonl: the trainings of the recorded run once more, five times as long.

``python -m data.recorded.long``, in the project's folder, after ``python start.py local``. The same model, file and
seeds, but 20 epochs instead of the 4 of "auto": what does a training that is much too long do to the answers? It can
be stopped at any time: what is there is not done again.
"""

import os
import time

from openai import OpenAI

from data.airport.make_with_rules import read_jsonl
from data.recorded import make
from helpers.connect import connect

EPOCHS = 20
ASKED_EARLIER = (4, 8, 12, 16)  # epochs whose checkpoint answers the validation questions
WAY = "tuned"


def main() -> None:
    """Writes long.jsonl (way, run, id, answer, ...) and long_losses.jsonl (run, epoch, full_valid_loss)."""
    from helpers.local_api.engines.trained import serving

    os.environ["LOCAL_API_PRECISION"] = make.PRECISION
    serving.GAP_SECONDS = make.GAP
    connect()
    client = OpenAI(timeout=3600, max_retries=0)
    answers, losses = make.Book("long.jsonl"), make.Book("long_losses.jsonl")
    for seed in make.SEEDS:
        run = f"{make.Run('tuned', seed).name}-of{EPOCHS}"
        if answers.has(run=run):
            continue
        print(f"{time.strftime('%H:%M:%S')} training {run}", flush=True)
        job = train(client, run, seed)
        if not losses.has(run=run):
            ends = [step for step in make.steps(client, job) if "full_valid_loss" in step]
            rows = enumerate((round(step["full_valid_loss"], 4) for step in ends), start=1)
            losses.add([{"epoch": epoch, "full_valid_loss": loss} for epoch, loss in rows], run=run)
        points = client.fine_tuning.jobs.checkpoints.list(job.id, limit=EPOCHS).data[::-1]
        for epoch in ASKED_EARLIER:
            name = f"{run}-epoch{epoch}"
            model = points[epoch - 1].fine_tuned_model_checkpoint
            make.answer_way(client, answers, model, WAY, name, ("valid",))
        make.answer_way(client, answers, job.fine_tuned_model, WAY, run, ("valid", *make.TEST))
    print(f"{time.strftime('%H:%M:%S')} done", flush=True)


def train(client: OpenAI, run: str, seed: int):
    """The finished job of this run; one that exists is found again by its name in the metadata."""
    jobs = [job for job in client.fine_tuning.jobs.list(metadata={"run": run}) if job.status != "failed"]
    job = (
        jobs[0]
        if jobs
        else client.fine_tuning.jobs.create(
            model=make.MODEL,
            training_file=make.upload(client, "train.jsonl", read_jsonl("train.jsonl")),
            validation_file=make.upload(client, "valid.jsonl", read_jsonl("valid.jsonl")),
            seed=seed,
            suffix="airport",
            metadata={"run": run},
            method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": EPOCHS}}},
        )
    )
    while job.status not in ("succeeded", "failed", "cancelled"):
        time.sleep(2)
        job = client.fine_tuning.jobs.retrieve(job.id)
    if job.status != "succeeded":
        raise SystemExit(f"{run}: {job.status}, {job.error}")
    return job


if __name__ == "__main__":
    main()
