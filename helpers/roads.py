"""Where a model can be trained now that OpenAI is closing: the roads of lesson 10, the services on each, open bases.

Every fact is a row of data/roads.toml, data/providers.csv, data/bases.csv or data/models.csv, read anew each time.
"""

import csv
import re
import tomllib
from pathlib import Path

import pandas

from . import charts

DATA = Path(__file__).parents[1] / "data"
SAME, OTHER, TINKER, CARD = (
    "the openai client",
    "1: its own client",
    "2: Tinker's protocol",
    "3: a rented card",
)
ASIDES = re.compile(r"(?:^|; )undated page, read on this day")  # the date of the row says the day
IN_THE_WAY = {
    "new_customers": "newcomers: ",
    "before_the_first_job": "first: ",
    "catalogue": "",
    "reported_trouble": "reported: ",
}
PARTLY = ("training only", "reinforcement only", "partly")

# What a training holds in memory for each parameter of the base, in bytes, at least. All matrices: the weight and its
# gradient in 16 bits, a finer copy and two means of AdamW in 32. LoRA: the frozen weight; QLoRA: the same in 4 bits.
BYTES = {"all matrices": 2 + 2 + 4 + 4 + 4, "LoRA": 2, "QLoRA": 0.5}
LARGE = {"million": 10**6, "billion": 10**9}

Row = dict[str, str]


def table() -> list[Row]:
    """The roads and the reader's own computer: what to do, what it costs, what is lost, who can end it; as texts."""
    with open(DATA / "roads.toml", "rb") as file:
        roads = tomllib.load(file)["road"]
    return [
        {
            "road": road["name"],
            "first steps": "\n".join(
                f"{number} {step}" for number, step in enumerate(road["steps"], start=1)
            ),
            "US dollars": road.get("free") or _prices(road["prices"]),
            "what you lose": road["lose"],
            "who can end it": road["end"],
        }
        for road in roads
    ]


def services(road: str | None = None) -> list[Row]:
    """What the table of providers knows of each service, as texts; only those of one road, such as ``roads.TINKER``.

    The services of a road stay together, those that the openai client trains at first.
    """
    found = [_service(name) for name in dict.fromkeys(row["provider"] for row in _rows("providers.csv"))]
    if road is None:
        order = (SAME, OTHER, TINKER, CARD)
        return sorted(found, key=lambda service: order.index(service["road"]))
    return [
        {name: text for name, text in service.items() if name != "road"}
        for service in found
        if service["road"] == road
    ]


def bases() -> list[Row]:
    """Open models to train further: size, licence, languages, and the learning rate to begin with."""
    rows = _rows("bases.csv")
    facts: dict[str, dict[str, Row]] = {}
    for row in rows:
        facts.setdefault(row["model"], {})[row["fact"]] = row
    usual = facts.pop("*")
    return [
        {
            "base": model,
            "parameters": known["parameters"]["value"],
            "licence": known["licence"]["value"],
            "languages": known["languages"]["value"],
            "learning rate to begin with": (usual | known)["learning_rate"]["value"],
            "oldest source": _as_of(list((usual | known).values())),
        }
        for model, known in facts.items()
    ]


def plan() -> list[Row]:
    """What it takes to train each open base: gigabytes at least for each way, the rate to begin with, the licence."""
    return [
        {"base": row["base"], "licence": row["licence"]}
        | {f"{way}, GB": _gigabytes(row["parameters"], held) for way, held in BYTES.items()}
        | {"learning rate to begin with": row["learning rate to begin with"]}
        for row in bases()
    ]


def _gigabytes(parameters: str, held: float) -> str:
    number, unit = parameters.split()
    size = float(number) * LARGE[unit] * held / 10**9
    return f"{size:.0f}" if size >= 10 else f"{size:.2g}"


def wind_down() -> charts.Chart:
    """The timeline of OpenAI: each model that could be tuned, until its tuned versions end; days that ended new jobs.

    The day on which the facts were checked is that of the newest source in data/models.csv.
    """
    rows = _rows("models.csv")
    first: dict[tuple[str, str], str] = {}
    for row in rows:
        first.setdefault((row["model"], row["fact"]), row["value"])
    spans = [
        {"name": model, "start": first[model, "available_from"], "end": end}
        for (model, fact), end in first.items()
        if fact == "tuned_shutdown_date" and (model, "available_from") in first
    ]
    closing = [row for row in rows if row["fact"] == "new_jobs_end"]
    days = [{"day": row["value"], "what": f"no new jobs: {row['note']}"} for row in closing]
    return charts.timeline(
        pandas.DataFrame(sorted(spans, key=lambda span: span["start"])),
        pandas.DataFrame(days),
        "Models that could be fine-tuned at OpenAI",
        checked=max(row["date"] for row in rows),
    )


def _service(provider: str) -> Row:
    rows = [row for row in _rows("providers.csv") if row["provider"] == provider]
    facts: dict[str, Row] = {}
    for row in rows:
        facts.setdefault(row["fact"], row)
    drivable = facts["drivable"]
    told = [drivable["value"] if drivable["value"] in PARTLY else "", _note(drivable)]
    used = [drivable]
    for fact, label in IN_THE_WAY.items():
        if fact in facts:
            told.append(label + facts[fact]["value"])
            used.append(facts[fact])
    step = facts.get("deploy_step")
    if step and step["value"] != "none":
        told.append(f"before chat: {_note(step)}")
        used.append(step)
    what = "; ".join(filter(None, told))
    return {"road": _road(facts), "service": provider, "what to know": what, "oldest source": _as_of(used)}


def _road(facts: dict[str, Row]) -> str:
    if facts["drivable"]["value"] != "no":
        return SAME
    if facts.get("protocol", {}).get("value") == "Tinker":
        return TINKER
    return CARD if "card_price_per_hour" in facts else OTHER


def _prices(wanted: list[Row]) -> str:
    """The prices, a line each, without a dollar sign: JupyterLab takes what stands between two for a formula."""
    lines, used = [], []
    for price in wanted:
        place = (price["provider"], price["fact"])
        row = next(row for row in _rows("providers.csv") if (row["provider"], row["fact"]) == place)
        usd = float(row["value"])
        lines.append(f"{max(f'{usd:.2f}', f'{usd:g}', key=len)} {price['unit']}")
        used.append(row)
    model = f", {used[0]['model']}" if used[0]["model"] else ""
    return "\n".join([*lines, f"({used[0]['provider']}{model}; {_as_of(used)})"])


def _note(row: Row) -> str:
    return ASIDES.sub("", row["note"]).strip("; ")


def _as_of(rows: list[Row]) -> str:
    """The oldest day and all grades of the rows."""
    grades = ", ".join(sorted({row["grade"] for row in rows}))
    return f"{min(row['date'] for row in rows)}, grade {grades}"


def _rows(table: str) -> list[Row]:
    with open(DATA / table, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
