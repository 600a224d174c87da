"""The introductory article of 2023 behind this course: its claims with our verdicts, and the models of its time."""

import csv
import html
from pathlib import Path

import pandas

ROOT = Path(__file__).resolve().parents[1]
CLAIM = ["number", "claim"]
GUESSES = {"y": "✓", "n": "✗", "d": "depends"}
MARKS = {"yes": "✓", "no": "✗", "depends": "depends"}
ENDPOINTS = {"legacy": "/v1/fine-tunes"}  # the other methods: /v1/fine_tuning/jobs
GRADES = {"O": "OpenAI", "T": "somebody else"}
NAMED = ("ada", "babbage", "curie", "davinci", "gpt-3.5-turbo-0613")


def claims(first: int = 1, last: int = 25) -> pandas.DataFrame:
    """The claims from one number to another, without verdicts."""
    return pandas.DataFrame(
        [(int(row["number"]), row["claim"]) for row in _claims(first, last)], columns=CLAIM
    )


def verdicts(first: int, last: int, guess: str = "") -> "Verdicts":
    """Our verdicts on the claims from one number to another, next to the reader's own: a folded table.

    ``guess`` has one letter a claim: y for yes, n for no, d for "it depends". Anything else is no guess; blanks
    do not count. Each row links to the lessons that test the claim.
    """
    return Verdicts(_claims(first, last), "".join(guess.split()))


def claim(number: int) -> pandas.DataFrame:
    """All that is known of one claim: how it was tested, the whole verdict, the days on which it held, the source."""
    (row,) = _claims(number, number)
    days = " to ".join(row[key] or "?" for key in ("held_from", "held_until"))
    parts = {"claim": row["claim"], "tested": row["how_tested"], "verdict": row["verdict"]}
    parts |= {"held": days} if row["held_from"] or row["held_until"] else {}
    return pandas.Series(parts | {"source": row["source"]}, name=f"claim {number}").to_frame()


def models() -> pandas.DataFrame:
    """Every model that could be fine-tuned at OpenAI: whether the article names it, through what, and its ends.

    A base model can be tuned, and a tuned model used, until it shuts down, and not on that day.
    """
    facts: dict[str, dict[str, dict]] = {}
    for row in _table("models.csv"):
        facts.setdefault(row["model"], {}).setdefault(row["fact"], row)
    ended = {
        name: of for name, of in facts.items() if {"fine_tunable_method", "tuned_shutdown_date"} <= {*of}
    }
    rows = [
        {
            "model": name,
            "in the article": name in NAMED,
            "tuned through": ENDPOINTS.get(of["fine_tunable_method"]["value"], "/v1/fine_tuning/jobs"),
            "base model until": of["shutdown_date"]["value"],
            "tuned models until": of["tuned_shutdown_date"]["value"],
            "who says so": GRADES[of["tuned_shutdown_date"]["grade"]],
        }
        for name, of in ended.items()
    ]
    return pandas.DataFrame(sorted(rows, key=lambda row: (row["base model until"], row["model"])))


class Verdicts:
    """A table of verdicts. In a notebook it is folded, so that the reader can guess first; as text it is not."""

    def __init__(self, rows: list[dict], guess: str):
        self.rows = rows
        self.guesses = [GUESSES.get(letter) for letter in guess.lower().ljust(len(rows), "?")]

    def __repr__(self) -> str:
        return "\n".join(f"{row['number']}. {_verdict(row)} (lesson {row['lessons']})" for row in self.rows)

    def _repr_html_(self) -> str:
        head = "".join(
            _cell("th", text) for text in ("", "claim", "your guess", "our verdict", "tested in lesson")
        )
        body = "".join(
            f"<tr>{_cell('th', row['number'])}{_cell('td', row['claim'])}{_cell('td', guess or '–')}"
            f"{_cell('td', _verdict(row))}{_cell('td', links=_links(row))}</tr>"
            for row, guess in zip(self.rows, self.guesses, strict=False)
        )
        numbers = f"{self.rows[0]['number']} to {self.rows[-1]['number']}"
        return (
            f"<details><summary>Open our verdicts on claims {numbers}{self._score()}</summary>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></details>"
        )

    def _score(self) -> str:
        guessed = [
            guess == MARKS[row["mark"]] for row, guess in zip(self.rows, self.guesses, strict=False) if guess
        ]
        return f" (you agree with {sum(guessed)} of the {len(guessed)} that you guessed)" if guessed else ""


def _verdict(row: dict) -> str:
    colon = ":" if row["mark"] == "depends" else ""
    return f"{MARKS[row['mark']]}{colon} {row['in_short']}"


def _links(row: dict) -> str:
    """Links to the lessons of a claim, from a page in notebooks/."""
    found = {path.name[:2]: path.name for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")}
    return ", ".join(
        f'<a href="{found[lesson]}">{lesson}</a>' if lesson in found else lesson
        for lesson in row["lessons"].split()
    )


def _cell(tag: str, text: str = "", links: str = "") -> str:
    return f'<{tag} style="text-align: left">{links or html.escape(text)}</{tag}>'


def _claims(first: int, last: int) -> list[dict]:
    return [row for row in _table("claims.csv") if first <= int(row["number"]) <= last]


def _table(name: str) -> list[dict]:
    with open(ROOT / "data" / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
