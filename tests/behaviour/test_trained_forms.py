"""Answers of the trained engine that have a form, and calls of functions: on a tiny model that would write anything."""

import json
import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from jsonschema import Draft202012Validator
from openai.types.responses import ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from helpers.local_api import structured
from helpers.local_api.engines.trained import MODEL
from tests import tiny_model
from tests.unit.test_structured import an_object, random_schema

from .conftest import MODEL as SIMULATED
from .test_responses import TOOL as FLAT
from .test_tools import QUESTION, TOOLS, calls, named

pytestmark = tiny_model.TIER

WEATHER = an_object(
    place={"type": "string"},
    degrees={"type": "integer"},
    sky={"enum": ["clear", "grey"]},
    wet={"type": "boolean"},
)
CODE = {
    "type": "custom",
    "custom": {
        "name": "code",
        "format": {"type": "grammar", "grammar": {"syntax": "regex", "definition": "[0-9]{4}"}},
    },
}
FREE = {"type": "custom", "custom": {"name": "note"}}


def ask(api, messages=(QUESTION,), **options):
    options = {"model": MODEL, "seed": 1, "max_tokens": 80} | options  # it comes to no end by itself
    return api.client.chat.completions.create(messages=list(messages), **options)


def of_schema(schema: dict, strict: bool = True) -> dict:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": strict}}


def satisfies(text: str, schema: dict) -> bool:
    try:
        return Draft202012Validator(schema).is_valid(json.loads(text))
    except json.JSONDecodeError:  # false, so that the assertion names the text and its schema
        return False


# --- texts -------------------------------------------------------------------------------------------------


def test_a_text_satisfies_its_schema_plainly_and_streamed_and_each_choice_its_own(local):
    options = {"response_format": of_schema(WEATHER), "temperature": 1.5, "n": 3}
    texts = [choice.message.content for choice in ask(local, **options).choices]
    assert all(satisfies(text, WEATHER) for text in texts) and len(set(texts)) == 3
    streamed = ["", "", ""]
    reasons = []
    for chunk in ask(local, **options, stream=True):
        (choice,) = chunk.choices
        streamed[choice.index] += choice.delta.content or ""
        reasons += [choice.finish_reason] if choice.finish_reason else []
    assert streamed == texts and reasons == ["stop"] * 3


def test_any_object_where_any_is_asked_for(local):
    messages = [{"role": "user", "content": "Answer in JSON."}]
    for seed in range(3):
        answer = ask(local, messages, response_format={"type": "json_object"}, seed=seed)
        assert isinstance(json.loads(answer.choices[0].message.content), dict)
        assert answer.choices[0].finish_reason == "stop"


@pytest.mark.slow
def test_parse_gives_an_object(local):
    class Weather(BaseModel):
        place: str
        days: list[int]

    answer = local.client.chat.completions.parse(
        model=MODEL, messages=[QUESTION], response_format=Weather, seed=3
    )
    assert isinstance(answer.choices[0].message.parsed, Weather)
    parsed = local.client.responses.parse(model=MODEL, input="The weather?", text_format=Weather)
    assert isinstance(parsed.output_parsed, Weather)


def test_logprobs_are_the_models_own_one_for_each_token(local):
    options = {"response_format": of_schema(an_object(sky={"enum": ["clear", "grey"]})), "temperature": 0}
    answer = ask(local, **options, logprobs=True, top_logprobs=3)
    (choice,) = answer.choices
    content = choice.logprobs.content
    assert bytes(byte for token in content for byte in token.bytes).decode() == choice.message.content
    assert len(content) == answer.usage.completion_tokens
    # it would have begun otherwise
    assert content[0].logprob < content[0].top_logprobs[0].logprob
    assert all(len(token.top_logprobs) == 3 for token in content)


def test_a_stop_still_ends_it(local):
    schema = of_schema(an_object(a={"const": "one"}, b={"const": "two"}))
    (choice,) = ask(local, response_format=schema, stop=[',"b"']).choices
    assert (choice.message.content, choice.finish_reason) == ('{"a":"one"', "stop")


def test_an_answer_is_brought_to_its_end_before_the_limit_if_it_can_be(local):
    schema = of_schema(WEATHER)
    least = json.dumps({"place": "", "degrees": 1, "sky": "grey", "wet": False}, separators=(",", ":"))
    for seed in range(4):
        answer = ask(local, response_format=schema, max_tokens=len(least), temperature=2, seed=seed)
        (choice,) = answer.choices
        assert choice.finish_reason == "stop" and satisfies(choice.message.content, WEATHER)
        assert answer.usage.completion_tokens <= len(least)
    (cut,) = ask(local, response_format=schema, max_tokens=3).choices
    assert cut.finish_reason == "length" and "{" in cut.message.content


@pytest.mark.slow
def test_a_form_that_needs_more_than_the_usual_room_gets_it(local):
    schema = an_object(a={"const": "".join(map(str, range(150)))})
    answer = ask(local, response_format=of_schema(schema), max_tokens=None)
    assert satisfies(answer.choices[0].message.content, schema)
    assert answer.usage.completion_tokens > 256


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"response_format": of_schema(an_object(a={"type": "string", "pattern": "(?=a)b"}))}, "look-ahead"),
        ({"structured_outputs": {"regex": "("}}, "Invalid 'structured_outputs'"),
        ({"structured_outputs": {"choice": []}}, "nothing to choose from"),
        (
            {"structured_outputs": {"choice": ["a"], "regex": "a"}},
            "holds one of choice, regex, grammar, json",
        ),
        ({"structured_outputs": {"choice": ["a"]}, "response_format": {"type": "json_object"}}, "json"),
        ({"structured_outputs": {"word": "a"}}, "structured_outputs.word"),
        ({"tools": [{"type": "custom", "custom": CODE["custom"] | {"name": "a b"}}]}, "pattern"),
    ],
)
def test_a_form_that_cannot_be_followed_is_refused(local, options, said):
    extra = (
        {"structured_outputs": options.pop("structured_outputs")} if "structured_outputs" in options else None
    )
    error = local.refusal(ask, local, extra_body=extra, **options)
    assert error.status_code == 400 and said in error.message


@pytest.mark.parametrize(
    ("form", "takes"),
    [
        ({"choice": ["positive", "negative"]}, lambda text: text in ("positive", "negative")),
        ({"regex": r"[a-z]{2,5}@[a-z]{2}\.com"}, structured.of_regex(r"[a-z]{2,5}@[a-z]{2}\.com").takes),
        (
            {"grammar": 'start: NUMBER ("+" NUMBER)+\nNUMBER: /[0-9]{1,3}/'},
            structured.of_regex(r"[0-9]{1,3}(\+[0-9]{1,3})+").takes,
        ),
        ({"json": WEATHER}, lambda text: satisfies(text, WEATHER)),
    ],
)
def test_the_forms_of_vllm(local, form, takes):
    for seed in range(3):
        answer = ask(local, extra_body={"structured_outputs": form}, seed=seed, temperature=1)
        assert takes(answer.choices[0].message.content)
    error = local.refusal(ask, local, model=SIMULATED, extra_body={"structured_outputs": form})
    assert (error.code, error.param) == ("unknown_parameter", "structured_outputs")


@pytest.mark.slow
def test_questions_with_and_without_a_form_are_answered_together(local):
    forms = [None, of_schema(WEATHER), {"type": "text"}, of_schema(an_object(a={"const": 1}))]
    with ThreadPoolExecutor() as pool:
        options = {"temperature": 0}
        asked = [pool.submit(ask, local, response_format=form, **options) for form in forms]
        texts = [one.result().choices[0].message.content for one in asked]
    assert satisfies(texts[1], WEATHER) and texts[3] == '{"a":1}'
    assert texts[0] == texts[2] == ask(local, **options).choices[0].message.content


# --- calls -------------------------------------------------------------------------------------------------


def test_required_and_named_functions_are_called_with_right_arguments(local):
    for seed in range(4):
        one = ask(
            local, tools=TOOLS, tool_choice="required", seed=seed, temperature=1, parallel_tool_calls=False
        ).choices[0]
        ((name, arguments),) = calls(one)
        parameters = next(t["function"]["parameters"] for t in TOOLS if t["function"]["name"] == name)
        assert Draft202012Validator(parameters).is_valid(arguments)
        assert (one.message.content, one.finish_reason, one.logprobs) == (None, "tool_calls", None)
        one = ask(local, tools=TOOLS, tool_choice=named("takeoffDrone"), seed=seed, temperature=1).choices[0]
        ((name, arguments),) = calls(one)
        assert name == "takeoffDrone" and isinstance(arguments["meters"], int) and one.finish_reason == "stop"


def test_without_a_call_it_says_something(local):
    plain = ask(local, max_tokens=20).choices[0]
    assert ask(local, max_tokens=20, tools=TOOLS, tool_choice="none").choices[0].message == plain.message
    one = ask(local, max_tokens=20, tools=TOOLS).choices[0]
    assert one.message.content and not one.message.tool_calls
    streamed = ask(local, max_tokens=20, tools=TOOLS, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in streamed) == one.message.content


def test_with_a_form_it_has_the_form_or_calls(local):
    schema = an_object(a={"type": "integer"})
    one = ask(local, tools=TOOLS, response_format=of_schema(schema), temperature=1).choices[0]
    assert calls(one) or satisfies(one.message.content, schema)


def test_calls_are_streamed_and_can_be_answered(local):
    chunks = [
        chunk.choices[0] for chunk in ask(local, tools=TOOLS, tool_choice=named("takeoffDrone"), stream=True)
    ]
    first, start, *middle, last = chunks
    assert (first.delta.role, first.delta.content, last.finish_reason) == ("assistant", None, "stop")
    (call,) = start.delta.tool_calls
    assert (call.index, call.type, call.function.name, call.function.arguments) == (
        0,
        "function",
        "takeoffDrone",
        "",
    )
    arguments = "".join(one.delta.tool_calls[0].function.arguments for one in middle)
    whole = ask(local, tools=TOOLS, tool_choice=named("takeoffDrone")).choices[0].message
    assert arguments == whole.tool_calls[0].function.arguments and len(middle) > 1
    told = {"role": "tool", "tool_call_id": whole.tool_calls[0].id, "content": "up"}
    assert ask(local, [QUESTION, whole, told], tools=TOOLS, max_tokens=5).choices[0].message


def test_several_calls_come_apart(local):
    from helpers.local_api import tools

    offered = tools.offer({"tools": [*TOOLS, FREE]})
    form = offered.written_form(None)
    written = 'takeoffDrone({"meters":3})\nget_weather({"place":"a)\\n(b","unit":"celsius"})\nnote(f(x))'
    assert form.takes(written) and form.takes("Hello, takeoffDrone(") and not form.takes("takeoffDrone(x)")
    found = offered.read(written)
    assert [call.name for call in found] == ["takeoffDrone", "get_weather", "note"]
    assert [call.arguments for call in found] == [
        '{"meters":3}',
        '{"place":"a)\\n(b","unit":"celsius"}',
        "f(x)",
    ]
    for end in range(len(written)):  # what is read never shrinks
        before, after = offered.read(written[:end]), offered.read(written[: end + 1])
        for one, other in zip(before or [], after or [], strict=False):
            assert one.name == other.name and other.arguments.startswith(one.arguments)
    assert offered.read("take") == [] and offered.read("takes") is None


def test_the_functions_of_2023_and_custom_tools(local):
    functions = [tool["function"] for tool in TOOLS]
    one = ask(local, functions=functions, function_call={"name": "takeoffDrone"}).choices[0].message
    assert isinstance(json.loads(one.function_call.arguments)["meters"], int)
    parts = [
        chunk.choices[0].delta.function_call
        for chunk in ask(local, functions=functions, function_call={"name": "takeoffDrone"}, stream=True)
    ]
    assert "".join(part.arguments or "" for part in parts if part) == one.function_call.arguments
    (call,) = ask(local, tools=[CODE], tool_choice="required").choices[0].message.tool_calls
    assert call.type == "custom" and call.custom.input.isdecimal() and len(call.custom.input) == 4
    parts = [
        chunk.choices[0].delta.tool_calls
        for chunk in ask(local, tools=[CODE], tool_choice="required", stream=True)
    ]
    assert "".join(part[0].model_extra["custom"]["input"] for part in parts if part) == call.custom.input


def test_a_function_that_is_not_strict_may_have_a_schema_that_cannot_be_followed(local):
    hard = {"type": "object", "properties": {"x": {"type": "string", "pattern": "(?=a)b"}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": hard}}
    one = ask(local, tools=[tool], tool_choice="required", parallel_tool_calls=False).choices[0]
    assert isinstance(calls(one)[0][1], dict)


def test_a_model_learns_calls_from_examples(local, tiny_weights):
    from helpers.local_api.engines.trained import training

    tokenizer = training.load_tokenizer(tiny_weights)
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    example = training.encode(tokenizer, [QUESTION, {"role": "assistant", "tool_calls": [call]}])
    learned = [token for token, on in zip(example.tokens, example.trained, strict=True) if on]
    assert tokenizer.decode(learned) == 'f({"a": 1})<|im_end|>'


# --- the Responses API -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_responses_with_a_format_and_with_functions(local):
    text = {"format": {"type": "json_schema", "name": "x", "schema": WEATHER, "strict": True}}
    response = local.client.responses.create(model=MODEL, input="The weather?", text=text)
    assert satisfies(response.output_text, WEATHER) and response.status == "completed"
    asked = {"model": MODEL, "input": "The weather?", "tools": [FLAT], "tool_choice": "required"}
    response = local.client.responses.create(**asked, parallel_tool_calls=False)
    (call,) = response.output
    assert call.type == "function_call" and set(json.loads(call.arguments)) == {"city"}
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "warm"}
    after = {"previous_response_id": response.id, "max_output_tokens": 16}
    assert local.client.responses.create(model=MODEL, input=[output], **after).output
    events = list(local.client.responses.create(**asked, parallel_tool_calls=False, stream=True))
    deltas = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    assert set(json.loads("".join(deltas))) == {"city"} and events[-1].type == "response.completed"
    known = TypeAdapter(ResponseStreamEvent)  # to make it takes long
    for event in events:
        known.validate_python(event.to_dict())
    events = list(local.client.responses.create(model=MODEL, input="The weather?", text=text, stream=True))
    assert satisfies(events[-1].response.output_text, WEATHER)


# --- many --------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.endurance(sample=10, soak=1000)
def test_sampled_answers_under_random_schemas_satisfy_them(local, count, figures):
    picker, reasons = random.Random(1), []
    for number in range(count):
        schema = an_object(value=random_schema(picker), other=random_schema(picker))
        answer = ask(local, response_format=of_schema(schema), temperature=1, seed=number, max_tokens=None)
        (choice,) = answer.choices
        assert satisfies(choice.message.content, schema), (number, schema, choice.message.content)
        reasons.append(answer.usage.completion_tokens >= 256 - 1)
    figures(f"{count} schemas, {sum(reasons)} answers ended by the limit")


@pytest.mark.slow
def test_the_real_model_fills_in_forms_and_calls(local, monkeypatch):
    from helpers.local_api.engines.trained import serving

    monkeypatch.delenv("LOCAL_API_WEIGHTS", raising=False)
    serving.context.cache_clear()
    sentence = [{"role": "user", "content": "In Oslo it is 3 degrees, and grey. Is it wet there?"}]
    for seed in range(2):
        (choice,) = ask(local, sentence, response_format=of_schema(WEATHER), seed=seed).choices
        assert satisfies(choice.message.content, WEATHER) and choice.finish_reason == "stop"
    (call,) = calls(ask(local, tools=TOOLS, tool_choice=named("get_weather"), temperature=0).choices[0])
    assert call[1]["place"] == "Paris"
    serving.context.cache_clear()
