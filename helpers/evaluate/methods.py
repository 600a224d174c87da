"""What pairs and rewards taught the small model of the airport's house style; ``data/recorded/methods.py`` made it."""

import pandas

from .checks import DATA, DESKS

COUNTED = ("form before", "form after", "desk before", "desk after")


def style_pairs() -> pandas.DataFrame:
    """What pairs did, a row a start: untrained, or tuned on ten examples; means of three trainings.

    Columns: pairs (how many), accuracy (the share of the last pairs in which the better answer leads), and the shares
    of 120 practice questions with the form and with the right desk.
    """
    table = _read("preferences").replace({"start": {"base": "untrained", "tuned": "ten examples"}})
    means = table.groupby("start", sort=False)[["pairs", "accuracy", *COUNTED]].mean()
    return means.rename_axis(None).astype({"pairs": int}).round(2)


def style_rewards() -> pandas.DataFrame:
    """What a reward did, a row a training; it was half for the form, half for the form with the right desk.

    Columns: seed, the mean reward of the first three steps and of the last three, the shares of 120 practice questions
    with the form and the right desk, and how many of the 14 desks the answers name.
    """
    columns = ["seed", "first reward", "last reward", *COUNTED, "desks named before", "desks named after"]
    return _read("rewards")[columns]


def style_said() -> str:
    """What the reward brought, what it cost, and how that came, by ``style_rewards``."""
    table = style_rewards()
    rose, fell = (
        (table["form after"] > table["form before"]).all(),
        (table["desk after"] < table["desk before"]).all(),
    )
    one = (table["desks named after"] == 1).all()
    said = [
        f"The form {'rose' if rose else 'did not rise'} in all {len(table)} trainings, {_from_to(table, 'form')}."
    ]
    said += [f"The right desk {'fell in all' if fell else 'did not fall in all'}, {_from_to(table, 'desk')}."]
    said += [f"At the end each model names one single desk, out of {len(DESKS)}."] if one else []
    return " ".join(said)


def _from_to(table: pandas.DataFrame, what: str) -> str:
    return f"from {table[f'{what} before'].mean():.0%} to {table[f'{what} after'].mean():.0%}"


def _read(name: str) -> pandas.DataFrame:
    """A table of the recording, with spaces in the names of its columns."""
    table = pandas.read_csv(DATA / "recorded" / f"methods_{name}.csv")
    return table.rename(columns=lambda column: column.replace("_", " "))
