"""A rival for the timetable task that is plain code: tables of words, regular expressions, no model.

A sentence in any of six languages is put into small signs, such as "BEIJING", "FRI" or "BEFORE"; then the keys of the
query are looked for among them.

Made on 2026-11-28 in 29 minutes by a language model that wrote code; a person would need longer. It had read manual,
training, validation and unlabelled questions, and was mended by them and by 143 sentences of its own. It was
finished before the test was seen. Practice was counted once, after the last change. The counts are in
tests/unit/test_timetable_parser.py; those on training questions say little, as all of them were read.
"""

import re
import unicodedata
from difflib import get_close_matches
from functools import cache
from typing import get_args

from .. import timetable
from .timetable_words import AIRLINES, CITIES, CUES, DAYS, ORDINARY, SPANS, TABLES

ALIKE = 0.78  # how similar a misspelt word has to be, by difflib
PARTS = {  # the times between which a flight leaves; manual.md
    "EARLY": ("", "09:00"),
    "MORNING": ("", "12:00"),
    "AFTERNOON": ("12:00", "18:00"),
    "EVENING": ("18:00", ""),
    "NIGHT": ("21:00", ""),
}
SORTS = {
    "FIRST": "early",
    "LAST": "late",
    "CHEAPEST": "cheap",
    "CHEAP": "cheap",
    "FASTEST": "fast",
    "FAST": "fast",
}
SORT = rf"\b(?:{'|'.join(SORTS)})\b"
CITY = rf"\b({'|'.join(CITIES)})\b"
PART = "(?:MORNING|AFTERNOON|EVENING|NIGHT)"
TIME = rf"(?:(?:a|at|the|las|la|les|um|AROUND) )*(?<![\d:])(\d{{1,2}})(?::?(\d\d))?(?: ({PART}))?(?![\d:])"
GERMAN_TIME = "(?= (?:abend|morgen|nachmittag|vor|fruh|mittag))"
LAST_WHAT = "summer|winter|year|week|time|month|call|exams?|match|day|minute"
COUNTED = "people|persons|of us|adults|kids|children|seats?|tickets?|hours|kilos|persona\\w*|person\\w*|человек|人|位"
BEFORE_SIGNS = (  # what is changed in a sentence before its words become signs, and what it becomes
    (r"(?<=\d)[ .,](?=\d{3}\b)", ""),  # 5,000
    (r"(?<=\d)[.,](\d)k\b", r"\g<1>00"),  # 1.5k
    (r"(?<=\d)k\b", "000"),
    (r"(?<=\d)(?=(am|pm|uhr|h|heures)\b)", " "),  # 9am
    (r"(?<=\d)[.h](?=\d\d\b)", ":"),  # 8.30
    (r"'s\b|\bgood (morning|afternoon|evening|day)\b|guten (morgen|tag|abend)", ""),
    (r"buen[oa]s (dias|tardes|noches)|добр(ый|ое|ого) (день|вечер|утро|дня)|(早上|下午|晚上)好", ""),
    (r"(?<=[\u4e00-\u9fff])(?=[a-z0-9])|(?<=[a-z0-9])(?=[\u4e00-\u9fff])", " "),
    (r"千([一二三四五六七八九])(?![百千])", r"千\1百"),
    (r"\bmon(?= (fils|chat|mari|ami|amie|pere|frere|patron)\b)|\bsat (?=(me|us|next|in|down)\b)", ""),
    (rf"\bso{GERMAN_TIME}", "sonntag"),
    (rf"\bmi{GERMAN_TIME}", "mittwoch"),
    (rf"\bdi{GERMAN_TIME}", "dienstag"),
    (r"\b(\w+tag|mittwoch)(?=abend|morgen|vormittag|nachmittag|mittag|nacht)", r"\1 "),  # freitagabend
    (r"(?<=tag) morgen\b|(?<=mittwoch) morgen\b", " vormittag"),
    (rf"\b(at last|(last|final) ({LAST_WHAT})|first (time|class|row|name|of all))\b", ""),
    (
        r"\b(in order to|sort of|(be|am|is|too|running) late( for)?|straight into|(each|the) other( day)?)\b",
        "",
    ),
)
AFTER_SIGNS = (  # what is changed once there are signs: numbers, times, what stands together
    (r"\b(?:a|un) (?=000?\b)", "1 "),
    (r"(?<=\d) (?=000?\b)", ""),  # 3 000
    (r"(?<=\d)000 (?=\d00\b)", ""),  # 4000 500
    (r"(?:half past|half) (\d+)", r"\1:30"),
    (r"quarter past (\d+)", r"\1:15"),
    (r"halb (\d+)", lambda found: f"{int(found[1]) - 1}:30"),
    (r"quarter to (\d+)", lambda found: f"{int(found[1]) - 1}:45"),
    (r"(\d+) (?:y media|et demie|点 ?半)", r"\1:30"),
    (rf"\b\d+ ({COUNTED})", ""),
    (r"(\d+)[ -]*ish\b", r"AROUND \1"),
    (rf"({PART}) (\d+(?::\d\d)?) ?[点时]", r"\2 \1"),
    (r"(?<=\d) ?(?:o'clock|uhr|heures?|h|часов|часа)(?=\W)|(?<=\d) ?[点时]", ""),
    (r"(?<=\d) am\b", " MORNING"),
    (rf"(?<=\d) (?:in the|at|in der|am|du|de la|de) (?={PART})", " "),
    (rf"(\d+(?::\d\d)?(?: {PART})?) ?左右", r"AROUND \1"),
    (rf"(BY \d+(?::\d\d)?(?: {PART})?) LAST", r"\1"),
    (r"(LAST|CHEAPEST|CHEAP|FASTEST) FIRST", r"\1 ALL"),
    (
        r"(?:NOT|hate) (?:[a-z]+ ){0,3}(?:chang\w+ planes?|connections?|VIA)(?! (?:[a-z]+ ){0,2}[A-Z])",
        "DIRECT",
    ),
)


def answer_by_parser(question: str) -> str:
    """An answering function: the query that ``parse`` finds, as training answers have it; "{}" where it finds none."""
    query = parse(question)
    return timetable.written(query) if query else "{}"


def parse(question: str) -> dict:
    """The query of a passenger's sentence, a valid one, keys in order; empty where nothing is recognized."""
    text = _signs(question)
    terminal, text = _terminal(text)
    price, text = _price(text)
    times, text = _times(text)
    query = _places(text) | _day(text) | times | _airlines(text) | terminal | price | _sort(text)
    query["direct"] = "DIRECT" in text.split()
    return {key: query[key] for key in timetable.KEYS if query.get(key)}


# --- from words to signs -------------------------------------------------------------------------------------


def _signs(question: str) -> str:
    """A sentence in small letters without accents, in which the words of the tables are signs in capitals."""
    text = _changed(_folded(question), BEFORE_SIGNS)
    text = re.sub(r"[^\W\d_]{4,}", lambda word: _corrected(word[0]), text)
    for pattern, sign in _patterns():
        text = pattern.sub(f" {sign} ", text)
    text = re.sub(r"([,;.!?()，。？、])(?!\d)", r" \1 ", text)
    return _changed(" " + " ".join(text.split()) + " ", AFTER_SIGNS)


def _folded(text: str) -> str:
    letters = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text).casefold().replace("’", "'"))
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def _changed(text: str, changes: tuple) -> str:
    for pattern, new in changes:
        text = re.sub(pattern, new, text)
    return text


def _corrected(word: str) -> str:
    """The word of the tables that a misspelt word was meant to be; they begin alike."""
    known, meant = _vocabulary()
    if word in known or any(pattern.fullmatch(word) for pattern, _ in _patterns()):
        return word
    return (get_close_matches(word, [one for one in meant if one[0] == word[0]], 1, ALIKE) or [word])[0]


@cache
def _vocabulary() -> tuple[set[str], list[str]]:
    """Words that are right as they stand; words that a misspelt one may be taken for, of five letters or more."""
    known, meant = set(ORDINARY.split()), {}
    for table in TABLES:
        words = re.findall(r"[^\W\d_]+", _folded(" ".join(table.values())))
        known.update(words)
        meant |= {word: None for word in words if len(word) > 4 and table is not CUES}
    return known, list(meant)


@cache
def _patterns() -> list[tuple[re.Pattern, str]]:
    return [(_pattern(words), sign) for table in TABLES for sign, words in table.items()]


def _pattern(words: str) -> re.Pattern:
    forms = []
    for word in sorted(_folded(words).split(), key=len, reverse=True):
        form = re.escape(word).replace("_", "[ -]").replace(r"\*", r"\w*")
        forms.append(form if re.match(r"[\u4e00-\u9fff<>~]", word) else rf"(?<![\w']){form}(?!\w)")
    return re.compile("|".join(forms))


# --- from signs to keys: what is found, and the text without it ------------------------------------------------


def _terminal(text: str) -> tuple[dict, str]:
    found = re.search(r"(?:TERMINAL|\bt) ?(?:to )?\(?([12]|won|to(?! [A-Z]))\b\)?", text)
    found = found or re.search(r"([12]|FIRST|second|2nd|1st|перво\w+|второ\w+) TERMINAL", text)
    if not found:
        return {}, text
    number = 2 if re.match("2|to|second|втор", found[1]) else 1
    if re.search(r"NOT (?:[a-z]+ ){0,2}$", text[: found.start()]):
        number = 3 - number
    return {"terminal": number}, text.replace(found[0], " , ")


def _price(text: str) -> tuple[dict, str]:
    in_yuan = r"(?<![\d:])(\d{2,5}) (?:yuan|rmb|юан|元|块)"
    for found in [*re.finditer(in_yuan, text), *re.finditer(r"(?:UNDER|ONLY) (?:\w+ ){0,2}?(\d{3,5})\b", text),
                  *re.finditer(r"(?<![\d:])(\d{3,5})\b", text)]:  # fmt: skip
        clock = "AFTER|BEFORE|BY|AROUND|" if re.fullmatch(r"([01]\d|2[0-3])[0-5]\d", found[1]) else ""
        if not re.search(rf"(?:{clock}in|since|\d:) $", text[: found.start()]):
            return {"max": int(found[1])}, text.replace(found[0], " , ")
    return {}, text


def _times(text: str) -> tuple[dict, str]:
    lands = "ARRIVE" in text or re.search(r"^ (?:in|a|en|в) [A-Z]+ (?:[A-Z]+ )?(?:BEFORE|BY) ", text)
    leaves_by = re.search(r"LEAVE [^,.;]*?BY ", text) and not re.search(r"LEAVE [^,.;]*ARRIVE", text)
    leaves_before = not lands or re.search(r"LEAVE [^,.]*(BEFORE|LATEST)", text)
    event = "EVENT" in text and not re.search(rf"{SORT}|AROUND|BY|BEFORE|AFTER|LATEST {TIME}", text)
    rules = [
        (
            ("after", "before"),
            rf"(?:between |from |AFTER )?{TIME} ?(?:to|and|-|y|et|und|и|a|BY|BEFORE|到) ?{TIME}",
        ),
        (("around",), rf"AROUND {TIME}"),
        (("before" if leaves_by else "land",), rf"BY {TIME}"),
        (("before" if leaves_before else "land",), rf"(?:BEFORE|UNDER) {TIME}|{TIME} LATEST"),
        (("after",), rf"(?:AFTER|from) {TIME}|{TIME} ONWARDS"),
    ]
    if lands or event:
        rules.append((("land",), rf"\b(?:at|a|um|в|as) {TIME}"))
    found = {}
    for keys, pattern in rules:
        hit = re.search(pattern, text)
        if hit and not found.keys() & set(keys):
            found |= dict(zip(keys, _minutes(hit, text), strict=False))
            text = text[: hit.start()] + " , " + text[hit.end() :]
    return _limits(found, text), text


def _minutes(hit: re.Match, text: str) -> list[int]:
    """The times of a match as minutes of the day. Without a word that says which, one to six is after noon."""
    groups = hit.groups()
    times = [groups[at : at + 3] for at in range(0, len(groups), 3) if groups[at]]
    said = re.search(PART, text)
    found = []
    for hour, minute, part in times:
        part = part or times[-1][2] or (said and said[0])
        later = part != "MORNING" if part else int(hour) < 7
        found.append(60 * (int(hour) + 12 * (later and int(hour) < 12)) + int(minute or 0))
    return found


def _limits(found: dict[str, int], text: str) -> dict:
    """The keys for times: a named hour replaces the limit of a word such as "evening" on its side."""
    parts = [PARTS[sign] for sign in re.findall(rf"EARLY|{PART}", text) if "land" not in found]
    limits = {"after": max((after for after, _ in parts), default="")}
    limits["before"] = min((before for _, before in parts if before), default="")
    if "around" in found:
        found |= {"after": found["around"] - 60, "before": found["around"] + 60}
    if {"after", "before"} <= found.keys() and found["before"] <= found["after"]:
        found["before"] += 720
    named = {
        key: f"{at // 60:02}:{at % 60:02}" for key, at in found.items() if key != "around" and 0 <= at < 1440
    }
    times = limits | named
    return named if times["before"] and times["after"] >= times["before"] else times


def _day(text: str) -> dict:
    found = re.findall(rf"\b({'|'.join([*SPANS, *DAYS, 'TODAY'])})\b", text)
    return {"day": found[-1].lower().replace("today", "wed")} if found else {}


def _places(text: str) -> dict:
    cities = re.findall(CITY, text)
    via = re.search(rf"VIA (?:[a-z]+ ){{0,2}}{CITY}", text) or re.search(rf"{CITY} (?:for a )?VIA", text)
    hub = via[1] if via else None
    if re.search(r"VIA (?:[a-z]+ )?there", text) and len(cities) > 1:
        hub = cities[0]
    aimed = re.findall(rf"(?:to|AFTER|para|hacia|pour|в|去|飞) {CITY}", text)
    others = [city for city in cities + aimed if city != hub]
    query = {"to": others[-1].capitalize()} if others else {}
    if hub and hub.capitalize() in get_args(timetable.Hub):
        query["via"] = hub.capitalize()
    return query


def _airlines(text: str) -> dict:
    query = {}
    for refused, name in re.findall(
        rf"(NOT (?:[^A-Z,.;!?]+ |ONLY |BY ){{0,4}})?({'|'.join(AIRLINES)})(?! or NOT)", text
    ):
        query["avoid" if refused or "ELSE" in text else "airline"] = name.replace("_", " ").title()
    if query.get("avoid") == query.get("airline"):
        query.pop("airline", None)
    return query


def _sort(text: str) -> dict:
    found = re.findall(SORT, text)
    if not found:
        return {}
    several = re.search(rf"\b([2-9]) (?:\S+ ){{0,2}}?(?:{SORT}|flights?|fluge|vols|vuelos|реис|班)", text)
    several = several or re.search(rf"{SORT} (?:\S+ )?([2-9])\b", text)
    one = found[-1] not in ("CHEAP", "FAST") and "ALL" not in text.split()
    return {"sort": SORTS[found[-1]], "limit": int(several[1]) if several else 1 if one else None}
