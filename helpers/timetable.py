"""The airport's timetable search: from the text of a query to flights. data/timetable/manual.md says what it knows.

Timetable, airlines, prices and times are fictional.
"""

import csv
import json
from functools import cache, lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

FOLDER = Path(__file__).resolve().parents[1] / "data" / "timetable"
SHOWN = 60  # characters of what is wrong, in an error
SYSTEM = "Turn the passenger's sentence into a query of the timetable. Today is Wednesday."
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SEVERAL_DAYS = {"weekend": DAYS[5:], "weekday": DAYS[:5]}
FITS = {  # whether a flight has the wanted value of a key
    "to": lambda flight, city: flight["to"] == city,
    "day": lambda flight, day: flight["day"] in SEVERAL_DAYS.get(day, (day,)),
    "after": lambda flight, time: flight["departs"] >= time,
    "before": lambda flight, time: flight["departs"] <= time,
    "land": lambda flight, time: flight["lands_on"] == flight["day"] and flight["lands"] <= time,
    "airline": lambda flight, name: flight["airline"] == name,
    "avoid": lambda flight, name: flight["airline"] != name,
    "direct": lambda flight, _: not flight["via"],
    "via": lambda flight, city: flight["via"] == city,
    "terminal": lambda flight, number: flight["terminal"] == number,
    "max": lambda flight, yuan: flight["price"] <= yuan,
}
SORTED_BY = {  # the smallest first; where two are equal, the earlier one
    "early": lambda flight: 0,
    "late": lambda flight: [-number for number in _departure(flight)],
    "cheap": lambda flight: flight["price"],
    "fast": lambda flight: flight["minutes"],
}

Time = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun", "weekend", "weekday"]
Hub = Literal["Bangkok", "Beijing", "Dubai", "Seoul", "Shanghai", "Singapore"]
City = Literal[
    "Bangkok",
    "Beijing",
    "Cairo",
    "Chengdu",
    "Dubai",
    "London",
    "Moscow",
    "Paris",
    "Sanya",
    "Seoul",
    "Shanghai",
    "Singapore",
    "Sydney",
    "Tokyo",
]
Airline = Literal["Blue Heron", "Kapok Wings", "Lychee Air", "Nine Clouds", "Paper Crane", "Rice Bird"]


class Query(BaseModel):
    """The keys of a query in their order, each with the values that it may have. Null and false ask for nothing."""

    model_config = ConfigDict(extra="forbid", strict=True)

    to: City | None = None
    day: Day | None = None
    after: Time | None = None
    before: Time | None = None
    land: Time | None = None
    airline: Airline | None = None
    avoid: Airline | None = None
    direct: bool = False
    via: Hub | None = None
    terminal: Annotated[int, Field(ge=1, le=2)] | None = None
    max: Annotated[int, Field(ge=1)] | None = None
    sort: Literal["early", "late", "cheap", "fast"] | None = None
    limit: Annotated[int, Field(ge=1)] | None = None


KEYS = tuple(Query.model_fields)


def find(text: str) -> list[dict]:
    """The flights that the query in a text asks for; ``read`` and ``search`` in one. Raises ValueError."""
    return search(read(text))


def read(text: str) -> dict:
    """The query in a text: its first JSON object, whatever words stand round it. Keys come in the order of ``KEYS``.

    Raises ValueError, which says what is wrong: no object, broken JSON, an unknown key, a value that does not fit.
    """
    start = text.find("{")
    if start < 0:
        raise ValueError('No query found. It is a JSON object, such as {"to": "Tokyo", "day": "fri"}.')
    try:
        found, _ = json.JSONDecoder(object_pairs_hook=_each_key_once).raw_decode(text, start)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"The query is not valid JSON: {error}.") from None
    return checked(found)


def checked(query: dict) -> dict:
    """The query with its keys in order, without those that ask for nothing. Raises ValueError if it is not valid."""
    try:
        query = Query.model_validate(query).model_dump(exclude_defaults=True)
    except ValidationError as error:
        raise ValueError(_what_is_wrong(error)) from None
    if not query:
        raise ValueError(f"The query is empty. Use at least one key: {', '.join(KEYS)}.")
    return query


def search(query: dict) -> list[dict]:
    """The flights that a query asks for, as it sorts and limits them; without "sort" in the order of departure.

    A flight is a row of data/timetable/flights.csv, with numbers for terminal, minutes and price (yuan). Raises
    ValueError if the query is not valid.
    """
    query = checked(query)
    wanted = [(FITS[key], value) for key, value in query.items() if key in FITS]
    found = [flight for flight in flights() if all(fits(flight, value) for fits, value in wanted)]
    return sorted(found, key=SORTED_BY[query.get("sort", "early")])[: query.get("limit")]


def numbers(text: str) -> list[str]:
    """The numbers of the flights that the query in a text asks for, in their order; none if there is no valid query."""
    return list(_numbers(text))


@lru_cache(maxsize=50_000)  # a lesson asks for the same answers in many tables
def _numbers(text: str) -> tuple[str, ...]:
    try:
        return tuple(flight["flight"] for flight in find(text))
    except ValueError:
        return ()


def same_flights(text: str, wanted: dict) -> bool:
    """Whether the query in a text finds the flights that ``wanted`` finds; in the same order where that one sorts.

    Where both find none, flights tell nothing: then the two queries have to be the same.
    """
    try:
        query = read(text)
    except ValueError:
        return False
    found, right = numbers(text), numbers(written(wanted))
    if not right:
        return query == wanted
    return found == right if "sort" in wanted else set(found) == set(right)


def written(query: dict) -> str:
    """A query as the training answers have it: JSON, keys in order. Raises ValueError if it is not valid."""
    return json.dumps(checked(query))


@cache
def flights() -> list[dict]:
    """All flights of the week in the order of departure."""
    with open(FOLDER / "flights.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    numbers = ("terminal", "minutes", "price")
    return sorted((row | {name: int(row[name]) for name in numbers} for row in rows), key=_departure)


def manual() -> str:
    """The page that says what a query can express, short enough for a prompt."""
    return (FOLDER / "manual.md").read_text(encoding="utf-8")


def schema() -> dict:
    """A JSON schema that holds an answer to the keys of a query, in their order, and to the values they may have."""
    keys = Query.model_json_schema()["properties"]
    # without null: an answer that does not ask for something leaves it out
    values = {key: value.get("anyOf", [value])[0] for key, value in keys.items()}
    return {"type": "object", "properties": values, "additionalProperties": False}


def _departure(flight: dict) -> tuple[int, int]:
    """When a flight leaves: day of the week, minute of the day."""
    hours, minutes = flight["departs"].split(":")
    return DAYS.index(flight["day"]), 60 * int(hours) + int(minutes)


def _each_key_once(pairs: list[tuple[str, object]]) -> dict:
    query = dict(pairs)
    if len(query) < len(pairs):
        raise ValueError("a key stands twice")
    return query


def _what_is_wrong(error: ValidationError) -> str:
    first = error.errors()[0]
    key = str(first["loc"][0])[:SHOWN] if first["loc"] else "The query"
    value = repr(first["input"])[:SHOWN]
    if first["type"] == "extra_forbidden":
        return f"A query has no key {key!r}. Its keys: {', '.join(KEYS)}."
    if first["type"] == "string_pattern_mismatch":
        return f"{key}: {value} is no time. Write hours and minutes, such as 09:30 or 18:00."
    return f"{key}: {first['msg']}, not {value}."
