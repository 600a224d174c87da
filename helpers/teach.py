"""Checked exercises and quizzes. Their texts and rules stand in data/exercises and data/quizzes, one file a lesson."""

import html
import json
import re
import string
import sysconfig
import textwrap
import tomllib
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from unittest import mock

from IPython import get_ipython
from IPython.display import display
from ipywidgets import HTML, Button, RadioButtons, VBox

from helpers import memo, mine
from helpers.language import said

HELPERS = Path(__file__).resolve().parent
DATA = HELPERS.parent / "data"
LETTERS = "abcdefgh"
RIGHT = "Right. "
NOT_YET = "Not yet. "
ASKED_TWICE = "concepts"  # a quiz of which the first answers are kept in my/, to show what has changed


# --- what the rules of exercises may call ------------------------------------------------------------------


def parsed(text: str) -> object:
    """The value of a JSON text; None if it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def sent_by(ask: Callable[[str], object], question: str) -> list[dict]:
    """The messages that a function sends by ``client.chat.completions.create`` when it is asked; [] if it sends none.

    Nothing is really sent: the answer is ``{}``, as text.
    """
    return [dict(message) for call in _calls_of(ask, question) for message in call.get("messages", [])]


def models_asked(ask: Callable[[str], object], question: str) -> list[str]:
    """The models that a function asks by ``client.chat.completions.create``. Nothing is really sent."""
    return [call.get("model") for call in _calls_of(ask, question)]


def _calls_of(ask: Callable[[str], object], question: str) -> list[dict]:
    from openai.resources.chat import Completions
    from openai.types.chat import ChatCompletion

    message = {"role": "assistant", "content": "{}"}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    answer = {"id": "", "object": "chat.completion", "created": 0, "model": "", "choices": [choice]}
    reply = ChatCompletion.model_validate(answer)
    with mock.patch.object(Completions, "create", return_value=reply) as create:
        ask(question)
    return [call.kwargs for call in create.call_args_list]


def is_path(value: object) -> bool:
    """Whether this is a text that names a file on a disk, not an upload ("file-...")."""
    return (
        isinstance(value, str) and not value.startswith("file-") and bool(re.search(r"[/\\]|\.\w+$", value))
    )


FOR_RULES = {
    "decision": memo.decision,
    "filled": memo.filled,
    "gigabytes": memo.gigabytes,
    "has_number": memo.has_number,
    "interval": memo.interval,
    "is_path": is_path,
    "models_asked": models_asked,
    "must": memo.must,
    "parsed": parsed,
    "rate": memo.rate,
    "sent_by": sent_by,
    "starts_with": memo.starts_with,
}
# what a rule raises on a value of an unexpected kind
UNFIT = (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError)
RULE = "<rule>"  # the file name of rules in a traceback
PACKAGES = {sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
NOT_THE_LEARNERS = (str(HELPERS), str(Path(__file__).parent), *PACKAGES, "<frozen", RULE)
MOST_OF_AN_ERROR = MOST_OF_A_VALUE = 200  # characters
CELL_STOPPED = (
    "The cell that you ran before this one stopped with an error, so there is nothing new to check. Read the last line "
    "of that error first. Then change the cell, and run it again."
)
# Colours that both themes of JupyterLab can have beneath their own colour of text. They are never all that tells.
GREEN, ORANGE = ("#2e7d32", "rgba(46, 125, 50, 0.12)"), ("#e65100", "rgba(230, 81, 0, 0.12)")
BOX = (
    "border-left: 6px solid {}; background: {}; color: var(--jp-content-font-color1, inherit); padding: 6px 10px; "
    "margin: 2px 0; max-width: 62em; line-height: 1.4; overflow-wrap: anywhere"
)
STYLE = """<style>
.quiz { color: var(--jp-ui-font-color1, inherit); max-width: 50em; padding: 4px 0; }
.quiz .widget-html, .quiz .widget-html-content { height: auto; line-height: 1.4; }
.quiz .widget-radio, .quiz .widget-radio-box { width: 100%; height: auto; }
.quiz .widget-radio-box label { height: auto; white-space: normal; line-height: 1.4; margin: 2px 0; }
.quiz p { margin: 6px 0 2px; }
</style>"""


def check(exercise: str, *values: object) -> None:
    """Shows "Right." or the hint that fits. ``exercise`` is such as "04-fix-a-file".

    If the cell before it stopped with an error, its values are old ones: then only that is said.
    An exercise that ``saves`` a section of the decision memo writes its first value there once it is right.
    Raises ValueError if there is no such exercise, or if it takes another number of values.
    """
    text = answer(exercise, *values)
    if _cells.is_stale():
        text = NOT_YET + said(CELL_STOPPED)
    elif text.startswith(RIGHT) and (title := _task(exercise).get("saves")):
        text += " " + memo.save(title, values[0])
    display(Said(text))


@dataclass(frozen=True)
class Said:
    """What a check says: a sentence; in a notebook in a box with a colour and a sign."""

    text: str

    def __repr__(self) -> str:
        return _in_language(self.text)

    def _repr_html_(self) -> str:
        return f'<div role="status">{box(self.text)}</div>'


def box(text: str) -> str:
    """The HTML of an answer that begins with "Right." (a green box) or with something else (an orange one)."""
    sign, colours = ("✓", GREEN) if text.startswith(RIGHT) else ("✗", ORANGE)
    first, mark, rest = _in_language(text).partition(". ")
    head = f'<strong><span aria-hidden="true">{sign}</span> {html.escape(first + mark.strip())}</strong>'
    return f'<div style="{BOX.format(*colours)}">{head} {html.escape(rest)}</div>'


def _in_language(text: str) -> str:
    """An answer whose first words, by which the code knows what it says, are in the language of the lesson."""
    for words, translated in ((RIGHT, said(RIGHT)), (NOT_YET, said(NOT_YET))):
        if text.startswith(words):
            return translated + text.removeprefix(words)
    return text


class _Cells:
    """Remembers whether the last cell that was no check stopped with an error. IPython tells it of each cell."""

    def __init__(self) -> None:
        self.has_stopped, self._is_check = False, False

    def begins(self, info) -> None:
        self._is_check = info.raw_cell.lstrip().startswith("check(")

    def ends(self, result) -> None:
        if not self._is_check:
            self.has_stopped = not result.success

    def is_stale(self) -> bool:
        """Whether this cell only checks, and what it checks should have come from a cell that stopped."""
        return self._is_check and self.has_stopped

    def listen(self) -> None:
        """From now on, in a notebook; elsewhere nothing happens."""
        if shell := get_ipython():
            shell.events.register("pre_run_cell", self.begins)
            shell.events.register("post_run_cell", self.ends)


_cells = _Cells()
_cells.listen()


def answer(exercise: str, *values: object) -> str:
    """What ``check`` shows: the first hint whose rule holds; else "Right." if the rule for that holds.

    If code of the learner stops with an error while a rule calls it, that error with its line.
    """
    task = _task(exercise)
    if len(values) != len(task["values"]):
        raise ValueError(f"check({exercise!r}, ...) takes these values: {', '.join(task['values'])}.")
    named = dict(zip(task["values"], values, strict=True))
    parts = _parts(task["right"], values[0])
    texts = named | {kind: ", ".join(names) for kind, names in parts.items()}
    try:
        for rule in task["hints"]:
            if _holds(rule["when"], named):
                return NOT_YET + _filled_in(said(rule["say"]), texts)
        rule = task["right"]
        if _is_right(rule, parts, named):
            return RIGHT + _filled_in(said(rule["say"]), texts)
    except _Stopped as error:
        return NOT_YET + f"{error} {_filled_in(said(rule.get('stopped', '')), texts)}".rstrip()
    return NOT_YET + _filled_in(said(task["otherwise"]), texts)


class _Values(string.Formatter):
    """Fills the values into a text. A part that a value has not is "nothing", and what is long is cut."""

    def get_field(self, name: str, args, values) -> tuple:
        try:
            return super().get_field(name, args, values)
        except UNFIT:
            return "nothing", name

    def format_field(self, value: object, form: str) -> str:
        try:
            text = super().format_field(value, form)
        except UNFIT:
            text = str(value)
        return text if len(text) <= MOST_OF_A_VALUE else f"{text[:MOST_OF_A_VALUE]} ..."


def _filled_in(text: str, values: dict) -> str:
    return _Values().vformat(text, (), values)


def _parts(right: dict, given: object) -> dict[str, list[str]]:
    """Of an exercise whose answer is a dict of parts, the names of those that are wrong and of those still empty.

    Of one whose answer is a memo, the beginnings of lines that are missing.
    """
    if "lines" in right:
        found = memo.filled(given) if isinstance(given, str) else {}
        return {"missing": [f'"{line}"' for line in right["lines"] if line not in found]}
    wanted = right.get("parts", {})
    if not wanted:
        return {}
    given = given if isinstance(given, dict) else {}
    return {
        "wrong": [name for name, part in wanted.items() if given.get(name) != part],
        "empty": [name for name in wanted if not given.get(name)],
    }


def _is_right(right: dict, parts: dict, named: dict) -> bool:
    return not (parts.get("wrong") or parts.get("missing")) if parts else _holds(right["when"], named)


def _task(exercise: str) -> dict:
    lesson, _, name = exercise.partition("-")
    tasks = _load("exercises", lesson)
    if name not in tasks:
        raise ValueError(f"No exercise {name!r} in lesson {lesson}. Known: {', '.join(tasks)}.")
    return tasks[name]


def quiz(name: str) -> "Quiz":
    """A widget with the questions of a lesson, such as "04". Where widgets do not work, it is plain text.

    Raises ValueError if there is no such quiz.
    """
    return Quiz(name)


class Quiz(VBox):
    """For each question radio buttons, and below them what was right and why; one button, and the sum at the end."""

    def __init__(self, name: str):
        self.name, self.questions = name, _load("quizzes", name)["question"]
        self._choices = [
            RadioButtons(options=[said(option["text"]) for option in question["options"]], value=None)
            for question in self.questions
        ]
        self._said = [HTML(_status()) for _ in self.questions]
        self._button = Button(description=said("Check my answers"), layout={"width": "auto"})
        self._sum = HTML(_status())
        parts = zip(self.questions, self._choices, self._said, strict=True)
        asked = []
        for number, (question, choice, place) in enumerate(parts, start=1):
            ask = html.escape(said(question["ask"]))
            asked += [HTML(f"<p><strong>{number}. {ask}</strong></p>"), choice, place]
            choice.observe(lambda _, place=place: self._forget(place), "index")
        super().__init__([HTML(STYLE), *asked, self._button, self._sum])
        self.add_class("quiz")
        self._button.on_click(self._say)

    def __repr__(self) -> str:
        """Questions and options as text, without the answers: what a notebook stores and a static page shows."""
        lines = [said("Quiz (buttons appear while the notebook runs)")]
        for number, question in enumerate(self.questions, start=1):
            lines += ["", *_wrapped(f"{number}. {said(question['ask'])}", "   ")]
            for letter, option in zip(LETTERS, question["options"], strict=False):
                lines += _wrapped(f"   {letter}) {said(option['text'])}", "      ")
            lines += _wrapped(f"   {said('Answered')} {_place(question)}", "   ")
        return "\n".join(lines)

    def _repr_mimebundle_(self, **settings) -> dict:
        """The text whole: a widget's own would end after 110 characters."""
        return super()._repr_mimebundle_(**settings) | {"text/plain": repr(self)}

    def _say(self, _=None) -> None:
        texts = [
            verdict(*pair) for pair in zip(self.questions, [one.index for one in self._choices], strict=True)
        ]
        chosen = [
            None if choice.index is None else question["options"][choice.index]["text"]
            for question, choice in zip(self.questions, self._choices, strict=True)
        ]
        before = _first_answers(self.name, chosen)
        for place, text, now, then in zip(self._said, texts, chosen, before, strict=True):
            first = f"{said('The first time you chose:')} {said(then)}" if then and then != now else ""
            place.value = _status(box(text) + (f"<p>{html.escape(first)}</p>" if first else ""))
        count = said("{} of {} right.").format(sum(text.startswith(RIGHT) for text in texts), len(texts))
        why = said("Each explanation is under its question.")
        earlier = _right_then(self.questions, before)
        self._sum.value = _status(f"<p><strong>{count}</strong> {earlier}{why}</p>")

    def _forget(self, place: HTML) -> None:
        """Another option was chosen: what was said of the one before is taken away, and the sum with it."""
        place.value = self._sum.value = _status()


def _first_answers(name: str, chosen: list[str | None]) -> list[str | None]:
    """What was chosen the first time all questions of a quiz that is asked twice were answered; None where nothing was.

    If this is the first time, the answers are kept in ``my/``. Without a place to keep them, nothing is compared.
    """
    nothing = [None] * len(chosen)
    if name != ASKED_TWICE:
        return nothing
    file = mine.folder() / f"first_answers_{name}.json"
    try:
        kept = parsed(file.read_text(encoding="utf-8")) if file.exists() else None
        if isinstance(kept, list) and len(kept) == len(chosen):
            return [then if isinstance(then, str) else None for then in kept]
        if None not in chosen:
            mine.replace(file, json.dumps(chosen, ensure_ascii=False).encode("utf-8"))
    except (OSError, UnicodeError):
        pass
    return nothing


def _right_then(questions: list[dict], before: list[str | None]) -> str:
    """How many of the first answers were right, in a sentence; "" if there are none."""
    if None in before:
        return ""
    pairs = zip(questions, before, strict=True)
    right = sum(
        any(option["text"] == then and option.get("right") for option in question["options"])
        for question, then in pairs
    )
    return said("The first time: {}.").format(right) + " "


def verdict(question: dict, chosen: int | None) -> str:
    """What the quiz says to one choice (its place from 0, or None): right or not, and why."""
    if chosen is None:
        return said("No answer yet. Choose one.")
    option = question["options"][chosen]
    if option.get("right"):
        return RIGHT + said(option["why"])
    return f"{NOT_YET}{said(option['why'])} {said('Read again')} {_place(question)}"


def _status(content: str = "") -> str:
    """A place whose new content a screen reader reads out."""
    return f'<div role="status" aria-live="polite">{content}</div>'


def _place(question: dict) -> str:
    lesson = said("in lesson {}").format(question["lesson"]) if "lesson" in question else ""
    heading = said('under "{}"').format(said(question["heading"])) if "heading" in question else ""
    return " ".join(filter(None, (lesson, heading))) + "."


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, 88, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _load(folder: str, name: str) -> dict:
    path = DATA / folder / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.toml")))
        raise ValueError(f"No file {name!r} in data/{folder}. Known: {known}.")
    return _parsed(path, path.stat().st_mtime_ns)


@cache
def _parsed(path: Path, _changed: int) -> dict:
    return tomllib.loads(path.read_text(encoding="utf-8"))


class _Stopped(Exception):
    """Code of the learner, called by a rule, has raised. Says what, where and in which line."""


def _holds(rule: str, named: dict) -> bool:
    """Whether a rule, a Python expression of our own files, holds. A value of an unexpected kind makes it False.

    Raises _Stopped if the learner's own code stops with an error in it.
    """
    try:
        return bool(eval(compile(rule, RULE, "eval"), FOR_RULES | named))
    except Exception as error:
        if place := _place_in_own_code(error):
            raise _Stopped(_story(error, place)) from error
        if isinstance(error, UNFIT):
            return False
        raise


def _place_in_own_code(error: Exception) -> traceback.FrameSummary | None:
    """The innermost line of the learner's code that the error came through; None if it came through none."""
    places = traceback.extract_tb(error.__traceback__)
    return next(
        (place for place in reversed(places) if not place.filename.startswith(NOT_THE_LEARNERS)), None
    )


def _story(error: Exception, place: traceback.FrameSummary) -> str:
    name = "A function of yours" if place.name.startswith("<") else f"Your function {place.name}"
    what = textwrap.shorten(f"{type(error).__name__}: {error}", MOST_OF_AN_ERROR)
    line = f": {place.line}" if place.line else ""
    return f"{name} stopped with an error when this check called it. {what} (line {place.lineno}{line})"
