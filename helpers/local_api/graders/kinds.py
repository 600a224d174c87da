"""The kinds of graders: how each grades answers, and what can be wrong with one."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

from . import formula, python, similarity, templates
from .grade import Ask, Failed, Grade, Sample

PYTHON = "python"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
NAME = re.compile(r"[A-Za-z_]\w*")


class Wrong(Exception):
    """What is wrong with a grader, and ``place``, such as ".graders.form.input"."""

    def __init__(self, place: str, text: str):
        super().__init__(text)
        self.place = place


class Kind(ABC):
    """A grader that is ready for work. Making one raises Wrong if it could never work."""

    templates: tuple[str, ...] = ()

    @abstractmethod
    def reward(self, sample: Sample) -> float:
        """The reward of an answer. Raises Failed."""

    def grades(self, samples: list[Sample]) -> list[Grade]:
        """A grade for each answer; what went wrong is in it."""
        return [_graded(self.reward, sample) for sample in samples]

    def missing(self, row: dict) -> str | None:
        """The first key that its texts ask for and the row lacks."""
        return next(filter(None, (templates.missing(text, row) for text in self.templates)), None)

    def close(self) -> None:  # noqa: B027 - most have started nothing
        """Ends what it has started."""

    def take(self, texts: dict[str, str]) -> None:
        """Keeps its texts, by the place where they stand. Raises Wrong for one that cannot be filled in."""
        for place, text in texts.items():
            if problem := templates.problem(text):
                raise Wrong(f".{place}", problem)
        self.templates = tuple(texts.values())


def _graded(reward: Callable, *arguments) -> Grade:
    try:
        return Grade(reward(*arguments))
    except Failed as failed:
        return Grade(0.0, failed.kind, str(failed))


class StringCheck(Kind):
    """1 if the input compares with the reference as it should, else 0."""

    def __init__(self, grader: dict, ask: Ask | None):
        self.take({place: grader[place] for place in ("input", "reference")})
        self.operation = grader["operation"]

    def reward(self, sample: Sample) -> float:
        found, wanted = (templates.fill(text, sample) for text in self.templates)
        if self.operation == "ilike":
            return float(wanted.lower() in found.lower())
        return float({"eq": found == wanted, "ne": found != wanted, "like": wanted in found}[self.operation])


class TextSimilarity(Kind):
    """How alike the input and the reference are, from 0 to 1."""

    def __init__(self, grader: dict, ask: Ask | None):
        self.take({place: grader[place] for place in ("input", "reference")})
        self.metric = grader["evaluation_metric"]
        if reason := similarity.REFUSED.get(self.metric):
            raise Wrong(".evaluation_metric", f"{reason} Take another metric.")

    def reward(self, sample: Sample) -> float:
        found, wanted = (templates.fill(text, sample) for text in self.templates)
        try:
            return similarity.similarity(self.metric, found, wanted)
        except ValueError as error:
            raise Failed("other_error", str(error)) from None


class Python(Kind):
    """The learner's own function."""

    def __init__(self, grader: dict, ask: Ask | None):
        if problem := python.problem(grader["source"]):
            raise Wrong(".source", problem)
        self.process = python.PythonGrader(grader["source"])

    def reward(self, sample: Sample) -> float:
        return self.process.reward(sample)

    def close(self) -> None:
        self.process.close()


class Judge(Kind):
    """A model that reads the answer: what the graders with a model have in common."""

    def __init__(self, grader: dict, ask: Ask | None):
        from ..engines import trained

        self.model, self.ask = grader["model"], ask
        if not trained.owns(self.model):
            raise Wrong(
                ".model",
                f"{self.model} is only simulated here, so its judgement would mean nothing. Name {trained.MODEL} or a "
                "model tuned from it, or take a python, string_check or text_similarity grader.",
            )
        self.roles = [message["role"] for message in grader["input"]]
        self.take({f"input[{n}].content": _text(message, n) for n, message in enumerate(grader["input"])})

    def grades(self, samples: list[Sample]) -> list[Grade]:
        """All answers are judged together: that is many times as fast."""
        filled = [_filled(self.templates, sample) for sample in samples]
        asked = [texts for texts in filled if not isinstance(texts, Grade)]
        chats = [[{"role": r, "content": t} for r, t in zip(self.roles, ts, strict=True)] for ts in asked]
        try:
            said = iter(self.ask(self.model, chats))
        except LookupError as error:
            return [Grade(0.0, "model_grader_server_error", str(error))] * len(samples)
        return [one if isinstance(one, Grade) else _graded(self.read, next(said)) for one in filled]

    def reward(self, sample: Sample) -> float:
        return self.grades([sample])[0].reward

    @abstractmethod
    def read(self, said: str) -> float:
        """The reward that stands in what the model said. Raises Failed."""


def _filled(texts: tuple[str, ...], sample: Sample) -> list[str] | Grade:
    try:
        return [templates.fill(text, sample) for text in texts]
    except Failed as failed:
        return Grade(0.0, failed.kind, str(failed))


def _text(message: dict, number: int) -> str:
    content = message["content"]
    parts = [content] if isinstance(content, str | dict) else content
    texts = [part if isinstance(part, str) else part.get("text") for part in parts]
    if None in texts:
        raise Wrong(f".input[{number}].content", "the models of this computer read text only.")
    return "\n".join(texts)


class ScoreModel(Judge):
    """The first number in the model's answer, cut to the range."""

    def __init__(self, grader: dict, ask: Ask | None):
        super().__init__(grader, ask)
        self.range = list(grader.get("range") or (0, 1))
        if len(self.range) != 2 or not self.range[0] < self.range[1]:
            raise Wrong(".range", "it must be two numbers, the smaller one first.")

    def read(self, said: str) -> float:
        if not (number := NUMBER.search(said)):
            raise Failed("model_grader_parse_error", f"The model named no number, but said {said[:80]!r}.")
        return min(max(float(number[0]), self.range[0]), self.range[1])


class LabelModel(Judge):
    """1 if the label that the model names is one of those that pass, else 0."""

    def __init__(self, grader: dict, ask: Ask | None):
        super().__init__(grader, ask)
        self.labels, self.passing = list(grader["labels"]), set(grader["passing_labels"])
        if not self.labels or not self.passing <= set(self.labels):
            raise Wrong(".passing_labels", "each of them must be one of 'labels'.")

    def read(self, said: str) -> float:
        found = [
            label
            for label in self.labels
            if re.search(rf"(?<!\w){re.escape(label)}(?!\w)", said, re.IGNORECASE)
        ]
        if len(found) != 1:
            raise Failed(
                "model_grader_parse_error", f"The model named not one label, but said {said[:80]!r}."
            )
        return float(found[0] in self.passing)


class Multi(Kind):
    """A formula over the rewards of other graders."""

    def __init__(self, grader: dict, ask: Ask | None):
        self.parts: dict[str, Kind] = {}
        if not grader["graders"]:
            raise Wrong(".graders", "at least one grader is needed.")
        for name, part in grader["graders"].items():
            if not NAME.fullmatch(name) or name in formula.FUNCTIONS:
                raise Wrong(f".graders.{name[:80]}", "a formula cannot name it. Take letters, digits and _.")
            if part["type"] == "multi":
                raise Wrong(f".graders.{name}", "a multi grader cannot be a part of another.")
            try:
                self.parts[name] = made(part, ask)
            except Wrong as wrong:
                raise Wrong(f".graders.{name}{wrong.place}", str(wrong)) from None
        try:
            self.formula = formula.parse(grader["calculate_output"], list(self.parts))
        except ValueError as error:
            raise Wrong(".calculate_output", str(error)) from None

    def reward(self, sample: Sample) -> float:
        return self.grades([sample])[0].reward

    def grades(self, samples: list[Sample]) -> list[Grade]:
        each = zip(*(part.grades(samples) for part in self.parts.values()), strict=True)
        return [self._together(dict(zip(self.parts, grades, strict=True))) for grades in each]

    def _together(self, found: dict[str, Grade]) -> Grade:
        """The grade of one answer. A part with an error counts as 0, and its error is that of the whole."""
        parts = {name: grade.reward for name, grade in found.items()}
        error = next(
            ((g.error, f"{name}: {g.details}") for name, g in found.items() if g.error), (None, None)
        )
        try:
            return Grade(formula.calculate(self.formula, parts), *error, parts)
        except ValueError as problem:
            return Grade(0.0, "formula_parse_error", f"The formula has no value: {problem}.", parts)

    def missing(self, row: dict) -> str | None:
        return next(filter(None, (part.missing(row) for part in self.parts.values())), None)

    def close(self) -> None:
        for part in self.parts.values():
            part.close()


KINDS = {
    "string_check": StringCheck,
    "text_similarity": TextSimilarity,
    PYTHON: Python,
    "score_model": ScoreModel,
    "label_model": LabelModel,
    "multi": Multi,
}


def made(grader: dict, ask: Ask | None) -> Kind:
    """The grader, ready for work. Raises Wrong."""
    return KINDS[grader["type"]](grader, ask)


def parts_of(grader: dict) -> Iterator[dict]:
    """The grader and, of a multi grader, its parts."""
    yield grader
    if grader["type"] == "multi":
        yield from grader["graders"].values()
