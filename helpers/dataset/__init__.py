"""Read, write, check, mend, split and convert training files: JSONL, one example a line."""

from . import defects  # noqa: F401 - each module registers its entries
from .checker import check
from .convert import (
    from_alpaca,
    from_chatml,
    from_file,
    from_messages,
    from_preferences,
    from_prompt_completion,
    from_prompts,
    from_sharegpt,
    from_table,
)
from .fix import fix
from .formats import MIN_EXAMPLES, ROLES, format_of
from .jsonl import read, read_lines, write
from .judge import problem
from .report import Problem, Report
from .split import split

__all__ = [
    "MIN_EXAMPLES",
    "ROLES",
    "Problem",
    "Report",
    "check",
    "fix",
    "format_of",
    "from_alpaca",
    "from_chatml",
    "from_file",
    "from_messages",
    "from_preferences",
    "from_prompt_completion",
    "from_prompts",
    "from_sharegpt",
    "from_table",
    "problem",
    "read",
    "read_lines",
    "split",
    "write",
]
