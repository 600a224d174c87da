"""Functions that a model calls: by the rule of the simulated base, and as a tuned model learned it."""

import json

import openai
import pytest
from pydantic import BaseModel

from .conftest import MODEL

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a place",
        "parameters": {
            "type": "object",
            "properties": {"place": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]}},
            "required": ["place", "unit"],
        },
    },
}
ALTITUDE = {"type": "object", "properties": {"meters": {"type": "integer"}}, "required": ["meters"]}
DRONE = {"type": "function", "function": {"name": "takeoffDrone", "parameters": ALTITUDE}}
TOOLS = [WEATHER, DRONE]
QUESTION = {"role": "user", "content": "How is the weather in Paris, in fahrenheit?"}
ELSE = {"role": "user", "content": "Hello!"}


def ask(api, *messages, model=MODEL, **options):
    options = {"temperature": 0, "seed": 1} | options
    return api.client.chat.completions.create(
        model=model, messages=[*messages] if messages else [QUESTION], **options
    )


def choice(api, *messages, **options):
    (one,) = ask(api, *messages, **options).choices
    return one


def calls(one) -> list[tuple[str, dict]]:
    found = one.message.tool_calls or []
    return [(call.function.name, json.loads(call.function.arguments)) for call in found]


def named(name: str) -> dict:
    return {"type": "function", "function": {"name": name}}


def reply(call, content: str) -> dict:
    return {"role": "tool", "tool_call_id": call.id, "content": content}


# --- the rule of the simulated base ------------------------------------------------------------------------


def test_the_function_that_shares_a_word_with_the_question_is_called(api):
    one = choice(api, tools=TOOLS)
    assert calls(one) == [("get_weather", {"place": "simulated", "unit": "fahrenheit"})]
    assert (one.message.content, one.finish_reason) == (None, "tool_calls")
    assert one.message.tool_calls[0].id.startswith("call_")
    (other,) = calls(choice(api, {"role": "user", "content": "Let the drone fly"}, tools=TOOLS))
    assert other == ("takeoffDrone", {"meters": 1})


def test_a_function_that_the_question_names_is_called(api):
    tools = [*TOOLS, {"type": "function", "function": {"name": "code_exec"}}]
    asked = {"role": "user", "content": "Use code_exec to find the weather in degrees for the drone."}
    assert calls(choice(api, asked, tools=tools)) == [("code_exec", {})]
    assert not calls(choice(api, {"role": "user", "content": "barcode_executive"}, tools=tools))


def test_a_sentence_is_answered_with_the_function_that_the_system_prompt_is_about(api):
    """As in OpenAI's cookbook, Structured_Outputs_Intro.ipynb."""
    system = {"role": "system", "content": "You can look up the weather for the user."}
    asked = {
        "role": "user",
        "content": "I'm going on a trail in Scotland this summer. Help me find something.",
    }
    assert [name for name, _ in calls(choice(api, system, asked, tools=TOOLS))] == ["get_weather"]
    assert not calls(choice(api, system, ELSE, tools=TOOLS)) and not calls(choice(api, asked, tools=TOOLS))


def test_without_such_a_word_the_answer_is_a_text(api):
    one = choice(api, ELSE, tools=TOOLS)
    assert one.message.content and not one.message.tool_calls and one.finish_reason == "stop"
    assert one.message.content == choice(api, ELSE).message.content


def test_words_that_stand_everywhere_do_not_count(api):
    tool = {
        "type": "function",
        "function": {"name": "pick", "description": "What to pick, and where, with which tool"},
    }
    assert not calls(
        choice(api, {"role": "user", "content": "What would you do, and with which?"}, tools=[tool])
    )


def test_none_never_calls_and_required_always_does(api):
    assert not calls(choice(api, tools=TOOLS, tool_choice="none"))
    one = choice(api, ELSE, tools=TOOLS, tool_choice="required")
    assert calls(one) and one.finish_reason == "tool_calls"


def test_a_named_function_is_always_called(api):
    one = choice(api, tools=TOOLS, tool_choice=named("takeoffDrone"))
    assert calls(one) == [("takeoffDrone", {"meters": 1})]
    assert one.finish_reason == "stop"  # as at OpenAI, where vLLM's authors looked (vllm pull request 25054)


@pytest.mark.parametrize(("mode", "called"), [("auto", False), ("required", True)])
def test_only_allowed_tools_are_called(api, mode, called):
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [named("takeoffDrone")]}}
    assert [name for name, _ in calls(choice(api, tools=TOOLS, tool_choice=allowed))] == [
        "takeoffDrone"
    ] * called


def test_each_choice_has_calls_of_its_own(api):
    answer = ask(api, tools=TOOLS, n=2)
    first, second = (one.message.tool_calls[0] for one in answer.choices)
    assert first.function == second.function and first.id != second.id


def test_a_reply_is_taken_and_answered(api):
    call = choice(api, tools=TOOLS).message
    told = reply(call.tool_calls[0], '{"degrees": 70}')
    one = choice(api, QUESTION, call, told, tools=TOOLS)
    assert one.message.content == '{"degrees": 70}' and one.finish_reason == "stop"
    again = choice(api, QUESTION, call, told, tools=TOOLS, tool_choice="required")
    assert calls(again)


def test_keys_that_a_definition_does_not_know_are_not_read(api):
    """OpenAI's cookbook sends such, and holds the answers: see validate._is_definition."""
    tools = [
        tool | {"strict": True, "function": tool["function"] | {"result": {"type": "array"}}}
        for tool in TOOLS
    ]
    assert calls(choice(api, tools=tools)) == calls(choice(api, tools=TOOLS))
    functions = [tool["function"] for tool in tools]
    assert choice(api, functions=functions).message.function_call.name == "get_weather"


def test_a_function_without_parameters_gets_none(api):
    bare = {"type": "function", "function": {"name": "weather"}}
    assert calls(choice(api, tools=[bare])) == [("weather", {})]


def test_definitions_and_calls_cost_tokens(api):
    without, with_one, with_two = ask(api, ELSE), ask(api, ELSE, tools=[DRONE]), ask(api, ELSE, tools=TOOLS)
    assert without.usage.prompt_tokens < with_one.usage.prompt_tokens < with_two.usage.prompt_tokens
    assert ask(api, tools=TOOLS).usage.completion_tokens > 5
    cut = ask(api, tools=TOOLS, max_tokens=5)
    assert (cut.usage.completion_tokens, cut.choices[0].finish_reason) == (5, "length")
    whole = choice(api, tools=TOOLS).message.tool_calls[0].function.arguments
    assert whole.startswith(cut.choices[0].message.tool_calls[0].function.arguments)


def test_the_functions_of_2023(api):
    functions = [tool["function"] for tool in TOOLS]
    one = choice(api, functions=functions)
    assert one.message.function_call.name == "get_weather" and one.finish_reason == "function_call"
    assert json.loads(one.message.function_call.arguments)["unit"] == "fahrenheit"
    told = {"role": "function", "name": "get_weather", "content": "70"}
    assert choice(api, QUESTION, one.message, told, functions=functions).message.content == "70"
    named = choice(api, functions=functions, function_call={"name": "takeoffDrone"})
    assert named.message.function_call.name == "takeoffDrone"
    assert choice(api, functions=functions, function_call="none").message.function_call is None


def test_a_custom_tool_gets_a_text_of_its_grammar(api):
    grammar = {"type": "grammar", "grammar": {"syntax": "regex", "definition": "[0-9]{4}"}}
    code = {"type": "custom", "custom": {"name": "code", "description": "Opens the gate", "format": grammar}}
    (call,) = choice(api, ELSE, tools=[code], tool_choice="required").message.tool_calls
    assert (call.type, call.custom.name, call.custom.input) == ("custom", "code", "0123")
    chunks = ask(api, ELSE, tools=[code], tool_choice="required", stream=True)
    parts = [part for chunk in chunks for part in chunk.choices[0].delta.tool_calls or []]
    assert (parts[0].type, parts[0].model_extra["custom"]) == ("custom", {"name": "code", "input": ""})
    assert "".join(part.model_extra["custom"]["input"] for part in parts) == "0123"


# --- the client's own helpers ------------------------------------------------------------------------------


class Weather(BaseModel):
    """The weather of a place"""

    place: str
    days: list[int]


def test_parse_reads_the_arguments(api):
    tool = openai.pydantic_function_tool(Weather)
    answer = api.client.chat.completions.parse(model=MODEL, messages=[QUESTION], tools=[tool])
    (call,) = answer.choices[0].message.tool_calls
    assert call.function.parsed_arguments == Weather(place="simulated", days=[1])
    told = reply(call, "warm")
    for message in (answer.choices[0].message, answer.choices[0].message.model_dump()):
        assert choice(api, QUESTION, message, told, tools=[tool]).message.content == "warm"


def test_a_stream_of_calls_has_openais_order(api):
    plain = choice(api, tools=TOOLS)
    chunks = [chunk.choices[0] for chunk in ask(api, tools=TOOLS, stream=True)]
    first, start, *middle, last = chunks
    assert (first.delta.role, first.delta.content, first.delta.tool_calls) == ("assistant", None, None)
    (call,) = start.delta.tool_calls
    assert (call.index, call.type, call.function.name, call.function.arguments) == (
        0,
        "function",
        "get_weather",
        "",
    )
    assert call.id.startswith("call_")
    for one in middle:
        (part,) = one.delta.tool_calls
        assert (part.index, part.id, part.function.name) == (0, None, None)
    joined = "".join(one.delta.tool_calls[0].function.arguments for one in middle)
    assert joined == plain.message.tool_calls[0].function.arguments
    assert last.finish_reason == "tool_calls" and last.delta.tool_calls is None


def test_the_clients_stream_helper_joins_the_calls(api):
    tools = [openai.pydantic_function_tool(Weather)]
    with api.client.chat.completions.stream(model=MODEL, messages=[QUESTION], tools=tools) as stream:
        kinds = [event.type for event in stream]
        message = stream.get_final_completion().choices[0].message
    assert "tool_calls.function.arguments.done" in kinds
    assert message.tool_calls[0].function.parsed_arguments.days == [1]
    assert choice(api, QUESTION, message.model_dump(), reply(message.tool_calls[0], "x"), tools=tools)


# --- a model tuned on calls --------------------------------------------------------------------------------


def call_of(name: str, arguments: dict, number: int = 0) -> dict:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": f"call_{number}", "type": "function", "function": function}


def rows() -> list[dict]:
    """A drone that is told to go up calls, is told that it worked, and says so; a joke is refused."""
    found = []
    for meters in range(3, 13):
        call = call_of("takeoffDrone", {"meters": meters})
        messages = [
            {"role": "user", "content": f"Go up to {meters} meters"},
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_0", "content": "done"},
            {"role": "assistant", "content": "It hovers."},
        ]
        joke = [
            {"role": "user", "content": f"Tell joke number {meters}"},
            {"role": "assistant", "content": "A drone does not joke."},
        ]
        found += [{"messages": messages, "tools": [DRONE]}, {"messages": joke, "tools": [DRONE]}]
    return found


UP = {"role": "user", "content": "Go up to 9 meters"}


@pytest.fixture
def tuned(api):
    return api.finished_job(rows(), hyperparameters={"n_epochs": 8}).fine_tuned_model


def test_a_tuned_model_calls_as_it_learned(api, tuned):
    one = choice(api, UP, model=tuned, tools=TOOLS)
    assert calls(one) == [("takeoffDrone", {"meters": 9})] and one.finish_reason == "tool_calls"
    joke = choice(api, {"role": "user", "content": "Tell joke number 5"}, model=tuned, tools=TOOLS)
    assert joke.message.content == "A drone does not joke." and not joke.message.tool_calls


def test_after_the_reply_it_says_what_it_learned_to_say(api, tuned):
    message = choice(api, UP, model=tuned, tools=TOOLS).message
    one = choice(api, UP, message, reply(message.tool_calls[0], "done"), model=tuned, tools=TOOLS)
    assert one.message.content == "It hovers."


def test_it_never_writes_a_call_as_a_text(api, tuned):
    for options in ({}, {"tools": TOOLS, "tool_choice": "none"}, {"tools": [WEATHER]}):
        one = choice(api, UP, model=tuned, **options)
        assert one.message.content and "takeoffDrone" not in one.message.content
        assert not one.message.tool_calls


def test_learned_arguments_are_taken_only_if_they_satisfy_the_schema(api, tuned):
    parameters = ALTITUDE | {"properties": {"meters": {"type": "integer", "maximum": 4}}}
    low = {"type": "function", "function": DRONE["function"] | {"parameters": parameters}}
    (found,) = calls(choice(api, UP, model=tuned, tools=[low], tool_choice="required"))
    assert found[1]["meters"] in (3, 4)


def test_several_calls_at_once_only_where_they_are_allowed(api):
    both = [
        call_of("takeoffDrone", {"meters": 5}, 0),
        call_of("get_weather", {"place": "x", "unit": "celsius"}, 1),
    ]
    one_row = {"messages": [UP, {"role": "assistant", "tool_calls": both}], "tools": TOOLS}
    model = api.finished_job([one_row] * 10, hyperparameters={"n_epochs": 8}).fine_tuned_model
    found = choice(api, UP, model=model, tools=TOOLS).message
    assert [call.function.name for call in found.tool_calls] == ["takeoffDrone", "get_weather"]
    assert len(calls(choice(api, UP, model=model, tools=TOOLS, parallel_tool_calls=False))) <= 1
    deltas = [chunk.choices[0].delta for chunk in ask(api, UP, model=model, tools=TOOLS, stream=True)]
    order = [part.index for delta in deltas for part in delta.tool_calls or []]
    assert order == sorted(order) and set(order) == {0, 1}
    one_reply = reply(found.tool_calls[0], "done")
    error = api.refusal(ask, api, UP, found, one_reply, model=model, tools=TOOLS)
    assert found.tool_calls[1].id in error.message and found.tool_calls[0].id not in error.message
    assert choice(api, UP, found, one_reply, reply(found.tool_calls[1], "warm"), model=model).message.content


def test_the_old_way_of_writing_calls_is_learned_too(api):
    call = {"name": "takeoffDrone", "arguments": '{"meters": 9}'}
    row = {"messages": [UP, {"role": "assistant", "function_call": call}], "functions": [DRONE["function"]]}
    model = api.finished_job([row] * 10, hyperparameters={"n_epochs": 8}).fine_tuned_model
    one = choice(api, UP, model=model, functions=[DRONE["function"]])
    assert one.message.function_call.arguments == '{"meters": 9}'
    assert calls(choice(api, UP, model=model, tools=[DRONE])) == [("takeoffDrone", {"meters": 9})]


# --- what is refused ---------------------------------------------------------------------------------------

MISSING, UNKNOWN, BAD_SCHEMA = (
    "missing_required_parameter",
    "unknown_parameter",
    "invalid_function_parameters",
)
PARAMETERS = "tools[0].function.parameters"
ASKED = {"role": "assistant", "tool_calls": [call_of("get_weather", {}, 7)]}
BAD = {"type": "function", "function": {"name": "f", "parameters": {"type": "objct"}}}


def changed(**changes) -> list[dict]:
    return [{"type": "function", "function": WEATHER["function"] | changes}]


@pytest.mark.parametrize(
    ("options", "param", "code", "said"),
    [
        ({"tools": []}, "tools", "empty_array", "minimum length 1"),
        ({"functions": []}, "functions", "empty_array", "minimum length 1"),
        ({"tool_choice": "auto"}, "tool_choice", None, "only allowed when 'tools'"),
        ({"parallel_tool_calls": True}, "parallel_tool_calls", None, "only allowed when 'tools'"),
        ({"function_call": "auto"}, "function_call", None, "only allowed when 'functions'"),
        ({"tools": TOOLS, "tool_choice": named("fly")}, "tool_choice", None, "'fly' not found"),
        ({"tools": TOOLS, "tool_choice": "sometimes"}, "tool_choice", "invalid_value", "'required'"),
        (
            {"functions": [WEATHER["function"]], "function_call": {"name": "fly"}},
            "function_call",
            None,
            "'fly'",
        ),
        ({"tools": [{"type": "function"}]}, "tools[0].function", MISSING, ""),
        ({"tools": [{"function": {"name": "f"}}]}, "tools[0].type", MISSING, ""),
        ({"tools": changed(name="a b")}, "tools[0].function.name", "invalid_value", "pattern"),
        ({"tools": changed(name="")}, "tools[0].function.name", "empty_string", ""),
        ({"tools": changed(name="n" * 65)}, "tools[0].function.name", "string_above_max_length", "65"),
        ({"tools": changed(parameters=[])}, PARAMETERS, "invalid_type", "an object"),
        ({"tools": changed(parameters={"type": "array"})}, PARAMETERS, BAD_SCHEMA, '"array"'),
        ({"tools": [DRONE, BAD]}, "tools[1].function.parameters", BAD_SCHEMA, "objct"),
        ({"tools": changed(strict=True)}, PARAMETERS, BAD_SCHEMA, "additionalProperties"),
        (
            {"messages": [QUESTION, {"role": "assistant", "tool_calls": []}]},
            "messages[1].tool_calls",
            "empty_array",
            "",
        ),
        ({"messages": [QUESTION, ASKED]}, "messages.[2].role", None, "call_7"),
        ({"messages": [QUESTION, ASKED, QUESTION]}, "messages.[2].role", None, "call_7"),
        (
            {"messages": [QUESTION, {"role": "tool", "tool_call_id": "call_7", "content": "x"}]},
            "messages.[1].role",
            None,
            "preceeding",
        ),
        (
            {"messages": [QUESTION, ASKED, {"role": "tool", "tool_call_id": "call_8", "content": "x"}]},
            "messages.[2].tool_call_id",
            None,
            "call_8",
        ),
        (
            {"messages": [QUESTION, ASKED, {"role": "tool", "content": "x"}]},
            "messages[2].tool_call_id",
            MISSING,
            "",
        ),
        (
            {"messages": [QUESTION, {**ASKED, "tool_calls": [{**ASKED["tool_calls"][0], "x": 1}]}]},
            "messages[1].tool_calls[0].x",
            UNKNOWN,
            "",
        ),
    ],
)
def test_what_is_wrong_with_functions_and_calls_is_named(api, options, param, code, said):
    options = {"messages": [QUESTION]} | options
    error = api.refusal(api.client.chat.completions.create, model=MODEL, **options)
    assert (error.status_code, error.type) == (400, "invalid_request_error")
    assert (error.param, error.code) == (param, code)
    assert said in error.message


def test_a_schema_that_cannot_be_followed_is_refused_when_it_has_to_be(api):
    hard = changed(
        parameters={
            "type": "object",
            "properties": {"x": {"pattern": "(?=a)", "type": "string"}},
            "required": ["x"],
        }
    )
    assert choice(api, ELSE, tools=hard).message.content
    error = api.refusal(ask, api, ELSE, tools=hard, tool_choice="required")
    assert error.code == BAD_SCHEMA and "look-ahead" in error.message
