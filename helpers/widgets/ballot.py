"""The votes of a blind test: pairs of answers, sides that are shuffled, votes that are saved. No widgets here."""

import hashlib
import json
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .. import mine

LEFT, SAME, RIGHT = "left", "no difference", "right"


@dataclass(frozen=True)
class Pair:
    """One question and the answers of two ways."""

    id: str
    question: str
    answers: tuple[str, str]  # of the first way, of the second


def pairs(before, after, rows: Sequence[dict] | None = None) -> list[Pair]:
    """The pairs of two tables of ``evaluate``, or of two answering functions that are asked these rows.

    Raises ValueError if the tables hold different questions, or if there is a function but no rows.
    """
    from .. import evaluate  # imports pandas, which the other widgets do not need at once

    if (callable(before) or callable(after)) and rows is None:
        raise ValueError("An answering function needs rows to be asked: blind_test(before, after, rows).")
    tables = [evaluate.evaluate(one, rows, {}) if callable(one) else one for one in (before, after)]
    first, second = tables
    if list(first.index) != list(second.index) or list(first["question"]) != list(second["question"]):
        raise ValueError("The two tables do not hold the same questions in the same order.")
    texts = zip(first.index, first["question"], first["answer"], second["answer"], strict=True)
    return [Pair(str(id), question, (one, other)) for id, question, one, other in texts]


@dataclass
class Ballot:
    """The votes on some pairs. ``file`` keeps them; a new Ballot on the same pairs goes on where they end.

    A vote is "left", "right" or "no difference"; what stood on the left is known only to the ballot. ``notice``
    says what went wrong with the file, if anything.
    """

    pairs: list[Pair]
    names: tuple[str, str]
    file: Path
    seed: int = 0
    votes: dict[str, str] = field(default_factory=dict)
    notice: str = ""

    @classmethod
    def opened(
        cls, pairs: list[Pair], names: tuple[str, str], folder: Path | None = None, seed: int | None = None
    ) -> "Ballot":
        """The ballot on these pairs with the votes that were saved, or a new one with a seed of its own.

        Other answers have another file, so no test overwrites the votes of another.
        """
        file = (folder or mine.folder()) / f"blind_test_{_mark(pairs, names)}.json"
        ballot = cls(pairs, names, file, random.randrange(2**31) if seed is None else seed)
        ballot._load()
        return ballot

    def next(self) -> Pair | None:
        """The first pair without a vote; None at the end."""
        return next((pair for pair in self.pairs if pair.id not in self.votes), None)

    def sides(self, pair: Pair) -> tuple[int, int]:
        """(way on the left, way on the right): 0 and 1 or 1 and 0, by a coin of the ballot's own."""
        coin = random.Random(f"{self.seed} {pair.id}").random() < 0.5
        return (1, 0) if coin else (0, 1)

    def vote(self, choice: str) -> bool:
        """Votes on the next pair and saves. False if all pairs have a vote."""
        if (pair := self.next()) is None:
            return False
        self.votes[pair.id] = choice
        self._save()
        return True

    def undo(self) -> bool:
        """Takes the last vote back and saves. False if there is none."""
        if not self.votes:
            return False
        self.votes.popitem()
        self._save()
        return True

    def counts(self) -> tuple[int, int, int]:
        """Votes for the first way, for the second, for no difference."""
        found = [0, 0, 0]
        for pair in self.pairs:
            choice = self.votes.get(pair.id)
            if choice == SAME:
                found[2] += 1
            elif choice:
                found[self.sides(pair)[choice == RIGHT]] += 1
        return tuple(found)

    def result(self) -> str:
        """The votes as a sentence, with the interval."""
        from .. import evaluate

        return evaluate.preference(*self.counts(), self.names)

    def told(self) -> list[tuple[str, str, str, str]]:
        """What was hidden, for each pair with a vote: (question, name on the left, on the right, name voted for).

        The last is "no difference" where neither was better.
        """
        found = []
        for pair in self.pairs:
            if choice := self.votes.get(pair.id):
                left, right = (self.names[way] for way in self.sides(pair))
                found.append((pair.question, left, right, {LEFT: left, RIGHT: right}.get(choice, SAME)))
        return found

    # --- the file ------------------------------------------------------------------------------------------

    def _load(self) -> None:
        try:
            kept = json.loads(self.file.read_text(encoding="utf-8"))
            self.seed, self.votes = _checked(kept, {pair.id for pair in self.pairs})
        except FileNotFoundError:
            return
        except OSError as error:
            self.notice = f"{self.place} could not be read: {error.strerror}."
        except ValueError:
            self._set_aside()

    def _set_aside(self) -> None:
        """Keeps a file that cannot be understood under another name, so that nothing in it is lost."""
        number, aside = 1, self.file.with_suffix(".broken")
        while aside.exists():
            number += 1
            aside = self.file.with_suffix(f".broken{number}")
        self.notice = f"{self.place} is damaged and could not be read. "
        try:
            os.replace(self.file, aside)
            self.notice += f"It is kept as {aside.name}; the test begins anew."
        except OSError as error:
            self.file = self.file.with_name(self.file.stem + "_new.json")
            self.notice += f"It stays as it is ({error.strerror}); new votes go to {self.file.name}."

    def _save(self) -> None:
        """Replaces the file in one step: a run that breaks off leaves the old one whole."""
        kept = {"names": self.names, "seed": self.seed, "votes": self.votes}
        part = self.file.with_suffix(".part")
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
            os.replace(part, self.file)
            self.notice = ""
        except OSError as error:
            self.notice = (
                f"The votes could not be written to {self.place}: {error.strerror}. "
                "They hold until the notebook is closed."
            )

    @property
    def place(self) -> str:
        """Where the votes are, as a learner would look for it."""
        return f"{self.file.parent.name}/{self.file.name}"


def _mark(pairs: list[Pair], names: Sequence[str]) -> str:
    """Eight characters that stand for these names, questions and answers."""
    text = json.dumps([list(names), [[pair.id, pair.question, *pair.answers] for pair in pairs]])
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _checked(kept: object, ids: set[str]) -> tuple[int, dict[str, str]]:
    """The seed and the votes of a file. Raises ValueError if it does not hold what ``_save`` writes."""
    if isinstance(kept, Mapping) and isinstance(votes := kept.get("votes"), dict):
        if isinstance(kept.get("seed"), int) and set(votes) <= ids:
            if all(choice in (LEFT, SAME, RIGHT) for choice in votes.values()):
                return kept["seed"], votes
    raise ValueError("not a file of votes")
