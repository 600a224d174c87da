"""What a training job, a call or a year will cost, from ``data/prices.csv`` and ``data/providers.csv``.

Every figure names the price it rests on: the days for which it holds, its source and how far to trust it.
The tables are read anew each time, so an edited price counts at once.
"""

import csv
import datetime
import fnmatch
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
HOURS_A_MONTH = 365 * 24 / 12
# kind of price -> the fact of data/providers.csv that holds it for a model named "provider/model"
HOSTED = {
    "training": "training_price",
    "tuned_input": "tuned_input_price",
    "tuned_output": "tuned_output_price",
}
NOT_FOUND = "price not found"


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
        return f"{_exact(self.usd_per_1m_tokens)} for 1 million tokens"

    def origin(self) -> str:
        """The source, its date and its grade."""
        return f"{self.source} of {self.source_date}, grade {self.grade} ({GRADES[self.grade]})"


def history(model: str, kind: str) -> list[Price]:
    """Every known price of a kind, oldest first. Short names and tuned models (ft:...) count as their base.

    "tinker/Qwen3-8B" is a model of another provider; its prices stand in data/providers.csv.
    """
    base = snapshot(model)
    found = [_price(row) for row in _rows("prices.csv") if (row["model"], row["kind"]) == (base, kind)]
    return sorted(found, key=lambda one: one.start or datetime.date.min) or _hosted(model, kind)


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
    """The models of data/models.csv that have a price of a kind, short names where there is one.

    Then those of other providers of which every price is known that a tuned model needs: "tinker/Qwen3-8B".
    """
    names = dict.fromkeys(row["model"] for row in _rows("models.csv") if row["model"] != "*")
    priced = {row["model"] for row in _rows("prices.csv") if row["kind"] == kind}
    with_short_name = {snapshot(name) for name in names if snapshot(name) != name}
    own = [name for name in names if snapshot(name) in priced and name not in with_short_name]
    facts: dict[str, set[str]] = {}
    for row in _rows("providers.csv"):
        facts.setdefault(f"{row['provider']}/{row['model']}", set()).add(row["fact"])
    hosted = [name for name, known in facts.items() if set(HOSTED.values()) <= known]
    return own + (hosted if kind in HOSTED else [])


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
        """Tokens of the file, each example cut at the model's training context; if estimated, the most it can be."""
        return self.report.kept_tokens

    @property
    def billing_tokens(self) -> int:
        """Tokens in the file times epochs: what the price is multiplied with."""
        return self.tokens * self.epochs

    @property
    def usd(self) -> float:
        """The sum in US dollars."""
        return self.billing_tokens * self.price.usd_per_1m_tokens / 1_000_000

    @property
    def exact(self) -> bool:
        """False if the tokens are estimates: of tools, calls and some pictures, or without the model's vocabulary."""
        return self.report.exact and tokens.is_exact(self.model)

    @property
    def complete(self) -> bool:
        """False if there are pictures that are not in the sum: nobody says how many tokens this model takes."""
        return not self.report.pictures_not_counted

    def title(self) -> str:
        """The sum in one line."""
        about = "" if self.exact else "about "
        left_out = "" if self.complete else ", without its pictures"
        return f"Training {self.model} on {self.report.name}: {about}{dollars(self.usd)}{left_out}"

    def lines(self) -> list[tuple[str, str]]:
        """Name and value of each number behind the sum."""
        cut_off, left_out = self.report.tokens - self.tokens, self.report.rows - self.report.good_rows
        counted = f"{self.tokens:,} in {self.report.good_rows:,} examples"
        counted += "" if self.exact else " (an estimate)"
        least, pictures = self.report.least_tokens, self.report.pictures_not_counted
        counted += f"; at least {least:,}" if 0 < least < self.tokens else ""
        counted += f"; pictures, not counted: {pictures:,}" if pictures else ""
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
    taken, which may be over. Rows with errors are left out, though a job with such rows would fail. Of a
    preference row both answers count (source in ``dataset.counting``).
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
        lines: list[tuple[str, str]] = []
        for count, price in self.parts:
            amount, source = _of_price(f"{count:,} tokens, {price.kind}", price, self.on)
            if lines and lines[-1] == source:  # said once, below all prices that it gives
                lines.pop()
            lines += [amount, source]
        return [*lines, *self.notes]


def reasons(model: str) -> str | None:
    """The reasoning effort that a base model takes if none is asked for; None if no source says that it reasons."""
    return _fact(snapshot(model), "reasoning_default")


def always_reasons(model: str) -> bool:
    """Whether a source says that the reasoning of this base model cannot be switched off."""
    efforts = _fact(snapshot(model), "reasoning_effort")
    return efforts is not None and not efforts.startswith("none")


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
    says so; 0 means that reasoning was switched off, which some models do not allow: then it says that.

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
    elif output_tokens and not tuned and (effort := reasons(model)):
        words = f"{model} reasons by default (effort {effort}), and that is billed as output"
        if reasoning is None:
            notes.append((REASONING_LEFT_OUT, words))
        elif always_reasons(model):
            notes.append((REASONING_LEFT_OUT, f"{model} cannot be asked to answer without it"))
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
    monthly: float = 0.0  # US dollars a month for the tuned model, called or not: a card that waits

    FAR = 10  # a crossing at more than so many times the own calls is named, not drawn

    @property
    def saved(self) -> float:
        """US dollars that one call saves with the tuned model; negative if it costs more."""
        return self.now.usd - self.tuned.usd

    @property
    def fixed(self) -> float:
        """US dollars of all months that do not depend on the calls."""
        return self.once + self.months * self.monthly

    @property
    def calls_a_month(self) -> int | None:
        """The fewest calls a month at which tuning is not more expensive. None if it never pays back."""
        if self.saved <= 0:
            return None if self.fixed or self.saved else 0
        return math.ceil(round(self.fixed / (self.saved * self.months), 6))

    @property
    def pays_from(self) -> str:
        """The same for a table: "6,250", or "never"."""
        return "never" if self.calls_a_month is None else f"{self.calls_a_month:,}"

    def spent(self, calls: int) -> tuple[float, float]:
        """US dollars of all months at so many calls a month: as now, and with the tuned model."""
        return calls * self.months * self.now.usd, self.fixed + calls * self.months * self.tuned.usd

    @property
    def pays(self) -> bool:
        """Whether tuning is cheaper in all, or costs the same, at the own calls."""
        return self.calls_a_month is not None and self.calls >= self.calls_a_month

    @property
    def bills(self) -> str:
        """Both sums at the own calls, in words."""
        now, tuned = map(dollars, self.spent(self.calls))
        return f"as now {now}, tuned {tuned}"

    def points(self) -> list[dict]:
        """Rows to draw: calls a month, and the dollars of both ways, at 0, break-even, ``calls`` and the end.

        The end is twice the calls, or twice the break-even if that is not too far away to see both.
        """
        crossing = self.calls_a_month or 0
        marked = {0, self.calls}
        if not self.calls or crossing <= self.FAR * self.calls:
            marked.add(crossing)
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
        if min(now, tuned) >= 0.1:  # the difference of the sums as they are shown, for those who add them up
            now, tuned = round(now, 2), round(tuned, 2)
        verdict = f"tuning {'saves' if self.pays else 'costs'} {dollars(abs(now - tuned))}"
        ways = {f"As now, {self.now.model}": self.now, f"Tuned {self.tuned.model}": self.tuned}
        shown = []
        for name, call in ways.items():
            shown += [(name, call.short()), ("Prices", call.origin()), *call.notes]
        monthly = [("Each month, called or not", dollars(self.monthly))] if self.monthly else []
        return [
            *shown,
            ("One call saves", dollars(self.saved)),
            ("Before the first call", dollars(self.once)),
            *monthly,
            (f"{self.calls:,} calls a month, {self.months} months", f"{self.bills}: {verdict}"),
        ]


def break_even(
    now: CallCost, tuned: CallCost, once: float, *, calls: int, months: int = 12, monthly: float = 0.0
) -> BreakEven:
    """When a tuned model pays back: ``once`` dollars are paid first, then each call costs what ``tuned`` says.

    ``calls`` is the number of calls a month; ``monthly`` are dollars a month for the tuned model, called or not.
    Raises ValueError if a number is negative or there is no month.
    """
    if once < 0 or calls < 0 or monthly < 0 or months < 1:
        raise ValueError("Dollars and calls cannot be negative, and there must be at least one month.")
    return BreakEven(now, tuned, once, calls, months, monthly)


def bill(
    job: TrainingCost, call: CallCost, calls: int, rounds: int, days: float, wage: float, months: int = 12
) -> dict[str, str]:
    """The bill of a tuned model: people, training, calls, as texts to show.

    ``calls`` are those of a month. ``rounds`` of training and evaluation take ``days`` of work each, and a day
    of work costs ``wage`` dollars.
    """
    people, training, answers = rounds * days * wage, rounds * job.usd, months * calls * call.usd
    in_all = people + training + answers
    return {
        "people": dollars(people),
        "training, all rounds": dollars(training),
        f"{months} months of {calls:,} calls each": dollars(answers),
        "in all": dollars(in_all),
        "of this, people": f"{people / in_all:.0%}" if in_all else "nothing",
    }


@dataclass(frozen=True)
class Hourly:
    """A price by the hour, paid whether anybody calls or not."""

    provider: str
    usd_per_hour: float
    note: str
    origin: str

    @property
    def usd_a_month(self) -> float:
        """US dollars for a month of day and night."""
        return self.usd_per_hour * HOURS_A_MONTH

    def __str__(self) -> str:
        hour, month = dollars(self.usd_per_hour), dollars(self.usd_a_month)
        return f"{self.provider} ({self.note}): {hour} an hour, {month} a month\n  Source: {self.origin}"


def always_on(provider: str) -> Hourly:
    """What a deployment of your own costs there. ValueError if data/providers.csv has no such price."""
    row = _of_provider(provider).get("deployment_price_per_hour")
    if row is None:
        raise ValueError(f"No price of a deployment by the hour is known for {provider}.")
    return Hourly(provider, float(row["value"]), row["note"].removeprefix("US dollars; "), _origin(row))


def offers() -> list[dict[str, str]]:
    """What can be bought to train and to run an open model: a row a provider of data/providers.csv, as texts.

    Only those with a price of training or a word on how a tuned model is paid for.
    """
    shown = []
    for provider in dict.fromkeys(row["provider"] for row in _rows("providers.csv")):
        facts = _of_provider(provider)
        training, card = facts.get("training_price"), facts.get("card_price_per_hour")
        serving = facts.get("tuned_serving")
        if not (card or serving):
            continue
        used = [
            training or card,
            serving,
            *map(facts.get, ("tuned_input_price", "deployment_price_per_hour")),
        ]
        shown.append(
            {
                "service": provider,
                "training": _training_offer(training, card),
                "using the tuned model": _serving_offer(serving, facts),
                "grades": "".join(sorted({row["grade"] for row in used if row})),
                "oldest source": min(row["date"] for row in used if row),
            }
        )
    return shown


def times(
    model: str,
    rival: str,
    on: str | datetime.date,
    *,
    before: int,
    after: int,
    answer: int,
    tuned: bool = True,
) -> dict[str, object]:
    """How many times the price of ``rival``, a base model, ``model`` costs on a day: by the token and by the call.

    A call of the rival has a prompt of ``before`` tokens, one of the model ``after``.
    """
    family = "tuned" if tuned else "base"
    row: dict[str, object] = {
        "on": str(on),
        "model": f"{model}, tuned" if tuned else model,
        "compared with": rival,
    }
    for kind in ("input", "output"):
        high, low = price(model, f"{family}_{kind}", on), price(rival, f"base_{kind}", on)
        row[f"a token of {kind}"] = round(high.usd_per_1m_tokens / low.usd_per_1m_tokens, 2)
    one, other = call(model, after, answer, tuned=tuned, on=on), call(rival, before, answer, on=on)
    return row | {"a whole call": round(one.usd / other.usd, 2)}


def prompt_to_save(
    model: str, prompt: int, answer: int, *, on: str | datetime.date | None = None
) -> int | None:
    """How many tokens shorter a prompt must get before a tuned call costs no more than one of its base.

    None if even a call without a prompt would cost more, because of its answer. Training is not counted.
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


def _hosted(model: str, kind: str) -> list[Price]:
    """The price of a model named "provider/model" in the table of providers; [] if there is none."""
    provider, _, name = model.partition("/")
    for row in _rows("providers.csv"):
        found = (row["provider"], row["fact"]) == (provider, HOSTED.get(kind))
        if found and name and fnmatch.fnmatchcase(name.lower(), row["model"].lower()):
            dated = datetime.date.fromisoformat(row["date"])
            usd = float(row["value"])
            return [Price(model, kind, usd, None, None, row["source"], dated, row["grade"], row["note"])]
    return []


def _of_provider(provider: str) -> dict[str, dict[str, str]]:
    """The first row of each fact of a provider."""
    facts: dict[str, dict[str, str]] = {}
    for row in _rows("providers.csv"):
        if row["provider"] == provider:
            facts.setdefault(row["fact"], row)
    return facts


def _origin(row: dict[str, str]) -> str:
    return f"{row['source']} of {row['date']}, grade {row['grade']} ({GRADES[row['grade']]})"


def _training_offer(training: dict | None, card: dict | None) -> str:
    if training:
        return f"by the token: {_exact(training['value'])} for 1 million ({_readable(training['model'])})"
    if card:
        return f"by the hour of a card: {_exact(card['value'])} ({card['model']})"
    return f"by the token: {NOT_FOUND}"


def _readable(pattern: str) -> str:
    """The name of a model in the table, without the * of a pattern."""
    return pattern.strip("*").replace("*", " ")


def _serving_offer(serving: dict | None, facts: dict[str, dict[str, str]]) -> str:
    if serving is None:
        return "by the hour of the same card"
    if serving["value"] == "by the hour":
        hour = facts.get("deployment_price_per_hour")
        amount = _exact(hour["value"]) if hour else NOT_FOUND
    else:
        sides = [facts.get(f"tuned_{side}_price") for side in ("input", "output")]
        amount = NOT_FOUND
        if all(sides):  # one dollar sign only: JupyterLab takes what stands between two for a formula
            one, two = (_exact(row["value"]) for row in sides)
            amount = f"{one} in, {two.removeprefix('$')} out, for 1 million"
    many = facts.get("adapters_on_one_base")
    return f"{serving['value']}: {amount}" + (f"; up to {many['value']} adapters on one base" if many else "")


def _exact(usd: float | str) -> str:
    """A price with all its digits, at least two after the point."""
    exact = f"{float(usd):.4f}".rstrip("0")
    return f"${max(exact, f'{float(usd):.2f}', key=len)}"


def _price(row: dict) -> Price:
    start, end, dated = (
        datetime.date.fromisoformat(row[name]) if row[name] else None for name in ("from", "until", "date")
    )
    usd = float(row["usd_per_1m_tokens"])
    return Price(row["model"], row["kind"], usd, start, end, row["source"], dated, row["grade"], row["note"])


def _rows(table: str) -> list[dict[str, str]]:
    with open(DATA / table, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
