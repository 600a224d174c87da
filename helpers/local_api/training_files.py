"""Reading and validating a job's files, as OpenAI does when a job starts."""

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .. import dataset
from ..dataset.counting import RowCounter
from ..dataset.formats import METHOD_FORMATS
from ..dataset.judge import File, Refused, examples, of_whole
from ..dataset.row import Job
from .engines.simulated import SAMPLE_LIMIT

LINES_A_STEP = 100
MOST_NAMED = 100  # lines of a file in one message
ALL_TOKENS = 5_000  # examples; a longer file's tokens are estimated from the sample

# Like a payment provider's test card: this text in a training row makes the simulated moderation react.
FLAG = re.compile(r"\[mock:flag=([a-z/-]+)\]")
BLOCK = re.compile(r"\[mock:block=([a-z/-]+)\]")

NAMES = {
    "chat": "fine-tune-chat",
    "preference": "fine-tune-preference",
    "completion": "fine-tune-completions",
    "reinforcement": "fine-tune-reinforcement",
}


class Failure(Exception):
    """A job that fails, as its ``error`` field shows it."""

    def __init__(self, message: str, code: str = "invalid_training_file", param: str = "training_file"):
        super().__init__(message)
        self.error = {"code": code, "message": message, "param": param}


@dataclass
class TrainingFile:
    """What is known of a file after reading it once."""

    count: int  # examples
    rows: list[dict]  # all of them, or a random sample
    blocked: set[str]  # categories that the simulated safety check after training will object to

    @property
    def sample(self) -> list[dict]:
        """The rows as chats. Of a preference row the simulation learns the preferred answer and ignores the other; a
        pair is taken for what a user says and its answer."""
        return [_as_chat(row) for row in self.rows]

    def tokens(self, model: str) -> int:
        """Tokens of the whole file, as ``dataset.check`` counts them; estimated from the rows if there are more."""
        counter, limit = RowCounter(model), Job(model).limit
        sizes = [counter.row(row, dataset.format_of(row))[0].most for row in self.rows]
        counted = sum(min(size, limit or size) for size in sizes)
        return round(counted * self.count / len(self.rows))


def read_file(
    path: Path,
    file_id: str,
    method: str,
    param: str,
    seed: int,
    at_each_step: Callable[[], None] = lambda: None,
    model: str | None = None,
) -> TrainingFile:
    """Reads a file line by line. Raises Failure with the checker's reason where dataset.check finds an error.

    ``at_each_step`` is called now and then; what it raises ends the reading.
    """
    job, picker = Job(model, method), random.Random(seed)
    result, flagged, formats = TrainingFile(0, [], set()), {}, {}
    keep = ALL_TOKENS if path.stat().st_size < 50_000_000 else SAMPLE_LIMIT
    for row in _rows(path, job, param):
        if result.count % LINES_A_STEP == 0:
            at_each_step()
        count, first = formats.get(row.format, (0, row.line.number))
        formats[row.format] = (count + 1, first)
        if b"[mock:" in row.line.data:
            text = json.dumps(row.value, ensure_ascii=False)
            if flag := FLAG.search(text):
                flagged[row.line.number] = flag[1]
            result.blocked |= set(BLOCK.findall(text))
        result.count += 1
        place = result.count - 1 if result.count <= keep else picker.randrange(result.count)
        if place < keep:
            result.rows[place : place + 1] = [row.value]
    _refuse_whole(File(result.count, formats, job), file_id, param)
    if flagged:
        raise _flagged(flagged, param)
    return result


def _rows(path: Path, job: Job, param: str):
    try:
        yield from examples(path, job)
    except Refused as refused:
        raise _invalid(f"Invalid file format. {refused}", param) from None


def _refuse_whole(file: File, file_id: str, param: str) -> None:
    """Raises Failure for what makes the file as a whole useless; a validation file may be short."""
    for code, line, where in of_whole(file):
        if code.code == "too_few_rows":
            if param == "training_file":
                least = dataset.MIN_EXAMPLES
                message = f"Training file has {file.rows} example(s), but must have at least {least} examples"
                raise Failure(message, "invalid_n_examples", param)
        elif code.code == "wrong_method":
            raise _wrong_format(file_id, next(iter(file.formats)), file.job, param)
        else:
            raise _invalid(code.reason(line, where), param)


def _invalid(reason: str, param: str) -> Failure:
    which = param.replace("_", " ")
    return Failure(f"The job failed due to an invalid {which}. {reason}", f"invalid_{param}", param)


def _wrong_format(file_id: str, kind: str, job: Job, param: str) -> Failure:
    if job.wants_pairs:
        return _invalid("Unexpected file format, expected prompt/completion pairs for this model.", param)
    needs = next((name for name, wanted in METHOD_FORMATS.items() if wanted == kind), "supervised")
    return _invalid(
        f"Input file {file_id} is in the {NAMES[kind]} format, but the specified fine-tuning job is not using "
        f"'{needs}' as the training method (provided method={job.method}).",
        param,
    )


def _flagged(flagged: dict[int, str], param: str) -> Failure:
    lines = ", ".join(map(str, list(flagged)[:MOST_NAMED]))
    if len(flagged) > MOST_NAMED:
        lines += f" and {len(flagged) - MOST_NAMED:,} more"
    categories = ", ".join(sorted(set(flagged.values())))
    return Failure(
        "This training file was blocked because too many examples were flagged by our moderation API in the "
        f"following categories: {categories}. Flagged lines: {lines}",
        "invalid_training_file",
        param,
    )


def _as_chat(row: dict) -> dict:
    if "messages" in row:
        return row
    if "prompt" in row:
        asked, answer = row["prompt"], row["completion"]
        return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]}
    preferred = row.get("preferred_output") or row["preferred_completion"]
    return {"messages": [*row["input"]["messages"], *preferred]}
