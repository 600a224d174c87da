"""Defects of the texts of one row: secrets, personal data, odd characters, marks, answers that end badly.

Each function gets a row without errors and yields what it found. ``marks`` are looked for first: finding bytes is
a hundred times faster than a regular expression.
"""

import itertools
import re
from collections.abc import Iterable

from ..codes import HINT, WARNING, defect
from ..lines import is_json
from ..row import Row
from .rows import open_ends

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
# The same for ASCII alone, where bytes.translate is ten times as fast as a regular expression.
RUN = b"0" * 8
TO_RUNS = bytes(b"0"[0] if chr(sign) in "0123456789 ()./-" else 1 for sign in range(256))
TELEPHONE = re.compile(
    r"(?<![\w+])\+\d[\d ()./-]{6,18}\d(?!\w)|(?<![\w-])\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?![\w-])"
)

# No zero-width joiners or direction marks: emoji, Persian, Hebrew and Arabic need them.
INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u200b\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffd\ud800-\udfff]"
)

# UTF-8 that was read as Windows-1252, such as "CafÃ©" for "Café": the two signs that begin most of it, and emoji.
GARBLED = re.compile(
    "Ã[\u00a0-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u2013-\u203a]|â€|ðŸ|(?:[ÐÑ].){3}"
)
GARBLED_MARKS = tuple(
    mark for text in ("Ã", "â€", "ðŸ", "Ð") for mark in (text.encode(), ascii(text)[1:-1].encode())
)
ESCAPES = (b"\\u", b"\\b", b"\\f")  # how JSON writes control characters
OPEN_ENDS = (",", "(", "[", "{")
SMILEYS = (":(", ":[", ";(", "=(", "-(")
# No English sentence ends with one of these.
UNFINISHED = frozenset("the a an and or of because your our their its very than my".split())

NUMBER = re.compile(r"\d[\d.,:]*\d")
OF_NUMBERS = bytes(sign if chr(sign) in "0123456789.,:" else b" "[0] for sign in range(256))
MOST_LOOKED_FOR = 100  # numbers of an answer that are looked for inside longer ones of the question

# What a chat template writes around texts: ChatML and its kin, Llama, Mistral, Gemma, DeepSeek, Alpaca, Hermes; and
# what OpenAI's guide of 2022 wanted at the end of a prompt.
TEMPLATE = re.compile(
    r"""<\|[A-Za-z0-9_]{2,30}\|> | <｜[^｜<>]{2,40}｜> | \[/?INST\] | <</?SYS>> | <(?:start|end)_of_turn>
    | <\|turn> | <turn\|> | <(?:[be]os|pad|unk)> | \A\s*<s> | </s>\s*\Z
    | \#\#\#\ (?:Instruction|Response|Human|Assistant): | \n\n\#\#\#\s*\Z
    | </?tool_(?:call|response)> | <functioncall>""",
    re.VERBOSE,
)
TEMPLATE_MARKS = (b">", b"\\u003e", b"INST]", b"###")


def _first(pattern: re.Pattern, texts: list[str]) -> str | None:
    return next((found[0] for text in texts if (found := pattern.search(text))), None)


@defect(WARNING, "consequence: the model learns to stop in the middle", stage="texts", compare=open_ends)
def answer_cut_off(row: Row) -> Iterable[str]:
    """an answer seems to be cut off (heuristic)
    Complete it."""
    for answer in row.example.answers:
        if how := _cut_off(answer):
            yield how


def _cut_off(answer: str) -> str | None:
    text = answer.rstrip()
    if not text:
        return None
    if text.endswith(OPEN_ENDS) and not text.endswith(SMILEYS):
        return f"it ends with {text[-12:]!r}"
    if "```" in text and text.count("```") % 2:
        return "a code block is not closed"
    if text.startswith(('{"', '[{"', '["')) and not is_json(text):
        return "it begins as JSON, but is none"
    if text[-1].islower() and text[-40:].split()[-1] in UNFINISHED and len(text.split(None, 4)) > 3:
        return f"it ends with {text[-12:]!r}"
    return None


@defect(WARNING, "consequence: the model learns not to stop", stage="texts")
def answer_repeats(row: Row) -> Iterable[str]:
    """an answer repeats its own end
    Delete the repetition."""
    for answer in row.example.answers:
        if twice := _repeated_end(answer):
            yield f"twice: {twice[:60]!r}"


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
            return None if end[-length:].isdigit() else _as_written(answer, length)
        start = end.rfind(end[here:], 0, start + 7)
    return None


def _as_written(answer: str, letters: int) -> str:
    """The end of an answer that holds so many letters and digits."""
    start = len(answer)
    while letters > 0:
        start -= 1
        letters -= len(answer[start].lower()) if answer[start].isalnum() else 0
    return answer[start:]


@defect(
    WARNING,
    "consequence: the model learns to write it, and may stop or go on at the wrong place",
    stage="texts",
    marks=TEMPLATE_MARKS,
)
def template_marks(row: Row) -> Iterable[str]:
    """a mark of a chat template is left in a text
    Delete it, or convert the texts with dataset.from_chatml: the service puts its own marks around each
    message."""
    for text in row.example.texts:
        if (found := TEMPLATE.search(text)) and not _is_struck_through(text, found[0]):
            yield repr(found[0].strip())
            return


def _is_struck_through(text: str, mark: str) -> bool:
    """True if the mark belongs to HTML, in which <s> and </s> strike a text through."""
    return mark.strip() == "</s>" and "<s>" in text.lstrip()[3:]


@defect(WARNING, "consequence: a model can repeat what it was trained on", stage="texts", marks=SECRET_MARKS)
def secret(row: Row) -> Iterable[str]:
    """looks like a key or a password
    Remove it, and revoke the key: it has left your hands."""
    if secret := _first(SECRETS, row.example.texts):
        yield f"{secret[:6]}… ({len(secret)} characters)"


@defect(WARNING, "consequence: a model can repeat what it was trained on", stage="texts")
def personal_data(row: Row) -> Iterable[str]:
    """holds a card number, an e-mail address or a telephone number
    Replace it by an invented one, unless it is meant to be public."""
    texts = row.example.texts
    if b"@" in row.line.data and (address := _first(E_MAIL, texts)):
        yield f"e-mail {address[:2]}…"
    elif row.digits >= 8 and (number := next(filter(None, map(_number_of_somebody, texts)), None)):
        yield number


def _number_of_somebody(text: str) -> str | None:
    if text.isascii() and RUN not in text.encode().translate(TO_RUNS):
        return None
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


@defect(WARNING, "consequence: the model learns to write them", stage="texts")
def invisible_characters(row: Row) -> Iterable[str]:
    """invisible, control or broken characters
    Delete them, or look for the encoding mistake that made them."""
    data = row.line.data
    if data.isascii() and (b"\\" not in data or not any(mark in data for mark in ESCAPES)):
        return
    odd = (text for text in row.example.texts if not text.isprintable() or "\ufffd" in text)
    if character := _first(INVISIBLE, odd):
        yield f"U+{ord(character):04X}"


@defect(WARNING, "consequence: the model learns to write them", stage="texts", marks=GARBLED_MARKS)
def garbled_text(row: Row) -> Iterable[str]:
    """letters that were read in the wrong encoding
    Read the source again as UTF-8, and write the file anew."""
    if garbled := _first(GARBLED, row.example.texts):
        yield repr(garbled)


@defect(HINT, "consequence: this teaches the model to state such facts, also invented ones", stage="texts")
def unprompted_facts(row: Row) -> Iterable[str]:
    """the answer holds a number that its prompt does not (heuristic)
    If users rely on it, put the fact into the prompt; fine-tuning teaches form better than facts."""
    # The first number of the answer that stands nowhere in what is asked, not even as a part of another one.
    example = row.example
    numbers = dict.fromkeys(_numbers(example.answer)) if row.digits else ()
    if (
        len(numbers) > MOST_LOOKED_FOR
    ):  # each takes a look over the whole question: first those that stand alone
        told = {*_numbers(example.system), *_numbers(example.asked)}
        numbers = itertools.islice((number for number in numbers if number not in told), MOST_LOOKED_FOR)
    for number in numbers:
        if number not in example.system and number not in example.asked:
            yield f"the number {number}"
            return


def _numbers(text: str) -> list[str]:
    """The numbers of two digits or more."""
    if text.isascii():  # leaving only what numbers are written with is faster than to search among the rest
        text = " ".join(text.encode().translate(OF_NUMBERS).decode().split())
    return NUMBER.findall(text)
