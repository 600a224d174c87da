"""Reading and validating a job's files, as OpenAI does when a job starts."""

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .. import dataset
from ..dataset.context import training_context
from ..dataset.counting import RowCounter
from .engines.simulated import SAMPLE_LIMIT

LINES_A_STEP = 100
MOST_NAMED = 100  # lines of a file in one message
ALL_TOKENS = 5_000  # examples; a longer file's tokens are estimated from the sample

# Like a payment provider's test card: this text in a training row makes the simulated moderation react.
FLAG = re.compile(r"\[mock:flag=([a-z/-]+)\]")
BLOCK = re.compile(r"\[mock:block=([a-z/-]+)\]")


FORMATS = {"supervised": "chat", "dpo": "preference"}  # what each method is trained on
NAMES = {"chat": "fine-tune-chat", "preference": "fine-tune-preference"}


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
        counter, limit = RowCounter(model), training_context(model)
        sizes = [counter.row(row, dataset.format_of(row))[0].most for row in self.rows]
        counted = sum(min(size, limit or size) for size in sizes)
        return round(counted * self.count / len(self.rows))


def read_file(
    path: Path,
    file_id: str,
    wanted: str,
    param: str,
    seed: int,
    at_each_step: Callable[[], None] = lambda: None,
) -> TrainingFile:
    """Reads and validates a file line by line. Raises Failure as OpenAI's validation would.

    ``wanted`` is the format of its rows: "chat", "preference", or "completion" for the models that only complete.
    ``at_each_step`` is called now and then; what it raises ends the reading.
    """
    result, flagged, picker = TrainingFile(0, [], set()), {}, random.Random(seed)
    keep = ALL_TOKENS if path.stat().st_size < 50_000_000 else SAMPLE_LIMIT
    for read, (line, example) in enumerate(_lines(path, param)):
        if read % LINES_A_STEP == 0:
            at_each_step()
        if found := dataset.problem(example):
            where = f"Example {line}, " if found.startswith("message") else f"Example {line}: "
            raise _invalid(f"Invalid file format. {where}{found}", param)
        kind = dataset.format_of(example)
        if kind != wanted:
            raise _wrong_format(file_id, kind, wanted, param)
        text = json.dumps(example, ensure_ascii=False)
        if not _is_unicode(text):
            raise _invalid(
                f"Invalid file format. Example {line}: half of a surrogate pair is not text.", param
            )
        if flag := FLAG.search(text):
            flagged[line] = flag[1]
        result.blocked |= set(BLOCK.findall(text))
        result.count += 1
        place = result.count - 1 if result.count <= keep else picker.randrange(result.count)
        if place < keep:
            result.rows[place : place + 1] = [example]
    if flagged:
        raise _flagged(flagged, param)
    if result.count < dataset.MIN_EXAMPLES and param == "training_file":
        least = dataset.MIN_EXAMPLES
        message = f"Training file has {result.count} example(s), but must have at least {least} examples"
        raise Failure(message, "invalid_n_examples", param)
    return result


def _lines(path: Path, param: str):
    try:
        yield from dataset.read_lines(path)
    except UnicodeDecodeError as error:
        raise _invalid(f"Invalid file format. The file is not UTF-8: {error.reason}.", param) from None
    except ValueError as error:
        raise _invalid(f"Invalid file format. {error}", param) from None


def _is_unicode(text: str) -> bool:
    try:
        return bool(text.encode())
    except UnicodeEncodeError:
        return False


def _invalid(reason: str, param: str) -> Failure:
    which = param.replace("_", " ")
    return Failure(f"The job failed due to an invalid {which}. {reason}", f"invalid_{param}", param)


def _wrong_format(file_id: str, kind: str, wanted: str, param: str) -> Failure:
    if kind == "completion":
        return _invalid("Unexpected file format, expected chat messages for this model.", param)
    if wanted == "completion":
        return _invalid("Unexpected file format, expected prompt/completion pairs for this model.", param)
    methods = {rows: method for method, rows in FORMATS.items()}
    return _invalid(
        f"Input file {file_id} is in the {NAMES[kind]} format, but the specified fine-tuning job is not using "
        f"'{methods[kind]}' as the training method (provided method={methods[wanted]}).",
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
        parts = (("user", row["prompt"]), ("assistant", row["completion"]))
        return {"messages": [{"role": role, "content": text} for role, text in parts]}
    return {"messages": [*row["input"]["messages"], *row["preferred_output"]]}
