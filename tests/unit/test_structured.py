"""Forms: what satisfies a JSON schema, and simulated texts that do."""

import json
import random

import pytest
from jsonschema import Draft202012Validator

from helpers.local_api import structured
from helpers.local_api.structured import FormError

TEXT = {"type": "string"}


def an_object(**properties) -> dict:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def simulated(schema: dict, *words: str, strict: bool = True):
    """The simulated value, which satisfies the schema also by jsonschema alone."""
    value = json.loads(structured.of_schema(schema, strict=strict).simulated(list(words)))
    assert Draft202012Validator(schema).is_valid(value)
    return value


TREE = {
    "$defs": {"node": an_object(value=TEXT, children={"type": "array", "items": {"$ref": "#/$defs/node"}})},
    **an_object(root={"$ref": "#/$defs/node"}),
}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (TEXT, "simulated"),
        ({"type": "integer"}, 1),
        ({"type": "integer", "maximum": -5}, -5),
        ({"type": "integer", "multipleOf": 7, "minimum": 8}, 14),
        ({"type": "integer", "multipleOf": 1000, "minimum": 1}, 1000),
        ({"type": "number", "minimum": 0.5, "maximum": 0.6}, 0.5),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["string", "null"]}, "simulated"),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, 1),
        ({"const": {"a": [1, 2]}}, {"a": [1, 2]}),
        ({"type": "array", "items": TEXT}, ["simulated"]),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 3}, [1, 1, 1]),
        ({"type": "string", "maxLength": 3}, "sim"),
        ({"type": "string", "pattern": "^[A-Z]{2}$"}, "AB"),
        ({"type": "string", "format": "date"}, "2025-06-01"),
        ({"type": "string", "format": "email"}, "simulated@example.com"),
        (an_object(b=TEXT, a={"type": "integer"}), {"b": "simulated", "a": 1}),
        ({"type": "object", "properties": {"a": TEXT}}, {}),
        (an_object(steps={"type": "array", "items": an_object(x=TEXT)}), {"steps": [{"x": "simulated"}]}),
        ({"$ref": "#/$defs/a", "$defs": {"a": an_object(x=TEXT)}}, {"x": "simulated"}),
    ],
)
def test_a_simulated_value_is_plain_and_satisfies_its_schema(schema, value):
    assert simulated(schema) == value


def test_a_word_of_the_question_is_taken_where_a_text_is_not_free():
    schema = an_object(free=TEXT, one={"enum": ["red", "green", "blue"]})
    assert simulated(schema, "Make", "it", "green") == {"free": "simulated", "one": "green"}


def test_a_schema_that_refers_to_itself_comes_to_an_end():
    node, depth = simulated(TREE)["root"], 1
    while node["children"]:
        node, depth = node["children"][0], depth + 1
    assert 1 < depth < structured.DEEP


def test_without_strict_unknown_keywords_are_ignored_while_writing_and_satisfied_all_the_same():
    schema = {"type": "array", "items": TEXT, "minItems": 2, "uniqueItems": True}
    assert len(set(simulated(schema, strict=False))) == 2
    with pytest.raises(FormError, match="uniqueItems"):
        structured.of_schema(schema)


def random_schema(picker: random.Random, depth: int = 0) -> dict:
    """Of the keywords that OpenAI's strict mode knows."""
    kind = picker.choice(
        ["string", "integer", "number", "boolean", "null", "object", "array", "anyOf"][: 8 - depth]
    )
    if kind == "object":
        return an_object(**{f"p{n}": random_schema(picker, depth + 1) for n in range(picker.randint(0, 4))})
    if kind == "array":
        few = {"minItems": picker.randint(0, 3)} if picker.random() < 0.5 else {}
        return {"type": "array", "items": random_schema(picker, depth + 1), **few}
    if kind == "anyOf":
        return {"anyOf": [random_schema(picker, depth + 1) for _ in range(picker.randint(1, 3))]}
    low = picker.randint(-50, 50)
    formats = ("date", "date-time", "time", "email", "uuid", "ipv4", "ipv6", "hostname", "duration")
    patterns = (r"^[A-Z]{3}$", r"^\d{4}-\d{2}$", "^(a|b)*c$", "[0-9]+", "^#[0-9a-f]{6}$", "^.{5,9}$")
    more = {
        "string": [
            {},
            {"format": picker.choice(formats)},
            {"pattern": picker.choice(patterns)},
            {"enum": ["é", "x"]},
        ],
        "integer": [{}, {"minimum": low, "maximum": low + 9}, {"multipleOf": 3}, {"exclusiveMinimum": low}],
        "number": [{}, {"minimum": low, "maximum": low + 0.5}, {"multipleOf": 0.5}],
    }
    return {"type": kind} | picker.choice(more.get(kind, [{}]))


@pytest.mark.endurance(sample=100, soak=10_000)
def test_values_for_random_schemas_satisfy_them(count, figures):
    picker = random.Random(1)
    for _ in range(count):
        simulated(an_object(value=random_schema(picker)), "x", "7")
    figures(f"{count} schemas")


TEXTS = [
    *({"format": name} | {"text": text} for name, text in {
        "date": "1987-12-30",
        "date-time": "1987-12-30T23:59:60.25+05:30",
        "time": "23:59:59.1Z",
        "duration": "P3Y6M4DT12H30M5S",
        "email": "some.body+tag@mail.example.co.uk",
        "hostname": "a-b.c9.example",
        "ipv4": "192.168.255.10",
        "ipv6": "2001:db8:85a3::8a2e:370:7334",
        "uri": "http://user@host.example:8080/a/b?c=d#e",
        "uuid": "9f1c2b3a-0d4e-4a6b-8c7d-1e2f3a4b5c6d",
    }.items()),
    *({"pattern": pattern} | {"text": text} for pattern, text in {
        r"^[a-z]+@[a-z]+\.com$": "peter@mail.com",
        r"^[A-Z]{2}[0-9]{4,6}(-[a-z]{3})?$": "AB12345-xyz",
        r"^(foo|bar)+!$": "foobarfoo!",
        r"^.{5,90}$": "hello dolly",
        r"^[^ ]+ [^ ]+ [^ ]+$": "one two three",
        r"^\p{Lu}\p{L}+$": "Žofie",
        r"^[а-я]{3}$": "жаб",
        r"^https?://[^/]+/.*\.pdf$": "https://x.y/z.pdf",
        r'^"[^"]*"$': '"hi"',
    }.items()),
]  # fmt: skip


@pytest.mark.parametrize("kind", TEXTS, ids=lambda kind: kind["text"])
def test_a_text_that_has_begun_is_brought_to_its_end_at_every_place(kind):
    schema = an_object(
        a={"type": "string"} | {key: kind[key] for key in kind if key != "text"}, b={"type": "number"}
    )
    form = structured.of_schema(schema)
    whole = json.dumps({"a": kind["text"], "b": 1}, separators=(",", ":"), ensure_ascii=False).encode()
    assert form.takes(whole.decode())
    for length in range(len(whole)):
        writer = structured.Writer(form)
        writer.put(whole[:length])
        assert form.takes((whole[:length] + writer.ending()).decode()), whole[:length]


@pytest.mark.endurance(sample=40, soak=2000)
def test_whatever_was_written_so_far_is_brought_to_its_end(count, figures):
    """Bytes drawn at random among those that may follow; no exponents, which would make numbers of any size."""
    for seed in range(count):
        picker = random.Random(seed)
        form = structured.of_schema(an_object(value=random_schema(picker), other=random_schema(picker)))
        writer = structured.Writer(form)
        for _ in range(picker.randint(1, 120)):
            allowed = set(structured._allowed(writer.matcher)) & {*structured.ASCII}
            if not writer.inside:
                allowed -= {*b"eE"} if len(allowed) > 2 else set()
            if not allowed:
                break
            writer.put(bytes([picker.choice(sorted(allowed))]))
        written = writer.text.decode()
        assert form.takes(written + writer.ending().decode()), (seed, written)
    figures(f"{count} forms")


def test_a_regular_expression_that_has_begun_is_brought_to_its_end():
    form, whole = structured.of_regex("(Dear|Hello) [a-z]+, (yes|no)[.]"), "Hello peter, no."
    for length in range(len(whole)):
        writer = structured.Writer(form)
        writer.put(whole[:length].encode())
        assert form.takes(whole[:length] + writer.ending().decode()), whole[:length]


def test_a_pattern_in_which_no_wish_fits_has_a_simulated_value():
    assert simulated({"type": "string", "pattern": r"^[a-z]+@[a-z]+\.de$"}) == "a@a.de"


def test_a_text_has_a_form_or_not():
    form = structured.of_schema(an_object(b=TEXT, a={"type": "integer"}))
    assert form.takes('{"b": "x", "a": 1}') and form.takes('{\n "a": 1, "b": "x"}')
    for text in (
        "",
        "no",
        "{}",
        '{"a": 1}',
        '{"a": "1", "b": "x"}',
        '{"a": 1, "b": "x", "c": 2}',
        "[" * 9999,
    ):
        assert not form.takes(text)


def test_a_pattern_that_would_take_for_ever_is_given_up():
    form = structured.of_schema({"type": "string", "pattern": "^(a+)+$"})
    assert form.takes('"aaa"') and not form.takes(json.dumps("a" * 50 + "!"))


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "objct"}, '"objct" is not valid'),
        ({"enum": []}, "empty"),
        ({"type": "integer", "minimum": 5, "maximum": 4}, "greater than"),
        ({"type": "string", "pattern": "(?=a)b"}, "look-ahead"),
        ({"$ref": "http://127.0.0.1:9/schema"}, "not present"),
        ({"$ref": "#"}, "end"),
        ({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "no text"),
        ({"type": "string", "minLength": 1_000_000}, "no text"),
    ],
)
def test_what_cannot_be_followed_is_refused_with_the_reason(schema, reason):
    with pytest.raises(FormError, match=reason):
        structured.of_schema(schema).simulated()


def test_a_schema_that_is_nested_too_deeply_is_refused():
    schema = TEXT
    for _ in range(900):
        schema = {"type": "array", "items": schema}
    with pytest.raises(FormError, match="too deeply"):
        structured.of_schema(schema)
    assert "too deeply" in structured.problem(an_object(a=schema), strict=False)


IN_A = "In context=('properties', 'a'), "


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        (an_object(a=TEXT), None),
        (TREE, None),
        ({"type": "array"}, "schema must be a JSON Schema of 'type: \"object\"', got 'type: \"array\"'."),
        (
            {"type": "object", "properties": {}},
            "In context=(), 'additionalProperties' is required to be supplied and to be false.",
        ),
        (an_object(a={"type": "array"}), f"{IN_A}array schema missing items."),
        (an_object(a={"oneOf": [TEXT]}), f"{IN_A}'oneOf' is not permitted."),
        (
            an_object(a=an_object(b=TEXT) | {"required": []}),
            f"{IN_A}'required' is required to be supplied and to be an array including every key in properties. "
            "Missing 'b'.",
        ),
    ],
)
def test_strict_schemas_are_held_to_openais_rules(schema, problem):
    assert structured.problem(schema, strict=True) == problem


def test_texts_of_a_regular_expression_and_of_a_grammar():
    assert structured.of_regex("[0-9]{3}-x").simulated() == "012-x"
    assert structured.of_regex("(?s:.*)").simulated() == "simulated"
    assert structured.of_lark('start: "a" NUMBER\nNUMBER: /[0-9]+/').takes("a42")
    for make, wrong in ((structured.of_regex, "("), (structured.of_lark, "start")):
        with pytest.raises(FormError):
            make(wrong)
