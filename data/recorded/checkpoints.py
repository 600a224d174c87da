"""Makes checkpoints.csv: what each epoch did to the answers, over all seeds of the recorded run.

``python -m data.recorded.checkpoints``, in the project's folder. Counted on the validation questions: how long to train
is a choice, and the questions for practice are not for choosing. Nothing in the table is typed by hand: a unit test
makes it again and compares.
"""

import json
from statistics import mean

import pandas

from data.recorded import make
from helpers import evaluate

RUNS = [make.Run("tuned", seed).name for seed in make.SEEDS]
EPOCHS = 4  # of each of these runs; the model itself is the last checkpoint


def tables(epoch: int) -> list[pandas.DataFrame]:
    """What the checkpoint of this epoch answered, one table a seed."""
    ends = "" if epoch == EPOCHS else f"-epoch{epoch}"
    return [
        evaluate.evaluate(evaluate.recorded("tuned", run + ends), evaluate.questions("valid")) for run in RUNS
    ]


def losses() -> dict[int, float]:
    """The loss on all validation rows after each epoch, mean of the seeds."""
    text = (make.RECORDED / "losses.jsonl").read_text(encoding="utf-8")
    found: dict[int, list[float]] = {}
    for step in map(json.loads, text.splitlines()):
        if step["run"] in RUNS and "full_valid_loss" in step:
            epoch = EPOCHS * step["step"] // step["total_steps"]
            found.setdefault(epoch, []).append(step["full_valid_loss"])
    return {epoch: mean(values) for epoch, values in found.items()}


def rows() -> list[dict]:
    """A row an epoch: mean validation loss; form and right desk as counts over all seeds; the desk's 95 % interval
    over the questions; and the desk compared with the epoch of the lowest loss, p corrected for the comparisons.
    """
    loss, counted = losses(), {epoch: tables(epoch) for epoch in losses()}
    best = min(loss, key=loss.get)
    others = [epoch for epoch in counted if epoch != best]
    names = {epoch: f"epoch {epoch}" for epoch in counted}
    looks = [
        evaluate.compare(counted[best], counted[one], "desk", (names[best], names[one])) for one in others
    ]
    verdicts = dict(zip(others, evaluate.comparisons([], looks)["verdict"], strict=True))
    return [
        {"after epoch": epoch, "validation loss": f"{loss[epoch]:.2f}"}
        | counts(counted[epoch])
        | {f"desk, against epoch {best}": verdicts.get(epoch, "lowest loss")}
        for epoch in counted
    ]


def counts(of_seeds: list[pandas.DataFrame]) -> dict[str, str]:
    """Form and right desk, counted over all seeds, and the interval of the desk."""
    asked = sum(map(len, of_seeds))
    form, desk = (sum(int(table[check].sum()) for table in of_seeds) for check in ("form", "desk"))
    low, high = evaluate.summary(of_seeds).loc["desk", ["low", "high"]]
    return {
        "form": f"{form} of {asked}",
        "right desk": f"{desk} of {asked}",
        "desk, 95 % interval": f"{100 * low:.0f} to {100 * high:.0f} %",
    }


def main() -> None:
    """Writes checkpoints.csv."""
    found = rows()
    make.write_csv("checkpoints.csv", found)
    print(f"checkpoints.csv: {len(found)} epochs")


if __name__ == "__main__":
    main()
