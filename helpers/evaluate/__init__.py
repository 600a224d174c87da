"""Find out whether answers got better: the same questions, counted by rules that were fixed before.

An *answering function* takes a question and returns an answer, both texts. It may ask a model, read a recorded
answer, or copy: ``evaluate`` does not care. Rows are dicts with the keys of data/airport/practice.jsonl.

    checks     what counts as right          comparing  two ways, all runs, with the uncertainty
    counting   evaluate, shares, intervals   people     votes and raters
    rivals     what needs no training        record     what the really trained model answered
"""

from .checks import CHECKS, DATA, DESKS, FACTS_APART, desk, fact, form, makes_up, no_rule, right
from .comparing import Comparison, apart, compare, comparisons, holm, rows_needed
from .counting import (
    Answering,
    at_once,
    board,
    by_epoch,
    by_question,
    chart,
    evaluate,
    interval,
    loss_chart,
    same_answers,
    size_chart,
    summary,
)
from .people import Agreement, agreement, preference, printable
from .record import (
    WAYS,
    every_epoch,
    every_run,
    losses,
    next_to_rules,
    questions,
    recorded,
    rules,
    runs,
    sealed,
    side_by_side,
)
from .rivals import (
    by_meaning,
    by_words,
    majority,
    merged,
    nearest_example,
    nearest_rule,
    nearest_turns,
    without_a_model,
)

__all__ = [
    "CHECKS",
    "DATA",
    "DESKS",
    "FACTS_APART",
    "WAYS",
    "Agreement",
    "Answering",
    "Comparison",
    "agreement",
    "apart",
    "at_once",
    "board",
    "by_epoch",
    "by_meaning",
    "by_question",
    "by_words",
    "chart",
    "compare",
    "comparisons",
    "desk",
    "evaluate",
    "every_epoch",
    "every_run",
    "fact",
    "form",
    "holm",
    "interval",
    "loss_chart",
    "losses",
    "majority",
    "makes_up",
    "merged",
    "nearest_example",
    "nearest_rule",
    "nearest_turns",
    "next_to_rules",
    "no_rule",
    "preference",
    "printable",
    "questions",
    "recorded",
    "right",
    "rows_needed",
    "rules",
    "runs",
    "same_answers",
    "sealed",
    "side_by_side",
    "size_chart",
    "summary",
    "without_a_model",
]
