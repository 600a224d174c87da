"""The Responses API: what is asked, what is answered, in which order it streams, what is kept."""

import json

import pytest
from openai.types.responses import Response, ResponseItemList, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from helpers.local_api import responses

from .conftest import MODEL, rows

ASKED = "How do I water a bed?"
TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}
EVENT = TypeAdapter(ResponseStreamEvent)


def respond(api, given=ASKED, **options):
    return api.client.responses.create(**{"model": MODEL, "input": given, "temperature": 0} | options)


def test_a_response_has_the_text_that_a_chat_answers(api):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": ASKED}]
    chat = api.client.chat.completions.create(model=MODEL, messages=messages, temperature=0)
    response = respond(api, instructions="Be brief.")
    assert response.output_text == chat.choices[0].message.content
    (message,) = response.output
    assert (message.type, message.role, message.status) == ("message", "assistant", "completed")
    assert response.id.startswith("resp_") and message.id.startswith("msg_")
    assert (response.status, response.error, response.incomplete_details) == ("completed", None, None)
    assert response.model == chat.model
    used = response.usage
    assert (used.input_tokens, used.output_tokens) == (chat.usage.prompt_tokens, chat.usage.completion_tokens)
    assert used.total_tokens == used.input_tokens + used.output_tokens
    assert (used.input_tokens_details.cached_tokens, used.output_tokens_details.reasoning_tokens) == (0, 0)


def test_settings_come_back_in_the_response(api):
    response = respond(api, instructions="Be brief.", metadata={"a": "b"}, max_output_tokens=200, top_p=0.5)
    assert (response.instructions, response.metadata) == ("Be brief.", {"a": "b"})
    assert (response.max_output_tokens, response.top_p, response.temperature) == (200, 0.5, 0)
    assert (response.tools, response.tool_choice, response.parallel_tool_calls) == ([], "auto", True)
    assert (response.text.format.type, response.truncation, response.background) == (
        "text",
        "disabled",
        False,
    )
    Response.model_validate(response.to_dict(), strict=False)


def test_a_list_of_items_of_every_form_is_taken(api):
    forms = [
        {"role": "developer", "content": "Be brief."},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello."}]},
        {"role": "assistant", "content": "Good day."},
        {
            "type": "message",
            "role": "assistant",
            "id": "msg_1",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Ask.", "annotations": []}],
        },
        {"role": "user", "content": [{"type": "input_text", "text": ASKED}]},
    ]
    response = respond(api, forms)
    listed = api.client.responses.input_items.list(response.id, order="asc")
    assert [item.role for item in listed] == ["developer", "user", "assistant", "assistant", "user"]
    ResponseItemList.model_validate(listed.to_dict())
    assert [item.id for item in listed][3] == "msg_1"


def test_what_other_peoples_libraries_leave_out_is_taken(api):
    """The types of the client call it required; LangChain and others do not send it."""
    said = {"role": "assistant", "content": [{"type": "output_text", "text": "Good day."}]}
    bare = {"type": "function", "name": "ping"}
    asked = [{"role": "user", "content": "Ping?"}, said, {"role": "user", "content": "Ping!"}]
    response = respond(api, asked, tools=[bare], tool_choice="required")
    assert response.output[0].name == "ping" and response.tools[0].strict is True
    listed = api.client.responses.input_items.list(response.id, order="asc")
    ResponseItemList.model_validate(listed.to_dict())


# --- conversations -----------------------------------------------------------------------------------------


def test_a_response_goes_on_from_the_one_before(api):
    first = respond(api, "My bed is number 7.", instructions="Be brief.")
    second = respond(api, ASKED, previous_response_id=first.id)
    assert second.previous_response_id == first.id and second.instructions is None
    items = list(api.client.responses.input_items.list(second.id, order="asc"))
    assert [item.role for item in items] == ["user", "assistant", "user"]
    assert items[1].content[0].text == first.output_text
    alone = respond(api, ASKED)
    assert second.usage.input_tokens > alone.usage.input_tokens


def test_what_came_out_can_be_sent_back_in(api):
    first = respond(api)
    conversation = [
        {"role": "user", "content": ASKED},
        *first.output,
        {"role": "user", "content": "And then?"},
    ]
    assert respond(api, conversation).output_text
    referred = [
        {"type": "item_reference", "id": first.output[0].id},
        {"role": "user", "content": "And then?"},
    ]
    assert respond(api, referred).output_text
    dicts = [{"role": "user", "content": ASKED}, *[item.to_dict() for item in first.output]]
    assert respond(api, [*dicts, {"role": "user", "content": "And then?"}]).output_text


def test_pages_of_input_items(api):
    response = respond(api, [{"role": "user", "content": f"Question {number}?"} for number in range(5)])
    page = api.client.responses.input_items.list(response.id, limit=2)
    assert [item.content[0].text for item in page.data] == ["Question 4?", "Question 3?"] and page.has_more
    assert [item.content[0].text[9] for item in page] == ["4", "3", "2", "1", "0"]
    assert (
        api.refusal(api.client.responses.input_items.list, response.id, after="msg_none").status_code == 400
    )


def test_what_is_not_stored_is_not_found(api):
    response = respond(api, store=False)
    assert response.output_text
    assert api.refusal(api.client.responses.retrieve, response.id).status_code == 404
    error = api.refusal(respond, api, previous_response_id=response.id)
    assert (error.status_code, error.code) == (400, "previous_response_not_found")
    assert error.param == "previous_response_id"


def test_a_response_is_kept_until_it_is_deleted(api):
    response = respond(api)
    assert api.client.responses.retrieve(response.id).to_dict() == response.to_dict()
    api.client.responses.delete(response.id)
    for call in (api.client.responses.retrieve, api.client.responses.delete, api.client.responses.cancel):
        assert api.refusal(call, response.id).status_code == 404
    referred = [{"type": "item_reference", "id": response.output[0].id}]
    assert api.refusal(respond, api, referred).status_code == 400


def test_a_response_is_its_owners(api):
    response = respond(api)
    other = api.another_client("sk-local-other")
    assert api.refusal(other.responses.retrieve, response.id).status_code == 404
    asked = {"model": MODEL, "input": ASKED, "previous_response_id": response.id}
    assert api.refusal(other.responses.create, **asked).code == "previous_response_not_found"
    referred = {"model": MODEL, "input": [{"type": "item_reference", "id": response.output[0].id}]}
    assert api.refusal(other.responses.create, **referred).status_code == 400


# --- streams -----------------------------------------------------------------------------------------------


def events_of(api, **options) -> list:
    return list(respond(api, stream=True, **options))


def test_events_come_in_order_and_make_the_response(api):
    events = events_of(api)
    deltas = [event for event in events if event.type == "response.output_text.delta"]
    assert [event.type for event in events if event not in deltas] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert len(deltas) > 1
    text = "".join(event.delta for event in deltas)
    final = events[-1].response
    assert text == final.output_text == events[-4].text == respond(api).output_text
    assert events[0].response.status == "in_progress" and events[0].response.output == []
    assert final.usage.output_tokens > 0 and final.status == "completed"
    for event in events:
        EVENT.validate_python(event.to_dict())


def test_the_stream_helper_and_parse_of_the_client(api):
    with api.client.responses.stream(model=MODEL, input=ASKED, temperature=0) as stream:
        for _ in stream:
            pass
        final = stream.get_final_response()
    assert final.output_text == respond(api).output_text


def test_a_stream_can_be_seen_again(api):
    events = events_of(api)
    response_id = events[-1].response.id
    again = list(api.client.responses.retrieve(response_id, stream=True))
    assert [event.type for event in again] == [event.type for event in events]
    rest = list(api.client.responses.retrieve(response_id, stream=True, starting_after=3))
    assert [event.sequence_number for event in rest] == list(range(4, len(events)))


def test_a_streamed_answer_that_is_cut_says_so(api):
    events = events_of(api, max_output_tokens=16, input="What is fine-tuning?")
    if events[-1].type == "response.incomplete":
        assert events[-1].response.incomplete_details.reason == "max_output_tokens"
    whole = respond(api, "What is fine-tuning?").usage.output_tokens
    assert (events[-1].type == "response.incomplete") == (whole > 16)


def test_an_answer_that_is_cut_is_incomplete(api):
    long = [
        {"messages": [{"role": "user", "content": "Go on."}, {"role": "assistant", "content": "word " * 60}]}
    ]
    model = api.finished_job(long * 10).fine_tuned_model
    response = respond(api, "Go on.", model=model, max_output_tokens=16)
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert response.usage.output_tokens == 16 and response.output[0].status == "incomplete"


# --- tools and formats -------------------------------------------------------------------------------------


def test_a_function_is_called_and_its_output_is_answered(api):
    response = respond(api, "What is the weather in Rome?", tools=[TOOL], tool_choice="required")
    (call,) = response.output
    assert (call.type, call.name, call.status) == ("function_call", "get_weather", "completed")
    assert call.call_id.startswith("call_") and call.id.startswith("fc_")
    assert set(json.loads(call.arguments)) == {"city"}
    assert response.tools[0].name == "get_weather" and response.tool_choice == "required"
    output = {"type": "function_call_output", "call_id": call.call_id, "output": '{"celsius": 31}'}
    for form in (
        {"input": [output], "previous_response_id": response.id},
        {"input": [{"role": "user", "content": "What is the weather in Rome?"}, *response.output, output]},
    ):
        answered = api.client.responses.create(model=MODEL, tools=[TOOL], tool_choice="none", **form)
        assert answered.output_text
        kinds = [item.type for item in api.client.responses.input_items.list(answered.id, order="asc")]
        assert kinds == ["message", "function_call", "function_call_output"]


def test_calls_of_several_rounds_keep_their_order(api):
    def call(name):
        return {
            "type": "function_call",
            "call_id": name,
            "name": "get_weather",
            "arguments": '{"city": "Rome"}',
        }

    def output(name):
        return {"type": "function_call_output", "call_id": name, "output": name}

    asked = {"role": "user", "content": ASKED}
    items = [asked, call("a"), output("a"), call("b"), call("c"), output("c"), output("b")]
    read = responses._messages([responses._item(None, None, item, 0) for item in items])
    assert [message["role"] for message in read] == ["user", "assistant", "tool", "assistant", "tool", "tool"]
    assert [message["tool_call_id"] for message in read if message["role"] == "tool"] == ["a", "b", "c"]
    assert respond(api, items, tools=[TOOL]).output


def test_a_call_streams_its_arguments(api):
    events = events_of(api, input="What is the weather in Rome?", tools=[TOOL], tool_choice="required")
    kinds = [event.type for event in events]
    deltas = [event.delta for event in events if event.type.endswith("arguments.delta")]
    done = events[kinds.index("response.function_call_arguments.done")]
    assert "".join(deltas) == done.arguments == events[-1].response.output[0].arguments
    assert kinds[2] == "response.output_item.added" and kinds[-2:] == [
        "response.output_item.done",
        "response.completed",
    ]
    for event in events:
        EVENT.validate_python(event.to_dict())


CODE = {"type": "custom", "name": "code_exec", "description": "Executes code"}
DIGITS = {"type": "grammar", "syntax": "regex", "definition": "[0-9]{4}"}


def test_a_custom_tool_gets_a_text_and_its_output_is_answered(api):
    """As in OpenAI's cookbook, gpt-5_new_params_and_tools.ipynb."""
    asked = {"model": MODEL, "input": "Use code_exec for the area.", "tools": [CODE]}
    response = api.client.responses.create(**asked)
    (call,) = response.output
    assert (call.type, call.name, call.input, call.status) == (
        "custom_tool_call",
        "code_exec",
        "simulated",
        "completed",
    )
    assert call.id.startswith("ctc_") and response.tools[0].type == "custom"
    output = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "28.27"}
    conversation = [{"role": "user", "content": asked["input"]}, *response.output, output]
    as_dicts = [conversation[0], *[item.model_dump() for item in response.output], output]
    going_on = {"input": [output], "previous_response_id": response.id}
    for form in (going_on, {"input": conversation}, {"input": as_dicts}):
        answered = api.client.responses.create(model=MODEL, tools=[CODE], **form)
        assert answered.output_text == "28.27"
        listed = api.client.responses.input_items.list(answered.id, order="asc")
        assert [item.type for item in listed] == ["message", "custom_tool_call", "custom_tool_call_output"]
        ResponseItemList.model_validate(listed.to_dict())
    digits = [CODE | {"format": DIGITS}, TOOL]
    named = {"tools": digits, "tool_choice": {"type": "custom", "name": "code_exec"}}
    assert api.client.responses.create(**asked | named).output[0].input == "0123"
    broken = [CODE | {"format": DIGITS | {"definition": "("}}]
    assert api.refusal(api.client.responses.create, **asked | {"tools": broken}).param == "tools"


def test_a_call_of_a_custom_tool_streams_its_text(api):
    events = events_of(api, input="Use code_exec.", tools=[CODE])
    kinds = [event.type for event in events]
    done = events[kinds.index("response.custom_tool_call_input.done")]
    deltas = [event.delta for event in events if event.type == "response.custom_tool_call_input.delta"]
    assert "".join(deltas) == done.input == events[-1].response.output[0].input == "simulated"
    again = api.client.responses.retrieve(events[-1].response.id, stream=True)
    assert [event.type for event in again] == kinds
    for event in events:
        EVENT.validate_python(event.to_dict())


@pytest.mark.parametrize(
    ("items", "words"),
    [
        (
            [{"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": "{}"}],
            "No tool output found for function call call_1",
        ),
        (
            [{"type": "function_call_output", "call_id": "call_2", "output": "x"}],
            "No tool call found for function call output with call_id call_2",
        ),
    ],
)
def test_a_call_without_its_output_is_refused(api, items, words):
    error = api.refusal(respond, api, [{"role": "user", "content": ASKED}, *items], tools=[TOOL])
    assert (error.status_code, error.param) == (400, "input") and words in error.message


class Weather(BaseModel):
    city: str
    celsius: int


def test_a_text_satisfies_its_schema(api):
    parsed = api.client.responses.parse(model=MODEL, input="The weather in Rome?", text_format=Weather)
    assert isinstance(parsed.output_parsed, Weather)
    shaped = respond(api, "Answer in JSON.", text={"format": {"type": "json_object"}})
    assert isinstance(json.loads(shaped.output_text), dict)
    assert shaped.text.format.type == "json_object"


def test_log_probabilities_come_if_asked_for(api):
    response = respond(api, include=["message.output_text.logprobs"], top_logprobs=2)
    logprobs = response.output[0].content[0].logprobs
    assert logprobs and all(len(item.top_logprobs) <= 2 for item in logprobs)
    assert respond(api).output[0].content[0].logprobs == []


def test_a_model_that_reasons_begins_with_an_item_that_says_so(api):
    asked = {"model": "o4-mini", "input": ASKED, "include": ["reasoning.encrypted_content"]}
    response = api.client.responses.create(**asked)
    assert [item.type for item in response.output] == ["reasoning", "message"]
    assert response.output[0].summary == [] and response.output[0].encrypted_content == "simulated"
    used = response.usage
    assert 0 < used.output_tokens_details.reasoning_tokens < used.output_tokens
    going_on = [
        {"role": "user", "content": ASKED},
        *response.output,
        {"role": "user", "content": "And then?"},
    ]
    assert api.client.responses.create(model="o4-mini", input=going_on).output_text
    low = api.client.responses.create(**asked, reasoning={"effort": "low"})
    assert (response.reasoning.effort, low.reasoning.effort, respond(api).reasoning.effort) == (
        "medium",
        "low",
        None,
    )
    assert low.usage.output_tokens_details.reasoning_tokens < used.output_tokens_details.reasoning_tokens
    events = list(api.client.responses.create(**asked, stream=True))
    kinds = [event.type for event in events]
    assert kinds[2:5] == [
        "response.output_item.added",
        "response.output_item.done",
        "response.output_item.added",
    ]
    assert [event.output_index for event in events if event.type == "response.output_item.done"] == [0, 1]
    again = api.client.responses.retrieve(events[-1].response.id, stream=True)
    assert [event.type for event in again] == kinds
    for event in events:
        EVENT.validate_python(event.to_dict())


def test_a_summary_of_the_reasoning_comes_if_asked_for(api):
    asked = {"model": "o4-mini", "input": ASKED, "reasoning": {"summary": "auto"}}
    events = list(api.client.responses.create(**asked, stream=True))
    kinds = [event.type for event in events]
    assert kinds[2:8] == [
        "response.output_item.added",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
    ]
    (part,) = events[-1].response.output[0].summary
    assert events[2].item.summary == [] and events[4].delta == part.text == responses.SUMMARY
    for event in events:
        EVENT.validate_python(event.to_dict())
    again = api.client.responses.retrieve(events[-1].response.id, stream=True)
    assert [event.type for event in again] == kinds
    going_on = [*events[-1].response.output, {"role": "user", "content": "And then?"}]
    assert api.client.responses.create(model="o4-mini", input=going_on).output_text


# --- in the background -------------------------------------------------------------------------------------


def test_in_the_background_the_answer_is_seen_later(api, monkeypatch):
    api.clock.stop()
    monkeypatch.setenv("LOCAL_API_JOB_SECONDS", "8")
    response = respond(api, background=True)
    assert (response.status, response.output, response.usage) == ("queued", [], None)
    assert api.client.responses.retrieve(response.id).status == "in_progress"
    api.clock.move(responses.BACKGROUND_SECONDS)
    done = api.client.responses.retrieve(response.id)
    assert done.status == "completed" and done.output_text
    assert api.client.responses.cancel(response.id).status == "completed"


def test_what_runs_in_the_background_can_be_cancelled(api, monkeypatch):
    api.clock.stop()
    monkeypatch.setenv("LOCAL_API_JOB_SECONDS", "8")
    response = respond(api, background=True)
    assert api.client.responses.cancel(response.id).status == "cancelled"
    api.clock.move(100)
    assert api.client.responses.retrieve(response.id).status == "cancelled"
    assert api.refusal(api.client.responses.cancel, respond(api).id).status_code == 400


# --- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "param", "code"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "not_simulated"),
        (
            {"tools": [TOOL, {"type": "file_search", "vector_store_ids": ["x"]}]},
            "tools[1].type",
            "not_simulated",
        ),
        ({"conversation": "conv_1"}, "conversation", "not_simulated"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt", "not_simulated"),
        ({"max_output_tokens": 1}, "max_output_tokens", "integer_below_min_value"),
        ({"temperature": 3}, "temperature", "decimal_above_max_value"),
        ({"background": True, "store": False}, "store", None),
        ({"model": None}, "model", "missing_required_parameter"),
        ({"input": None}, "input", "missing_required_parameter"),
        ({"input": []}, "input", "empty_array"),
        ({"tools": [TOOL | {"name": "a b"}]}, "tools[0].name", "invalid_value"),
        ({"tool_choice": "required"}, "tool_choice", None),
        ({"text": {"format": {"type": "json_object"}}}, "input", None),
        ({"model": "babbage-002"}, "model", None),
        ({"model": "no-such-model"}, None, "model_not_found"),
        ({"model": "o4-mini", "temperature": 0.5}, "temperature", "unsupported_value"),
        ({"extra_body": {"max_tokens": 9}}, "max_tokens", "unknown_parameter"),
    ],
)
def test_what_is_wrong_is_named(api, options, param, code):
    error = api.refusal(respond, api, **options)
    assert error.status_code in (400, 404) and (error.param, error.code) == (param, code), error


def test_the_tokens_of_an_input_can_be_counted(api):
    counted = api.client.responses.input_tokens.count(model=MODEL, input=ASKED, instructions="Be brief.")
    assert counted.input_tokens == respond(api, instructions="Be brief.").usage.input_tokens


def test_a_tuned_model_answers_and_the_scenes_are_played(api):
    model = api.finished_job(rows()).fine_tuned_model
    assert respond(api, "When do I water bed 3?", model=model).output_text.startswith("Water bed")
    broke = api.another_client(f"{api.key}.broke")
    assert api.refusal(broke.responses.create, model=MODEL, input=ASKED).status_code == 429
