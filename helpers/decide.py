"""Code, a search, a prompt or tuning: plain questions, a table of rules, an answer with its reasons.

Questions and rules stand in data/decision_questions.csv and data/decision_rules.csv, to be read and edited. The
first rule that fits the answers decides.
"""

import csv
import html
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from . import mine

DATA = Path(__file__).resolve().parents[1] / "data"
PAGE = "decision_helper.html"
OPEN = "not decided yet"
LEFT = 'style="text-align:left"'


@dataclass(frozen=True)
class Question:
    """One question of the helper, with the options of its answer."""

    name: str
    text: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Rule:
    """One row of the table: where each named answer is among the options, this is what to do."""

    number: int
    when: dict[str, tuple[str, ...]]
    answer: str
    because: str
    sources: tuple[str, ...]


def questions() -> dict[str, Question]:
    """The questions in the order in which they are asked: name -> question."""
    return {
        row["name"]: Question(row["name"], row["question"], tuple(row["options"].split(" / ")))
        for row in _rows("decision_questions.csv")
    }


def rules() -> list[Rule]:
    """The rules in their order."""
    return [
        Rule(
            int(row["number"]), _conditions(row["when"]), row["answer"], row["because"], _split(row["source"])
        )
        for row in _rows("decision_rules.csv")
    ]


def decide(answers: Mapping[str, str]) -> "Decision":
    """What to do, by the first rule that fits: {"simple": "no", "danger": "no", ...}.

    Questions may be left out. If the rule that comes next needs one of them, the decision is open and names it.
    Raises ValueError for a question or an option that is not in the table.
    """
    known = questions()
    for name, option in answers.items():
        if name not in known:
            raise ValueError(f"No question {name!r}. Known: {', '.join(known)}.")
        if option not in known[name].options:
            raise ValueError(f"No option {option!r} for {name!r}. Known: {', '.join(known[name].options)}.")
    ordered = {name: answers[name] for name in known if name in answers}
    for rule in rules():
        if all(ordered.get(name) in (None, *options) for name, options in rule.when.items()):
            missing = [name for name in rule.when if name not in ordered]
            return Decision(ordered, None, missing[0]) if missing else Decision(ordered, rule, None)
    raise ValueError("No rule fits. The last rules of data/decision_rules.csv must fit whatever is left.")


@dataclass(frozen=True, repr=False)
class Decision:
    """What the rules say to some answers. Prints itself with its reasons; ``page`` is the same to print."""

    answers: dict[str, str]
    rule: Rule | None  # None: open
    missing: str | None  # the question that must be answered next

    @property
    def answer(self) -> str:
        """What to do, in the words of the table, or "not decided yet"."""
        return self.rule.answer if self.rule else OPEN

    def title(self) -> str:
        """The answer in one line."""
        if self.rule:
            return f"Answer: {self.answer}"
        return f"Not decided yet. Answer next: {questions()[self.missing].text}"

    def rests_on(self) -> list[str]:
        """The answers that the deciding rule looked at."""
        return [self._said(name) for name in self.rule.when] if self.rule else []

    def changes(self) -> list[tuple[str, str]]:
        """What would change it: (another answer to one question, what the rules would say then)."""
        if not self.rule:
            return []
        others = [
            (question, option, decide(self.answers | {question.name: option}))
            for question in questions().values()
            if question.name in self.answers
            for option in question.options
        ]
        return [
            (f"{question.text} {option}", other.answer if other.rule else "more questions decide")
            for question, option, other in others
            if other.answer != self.answer
        ]

    def _said(self, name: str) -> str:
        return f"{questions()[name].text} {self.answers[name]}"

    def __str__(self) -> str:
        if not self.rule:
            return self.title()
        lines = [self.title(), f"  Why: {self.rule.because}"]
        lines += [f"  It rests on: {said}" for said in self.rests_on()]
        lines += [f"  Rule {self.rule.number}, source: {'; '.join(self.rule.sources)}"]
        lines += ["  What would change it:"]
        return "\n".join(lines + [f"    {said} -> {answer}" for said, answer in self.changes()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<p><strong>{html.escape(self.title())}</strong></p>{self.details()}"

    def details(self) -> str:
        """Everything below the title, as HTML; empty while the decision is open."""
        if not self.rule:
            return ""
        rests = "".join(f"<li>{html.escape(said)}</li>" for said in self.rests_on())
        sources = "; ".join(map(_link, self.rule.sources))
        return (
            f"<p>{html.escape(self.rule.because)}</p><p>It rests on:</p><ul>{rests}</ul>"
            f"<p>Rule {self.rule.number}. Source: {sources}</p>"
            f"{_table('What would change it', ('If you answered', 'the answer would be'), self.changes())}"
        )

    def page(self) -> str:
        """The decision as a web page of its own, to be printed."""
        said = [(question.text, self.answers.get(name, "")) for name, question in questions().items()]
        return (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>What should be built?</title>'
            "<style>body { font: 16px/1.5 sans-serif; max-width: 45em; margin: 2em auto; color: #000; "
            "background: #fff; } table { border-collapse: collapse; margin: 1em 0; } caption { font-weight: bold; "
            "text-align: left; } th, td { border: 1px solid #777; padding: 4px 8px; vertical-align: top; }"
            f"</style></head><body><h1>What should be built?</h1>{self._repr_html_()}"
            f"{_table('Your answers', ('Question', 'Answer'), said)}"
            "<p>Found with the rules of data/decision_rules.csv. They are advice, and no measurement: "
            "measure before you decide.</p></body></html>\n"
        )


def write(decision: Decision, folder: Path | None = None) -> str:
    """Writes the page to print into my/, or another folder, and says so in a sentence."""
    path = (folder or mine.folder()) / PAGE
    try:
        mine.replace(path, decision.page().encode("utf-8"))
    except OSError as error:
        return f"It could not be written to {path.parent.name}/{path.name}: {error.strerror}."
    return f"Written to {path.parent.name}/{path.name}. Open it in a browser and print it."


def _conditions(text: str) -> dict[str, tuple[str, ...]]:
    pairs = (condition.split(" = ") for condition in text.split("; "))
    return {name: tuple(options.split(" / ")) for name, options in pairs}


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split("; "))


def _link(source: str) -> str:
    text = html.escape(source)
    return f'<a href="{text}">{text}</a>' if source.startswith("https://") else text


def _table(caption: str, head: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    heads = "".join(f'<th scope="col" {LEFT}>{html.escape(name)}</th>' for name in head)
    body = "".join(
        f'<tr><th scope="row" {LEFT}>{html.escape(first)}</th><td {LEFT}>{html.escape(second)}</td></tr>'
        for first, second in rows
    )
    return (
        f"<table><caption {LEFT}>{html.escape(caption)}</caption><thead><tr>{heads}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )


def _rows(table: str) -> list[dict[str, str]]:
    with open(DATA / table, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
