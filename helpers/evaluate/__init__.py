"""Find out whether answers got better: the same questions, counted by rules that were fixed before.

An *answering function* takes a question and returns an answer, both texts. It may ask a model, read a recorded
answer, or copy: ``evaluate`` does not care. Rows are dicts with the keys of data/airport/practice.jsonl.

    checks     what counts as right          comparing  two ways, all runs, with the uncertainty
    counting   evaluate, shares, intervals   people     votes and raters
    rivals     what needs no training        record     what the really trained model answered
    versus     a recorded way next to every rival
    asked      several ways at once
    taught     facts by tuning: what they cost
    tickets    the tickets of lesson 06       own        a file of the reader's own
    held_out   a test file as questions for a model
    inventing  what an answer states that its rule does not say
    ways       every way next to the others, their answers to one question
    clinic     models with one planted fault each
    timetable  queries of the airport's timetable
    timetable_parser, timetable_words  a rival for them: plain code, no model
    timetable_record  what was recorded of them    methods  what pairs and rewards taught of the house style
"""

from ..charts import loss_curve as loss_chart
from .asked import (
    ask_all,
    compare_with,
    every_size,
    growth,
    no_desk_line,
    strongest,
    their_answers,
)
from .checks import (
    CHECKS,
    DATA,
    DESKS,
    FACTS_APART,
    contains,
    desk,
    equal,
    fact,
    fitting,
    form,
    json_keys,
    last_line,
    makes_up,
    no_rule,
    refuses,
    regex,
    right,
)
from .clinic import patient, signs, ward
from .comparing import Comparison, apart, compare, comparisons, holm, rows_needed
from .counting import (
    Answering,
    at_once,
    bars,
    board,
    by_epoch,
    by_question,
    chart,
    evaluate,
    interval,
    same_answers,
    size_chart,
    summary,
)
from .held_out import held_out
from .inventing import in_no_rule, invented, invents, sound
from .methods import style_pairs, style_rewards, style_said
from .own import against_all, as_results, askable, opening, sees, untrained
from .people import Agreement, agreement, preference, printable, write_sheet
from .record import (
    WAYS,
    every_epoch,
    every_run,
    losses,
    next_to_rules,
    prompts,
    questions,
    recorded,
    rules,
    runs,
    sealed,
    side_by_side,
    written,
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
from .taught import facts_board, rows_of, side_effects, taught, taught_runs
from .tickets import TICKET_CHECKS, ticket_answers, tickets
from .timetable import TIMETABLE_CHECKS, timetable_board, timetable_rivals, timetable_rows
from .timetable_parser import answer_by_parser
from .timetable_record import (
    TIMETABLE_WAYS,
    both_tasks,
    timetable_agreement,
    timetable_asked,
    timetable_cheat,
    timetable_conclusion,
    timetable_each_training,
    timetable_growth,
    timetable_jobs,
    timetable_next_to,
    timetable_planned,
    timetable_prompt,
    timetable_results,
    timetable_rewards,
    timetable_verdicts,
)
from .versus import against
from .ways import answers_to, compare_ways, passed, results, said, ways

__all__ = [
    "CHECKS",
    "DATA",
    "DESKS",
    "FACTS_APART",
    "TICKET_CHECKS",
    "TIMETABLE_CHECKS",
    "TIMETABLE_WAYS",
    "WAYS",
    "Agreement",
    "Answering",
    "Comparison",
    "against",
    "against_all",
    "agreement",
    "answer_by_parser",
    "answers_to",
    "apart",
    "as_results",
    "ask_all",
    "askable",
    "at_once",
    "bars",
    "board",
    "both_tasks",
    "by_epoch",
    "by_meaning",
    "by_question",
    "by_words",
    "chart",
    "compare",
    "compare_ways",
    "compare_with",
    "comparisons",
    "contains",
    "desk",
    "equal",
    "evaluate",
    "every_epoch",
    "every_run",
    "every_size",
    "fact",
    "facts_board",
    "fitting",
    "form",
    "growth",
    "held_out",
    "holm",
    "in_no_rule",
    "interval",
    "invented",
    "invents",
    "json_keys",
    "last_line",
    "loss_chart",
    "losses",
    "majority",
    "makes_up",
    "merged",
    "nearest_example",
    "nearest_rule",
    "nearest_turns",
    "next_to_rules",
    "no_desk_line",
    "no_rule",
    "opening",
    "passed",
    "patient",
    "preference",
    "printable",
    "prompts",
    "questions",
    "recorded",
    "refuses",
    "regex",
    "results",
    "right",
    "rows_needed",
    "rows_of",
    "rules",
    "runs",
    "said",
    "same_answers",
    "sealed",
    "sees",
    "side_by_side",
    "side_effects",
    "signs",
    "size_chart",
    "sound",
    "strongest",
    "style_pairs",
    "style_rewards",
    "style_said",
    "summary",
    "taught",
    "taught_runs",
    "their_answers",
    "ticket_answers",
    "tickets",
    "timetable_agreement",
    "timetable_asked",
    "timetable_board",
    "timetable_cheat",
    "timetable_conclusion",
    "timetable_each_training",
    "timetable_growth",
    "timetable_jobs",
    "timetable_next_to",
    "timetable_planned",
    "timetable_prompt",
    "timetable_results",
    "timetable_rewards",
    "timetable_rivals",
    "timetable_rows",
    "timetable_verdicts",
    "untrained",
    "ward",
    "ways",
    "without_a_model",
    "write_sheet",
    "written",
]
