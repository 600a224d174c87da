"""response_format: the answer has the form that is asked for, in the simulated engine too."""

import json
from enum import Enum

import openai
import pytest
from pydantic import BaseModel

from .conftest import MODEL

MISSING, UNKNOWN = "missing_required_parameter", "unknown_parameter"
QUESTION = {"role": "user", "content": "Sort this mail: the tap drips. Answer in JSON."}


class Desk(Enum):
    GARDEN = "garden"
    HOUSE = "house"


class Step(BaseModel):
    explanation: str
    minutes: float


class Mail(BaseModel):
    desk: Desk
    urgent: bool
    steps: list[Step]
    note: str | None


def schema(strict: bool | None = True, name: str = "mail", **changes) -> dict:
    """A ``response_format`` with one text and one number."""
    given = {
        "type": "object",
        "properties": {"desk": {"type": "string"}, "minutes": {"type": "integer"}},
        "required": ["desk", "minutes"],
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": name, "strict": strict, "schema": given | changes}}


def ask(api, model=MODEL, messages=(QUESTION,), **options):
    options = {"temperature": 0, "seed": 1} | options
    return api.client.chat.completions.create(model=model, messages=[*messages], **options)


def text(completion) -> str:
    return completion.choices[0].message.content


def test_an_answer_satisfies_its_schema_with_simulated_values(api):
    completion = ask(api, response_format=schema(), n=2)
    for choice in completion.choices:
        assert json.loads(choice.message.content) == {"desk": "simulated", "minutes": 1}
        assert choice.finish_reason == "stop"


def test_parse_gives_an_object_of_the_class(api):
    completion = api.client.chat.completions.parse(
        model=MODEL,
        messages=[QUESTION, {"role": "user", "content": "To the house or the garden?"}],
        response_format=Mail,
    )
    steps = [Step(explanation="simulated", minutes=1)]
    message = completion.choices[0].message
    assert message.parsed == Mail(desk=Desk.HOUSE, urgent=True, steps=steps, note="simulated")
    assert message.refusal is None
    again = api.client.chat.completions.parse(
        model=MODEL, messages=[QUESTION, message.model_dump(mode="json"), QUESTION], response_format=Mail
    )
    assert again.choices[0].message.parsed.steps == steps


def test_a_stream_joins_to_the_same_json(api):
    plain = ask(api, response_format=schema())
    chunks = ask(api, response_format=schema(), stream=True)
    assert "".join(part.delta.content or "" for chunk in chunks for part in chunk.choices) == text(plain)
    with api.client.chat.completions.stream(model=MODEL, messages=[QUESTION], response_format=Mail) as stream:
        assert stream.get_final_completion().choices[0].message.parsed.urgent


def test_json_object_gives_an_object(api):
    answer = json.loads(text(ask(api, response_format={"type": "json_object"})))
    assert isinstance(answer, dict)


def test_plain_text_is_the_default(api):
    assert text(ask(api, response_format={"type": "text"})) == text(ask(api))


@pytest.fixture
def tuned(api):
    """A model tuned on mails that were sorted."""
    examples = [
        {
            "messages": [
                {"role": "user", "content": f"Sort this mail: {what}. Answer in JSON."},
                {"role": "assistant", "content": json.dumps({"minutes": minutes, "desk": desk})},
            ]
        }
        for what, desk, minutes in [("the tap drips", "house", 9), ("the rose is dry", "garden", 5)] * 6
    ]
    return api.finished_job(examples, hyperparameters={"n_epochs": 8}).fine_tuned_model


@pytest.mark.parametrize("wanted", [schema(), {"type": "json_object"}])
def test_a_tuned_model_answers_as_it_learned_if_that_has_the_form(api, tuned, wanted):
    assert json.loads(text(ask(api, tuned, response_format=wanted))) == {"desk": "house", "minutes": 9}


def test_else_its_values_are_simulated_too(api, tuned):
    wanted = schema(properties={"room": {"type": "string"}}, required=["room"])
    assert json.loads(text(ask(api, tuned, response_format=wanted))) == {"room": "simulated"}


def test_a_reply_to_a_call_is_answered_in_the_form(api):
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    told = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "dry"},
    ]
    assert set(json.loads(text(ask(api, messages=[QUESTION, *told], response_format=schema())))) == {
        "desk",
        "minutes",
    }


def test_what_is_cut_is_no_json_and_says_why(api):
    with pytest.raises(openai.LengthFinishReasonError):
        api.client.chat.completions.parse(
            model=MODEL, messages=[QUESTION], response_format=Mail, max_tokens=3
        )


@pytest.mark.parametrize(
    ("wanted", "param", "code", "said"),
    [
        ({}, "response_format.type", MISSING, ""),
        ({"type": "yaml"}, "response_format.type", "invalid_value", "'json_object'"),
        ("json", "response_format", "invalid_type", "an object"),
        ({"type": "json_schema"}, "response_format.json_schema", MISSING, ""),
        ({"type": "json_schema", "json_schema": {}}, "response_format.json_schema.name", MISSING, ""),
        (
            {"type": "json_schema", "json_schema": {"name": "x"}},
            "response_format.json_schema.schema",
            MISSING,
            "",
        ),
        ({**schema(), "schema": {}}, "response_format.schema", UNKNOWN, ""),
        (schema(name="a b"), "response_format.json_schema.name", "invalid_value", "pattern"),
        (
            schema(type="array"),
            "response_format",
            None,
            "'mail': schema must be a JSON Schema of 'type: \"object\"'",
        ),
        (schema(additionalProperties=True), "response_format", None, "'additionalProperties' is required"),
        (schema(required=["desk"]), "response_format", None, "Missing 'minutes'."),
        (schema(strict=False, properties={"desk": {"type": "objct"}}), "response_format", None, "objct"),
        (
            schema(properties={"desk": {"type": "string", "pattern": "(?=a)"}}, required=["desk"]),
            "response_format",
            None,
            "look-ahead",
        ),
    ],
)
def test_what_is_wrong_with_a_form_is_named(api, wanted, param, code, said):
    error = api.refusal(ask, api, response_format=wanted)
    assert (error.status_code, error.type) == (400, "invalid_request_error")
    assert (error.param, error.code) == (param, code)
    assert said in error.message


def test_without_strict_more_is_taken(api):
    loose = schema(strict=None, required=["minutes"], additionalProperties=True)
    assert json.loads(text(ask(api, response_format=loose)))["minutes"] == 1


def test_json_mode_asks_for_the_word(api):
    error = api.refusal(
        ask, api, messages=[{"role": "user", "content": "Hello"}], response_format={"type": "json_object"}
    )
    assert error.param == "messages" and "must contain the word 'json'" in error.message
