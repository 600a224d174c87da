"""Find out whether answers got better: the same questions, counted by rules that were fixed before.

An *answering function* takes a question and returns an answer, both texts. It may ask a model, read a recorded
answer, or copy: ``evaluate`` does not care. Rows are dicts with the keys of data/airport/practice.jsonl.

    checks     what counts as right          comparing  two ways, all runs, with the uncertainty
    counting   evaluate, shares, intervals   people     votes and raters
    rivals     what needs no training        record     what the really trained model answered
    clinic     models with one planted fault each
"""

from .checks import CHECKS, DATA, DESKS, desk, fact, form, no_rule, right
from .clinic import patient, signs, ward
from .comparing import Comparison, compare, comparisons, holm, rows_needed
from .counting import Answering, by_question, chart, evaluate, interval, same_answers, size_chart, summary
from .people import Agreement, agreement, preference, printable
from .record import every_run, next_to_rules, questions, recorded, rules, runs, sealed
from .rivals import by_meaning, by_words, majority, merged, nearest_example, nearest_rule, nearest_turns

__all__ = [
    "CHECKS",
    "DATA",
    "DESKS",
    "Agreement",
    "Answering",
    "Comparison",
    "agreement",
    "by_meaning",
    "by_question",
    "by_words",
    "chart",
    "compare",
    "comparisons",
    "desk",
    "evaluate",
    "every_run",
    "fact",
    "form",
    "holm",
    "interval",
    "majority",
    "merged",
    "nearest_example",
    "nearest_rule",
    "nearest_turns",
    "next_to_rules",
    "no_rule",
    "patient",
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
    "signs",
    "size_chart",
    "summary",
    "ward",
]
