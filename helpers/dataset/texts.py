"""Checks of the texts of one row: secrets, personal data, odd characters, answers that end badly, languages."""

import functools
import itertools
import json
import re
from collections.abc import Iterator

from .example import Example
from .shape import Found

# A regular expression runs only if one of its marks is in the line: finding bytes is a hundred times faster.
SECRET_MARKS = (b"sk-", b"AKIA", b"ghp_", b"github_pat_", b"xox", b"AIza", b"hf_", b"PRIVATE KEY", b"assword")
SECRETS = re.compile(
    r"""\bsk-(?:[a-z]+-)?[A-Za-z0-9_-]{20,} | \bAKIA[0-9A-Z]{16}\b | \bghp_[A-Za-z0-9]{30,}
    | \bgithub_pat_[A-Za-z0-9_]{30,} | \bxox[abpr]-[A-Za-z0-9-]{10,} | \bAIza[A-Za-z0-9_-]{30,}
    | \bhf_[A-Za-z0-9]{30,} | -----BEGIN\ (?:[A-Z]+\ )?PRIVATE\ KEY-----
    | \b[Pp]assword\s*(?:=|:|\bis\b)\s*["']?(?=\S{0,80}\d)[^\s"']{6,}""",
    re.VERBOSE,
)
E_MAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@(?!example\.)(?:[A-Za-z0-9-]{1,63}\.){1,5}[A-Za-z]{2,24}")
DIGITS = re.compile(r"\d[\d ()./-]{7,}")  # what may be a card or telephone number, to look at more closely
CARD = re.compile(r"(?<![\d.])\d(?:[ -]?\d){12,18}(?![\d.]\d|\d)")
TELEPHONE = re.compile(
    r"(?<![\w+])\+\d[\d ()./-]{6,18}\d(?!\w)|(?<![\w-])\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?![\w-])"
)

# No zero-width joiners or direction marks: emoji, Persian, Hebrew and Arabic need them.
INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u200b\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffd\ud800-\udfff]"
)

ESCAPES = (b"\\u", b"\\b", b"\\f")  # how JSON writes control characters

OPEN_ENDS = (",", "(", "[", "{")
SMILEYS = (":(", ":[", ";(", "=(", "-(")
# No English sentence ends with one of these.
UNFINISHED = {
    "the",
    "a",
    "an",
    "and",
    "or",
    "of",
    "because",
    "your",
    "our",
    "their",
    "its",
    "very",
    "than",
    "my",
}

NUMBER = re.compile(r"\d[\d.,:]*\d")
MOST_LOOKED_FOR = 100  # numbers of an answer that are looked for inside longer ones of the question


def check_texts(line: bytes, example: Example) -> Iterator[Found]:
    """What is wrong with the texts of a row. The line is what the row was read from."""
    digits = len(line) - len(line.translate(None, b"0123456789"))
    if any(mark in line for mark in SECRET_MARKS) and (found := _first(SECRETS, example.texts)):
        yield "secret", _masked(found)
    if personal := _personal_data(line, digits, example.texts):
        yield "personal_data", personal
    if not line.isascii() or any(mark in line for mark in ESCAPES):
        if character := _first(INVISIBLE, example.texts):
            yield "invisible_characters", f"U+{ord(character):04X}"
    for answer in example.answers:
        if how := _cut_off(answer):
            yield "answer_cut_off", how
        if twice := _repeated_end(answer):
            yield "answer_repeats", f"twice: {twice[:60]!r}"
    if digits and (number := _invented_number(example)):
        yield "unprompted_facts", f"the number {number}"


def _first(pattern: re.Pattern, texts: list[str]) -> str | None:
    return next((found[0] for text in texts if (found := pattern.search(text))), None)


def _masked(secret: str) -> str:
    return f"{secret[:6]}… ({len(secret)} characters)"


def _personal_data(line: bytes, digits: int, texts: list[str]) -> str | None:
    if b"@" in line and (address := _first(E_MAIL, texts)):
        return f"e-mail {address[:2]}…"
    if digits < 8:
        return None
    for text in texts:
        for found in DIGITS.finditer(text):
            near = text[max(0, found.start() - 2) : found.end() + 2]
            if (card := CARD.search(near)) and _is_card(re.sub("[ -]", "", card[0])):
                return f"card number {card[0][:4]}…"
            if number := TELEPHONE.search(near):
                return f"telephone {number[0][:4]}…"
    return None


def _is_card(digits: str) -> bool:
    """True if the checksum of card numbers (Luhn, ISO/IEC 7812) holds, and the first digit is one of a card."""
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return digits[0] in "3456" and sum(value - 9 * (value > 9) for value in doubled) % 10 == 0


def _cut_off(answer: str) -> str | None:
    text = answer.rstrip()
    if not text:
        return None
    if text.endswith(OPEN_ENDS) and not text.endswith(SMILEYS):
        return f"it ends with {text[-12:]!r}"
    if "```" in text and text.count("```") % 2:
        return "a code block is not closed"
    if text.startswith(('{"', '[{"', '["')) and not _is_json(text):
        return "it begins as JSON, but is none"
    if text[-1].islower() and text[-40:].split()[-1] in UNFINISHED and len(text.split(None, 4)) > 3:
        return f"it ends with {text[-12:]!r}"
    return None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _repeated_end(answer: str) -> str | None:
    """What stands twice at the end of the answer, punctuation and spaces apart, if it has 8 letters or more."""
    answer = answer[-400:].rstrip(" \n.!?。！？\"'")
    last = answer[-3:]
    if last.isalnum() and answer.find(last) == len(answer) - 3:
        return None  # the usual case, told without building the text below
    end = "".join(filter(str.isalnum, answer)).lower()
    here = len(end) - 8
    start = end.rfind(end[here:], 0, len(end) - 1) if here > 0 else -1
    while start >= 0:
        length = here - start
        if length >= 8 and end.endswith(end[-length:] * 2) and len(end) >= 2 * length:
            return end[-length:] if not end[-length:].isdigit() else None
        start = end.rfind(end[here:], 0, start + 7)
    return None


def _invented_number(example: Example) -> str | None:
    """The first number of the answer that stands nowhere in what is asked, not even as a part of another one."""
    numbers = dict.fromkeys(NUMBER.findall(example.answer))
    if not numbers:
        return None
    told = {*NUMBER.findall(example.system), *NUMBER.findall(example.asked)}
    untold = (number for number in numbers if number not in told)
    looked_for = itertools.islice(untold, MOST_LOOKED_FOR)  # each takes a look over the whole question
    return next((n for n in looked_for if n not in example.system and n not in example.asked), None)


def is_json_object(text: str) -> bool:
    """True if the text is a JSON object or list, and nothing else."""
    text = text.strip()
    return text[:1] in ("{", "[") and text[-1:] in ("}", "]") and _is_json(text)


# --- languages ---------------------------------------------------------------------------------------------

LANGUAGES = ("unknown", "English", "German", "French", "Spanish", "Italian", "Portuguese", "Dutch", "Polish")
LANGUAGES += (
    "Russian or another in Cyrillic",
    "Chinese",
    "Japanese",
    "Korean",
    "Arabic or Persian",
    "Hebrew",
)
LANGUAGES += ("Greek", "Hindi or another in Devanagari", "Thai")
# Short words that are frequent in one of these languages and hardly used in English.
FREQUENT = {
    "English": "the and is are you your it of with what how that this have from can please where which not be will may "
    "i my we",
    "German": "der das und ist nicht ich sie ein eine mit auf für bitte wo wie kann den dem von zu werden wir",
    "French": "le les des est et vous je une dans pour avec où votre nous pas que sur du puis-je au ce être",
    "Spanish": "el los las es y una por para con usted su dónde puedo del qué en está como más al hay",
    "Italian": "i il gli è di che una per con sono dove posso della del non la può nel anche al si lei",
    "Portuguese": "os é uma para com você onde posso do da não em são na seu como mais ao ou",
    "Dutch": "het een en niet ik u met waar kan voor dat op zijn bij uw wij naar aan",
    "Polish": "i w nie na jest się że gdzie czy jak mogę proszę dla są przy pan od można którym",
}
SCRIPTS = (
    (0x0370, 0x03FF, "Greek"),
    (0x0400, 0x052F, "Russian or another in Cyrillic"),
    (0x0590, 0x05FF, "Hebrew"),
    (0x0600, 0x06FF, "Arabic or Persian"),
    (0x0900, 0x097F, "Hindi or another in Devanagari"),
    (0x0E00, 0x0E7F, "Thai"),
    (0x3040, 0x30FF, "Japanese"),
    (0x4E00, 0x9FFF, "Chinese"),
    (0xAC00, 0xD7AF, "Korean"),
)


@functools.cache
def _frequent() -> dict[str, set[str]]:
    words: dict[str, set[str]] = {}
    for language, text in FREQUENT.items():
        for word in text.split():
            words.setdefault(word, set()).add(language)
    return words


def language(text: str) -> int:
    """The probable language of a text as its place in LANGUAGES; 0 if it is too short or cannot be told."""
    start = text[:300]
    if not start.isascii() and (script := _script(start)):
        return LANGUAGES.index(script)
    votes: dict[str, int] = {}
    words = _frequent()
    for word in set(start.lower().split()) & words.keys():
        for candidate in words[word]:
            votes[candidate] = votes.get(candidate, 0) + 1
    ranked = sorted(votes, key=votes.get, reverse=True)
    if not ranked or votes[ranked[0]] < 3 or (len(ranked) > 1 and votes[ranked[1]] * 2 > votes[ranked[0]]):
        return 0
    return LANGUAGES.index(ranked[0])


def _script(text: str) -> str | None:
    """The script that most letters have, if it is not the Latin one. Any kana make a text Japanese."""
    counts: dict[str, int] = {}
    letters = 0
    for character in filter(str.isalpha, text):
        letters += 1
        code = ord(character)
        if code < 0x370:
            continue
        for first, last, script in SCRIPTS:
            if first <= code <= last:
                counts[script] = counts.get(script, 0) + 1
                break
    if "Japanese" in counts:
        counts["Japanese"] += counts.pop("Chinese", 0)
    best = max(counts, key=counts.get, default=None)
    return best if best and counts[best] >= 3 and counts[best] * 2 > letters else None
