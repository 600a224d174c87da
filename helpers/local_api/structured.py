"""Answers in a given form: a JSON schema, a regular expression or a grammar says what may be written next.

Two libraries do the work. llguidance, which OpenAI uses for the same purpose, knows after each byte which bytes may
follow, and after each token of an engine that writes tokens (``Form.matcher``) which tokens may.
jsonschema_rs says whether a schema is one, and whether a text that is there already satisfies it: it fetches nothing,
gives up a pattern that would take for ever, and is imported in a twentieth of a second.
"""

import copy
import functools
import json
import re
from collections import Counter, deque
from dataclasses import dataclass

from jsonschema_rs import Draft202012Validator, FancyRegexOptions, ValidationError
from llguidance import LLMatcher, LLTokenizer

OBJECT = {"type": "object"}
NO_WHITESPACE = {"whitespace_flexible": False}
MOST = 10_000  # bytes that are written for one form
MOST_TRIED = 20_000  # beginnings of one number
DEEP = 6  # brackets around a value; from here on lists stay empty, and what may be null is null
BACKTRACKS = 100_000  # steps of one pattern of a schema on one text
DEEPEST = 100  # brackets in a schema
SIMULATED = "simulated"  # every text that is free
# texts for what has a form of its own; dates are those of the mock's stage
FORMATTED = (
    "2025-06-01",
    "2025-06-01T12:00:00Z",
    "12:00:00Z",
    "12:00:00",
    "P1D",
    "simulated@example.com",
    "https://example.com/simulated",
    "example.com",
    "00000000-0000-4000-8000-000000000000",
    "127.0.0.1",
    "::1",
)
# Not allowed in a strict schema (OpenAI's guide to structured outputs; "oneOf" and "uniqueItems": errors seen live)
NOT_STRICT = ["allOf", "oneOf", "not", "if", "then", "else"]
NOT_STRICT += ["dependentRequired", "dependentSchemas", "uniqueItems"]
NUMERIC = b"1234567890.-"
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789 ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ASCII = range(0x20, 0x7F)
FEW = 16  # bytes that may follow: they are all tried, of more than these only those of ASCII
FARTHEST, WIDEST = 128, 24  # bytes to the end of a text, and ways there that are followed side by side
WORD = re.compile(r"(?:[\w@/:,;#&%=~<>!' -]|\\[^\w\s])+")  # of a pattern: what stands for itself
MOST_TAILS, LONGEST_TAIL = 100, 40


class FormError(ValueError):
    """Why a form cannot be followed."""


@dataclass(frozen=True)
class Form:
    """What an answer has to look like. Make it with one of the functions that begin with ``of_``."""

    grammar: str  # for llguidance
    schema: str | None = None  # as JSON; None if the form is not JSON
    holds_json: bool = False  # the whole text, or parts of it

    def matcher(self, tokenizer: LLTokenizer | None = None) -> LLMatcher:
        """What knows which token of this tokenizer may follow, or which byte, at the beginning of a text.

        Raises FormError if the grammar is none.
        """
        return _compiled(self.grammar, tokenizer or _bytes()).deep_copy()

    def takes(self, text: str) -> bool:
        """Whether a text has this form."""
        if self.schema is None:
            matcher = self.matcher()
            data = list(text.encode("utf-8", "replace"))
            return matcher.try_consume_tokens(data) == len(data) and matcher.is_accepting()
        try:
            return _validator(self.schema).is_valid(json.loads(text))
        except (ValueError, RecursionError):
            return False

    def simulated(self, words: list[str] = ()) -> str:
        """A text of this form whose values are plainly simulated.

        Free texts are "simulated". Where a text is not free, one of ``words`` is taken that fits, such as a word of
        the question among the values of an enum; else the first that may stand there. Numbers are as short as they
        can be, lists have one item, what need not be there is left out. Raises FormError if no such text is found.
        """
        for numbered in (False, True):
            writer = Writer(self, list(words))
            writer.numbered = numbered
            written = writer.write()
            if written is None:
                break
            if self.takes(written):
                return written
        shortest = Writer(self).ending()
        if shortest is not None and self.takes(written := shortest.decode("utf-8", "replace")):
            return written
        raise FormError("no text of this form was found; a simpler schema helps.")


def problem(schema: dict, *, strict: bool) -> str | None:
    """What is wrong with the schema of an object, in the words of OpenAI's errors; None if all is right."""
    try:
        if schema.get("type") != "object":
            return (
                f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{schema.get('type')}\"'."
            )
        _refuse_depth(schema)
        if strict and (found := _strict_problem(schema, ())):
            return found
        if strict:
            of_schema(schema)
        else:
            _validator(json.dumps(schema))
    except FormError as error:
        return str(error)
    return None


def _strict_problem(schema: object, context: tuple) -> str | None:
    if not isinstance(schema, dict):
        return None
    where = f"In context={context}, "
    if refused := [key for key in NOT_STRICT if key in schema]:
        return f"{where}'{refused[0]}' is not permitted."
    if schema.get("type") == "object" or "properties" in schema:
        if schema.get("additionalProperties") is not False:
            return f"{where}'additionalProperties' is required to be supplied and to be false."
        required = schema.get("required")
        missing = [key for key in schema.get("properties") or () if key not in (required or ())]
        if missing:
            rule = (
                "'required' is required to be supplied and to be an array including every key in properties."
            )
            return f"{where}{rule} Missing '{missing[0]}'."
    if schema.get("type") == "array" and not {"items", "prefixItems"} & schema.keys():
        return f"{where}array schema missing items."
    inner = [(("items",), schema.get("items"))]
    for key in ("properties", "$defs", "definitions"):
        if isinstance(schema.get(key), dict):
            inner += [((key, name), value) for name, value in schema[key].items()]
    if isinstance(schema.get("anyOf"), list):
        inner += [(("anyOf", str(number)), value) for number, value in enumerate(schema["anyOf"])]
    found = (_strict_problem(value, (*context, *steps)) for steps, value in inner)
    return next((problem for problem in found if problem), None)


def of_schema(schema: dict, *, strict: bool = True) -> Form:
    """The form of a JSON schema. Raises FormError for one that is no schema, or that cannot be followed.

    Without ``strict`` keywords that llguidance does not know are ignored while a text is written.
    """
    _refuse_depth(schema)
    return _of_schema(json.dumps(schema), strict)


def _refuse_depth(schema: dict) -> None:
    """Raises FormError for a schema so deep that reading it takes the stack of the program."""
    level = [schema]
    for _ in range(DEEPEST):
        level = [inner for item in level for inner in (item.values() if isinstance(item, dict) else item)]
        level = [item for item in level if isinstance(item, dict | list)]
        if not level:
            return
    raise FormError(f"it is nested too deeply: at most {DEEPEST} brackets.")


@functools.lru_cache(maxsize=64)
def _of_schema(text: str, strict: bool) -> Form:
    schema = json.loads(text)
    _validator(text)
    if not schema:
        schema = {"type": "object"}
    options = NO_WHITESPACE | ({} if strict else {"lenient": True})
    return _checked(
        Form(LLMatcher.grammar_from_json_schema(schema, overrides=options), text, holds_json=True)
    )


def of_regex(pattern: str) -> Form:
    """The form of a regular expression that the whole text has to match."""
    return _checked(Form(LLMatcher.grammar_from_regex(pattern)))


def of_lark(grammar: str, **parts: Form) -> Form:
    """The form of a grammar in Lark's notation, in which other forms may stand: ``@name`` for each of ``parts``."""
    grammars = [{"lark_grammar": grammar}]
    for name, form in parts.items():
        (part,) = json.loads(form.grammar)["grammars"]
        grammars.append(part | {"name": name})
    holds_json = any(form.holds_json for form in parts.values())
    return _checked(Form(json.dumps({"grammars": grammars}), holds_json=holds_json))


def of_choice(texts: list[str]) -> Form:
    """The form of these texts and no other."""
    if not texts:
        raise FormError("there is nothing to choose from.")
    return of_lark(f"start: {' | '.join(map(json.dumps, texts))}")


def _checked(form: Form) -> Form:
    form.matcher()
    return form


@functools.lru_cache(maxsize=64)
def _tails(form: Form) -> list[bytes]:
    """The ends of the words in the patterns of a form, short ones first."""
    patterns = [form.grammar] if form.schema is None else []
    values = [] if form.schema is None else [json.loads(form.schema)]
    while values:
        value = values.pop()
        if isinstance(value, dict) and isinstance(value.get("pattern"), str):
            patterns.append(value["pattern"])
        values += value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    words = {word.replace("\\", "") for pattern in patterns for word in WORD.findall(pattern)}
    tails = {
        word[-length:].encode() for word in words for length in range(1, min(len(word), LONGEST_TAIL) + 1)
    }
    return sorted(tails, key=lambda tail: (len(tail), tail))[:MOST_TAILS]


@functools.cache
def _bytes() -> LLTokenizer:
    return LLTokenizer("byte")


@functools.lru_cache(maxsize=64)
def _compiled(grammar: str, tokenizer: LLTokenizer) -> LLMatcher:
    matcher = LLMatcher(tokenizer, grammar, log_level=0)
    refuse_if_broken(matcher)
    return matcher


def refuse_if_broken(matcher: LLMatcher) -> None:
    """Raises FormError if the matcher has met what it cannot follow."""
    if matcher.is_error():
        reason = matcher.get_error().strip().splitlines()[-1]
        raise FormError(f"{reason.removeprefix('error: ').rstrip('.')}.")


@functools.lru_cache(maxsize=64)
def _validator(schema: str) -> Draft202012Validator:
    """What says whether a value satisfies a schema. Raises FormError if it is no schema."""
    patterns = FancyRegexOptions(backtrack_limit=BACKTRACKS)
    try:
        return Draft202012Validator(json.loads(schema), offline=True, pattern_options=patterns)
    except ValidationError as error:
        raise FormError(f"{error.message}.") from None


class Writer:
    """Writes a text byte by byte, each one among those that the form allows; or brings one to its end.

    Where a form holds JSON, strings and brackets are told apart.
    """

    def __init__(self, form: Form, words: list[str] = ()):
        self.matcher, self.words, self.is_json = form.matcher(), words, form.holds_json
        self.tails, self.searched = _tails(form), False  # for an end of this string
        self.numbered = False  # free texts, so that no two are alike
        self.text = bytearray()
        self.inside, self.escaped = not self.is_json, False  # of a string
        self.depth = self.free = 0
        self.used: Counter = Counter()  # how often each byte stands in this string

    def write(self) -> str | None:
        """The text; None if it does not come to an end."""
        if not self.is_json:
            self._wish("")
        while not self.matcher.is_accepting():
            if len(self.text) > MOST or self.matcher.is_stopped():
                return None
            forced = self.matcher.compute_ff_bytes()
            self.put(forced or self._chosen())
            if self.is_json and self.inside and self.text[-1:] == b'"':
                self._wish('"')
        return self.text.decode("utf-8", "replace")

    def ending(self) -> bytes | None:
        """A short way from here to an end; None if none was found."""
        hasty = self.copy()
        hasty.text, hasty.depth = bytearray(), self.depth + DEEP
        try:
            while not hasty.matcher.is_accepting():
                if len(hasty.text) > MOST or hasty.matcher.is_stopped():
                    return None
                way_out = hasty._way_out()
                hasty.put(way_out or hasty.matcher.compute_ff_bytes() or hasty._chosen())
        except FormError:
            return None
        return bytes(hasty.text)

    def copy(self) -> "Writer":
        """A writer at the same place, which goes its own way."""
        other = copy.copy(self)
        other.matcher, other.text, other.used = self.matcher.deep_copy(), self.text[:], self.used.copy()
        return other

    def put(self, data: bytes) -> None:
        """Adds these bytes, which the form allows here."""
        self.matcher.consume_tokens(list(data))
        for byte in data:
            self._follow(byte)
        self.text += data

    def _follow(self, byte: int) -> None:
        """Keeps account of strings and brackets."""
        self.used[byte] += 1
        if not self.is_json:
            return
        if self.escaped:
            self.escaped = False
        elif self.inside and byte == ord("\\"):
            self.escaped = True
        elif byte == ord('"'):
            self.inside = not self.inside
            self.searched = False
            self.used.clear()
        elif not self.inside:
            self.depth += (byte in b"{[") - (byte in b"}]")

    def _wish(self, end: str) -> None:
        """Writes the first wish that fits as a whole; else as much of the free text as does."""
        short = SIMULATED[: self.matcher.validate_tokens(list(SIMULATED.encode()))]
        for wish in [SIMULATED, *self.words, *([short] if short else []), *FORMATTED]:
            if self.numbered and wish == SIMULATED:
                self.free += 1
                wish = f"{wish} {self.free}"
            data = list((wish + end).encode("utf-8", "replace"))
            if self.matcher.validate_tokens(data) == len(data):
                return self.put(bytes(data[: len(data) - len(end)]))
        self.put(short.encode())

    def _chosen(self) -> bytes:
        allowed = _allowed(self.matcher)
        if not allowed:
            raise FormError("it never comes to an end.")
        best = min(allowed, key=self._in_string if self.inside else self._outside)
        if not self.inside and best in NUMERIC:
            return self._shortest_number()
        return bytes([best])

    def _way_out(self) -> bytes:
        """A short way to the end of this text, such as an address that has begun; nothing if none was found.

        All ways grow by a byte at a time. Of those after which the same bytes may follow one is kept, and those that
        end with a byte of the pattern's own words. These words end a text like ``.*[.]pdf``, where all may follow.
        """
        if self.searched or not self.inside:
            return b""
        self.searched = True
        end = b'"' if self.is_json else b""
        own = {byte for tail in self.tails for byte in tail}
        ways = [(b"", self.matcher, self.escaped)]
        for _ in range(FARTHEST):
            longer = {}
            for text, matcher, escaped in ways:
                allowed = _allowed(matcher)
                if not escaped and (end[0] in allowed if end else matcher.is_accepting()):
                    return text + end
                for tail in () if escaped else self.tails:
                    if _may_end(matcher, tail + end, end):
                        return text + tail + end
                for byte in allowed if len(allowed) <= FEW else sorted({*allowed} & {*ASCII}):
                    after = matcher.deep_copy()
                    after.consume_token(byte)
                    escapes = self.is_json and byte == ord("\\") and not escaped
                    place = bytes(after.compute_logit_bias()), escapes, byte if byte in own else None
                    longer.setdefault(place, (text + bytes([byte]), after, escapes))
            ways = list(longer.values())[:WIDEST]
        return b""

    def _in_string(self, byte: int) -> tuple:
        """The end of the string, if it may end; else the character used least."""
        ends = self.is_json and byte == ord('"') and not self.escaped
        place = LETTERS.find(chr(byte))
        return (not ends, place < 0, self.used[byte], place, byte)

    def _outside(self, byte: int) -> int:
        """The shortest way to an end, but a list gets one item, and no value is null without need."""
        if self.depth > DEEP:
            order = b")]}n,:" + NUMERIC + b'tf"{['
        else:
            order = (b'"{[' if self.text[-1:] == b"[" else b'}],:"{[') + NUMERIC + b"tfn]"
        return order.find(byte) % 256

    def _shortest_number(self) -> bytes:
        """The first of the shortest numbers after which something else may stand."""
        waiting = deque([(b"", self.matcher)])
        for _ in range(MOST_TRIED):
            if not waiting:
                break
            number, matcher = waiting.popleft()
            allowed = _allowed(matcher)
            if number and (matcher.is_accepting() or any(byte not in NUMERIC + b"eE" for byte in allowed)):
                return number
            for byte in sorted(set(allowed) & set(NUMERIC), key=NUMERIC.index):
                longer = matcher.deep_copy()
                longer.consume_token(byte)
                waiting.append((number + bytes([byte]), longer))
        raise FormError("no number was found that fits.")


def _may_end(matcher: LLMatcher, data: bytes, end: bytes) -> bool:
    """Whether a text may go on with these bytes and is over then: because of the ``end`` in them, or without one."""
    if matcher.validate_tokens(list(data)) < len(data):
        return False
    after = matcher.deep_copy()
    after.consume_tokens(list(data))
    return bool(end) or after.is_accepting()


def _allowed(matcher: LLMatcher) -> list[int]:
    mask = matcher.compute_logit_bias()
    return [byte for byte in range(256) if mask[byte]]
