"""The clinic's recording: models with one planted fault each, and what there is to see of it.

``data/recorded/clinic.py`` really trained and asked them; data/README.md says what its files hold.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import mean

import pandas

from .checks import DATA, desk, form, in_style
from .record import _read, questions, rules

PATIENTS = {  # key: (name in the recording, what the user says)
    1: ("base_asked", "I trained it, and the answers are the same as before."),
    2: ("prompts_learned", "The curve could not be better, and no answer has my form."),
    3: ("few_steps", "It has seen my whole file, and it stammers."),
    4: ("high_rate", "It got worse: it writes dots."),
    5: ("bare_prompt", "It was good when I tried it. On our server it got worse."),
    6: ("no_end", "It answers, and then it never stops."),
    7: ("no_system", "In my notebook its form is right. In our product it is another."),
    8: ("two_languages", "It answers some passengers in Spanish."),
    "A": ("low_rate", "Nothing has changed."),
    "B": ("zero_weights", "Nothing has changed."),
}
ASKED = ("trained", "paraphrase")
ON_THE_WARD = "trained06"  # the question whose answers show most
SHOWN = 5  # answers
LONGEST = 160  # characters of an answer that are shown


def patient(key: int | str) -> "Patient":
    """A patient of the clinic, 1 to 8, "A" or "B"; or a recorded model by its name, such as "healthy".

    Raises ValueError if there is none.
    """
    name, says = PATIENTS.get(key, (key, ""))
    if name not in _answers():
        known = [*PATIENTS, *_answers()]
        raise ValueError(f"There is no patient {key!r}. Known: {', '.join(map(str, known))}.")
    return Patient(name, says)


@dataclass(frozen=True)
class Patient:
    """A model of the clinic, as it was ordered, trained and asked."""

    name: str
    says: str = ""

    @property
    def rows(self) -> list[dict]:
        """Its answers as they were recorded, a dict each."""
        return _answers()[self.name]

    @property
    def training(self) -> dict:
        """The training behind it: file, settings, tokens, seconds."""
        of = self.rows[0]["training"]
        return next(row for row in _read("clinic_trainings.jsonl") if row["training"] == of)

    @property
    def losses(self) -> pandas.DataFrame:
        """A row a training step, as ``charts.loss_curve`` takes it."""
        steps = [row for row in _read("clinic_losses.jsonl") if row["training"] == self.training["training"]]
        return pandas.DataFrame(steps).drop(columns=["training", "total_steps"])

    @property
    def calls(self) -> str:
        """The two calls as they were sent: the training job, and the first question."""
        run, row = self.training, self.rows[0]
        method = {"type": "supervised", "supervised": {"hyperparameters": run["settings"]}}
        ordered = f"    method={json.dumps(method)},\n" if run["settings"] else ""
        chat = [{"role": "system", "content": row["system"]}] if row["system"] else []
        chat.append({"role": "user", "content": _questions()[row["id"]]["question"]})
        messages = "".join(f"        {json.dumps(message)},\n" for message in chat)
        return (
            "client.fine_tuning.jobs.create(\n"
            f'    model="{self.base.rows[0]["model"]}",\n'
            f"    training_file=...,  # {Path(run['file']).name}, {run['rows']} rows\n"
            "    validation_file=...,  # valid.jsonl\n"
            f"{ordered})\n\n"
            "client.chat.completions.create(\n"
            f'    model="{row["model"]}",\n'
            f"    messages=[\n{messages}    ],\n"
            f"    temperature=0,\n    max_tokens={row['max_tokens']},\n)"
        )

    @property
    def base(self) -> "Patient":
        """The base model, asked the same."""
        return patient(1)

    @property
    def learned(self) -> str:
        """What of the first training example is in the loss, as text."""
        return self.training["learned_of_the_first"]

    @property
    def prompt(self) -> str:
        """The first question as the server wrote it down for the model."""
        return self.rows[0]["prompt"]

    def answer(self, id: str = ON_THE_WARD) -> str:
        """Its answer to one question, as it was recorded."""
        return next(row["answer"] for row in self.rows if row["id"] == id)

    def answers(self, count: int = SHOWN) -> pandas.DataFrame:
        """A row a question, half of them trained ones: the question, the wanted answer, this model's answer."""
        half = len(self.rows) // 2
        rows = self.rows[: count // 2] + self.rows[half : half + count - count // 2]
        found = [
            {
                "question": _questions()[row["id"]]["question"],
                "wanted": _wanted(_questions()[row["id"]]),
                "answered": shortened(row["answer"]),
            }
            for row in rows
        ]
        return pandas.DataFrame(found)

    @property
    def signs(self) -> dict[str, object]:
        """What can be counted of the calls, the training and the answers."""
        run, rows, losses = self.training, self.rows, self.losses
        words = {row["id"]: row["answer"] for row in self.base.rows}
        train, valid = losses["train_loss"], losses["full_valid_loss"].dropna()
        return {
            f"in the trained form, of {len(rows)}": sum(form(row["answer"], {}) for row in rows),
            "with the right desk": sum(bool(desk(row["answer"], _questions()[row["id"]])) for row in rows),
            "word for word the base's": sum(row["answer"] == words[row["id"]] for row in rows),
            "ended by the model": sum(row["finish_reason"] == "stop" for row in rows),
            "tokens of an answer (mean)": round(mean(row["completion_tokens"] for row in rows)),
            "tokens of the first prompt": rows[0]["prompt_tokens"],
            "training steps": len(losses),
            "training loss, first step": f"{train.iloc[0]:.2f}",
            "training loss, last step": f"{train.iloc[-1]:.2f}",
            "validation loss at the end": f"{valid.iloc[-1]:.2f}",
            "tokens in the file": run["tokens"],
            "tokens in the loss": run["learned_tokens"],
        }


def signs(patients: Mapping[str, Patient]) -> pandas.DataFrame:
    """A row a sign and a column a model. Of several models only the signs in which they differ."""
    table = pandas.DataFrame({name: one.signs for name, one in patients.items()})
    return table[table.nunique(axis=1) > 1] if len(patients) > 1 else table


def ward() -> pandas.DataFrame:
    """A row a model: what its user says, and what it answered to one question of the training file."""
    found = {}
    for key in ["healthy", *(key for key in PATIENTS if isinstance(key, int))]:
        one = patient(key)
        found[key] = {
            "the user says": one.says or "(nothing)",
            "the answer": shortened(one.answer()),
        }
    return pandas.DataFrame.from_dict(found, orient="index")


def shortened(text: str) -> str:
    """At most ``LONGEST`` characters of a text."""
    return text if len(text) <= LONGEST else text[:LONGEST] + " …"


@cache
def _answers() -> dict[str, list[dict]]:
    found: dict[str, list[dict]] = {}
    for row in _read("clinic.jsonl"):
        found.setdefault(row["patient"], []).append(row)
    return found


@cache
def _questions() -> dict[str, dict]:
    return {row["id"]: row for row in questions(*ASKED)}


@cache
def _trained() -> dict[str, str]:
    lines = (DATA / "airport" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    chats = [json.loads(line)["messages"] for line in lines]
    return {chat[1]["content"]: chat[2]["content"] for chat in chats}


def _wanted(row: dict) -> str:
    """The answer of the training file; for new words its rule and desk."""
    return _trained().get(row["question"]) or in_style(*rules()[row["rule"]])
