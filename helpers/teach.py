"""Checked exercises and quizzes. Their texts and rules stand in data/exercises and data/quizzes, one file a lesson."""

import html
import json
import sysconfig
import textwrap
import tomllib
import traceback
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from ipywidgets import HTML, Button, RadioButtons, VBox

from helpers import memo

HELPERS = Path(__file__).resolve().parent
DATA = HELPERS.parent / "data"
LETTERS = "abcdefgh"
RIGHT, NOT_YET = "Right. ", "Not yet. "


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
    from openai.resources.chat import Completions
    from openai.types.chat import ChatCompletion

    message = {"role": "assistant", "content": "{}"}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    answer = {"id": "", "object": "chat.completion", "created": 0, "model": "", "choices": [choice]}
    reply = ChatCompletion.model_validate(answer)
    with mock.patch.object(Completions, "create", return_value=reply) as create:
        ask(question)
    return [dict(message) for call in create.call_args_list for message in call.kwargs.get("messages", [])]


FOR_RULES = {"filled": memo.filled, "has_number": memo.has_number, "parsed": parsed, "sent_by": sent_by}
# what a rule raises on a value of an unexpected kind
UNFIT = (AttributeError, IndexError, KeyError, TypeError, ValueError)
RULE = "<rule>"  # the file name of rules in a traceback
PACKAGES = {sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
NOT_THE_LEARNERS = (str(HELPERS), str(Path(__file__).parent), *PACKAGES, "<frozen", RULE)
MOST_OF_AN_ERROR = 200  # characters
STYLE = """<style>
.quiz { color: var(--jp-ui-font-color1, inherit); max-width: 50em; padding: 4px 0; }
.quiz .widget-html, .quiz .widget-html-content { height: auto; line-height: 1.4; }
.quiz .widget-radio, .quiz .widget-radio-box { width: 100%; height: auto; }
.quiz .widget-radio-box label { height: auto; white-space: normal; line-height: 1.4; margin: 2px 0; }
.quiz p { margin: 6px 0 2px; }
</style>"""


def check(exercise: str, *values: object) -> None:
    """Prints "Right." or the hint that fits. ``exercise`` is such as "04-mend-a-file".

    An exercise that ``saves`` a section of the decision memo writes its first value there once it is right.
    Raises ValueError if there is no such exercise, or if it takes another number of values.
    """
    said = answer(exercise, *values)
    if said.startswith(RIGHT) and (title := _task(exercise).get("saves")):
        said += " " + memo.save(title, values[0])
    print(said)


def answer(exercise: str, *values: object) -> str:
    """What ``check`` prints: the first hint whose rule holds; else "Right." if the rule for that holds.

    If code of the learner stops with an error while a rule calls it, that error with its line.
    """
    task = _task(exercise)
    if len(values) != len(task["values"]):
        raise ValueError(f"check({exercise!r}, ...) takes these values: {', '.join(task['values'])}.")
    named = dict(zip(task["values"], values, strict=True))
    parts = _parts(task["right"].get("parts", {}), values[0])
    texts = named | {kind: ", ".join(names) for kind, names in parts.items()}
    try:
        for rule in task["hints"]:
            if _holds(rule["when"], named):
                return NOT_YET + rule["say"].format_map(texts)
        rule = task["right"]
        if _is_right(rule, parts, named):
            return RIGHT + rule["say"].format_map(texts)
    except _Stopped as error:
        return NOT_YET + f"{error} {rule.get('stopped', '').format_map(texts)}".rstrip()
    return NOT_YET + task["otherwise"].format_map(texts)


def _parts(wanted: dict, given: object) -> dict[str, list[str]]:
    """Of an exercise whose answer is a dict of parts, the names of those that are wrong and of those still empty."""
    if not wanted:
        return {}
    given = given if isinstance(given, dict) else {}
    return {
        "wrong": [name for name, part in wanted.items() if given.get(name) != part],
        "empty": [name for name in wanted if not given.get(name)],
    }


def _is_right(right: dict, parts: dict, named: dict) -> bool:
    return not parts["wrong"] if parts else _holds(right["when"], named)


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
    """Radio buttons for each question, one button, and an area that says what was right and why."""

    def __init__(self, name: str):
        self.questions = _load("quizzes", name)["question"]
        self._choices = [
            RadioButtons(options=[option["text"] for option in question["options"]], value=None)
            for question in self.questions
        ]
        self._button = Button(description="Check my answers", layout={"width": "auto"})
        self._said = HTML('<div role="status" aria-live="polite"></div>')
        asked = []
        for number, (question, choice) in enumerate(zip(self.questions, self._choices, strict=True), start=1):
            asked += [HTML(f"<p><strong>{number}. {html.escape(question['ask'])}</strong></p>"), choice]
        super().__init__([HTML(STYLE), *asked, self._button, self._said])
        self.add_class("quiz")
        self._button.on_click(self._say)

    def __repr__(self) -> str:
        """Questions and options as text, without the answers: what a notebook stores and a static page shows."""
        lines = ["Quiz (buttons appear while the notebook runs)"]
        for number, question in enumerate(self.questions, start=1):
            lines += ["", *_wrapped(f"{number}. {question['ask']}", "   ")]
            for letter, option in zip(LETTERS, question["options"], strict=False):
                lines += _wrapped(f"   {letter}) {option['text']}", "      ")
            lines += _wrapped(f"   Answered {_place(question)}", "   ")
        return "\n".join(lines)

    def _repr_mimebundle_(self, **settings) -> dict:
        """The text whole: a widget's own would end after 110 characters."""
        return super()._repr_mimebundle_(**settings) | {"text/plain": repr(self)}

    def _say(self, _=None) -> None:
        said = []
        for number, (question, choice) in enumerate(zip(self.questions, self._choices, strict=True), start=1):
            text = html.escape(verdict(question, choice.index))
            said.append(f"<p>{number}. {text}</p>")
        right = sum(
            choice.index is not None and bool(question["options"][choice.index].get("right"))
            for question, choice in zip(self.questions, self._choices, strict=True)
        )
        head = f"<p><strong>{right} of {len(self.questions)} right</strong></p>"
        self._said.value = f'<div role="status" aria-live="polite">{head}{"".join(said)}</div>'


def verdict(question: dict, chosen: int | None) -> str:
    """What the quiz says to one choice (its place from 0, or None): right or not, and why."""
    if chosen is None:
        return "No answer yet."
    option = question["options"][chosen]
    if option.get("right"):
        return f"Right. {option['why']}"
    return f"Not yet. {option['why']} Read again {_place(question)}"


def _place(question: dict) -> str:
    lesson = f"in lesson {question['lesson']}" if "lesson" in question else ""
    heading = f'under "{question["heading"]}"' if "heading" in question else ""
    return " ".join(filter(None, (lesson, heading))) + "."


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, 88, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _load(folder: str, name: str) -> dict:
    path = DATA / folder / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.toml")))
        raise ValueError(f"No file {name!r} in data/{folder}. Known: {known}.")
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
