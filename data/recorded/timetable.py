"""Records what each way makes of the timetable's questions: prompts, examples, preferences, rewards, distillation.

``python -m data.recorded.timetable``, started in the project's folder after ``python start.py local``, trains and asks
through the mock API with the ``openai`` client. It can be stopped at any time: what is there is not done again. To
begin anew, delete the ``timetable_*`` files of this folder. Units come in the order of their weight, so a run that was
stopped early has those that matter most; ``python -m data.recorded.timetable 5`` goes as far as the fifth. Nothing is
edited or picked by hand. ``python -m data.recorded.timetable_score`` makes the table of it. To repeat one row of that
table, from its training on, and see it beside the recorded one: ``python -m data.recorded.timetable --way rewarded``
(``--seed 1`` for another training). What that asks is kept in ``my/timetable/``; another processor gives other numbers.

For each seed the training rows are shuffled. ``tuned-100`` learns the first hundred of them as examples, and so on; all
settings are "auto". From ``tuned-100`` four more models start:

    preferred    pairs, from the other 200 rows: the right query and the model's own first wrong answer
    rewarded     questions of these rows; rewarded is an answer that finds the same flights as the row's query
    patient      the same with a fifth of the learning rate and all 200 questions: added when the validation questions
                 had shown fewer right queries after "rewarded"
    lenient      the same, but an answer is rewarded where no wanted flight is missing: a reward that can be cheated
    agreed       questions without a query; rewarded is an answer that finds what most of the model's own answers found

and two are trained from the base, on rows that no person has labelled:

    self_taught  the hundred rows, and unlabelled questions with the query on which the model's own answers agree
    distilled    unlabelled questions with the query on which the base's answers agree, asked with the long prompt

Without a label it can be rewarded that a query can be read, that it finds flights, and that several answers agree. That
makes answers well formed and steady. It cannot teach what the model gets wrong each time: then the wrong answers agree.
``untrained`` rewards the base itself. The sealed questions are asked once of each model, at temperature 0.
"""

import argparse
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path

import openai
from openai import OpenAI

from helpers import evaluate, mine, timetable
from helpers.connect import connect
from helpers.evaluate.timetable_record import AGREE, PROMPTS, TIMETABLE_WAYS, agreeing

from . import make, methods

SEEDS = (0, 1, 2)
FOOTHOLD = 100  # rows that are learned as examples before preferences and rewards
SIZES = (300, FOOTHOLD, 25, 200, 50)  # those first that most depends on
NEAREST = 6  # training examples in a prompt
REWARDED = 64  # questions of a job with rewards
UNTRAINED = 16  # questions whose answers by the base are rewarded: enough to see that none is right
DRAWN = 4  # answers to a question, drawn at temperature 1
TAUGHT_BY_BASE = 100  # questions that the base answers with a long prompt, which takes a while
LONGEST_ANSWER = 96  # tokens
LEAST_ROWS = 10  # that a job takes
SCHEMA = {"type": "json_schema", "json_schema": {"name": "query", "schema": timetable.schema()}}
PROJECT = Path(__file__).resolve().parents[2]
GRADER = """
import json
import sys

sys.path.append({project!r})
from helpers import timetable


def grade(sample, item):
    text, query = sample["output_text"], item["query"]
    found, wanted = timetable.numbers(text), timetable.numbers(query)
    return {test}
"""
# rows of the table for which a model is asked
WAYS = [way for way, said in TIMETABLE_WAYS.items() if not said.startswith("no model")]
SAME = "timetable.same_flights(text, json.loads(query))"
NOTHING_MISSING = "set(wanted) <= set(found)"


# --- rows ----------------------------------------------------------------------------------------------------


@cache
def rows_of(name: str) -> list[dict]:
    """Rows with id, question and, but for the unlabelled ones, query."""
    chats = name in ("train", "valid")
    return evaluate.timetable_asked(name) if chats else evaluate.timetable_rows(name)


def shuffled(seed: int) -> list[dict]:
    """The training rows in an order that hangs on the seed."""
    return random.Random(seed).sample(rows_of("train"), len(rows_of("train")))


def example(row: dict) -> dict:
    """A row in chat format."""
    answer = {"role": "assistant", "content": timetable.written(row["query"])}
    return {"messages": [*alone(row["question"]), answer]}


# --- how is asked --------------------------------------------------------------------------------------------


def alone(question: str, before: list[dict] = (), manual: bool = False) -> list[dict]:
    """The question after the short system prompt, with the manual in it or not, and after answered questions."""
    system = f"{timetable.SYSTEM}\n\n{timetable.manual()}" if manual else timetable.SYSTEM
    return make.chat(system, question, before)


@cache
def near() -> Callable[[str], list[dict]]:
    return evaluate.nearest_turns(evaluate.timetable_rows("train"), NEAREST)


def prompted(way: str, question: str) -> list[dict]:
    """The messages of one of PROMPTS."""
    turns = near()(question) if "few_shot" in way else ()
    return alone(question, turns, manual="manual" in way)


def ask(client: OpenAI, model: str, messages: list[dict], **options) -> dict:
    reply = client.chat.completions.create(
        model=model, messages=messages, max_tokens=LONGEST_ANSWER, **{"temperature": 0} | options
    )
    answers = [choice.message.content for choice in reply.choices]
    return {
        "answer": answers[0],
        "answers": answers,
        "cut_off": reply.choices[0].finish_reason == "length",
        "prompt_tokens": reply.usage.prompt_tokens,
        "answer_tokens": reply.usage.completion_tokens,
    }


def ask_all(client: OpenAI, model: str, chats: list[list[dict]], **options) -> list[dict]:
    with ThreadPoolExecutor(make.TOGETHER) as pool:
        return list(pool.map(lambda chat: ask(client, model, chat, **options), chats))


def keeps_to_a_schema(client: OpenAI) -> bool:
    """Whether an answer of the small model is really held to a schema: one that it would never give by itself."""
    schema = {"type": "object", "properties": {"to": {"const": "Baiyun"}}, "required": ["to"]}
    wanted = {
        "type": "json_schema",
        "json_schema": {"name": "probe", "schema": schema | {"additionalProperties": False}},
    }
    try:
        found = ask(client, make.MODEL, alone("Paris?"), response_format=wanted)
        return json.loads(found["answer"]) == {"to": "Baiyun"}
    except (openai.APIStatusError, ValueError):
        return False


# --- the recording -------------------------------------------------------------------------------------------


class Recording:
    """The books of this recording, and the client that fills them."""

    def __init__(self, client: OpenAI | None, folder: Path | str = ""):
        """``folder``: where the books are, if not beside this file."""
        self.client = client
        self.answers, self.drawn, self.jobs = (
            make.Book(Path(folder, f"timetable_{name}.jsonl")) for name in ("answers", "drawn", "jobs")
        )

    def asked(
        self, way: str, seed: int, split: str, model: Callable[[], str], prompt=alone, **options
    ) -> None:
        """Asks all questions of a file, unless the answers are in the book."""
        unit = {"way": way, "seed": seed, "split": split}
        if self.answers.has(**unit):
            return
        rows, model = rows_of(split), model()
        say(f"asking {way}, seed {seed}, {split}")
        found = ask_all(self.client, model, [prompt(row["question"]) for row in rows], **options)
        kept = ("answer", "cut_off", "prompt_tokens", "answer_tokens")
        told = [
            {"id": row["id"]} | {key: one[key] for key in kept} for row, one in zip(rows, found, strict=True)
        ]
        self.answers.add(told, **unit)

    def drawn_from(self, way: str, seed: int, rows: list[dict], model: str, prompt=alone) -> list[dict]:
        """The rows, each with DRAWN answers of a model; drawn now unless they are in the book."""
        if not self.drawn.has(way=way, seed=seed):
            say(f"drawing from {way}, seed {seed}, {len(rows)} questions")
            chats = [prompt(row["question"]) for row in rows]
            found = ask_all(self.client, model, chats, n=DRAWN, temperature=1, seed=seed)
            told = [
                {"id": row["id"], "answers": one["answers"]} for row, one in zip(rows, found, strict=True)
            ]
            self.drawn.add(told, way=way, seed=seed)
        answers = {r["id"]: r["answers"] for r in self.drawn.rows if (r["way"], r["seed"]) == (way, seed)}
        return [row | {"answers": answers[row["id"]]} for row in rows]

    def trained(
        self,
        way: str,
        seed: int,
        rows: list[dict],
        method: str,
        model: str = make.MODEL,
        settings=None,
        **more,
    ):
        """The finished job of this name, or None if there are too few rows for one; how it went is written down."""
        if len(rows) < LEAST_ROWS:
            return say(f"{way}, seed {seed}: {len(rows)} rows are too few for a job")

        def create(metadata: dict):
            say(f"training {way}, seed {seed}, {len(rows)} rows")
            how = {"type": method, method: {"hyperparameters": settings or {}} | more}
            metadata |= {"load": f"{os.getloadavg()[0]:.1f}"}
            file = make.upload(self.client, "train.jsonl", rows)
            return self.client.fine_tuning.jobs.create(
                model=model, training_file=file, method=how, seed=seed, suffix="timetable", metadata=metadata
            )

        job = make.finished(self.client, {"run": f"timetable-{way}-seed{seed}"}, create)
        if not self.jobs.has(way=way, seed=seed):
            curve = make.steps(self.client, job)
            told = {"method": method, "rows": len(rows)} | methods.of_the_job(self.client, job, curve)
            if method == "reinforcement":
                kept = {"reward": "train_mean_reward", "equal": "frac_reward_zero_std"}
                told |= {name: [round(step[metric], 2) for step in curve] for name, metric in kept.items()}
            self.jobs.add([told | methods.made()], way=way, seed=seed)
        return job

    # --- the models ------------------------------------------------------------------------------------------

    def tuned(self, size: int, seed: int):
        return self.trained(
            f"tuned-{size}", seed, [example(row) for row in shuffled(seed)[:size]], "supervised"
        )

    def start(self, seed: int) -> str:
        return self.tuned(FOOTHOLD, seed).fine_tuned_model

    def preferred(self, seed: int):
        drawn = self.drawn_from("labelled", seed, shuffled(seed)[FOOTHOLD:], self.start(seed))
        wrong = [(row, first_wrong(row)) for row in drawn]
        pairs = [methods.pair(example(row), answer) for row, answer in wrong if answer is not None]
        return self.trained("preferred", seed, pairs, "dpo", self.start(seed))

    def rewarded(self, seed: int, way: str = "rewarded", test: str = SAME):
        return self.by_reward(way, seed, shuffled(seed)[FOOTHOLD:][:REWARDED], self.start(seed), test)

    def patient(self, seed: int):
        rows, slow = shuffled(seed)[FOOTHOLD:], {"learning_rate_multiplier": 0.2}
        return self.by_reward("patient", seed, rows, self.start(seed), settings=slow)

    def lenient(self, seed: int):
        return self.rewarded(seed, "lenient", NOTHING_MISSING)

    def agreed(self, seed: int):
        return self.by_reward("agreed", seed, self.agreeing(seed, least=2)[:REWARDED], self.start(seed))

    def untrained(self, seed: int):
        return self.by_reward("untrained", seed, shuffled(seed)[FOOTHOLD:][:UNTRAINED], make.MODEL)

    def by_reward(self, way: str, seed: int, rows: list[dict], model: str, test: str = SAME, settings=None):
        source = GRADER.format(project=str(PROJECT), test=test)
        grader = {"type": "python", "name": "flights", "source": source}
        asked = [
            {"messages": alone(row["question"]), "query": timetable.written(row["query"])} for row in rows
        ]
        return self.trained(way, seed, asked, "reinforcement", model, settings, grader=grader)

    def self_taught(self, seed: int):
        rows = shuffled(seed)[:FOOTHOLD] + self.agreeing(seed)
        return self.trained("self_taught", seed, [example(row) for row in rows], "supervised")

    def distilled(self, seed: int):
        way, asked = self.long_prompt(), rows_of("unlabelled")[:TAUGHT_BY_BASE]
        drawn = self.drawn_from(way, seed, asked, make.MODEL, partial(prompted, way))
        return self.trained("distilled", seed, [example(row) for row in agreeing(drawn, AGREE)], "supervised")

    def agreeing(self, seed: int, least: int = AGREE) -> list[dict]:
        """Unlabelled questions with the query on which the answers of the start agree."""
        return agreeing(self.drawn_from("unlabelled", seed, rows_of("unlabelled"), self.start(seed)), least)

    def long_prompt(self) -> str:
        """The prompt with which the base got most of the validation questions right."""
        for way in PROMPTS:
            self.prompt(way, "valid")
        return evaluate.timetable_prompt()

    # --- units -----------------------------------------------------------------------------------------------

    def prompt(self, way: str, split: str = "sealed") -> None:
        self.asked(way, 0, split, lambda: make.MODEL, partial(prompted, way))

    def tuned_on(self, size: int, seed: int) -> None:
        for split in ("sealed", "valid") if size == FOOTHOLD else ("sealed",):
            self.asked(f"tuned-{size}", seed, split, lambda: self.tuned(size, seed).fine_tuned_model)

    def epochs(self, seed: int) -> None:
        """The validation questions after each epoch: is 4, the automatic number, a good one?"""
        for number in (1, 2, 3, 4):
            self.asked(
                f"tuned-{SIZES[0]}-epoch{number}", seed, "valid", partial(self.checkpoint, seed, number)
            )

    def checkpoint(self, seed: int, number: int) -> str:
        points = self.client.fine_tuning.jobs.checkpoints.list(self.tuned(SIZES[0], seed).id).data
        return points[-number].fine_tuned_model_checkpoint

    def setting(self, name: str, **settings) -> None:
        """The validation questions after a training with another setting."""
        way, rows = f"tuned-{SIZES[0]}-{name}", [example(row) for row in shuffled(0)]
        self.asked(
            way,
            0,
            "valid",
            lambda: self.trained(way, 0, rows, "supervised", settings=settings).fine_tuned_model,
        )

    def with_schema(self, way: str) -> None:
        """Asks the base in a way of PROMPTS, or ``tuned-100``, held to the schema of a query, if that is possible."""
        if not self.answers.has(way=f"{way}_schema") and keeps_to_a_schema(self.client):
            prompt, model = partial(prompted, way), make.MODEL
            if way not in PROMPTS:
                prompt, model = alone, self.start(0)
            self.asked(f"{way}_schema", 0, "sealed", lambda: model, prompt, response_format=SCHEMA)

    def learned(self, way: str, seed: int) -> None:
        """Trains one of the models that start from another, and asks it."""
        for split in ("sealed", "valid"):
            if not self.answers.has(way=way, seed=seed, split=split) and (job := getattr(self, way)(seed)):
                self.asked(way, seed, split, lambda: job.fine_tuned_model)

    def row(self, way: str, seed: int) -> None:
        """Asks what one row of the table needs, and trains for it."""
        if way in PROMPTS:
            self.prompt(way)
        elif way.endswith("_schema"):
            self.with_schema(way.removesuffix("_schema"))
        elif way.startswith("tuned-"):
            self.tuned_on(int(way.removeprefix("tuned-")), seed)
        else:
            self.learned(way, seed)

    def units(self) -> Iterator[Callable[[], None]]:
        """All there is to do, in the order of its weight."""
        ways = ("rewarded", "lenient", "preferred", "patient", "distilled", "agreed", "self_taught")
        for size in SIZES[:2]:
            yield partial(self.tuned_on, size, 0)
        for way in PROMPTS:
            yield partial(self.prompt, way, "valid")
        for way in ways[:2]:
            yield partial(self.learned, way, 0)
        yield partial(self.untrained, 0)
        for way in PROMPTS:
            yield partial(self.prompt, way)
        for way in ways[2:5]:
            yield partial(self.learned, way, 0)
        for size in SIZES:
            for seed in SEEDS:
                yield partial(self.tuned_on, size, seed)
        for way in ways[5:]:
            yield partial(self.learned, way, 0)
        for way in (*PROMPTS[:2], f"tuned-{FOOTHOLD}"):
            yield partial(self.with_schema, way)
        yield partial(self.epochs, 0)
        for seed in SEEDS[1:]:
            for way in ways:
                yield partial(self.learned, way, seed)
        yield partial(self.setting, "epochs8", n_epochs=8)
        yield partial(self.setting, "rate_third", learning_rate_multiplier=0.33)
        for seed in SEEDS[1:]:
            yield partial(self.epochs, seed)


def first_wrong(row: dict) -> str | None:
    """The first of a row's answers that does not find the right flights; not an empty one, which no job takes."""
    wrong = (
        answer
        for answer in row["answers"]
        if answer.strip() and not timetable.same_flights(answer, row["query"])
    )
    return next(wrong, None)


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def again(way: str, seed: int) -> None:
    """Repeats a row of the table, and says how many sealed questions are right, now and as recorded."""
    folder = mine.folder() / "timetable"
    folder.mkdir(parents=True, exist_ok=True)
    now = Recording(OpenAI(timeout=3600, max_retries=0), folder)
    now.row(way, seed)
    found, recorded = (right_of(book, way, seed) for book in (now.answers, Recording(None).answers))
    print(f"{way}, seed {seed}: right now {found}, recorded {recorded}")


def right_of(book: make.Book, way: str, seed: int) -> str:
    """How many answers of a way to the sealed questions are right, of how many; "nothing" if it was not asked."""
    answers = {
        row["id"]: row["answer"]
        for row in book.rows
        if (row["way"], row["seed"], row["split"]) == (way, seed, "sealed")
    }
    if not answers:
        return "nothing"
    right = [timetable.same_flights(answers[row["id"]], row["query"]) for row in rows_of("sealed")]
    return f"{sum(right)} of {len(right)}"


def main() -> None:
    """Does the units that are not there, or repeats one row."""
    parser = argparse.ArgumentParser(description="Records the timetable's ways; see the head of the file.")
    parser.add_argument("most", type=int, nargs="?", help="do so many units at most")
    parser.add_argument("--way", choices=WAYS, help="repeat this row of timetable.csv instead")
    parser.add_argument("--seed", type=int, choices=SEEDS, default=0, help="of the repeated row")
    options = parser.parse_args()
    from helpers.local_api.engines.trained import serving

    serving.GAP_SECONDS = make.GAP
    connect()
    if options.way:
        return again(options.way, options.seed)
    recording = Recording(OpenAI(timeout=3600, max_retries=0))
    for number, unit in enumerate(recording.units()):
        if number == options.most:
            break
        unit()
    say("done")


if __name__ == "__main__":
    main()
