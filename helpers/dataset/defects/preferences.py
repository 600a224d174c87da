"""Defects of preference rows, and of rows that are too long."""

from collections.abc import Iterable

from ...tokens import Size
from ..codes import BEST, ERROR, OLD, WARNING, defect
from ..formats import OUTPUTS
from ..row import Row
from .file import kind_of


@defect(ERROR, OLD)
def dpo_outputs(row: Row) -> Iterable[str]:
    """a preference row without both outputs
    Give it preferred_output and non_preferred_output, each a list of one assistant message."""
    for key, output in _outputs(row):
        if not isinstance(output, list) or not output:
            yield f"{key} is {'an empty list' if output == [] else kind_of(output)}"
        elif isinstance(output[0], dict) and output[0].get("role") in ("system", "user", "tool", "function"):
            yield f"{key} is from the role {output[0]['role']!r}, not the assistant"


@defect(ERROR, OLD)
def dpo_turns(row: Row) -> Iterable[str]:
    """a preferred or non-preferred output of more than one turn
    Leave one assistant message in each; what comes before belongs into 'input'."""
    for key, output in _outputs(row):
        if isinstance(output, list) and len(output) > 1:
            yield f"{key} has {len(output)} messages"


@defect(WARNING, f"consequence: the row may be refused; the documented names are ..._output: {OLD}")
def dpo_key_spelling(row: Row) -> Iterable[str]:
    """the outputs are called ..._completion
    Call them preferred_output and non_preferred_output."""
    if row.format == "preference":
        yield from (other for key, other in OUTPUTS.items() if key not in row.value and other in row.value)


@defect(WARNING, "consequence: there is no preference to learn")
def dpo_identical(row: Row) -> Iterable[str]:
    """both outputs are the same
    Make them differ in what you prefer, or delete the row."""
    first, *others = [output for _, output in _outputs(row)] or [None]
    if isinstance(first, list) and first and [first] == others:
        yield ""


def _outputs(row: Row) -> list[tuple[str, object]]:
    return [*row.outputs.items()] if row.format == "preference" else []


@defect(
    WARNING,
    f"consequence: the answer, which comes last, is the part that is lost: {BEST}; limits in data/models.csv",
    stage="tokens",
)
def too_long(row: Row, size: Size) -> Iterable[str]:
    """longer than the training context: the end is cut off
    Shorten it or divide it into several rows."""
    limit = row.job.limit
    if limit and size.most > limit:
        about = "" if size.exact else "about "
        yield f"{about}{size.most:,} tokens, {size.most - limit:,} are cut off"
