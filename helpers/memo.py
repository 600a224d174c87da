"""The learner's decision memo, ``my/decision.md``: one section a lesson, written by the last exercise of each."""

import re
from collections.abc import Iterable
from pathlib import Path

from . import mine
from .language import said

OPENING = """# Decision memo

To fine-tune or not: what you found and decided. The last exercise of each lesson writes one list; the rest is yours.
"""
REST_OF_LINE = r"[ \t]*(?:\r?\n|\Z)"
LIST = r"(?:(?:[ \t]*\r?\n)*(?:(?:- |[ \t]+\S).*(?:\n|\Z))+)?"
LABEL = re.compile(r"(.*?)(?:(?<!\d)[:：]|[:：](?!\d))(?!//)")  # not in 10:30, not in https://
INTERVAL = re.compile(r"(?<![\w.])([+-]?\d+(?:\.\d+)?)(?: ?%| points)? ?(?:to|and|–) ?([+-]?\d+(?:\.\d+)?)")
GIGABYTES = re.compile(r"(\d+(?:[.,]\d+)?)\s*(?:Gi?B|gigabytes?)\b", re.IGNORECASE)
RATE = re.compile(  # 2e-4, 2·10^-4, 2 x 10**-4; 0.0002
    r"(\d+(?:[.,]\d+)?) ?(?:e|[·*×x] ?10 ?(?:\^|\*\*)?) ?\(?-(\d+)|(?<![\d.,])(0?[.,]0\d+)", re.IGNORECASE
)
RAISED = str.maketrans("⁻−⁰¹²³⁴⁵⁶⁷⁸⁹", "--0123456789")
WORDS = ("go", "no-go", "not yet")
SECTION = re.compile(r"^## (\d\d) .*$", re.MULTILINE)


def filled(memo: str) -> dict[str, str]:
    """What is written after the colon of each line: {"Who decides": "the head of service", ...}.

    A line without a colon belongs to the line before it.
    """
    found, label = {}, ""
    for line in filter(None, map(str.strip, memo.splitlines())):
        start = LABEL.match(line)
        label, text = (start[1].strip(), line[start.end() :]) if start else (label, line)
        found[label] = " ".join(filter(None, (found.get(label), text.strip())))
    return found


def has_number(text: str) -> bool:
    """Whether a digit stands in the text."""
    return re.search(r"\d", text) is not None


def gigabytes(text: str) -> float | None:
    """The first number that stands before "GB" or "gigabytes"; None if none does."""
    found = GIGABYTES.search(text)
    return float(found[1].replace(",", ".")) if found else None


def rate(text: str) -> float | None:
    """The first learning rate in the text, written as 2e-4, 2·10^-4 or 0.0002; None if there is none."""
    if not (found := RATE.search(text.translate(RAISED))):
        return None
    number, power, plain = found.groups()
    return float(f"{number}e-{power}".replace(",", ".") if number else plain.replace(",", "."))


def must(memo: str) -> list[str]:
    """What is written in the numbered rows of a memo, "1 What shall change: ..."; they are those that decide."""
    return [text for label, text in filled(memo).items() if re.match(r"\d ", label)]


def decision(rows: Iterable[str]) -> str:
    """What rows that are a must decide together, each beginning with one of ``WORDS``: one of these words.

    One "no-go" decides; without one, any row that is not "go" makes it "not yet".
    """
    words = {starts_with(row) for row in rows}
    return "no-go" if "no-go" in words else "go" if words == {"go"} else "not yet"


def starts_with(row: str) -> str:
    """The word of ``WORDS`` that a line begins with; "" if with none of them."""
    return next((word for word in WORDS if re.match(rf"{word}(?![\w-])", row.strip(), re.IGNORECASE)), "")


def interval(text: str) -> tuple[float, float] | None:
    """The ends of the first interval that is written as "11 to 38", "+11 and +38" or "-3 to 12.5"; else None."""
    for low, high in INTERVAL.findall(text.replace("\u2212", "-")):
        if float(low) < float(high):
            return float(low), float(high)
    return None


def place() -> Path:
    """Where the memo is kept: ``decision.md`` in the reader's own folder."""
    return mine.folder() / "decision.md"


def save(title: str, memo: str) -> str:
    """Writes the section with this title, such as "06 How we will know", into the memo file; says so in a sentence.

    Only this section changes: its heading and the list that directly follows it. It is put in the order of the
    numbers. The file is replaced in one step, so a broken-off run leaves the old one whole.
    """
    file = place()
    name = f"{file.parent.name}/{file.name}"
    try:
        old = file.read_bytes().decode("utf-8", "surrogateescape") if file.exists() else ""
        mine.replace(file, with_section(old or OPENING, title, memo).encode("utf-8", "surrogateescape"))
    except OSError as error:
        return said("It could not be written to {}: {}.").format(name, error.strerror)
    return said("Written to {}.").format(name)


def with_section(text: str, title: str, memo: str) -> str:
    """The text of a memo file with this section in it, in place of the section of that title if there is one."""
    end = "\r\n" if "\r\n" in text else "\n"
    lines = [f"- {label}: {text}".rstrip() if label else f"- {text}" for label, text in filled(memo).items()]
    section = end.join([f"## {title}", "", *lines, ""])
    if old := re.search(rf"^## {re.escape(title)}{REST_OF_LINE}{LIST}", text, re.MULTILINE):
        return text[: old.start()] + section + text[old.end() :]
    later = next((found.start() for found in SECTION.finditer(text) if found[1] > title[:2]), None)
    if later is not None:
        return text[:later] + section + end + text[later:]
    gap = "" if text.endswith("\n") else end
    return text + gap + end + section
