"""What a training job or a call will cost, from the price book ``data/prices.csv``.

Every figure names the price it rests on: the days for which it holds, its source and how far to trust it.
The table is read anew each time, so an edited price counts at once.
"""

import csv
import datetime
import html
import math
from dataclasses import dataclass
from pathlib import Path

from . import tokens
from .dataset.checker import check
from .dataset.context import snapshot, training_context
from .dataset.report import Report, auto_epochs

DATA = Path(__file__).parents[1] / "data"
GRADES = {"O": "OpenAI's own words", "T": "not confirmed", "K": "common knowledge", "I": "our conclusion"}
REASONING_LEFT_OUT = "Reasoning not counted"


@dataclass(frozen=True)
class Price:
    """One row of the price book: US dollars for a million tokens, and the days for which it holds."""

    model: str
    kind: str  # "training", "base_input", "tuned_output", ...: see data/README.md
    usd_per_1m_tokens: float
    start: datetime.date | None  # None: not known
    end: datetime.date | None  # the first day on which it no longer holds; None: not known
    source: str
    source_date: datetime.date
    grade: str
    note: str

    def holds(self, day: datetime.date) -> bool:
        """Whether this was the price on that day. An unknown start is the model's first day, if that is known."""
        start = self.start or _available_from(self.model)
        return (start is None or start <= day) and (self.end is None or day < self.end)

    def days(self) -> str:
        """The first and the last day of the price, in words."""
        last = f"to {self.end - datetime.timedelta(days=1)}" if self.end else "no end known"
        if self.start:
            return f"{self.start} {last}" if self.end else f"from {self.start}, {last}"
        first = _available_from(self.model)
        return f"start not known{f', not before {first}' if first else ''}, {last}"

    def amount(self) -> str:
        """The price as the table prints it, with its unit."""
        exact = f"{self.usd_per_1m_tokens:.4f}".rstrip("0")
        return f"${max(exact, f'{self.usd_per_1m_tokens:.2f}', key=len)} for 1 million tokens"

    def origin(self) -> str:
        """The source, its date and its grade."""
        return f"{self.source} of {self.source_date}, grade {self.grade} ({GRADES[self.grade]})"


def history(model: str, kind: str) -> list[Price]:
    """Every known price of a kind, oldest first. Short names and tuned models (ft:...) count as their base."""
    base = snapshot(model)
    found = [_price(row) for row in _rows("prices.csv") if (row["model"], row["kind"]) == (base, kind)]
    return sorted(found, key=lambda one: one.start or datetime.date.min)


def price(model: str, kind: str, on: str | datetime.date | None = None) -> Price:
    """The price on a day, or the latest known one, which may be over. Raises ValueError if none is known."""
    known = history(model, kind)
    day = datetime.date.fromisoformat(on) if isinstance(on, str) else on
    found = [one for one in known if day is None or one.holds(day)]
    if found:
        return found[-1]
    what = f"No price of the kind {kind!r} is known for {snapshot(model)}"
    if known:
        days = "; ".join(one.days() for one in known)
        raise ValueError(f"{what} on {day}. Days with a known price: {days}.")
    kinds = [row["kind"] for row in _rows("prices.csv") if row["model"] == snapshot(model)]
    raise ValueError(f"{what}. Known for this model: {', '.join(dict.fromkeys(kinds)) or 'nothing'}.")


def models(kind: str = "base_input") -> list[str]:
    """The models of data/models.csv that have a price of a kind, short names where there is one."""
    names = dict.fromkeys(row["model"] for row in _rows("models.csv") if row["model"] != "*")
    priced = {row["model"] for row in _rows("prices.csv") if row["kind"] == kind}
    with_short_name = {snapshot(name) for name in names if snapshot(name) != name}
    return [name for name in names if snapshot(name) in priced and name not in with_short_name]


def dollars(amount: float) -> str:
    """To the cent; a small amount with two digits that count, as in $0.0000018."""
    size = abs(amount)
    decimals = 2 if size == 0 or size >= 0.1 else 1 - math.floor(math.log10(size))
    return f"{'-' if amount < 0 else ''}${size:,.{decimals}f}"


class _Sum:
    """Shows itself as a table in a notebook and as lines elsewhere."""

    def __str__(self) -> str:
        return "\n".join([self.title(), *(f"  {name}: {value}" for name, value in self.lines())])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        left = 'style="text-align:left"'
        rows = "".join(
            f'<tr><th scope="row" {left}>{html.escape(name)}</th><td {left}>{html.escape(value)}</td></tr>'
            for name, value in self.lines()
        )
        caption = html.escape(self.title())
        # JupyterLab would take what stands between two dollar signs for a formula
        head = f"<caption {left}><strong>{caption}</strong></caption>"
        return f'<table class="mathjax_ignore">{head}<tbody>{rows}</tbody></table>'


@dataclass(frozen=True, repr=False)
class TrainingCost(_Sum):
    """What one training job costs, and every number that this rests on."""

    report: Report
    model: str
    epochs: int
    why_epochs: str
    price: Price
    on: str | datetime.date | None

    @property
    def tokens(self) -> int:
        """Tokens of the file, each example cut at the model's training context."""
        return self.report.kept_tokens

    @property
    def billing_tokens(self) -> int:
        """Tokens in the file times epochs: what the price is multiplied with."""
        return self.tokens * self.epochs

    @property
    def usd(self) -> float:
        """The sum in US dollars."""
        return self.billing_tokens * self.price.usd_per_1m_tokens / 1_000_000

    def title(self) -> str:
        """The sum in one line."""
        about = "" if self.report.exact else "about "
        return f"Training {self.model} on {self.report.name}: {about}{dollars(self.usd)}"

    def lines(self) -> list[tuple[str, str]]:
        """Name and value of each number behind the sum."""
        cut_off, left_out = self.report.tokens - self.tokens, self.report.rows - self.report.good_rows
        counted = f"{self.tokens:,} in {self.report.good_rows:,} examples"
        counted += "" if self.report.exact else " (an estimate)"
        counted += f"; {cut_off:,} more are cut off" if cut_off else ""
        counted += f"; rows with errors, left out: {left_out:,}" if left_out else ""
        return [
            ("Tokens", counted),
            ("Epochs", f"{self.epochs} ({self.why_epochs})"),
            ("Billed tokens", f"{self.tokens:,} x {self.epochs} = {self.billing_tokens:,}"),
            *_of_price("Price", self.price, self.on),
        ]


def training(
    file: Report | str | Path,
    model: str,
    *,
    n_epochs: int | str = "auto",
    on: str | datetime.date | None = None,
) -> TrainingCost:
    """What it costs to train a model on a file: tokens in the file x epochs x price of a token.

    ``file`` is a path, or the report of ``dataset.check(file, model=model)``. Validation files are not
    charged (OpenAI's guide). ``on`` is a day such as "2025-06-01"; without it the latest known price is
    taken, which may be over. Rows with errors are left out, though a job with such rows would fail. No source
    says how the pairs of answers for DPO are billed; here both answers count.
    Raises ValueError if there is no price, no good row, or if the report counted for another kind of model.
    """
    if n_epochs != "auto" and (type(n_epochs) is not int or n_epochs < 1):
        raise ValueError(f'n_epochs must be "auto" or a whole number from 1, not {n_epochs!r}.')
    report = file if isinstance(file, Report) else check(file, model=model)
    if _counting(report.model) != _counting(model):
        again = f"dataset.check(file, model={model!r})"
        raise ValueError(f"This report did not count tokens as {model} does. Check again: {again}.")
    if not report.good_rows:
        raise ValueError(f"{report.name} has no row without errors, so there is nothing to train on.")
    epochs, why = n_epochs, "as asked"
    if n_epochs == "auto":
        epochs, why = auto_epochs(report.good_rows), '"auto", by the rule of OpenAI\'s notebook'
    return TrainingCost(report, snapshot(model), epochs, why, price(model, "training", on), on)


@dataclass(frozen=True, repr=False)
class CallCost(_Sum):
    """What one call costs. ``parts`` holds tokens and price of each kind; ``usd`` is the sum."""

    model: str
    parts: tuple[tuple[int, Price], ...]
    on: str | datetime.date | None
    notes: tuple[tuple[str, str], ...] = ()  # name and words of what the sum leaves out or takes in

    @property
    def usd(self) -> float:
        return sum(count * price.usd_per_1m_tokens for count, price in self.parts) / 1_000_000

    @property
    def complete(self) -> bool:
        """False if the model reasons by default and its reasoning tokens are not in the sum."""
        return REASONING_LEFT_OUT not in dict(self.notes)

    def title(self) -> str:
        """The sum in one line."""
        left_out = "" if self.complete else ", without its reasoning"
        sums = f"{dollars(self.usd)}; 1,000 such calls: {dollars(1_000 * self.usd)}"
        return f"One call of {self.model}{left_out}: {sums}"

    def short(self) -> str:
        """Tokens and sum in one line."""
        counted = ", ".join(f"{count:,} {price.kind.partition('_')[2]}" for count, price in self.parts)
        counted += "" if self.complete else ", reasoning not counted"
        return (
            f"{counted.replace('_', ' ')}: {dollars(self.usd)}; 1,000 such calls: {dollars(1_000 * self.usd)}"
        )

    def origin(self) -> str:
        """Days, source, date and grade of its prices, each said once."""
        return "; ".join(dict.fromkeys(f"{price.days()}, {price.origin()}" for _, price in self.parts))

    def lines(self) -> list[tuple[str, str]]:
        """Name and value of each number behind the sum."""
        lines = []
        for count, price in self.parts:
            lines += _of_price(f"{count:,} tokens, {price.kind}", price, self.on)
        return [*lines, *self.notes]


def reasons(model: str) -> str | None:
    """The reasoning effort that a base model takes if none is asked for; None if no source says that it reasons."""
    return _fact(snapshot(model), "reasoning_default")


def call(
    model: str,
    input_tokens: int,
    output_tokens: int = 0,
    *,
    cached: int = 0,
    reasoning: int | None = None,
    tuned: bool | None = None,
    on: str | datetime.date | None = None,
) -> CallCost:
    """What one call costs. ``output_tokens`` are those of the answer.

    ``cached`` is the beginning of the input that repeats from call to call. It gets the cached price only from
    so many tokens on as ``cached_input_from`` in data/models.csv says; below that the service caches nothing,
    and the sum says so. ``reasoning`` are the tokens with which the model thinks before it answers: they are
    billed as output. Without them (None) the sum of a model that reasons by default is not the whole bill, and
    says so; 0 means that reasoning was switched off.

    ``tuned=True`` takes the price of a model tuned from ``model``; without it the name decides (ft:... is tuned).
    ``on`` is as in ``training``. Raises ValueError if a price that is needed is not known.
    """
    if not 0 <= cached <= input_tokens or output_tokens < 0 or (reasoning or 0) < 0:
        raise ValueError("Tokens cannot be negative, and the cached ones are a part of the input.")
    tuned = model.startswith("ft:") if tuned is None else tuned
    notes = []
    if cached and cached < (least := int(_fact("*", "cached_input_from"))):
        notes.append(("Not cached", f"{cached:,} tokens: a beginning is cached from {least:,} tokens on"))
        cached = 0
    if reasoning:
        notes.append(("Reasoning", f"{reasoning:,} of the output tokens"))
    elif reasoning is None and output_tokens and not tuned and (effort := reasons(model)):
        words = f"{model} reasons by default (effort {effort}), and that is billed as output"
        notes.append((REASONING_LEFT_OUT, words))
    output = output_tokens + (reasoning or 0)
    counts = {"input": input_tokens - cached, "cached_input": cached, "output": output}
    kinds = [kind for kind, count in counts.items() if count or kind == "input"]
    family = "tuned" if tuned else "base"
    parts = tuple((counts[kind], price(model, f"{family}_{kind}", on)) for kind in kinds)
    return CallCost(model, parts, on, tuple(notes))


def count(what: str | list[dict], model: str) -> int:
    """How many tokens a model counts in a text, or in the messages of a chat with their wrapping."""
    return tokens.count(what, model) if isinstance(what, str) else tokens.count_messages(what, model)


@dataclass(frozen=True, repr=False)
class BreakEven(_Sum):
    """The same calls answered in two ways for some months: as now, or by a tuned model that is paid for first."""

    now: CallCost
    tuned: CallCost
    once: float  # US dollars before the first call: training, people
    calls: int  # a month
    months: int

    @property
    def saved(self) -> float:
        """US dollars that one call saves with the tuned model; negative if it costs more."""
        return self.now.usd - self.tuned.usd

    @property
    def calls_a_month(self) -> int | None:
        """The fewest calls a month at which tuning is not dearer. None if it never pays back."""
        if self.saved <= 0:
            return None if self.once or self.saved else 0
        return math.ceil(round(self.once / (self.saved * self.months), 6))

    def spent(self, calls: int) -> tuple[float, float]:
        """US dollars of all months at so many calls a month: as now, and with the tuned model."""
        return calls * self.months * self.now.usd, self.once + calls * self.months * self.tuned.usd

    def points(self) -> list[dict]:
        """Rows to draw: calls a month, and the dollars of both ways, at 0, break-even, ``calls`` and the end."""
        marked = {0, self.calls, self.calls_a_month or 0}
        places = sorted(marked | {2 * max(*marked, 1)})
        names = ("Calls a month", "As now", "Tuned")
        return [dict(zip(names, (place, *self.spent(place)), strict=True)) for place in places]

    def title(self) -> str:
        """When it pays back, in one line."""
        within = f"within {self.months} month{'' if self.months == 1 else 's'}"
        if self.calls_a_month is None:
            return "Tuning never pays back: a call does not get cheaper"
        return f"Tuning pays back {within} from {self.calls_a_month:,} calls a month"

    def lines(self) -> list[tuple[str, str]]:
        """Name and value of each number behind the sum."""
        now, tuned = self.spent(self.calls)
        verdict = "saves" if tuned <= now else "costs"
        spent = f"as now {dollars(now)}, tuned {dollars(tuned)}: tuning {verdict} {dollars(abs(now - tuned))}"
        ways = {f"As now, {self.now.model}": self.now, f"Tuned {self.tuned.model}": self.tuned}
        shown = []
        for name, call in ways.items():
            shown += [(name, call.short()), ("Prices", call.origin()), *call.notes]
        return [
            *shown,
            ("One call saves", dollars(self.saved)),
            ("Before the first call", dollars(self.once)),
            (f"{self.calls:,} calls a month, {self.months} months", spent),
        ]


def break_even(now: CallCost, tuned: CallCost, once: float, *, calls: int, months: int = 12) -> BreakEven:
    """When a tuned model pays back: ``once`` dollars are paid first, then each call costs what ``tuned`` says.

    ``calls`` is the number of calls a month. Raises ValueError if a number is negative or there is no month.
    """
    if once < 0 or calls < 0 or months < 1:
        raise ValueError("Dollars and calls cannot be negative, and there must be at least one month.")
    return BreakEven(now, tuned, once, calls, months)


def prompt_to_save(
    model: str, prompt: int, answer: int, *, on: str | datetime.date | None = None
) -> int | None:
    """How many tokens shorter a prompt must get before a tuned call is no dearer than one of its base.

    None if even a call without a prompt would be dearer, because of its answer. Training is not counted.
    """
    budget = call(model, prompt, answer, on=on).usd - call(model, 0, answer, tuned=True, on=on).usd
    each = call(model, 1, tuned=True, on=on).usd
    return None if budget < 0 else max(0, prompt - math.floor(round(budget / each, 6)))


def _of_price(name: str, price: Price, on: str | datetime.date | None) -> list[tuple[str, str]]:
    which = f"the price on {on}" if on else "the latest known price"
    return [(name, f"{price.amount()}, {which} ({price.days()})"), ("Source", price.origin())]


def _counting(model: str | None) -> tuple[str, int | None]:
    """What decides how many tokens of a file are billed: the vocabulary and where an example is cut."""
    return tokens.encoding_name(model or ""), training_context(model)


def _available_from(model: str) -> datetime.date | None:
    found = _fact(model, "available_from")
    return datetime.date.fromisoformat(found) if found else None


def _fact(model: str, fact: str) -> str | None:
    found = (row["value"] for row in _rows("models.csv") if (row["model"], row["fact"]) == (model, fact))
    return next(found, None)


def _price(row: dict) -> Price:
    start, end, dated = (
        datetime.date.fromisoformat(row[name]) if row[name] else None for name in ("from", "until", "date")
    )
    usd = float(row["usd_per_1m_tokens"])
    return Price(row["model"], row["kind"], usd, start, end, row["source"], dated, row["grade"], row["note"])


def _rows(table: str) -> list[dict[str, str]]:
    with open(DATA / table, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
