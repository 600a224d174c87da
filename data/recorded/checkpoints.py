"""Makes checkpoints.csv: what more epochs did to the answers, one row a checkpoint, over all seeds of the recorded run.

``python -m data.recorded.checkpoints``, in the project's folder. Counted on the validation questions: this is a choice,
and the questions for practice are not for choosing. Nothing is typed by hand: a unit test makes it again and compares.
"""

import csv
import json
from collections.abc import Iterator
from statistics import mean

from data.recorded import long, make
from helpers import evaluate

SHORT = 4  # epochs of "auto"


def trainings() -> Iterator[tuple[int, int, list[str]]]:
    """(epochs of the job, epoch of the checkpoint, its name for each seed), in the order of the table."""
    runs = [make.Run("tuned", seed).name for seed in make.SEEDS]
    for epoch in (*make.EPOCHS_BEFORE, SHORT):
        yield SHORT, epoch, [run if epoch == SHORT else f"{run}-epoch{epoch}" for run in runs]
    for epoch in (*long.ASKED_EARLIER, long.EPOCHS):
        names = [f"{run}-of{long.EPOCHS}" for run in runs]
        yield long.EPOCHS, epoch, [name if epoch == long.EPOCHS else f"{name}-epoch{epoch}" for name in names]


def losses() -> dict[tuple[int, int], float]:
    """The loss on all validation rows, mean of the seeds: (epochs of the job, epoch) -> loss."""
    found: dict[tuple[int, int], list[float]] = {}
    runs = [make.Run("tuned", seed).name for seed in make.SEEDS]
    for row in _rows("losses.jsonl"):
        if row["run"] in runs and "full_valid_loss" in row:
            epoch = SHORT * row["step"] // row["total_steps"]
            found.setdefault((SHORT, epoch), []).append(row["full_valid_loss"])
    for row in _rows("long_losses.jsonl"):
        found.setdefault((long.EPOCHS, row["epoch"]), []).append(row["full_valid_loss"])
    return {place: mean(values) for place, values in found.items()}


def _rows(name: str) -> list[dict]:
    return [json.loads(line) for line in (make.RECORDED / name).read_text(encoding="utf-8").splitlines()]


def table() -> list[dict]:
    """The rows of checkpoints.csv.

    job, epoch, validation loss; form and right desk as counts over all seeds; the desk's 95 % interval over the
    questions; and the desk compared with the checkpoint of the short job that has the lowest loss, p corrected for
    the number of comparisons.
    """
    questions, loss = evaluate.questions("valid"), losses()
    counted = {
        (epochs, epoch): [evaluate.evaluate(evaluate.recorded(long.WAY, run), questions) for run in runs]
        for epochs, epoch, runs in trainings()
    }
    short = [place for place in counted if place[0] == SHORT]
    best = min(short, key=loss.get)
    others = [place for place in counted if place != best]
    looks = [
        evaluate.compare(counted[best], counted[place], "desk", (f"epoch {best[1]}", "this one"))
        for place in others
    ]
    verdicts = dict(zip(others, evaluate.comparisons([], looks)["verdict"], strict=True))
    return [
        {"job": f"{epochs} epochs", "after epoch": epoch, "validation loss": f"{loss[epochs, epoch]:.2f}"}
        | counts(tables)
        | {f"desk, against epoch {best[1]} of {SHORT}": verdicts.get((epochs, epoch), "the lowest loss")}
        for (epochs, epoch), tables in counted.items()
    ]


def counts(tables: list) -> dict[str, str]:
    """Form and right desk, counted over all seeds, and the interval of the desk."""
    asked = sum(len(one) for one in tables)
    form, desk = (sum(int(one[check].sum()) for one in tables) for check in ("form", "desk"))
    low, high = evaluate.summary(tables).loc["desk", ["low", "high"]]
    return {
        "form": f"{form} of {asked}",
        "right desk": f"{desk} of {asked}",
        "95 % interval": f"{100 * low:.0f} to {100 * high:.0f} %",
    }


def main() -> None:
    """Writes checkpoints.csv."""
    rows = table()
    with open(make.RECORDED / "checkpoints.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"checkpoints.csv: {len(rows)} checkpoints")


if __name__ == "__main__":
    main()
