"""Chat completions with base and tuned models: choices, cuts, streams, stored completions."""

import openai
import pytest

from helpers.local_api import facts

from .conftest import MODEL, rows

MESSAGES = rows(1)[0]["messages"][:2]


def ask(api, **options):
    return api.client.chat.completions.create(**{"model": MODEL, "messages": MESSAGES, "seed": 1} | options)


def text(completion) -> str:
    return completion.choices[0].message.content


def test_a_completion_has_openais_form_and_adds_up(api):
    completion = ask(api)
    (choice,) = completion.choices
    assert completion.object == "chat.completion" and completion.id.startswith("chatcmpl-")
    assert completion.model == "gpt-4o-mini-2024-07-18"
    assert completion.system_fingerprint == "fp_simulated"
    assert (choice.index, choice.finish_reason, choice.message.role) == (0, "stop", "assistant")
    assert choice.message.content
    usage = completion.usage
    assert usage.prompt_tokens > 10 and usage.completion_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_temperature_zero_and_a_seed_repeat_an_answer(api):
    assert text(ask(api, temperature=0, seed=1)) == text(ask(api, temperature=0, seed=2))
    assert text(ask(api, temperature=2, seed=7)) == text(ask(api, temperature=2, seed=7))


def test_n_choices_cost_their_own_tokens(api):
    one, three = ask(api, temperature=0), ask(api, temperature=0, n=3)
    assert [choice.index for choice in three.choices] == [0, 1, 2]
    assert three.usage.completion_tokens == 3 * one.usage.completion_tokens
    assert three.usage.prompt_tokens == one.usage.prompt_tokens


def test_stop_ends_the_text_before_the_sequence(api):
    whole = text(ask(api, temperature=0))
    mark = whole.split()[1]
    for stop in (mark, ["never said", mark]):
        completion = ask(api, temperature=0, stop=stop)
        assert text(completion) == whole[: whole.index(mark)]
        assert completion.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_token_limit_cuts_the_text(api, name):
    whole = ask(api, temperature=0)
    cut = ask(api, temperature=0, **{name: 2})
    assert cut.choices[0].finish_reason == "length" and cut.usage.completion_tokens == 2
    assert text(whole).startswith(text(cut)) and text(cut)
    roomy = ask(api, temperature=0, **{name: whole.usage.completion_tokens})
    assert (text(roomy), roomy.choices[0].finish_reason) == (text(whole), "stop")


def repeating(words: int) -> list[dict]:
    """Training rows that teach two answers to one question: one repeats itself, one does not."""
    answers = ["water water water water water", "Please water the bed before the sun goes down"]
    return [
        {"messages": [{"role": "user", "content": "When?"}, {"role": "assistant", "content": answers[n % 2]}]}
        for n in range(words)
    ]


def test_penalties_take_answers_away_that_repeat_themselves(api):
    model = api.finished_job(repeating(12)).fine_tuned_model
    question = [{"role": "user", "content": "When?"}]

    def repeated(**penalty) -> int:
        said = [ask(api, model=model, messages=question, n=32, seed=1, **penalty) for _ in range(1)][0]
        return sum(choice.message.content.startswith("water water") for choice in said.choices)

    without = repeated()
    assert without > 0
    assert repeated(frequency_penalty=2) < without and repeated(presence_penalty=2) < without
    assert repeated(frequency_penalty=-2) > without


def test_top_p_leaves_the_likeliest_answers(api):
    def different(**options) -> int:
        return len({choice.message.content for choice in ask(api, n=64, temperature=2, **options).choices})

    assert 1 == different(top_p=0) == different(top_p=0.001) < different(top_p=0.5) < different(top_p=1)


def test_null_for_an_optional_parameter_is_as_if_it_were_absent(api):
    names = (
        *(
            "tools",
            "tool_choice",
            "functions",
            "function_call",
            "response_format",
            "user",
            "parallel_tool_calls",
        ),
        *(
            "web_search_options",
            "stop",
            "n",
            "max_tokens",
            "logprobs",
            "top_logprobs",
            "top_p",
            "stream_options",
        ),
        *("presence_penalty", "metadata", "store", "logit_bias", "service_tier", "audio", "prediction"),
    )
    plain = ask(api, temperature=0)
    for name in names:
        assert text(ask(api, temperature=0, extra_body={name: None})) == text(plain), name
    part = {"type": "text", "text": MESSAGES[1]["content"]}
    message = {"role": "user", "name": None, "content": [part]}
    assert text(ask(api, temperature=0, messages=[MESSAGES[0], message])) == text(plain)


def test_what_the_api_sent_can_be_sent_back(api):
    stored = api.client.chat.completions
    first = ask(api, temperature=0, store=True)
    message = first.choices[0].message
    again = {"role": "user", "content": "And then?"}
    plain = ask(
        api, temperature=0, messages=[*MESSAGES, {"role": "assistant", "content": message.content}, again]
    )
    sent = [
        message,
        message.model_dump(),
        message.to_dict(),
        message.model_dump() | {"parsed": None, "audio": None},
        stored.parse(model=MODEL, messages=MESSAGES, temperature=0).choices[0].message.model_dump(),
        stored.retrieve(first.id).choices[0].message.model_dump(),
    ]
    for one in sent:
        answer = ask(api, temperature=0, messages=[*MESSAGES, one, again])
        assert text(answer) == text(plain)
        assert answer.usage == plain.usage  # what is not read costs nothing
    asked = [one.model_dump() for one in stored.messages.list(first.id)]
    assert text(ask(api, temperature=0, messages=asked)) == message.content


# --- likelihoods and usage ---------------------------------------------------------------------------------


def test_logprobs_are_the_tokens_of_the_text_with_the_likelihoods_of_the_tiny_model(api):
    completion = ask(api, temperature=0, logprobs=True, top_logprobs=3)
    content = completion.choices[0].logprobs.content
    assert len(content) == completion.usage.completion_tokens
    assert "".join(one.token for one in content) == text(completion)
    assert bytes(byte for one in content for byte in one.bytes).decode() == text(completion)
    assert all(one.logprob <= 0 and 1 <= len(one.top_logprobs) <= 3 for one in content)
    assert sum(one.logprob for one in content) < 0
    for one in content:
        likely = [other.logprob for other in one.top_logprobs]
        assert likely == sorted(likely, reverse=True)
    assert ask(api, temperature=0).choices[0].logprobs is None
    few = ask(api, temperature=0, logprobs=True).choices[0].logprobs.content
    assert [one.top_logprobs for one in few] == [[]] * len(few)


def test_what_was_learned_is_likelier(api):
    model = api.finished_job().fine_tuned_model

    def likelihood(name: str) -> float:
        content = ask(api, model=name, temperature=0, logprobs=True).choices[0].logprobs.content
        return sum(one.logprob for one in content) / len(content)

    assert likelihood(model) > likelihood(MODEL)


@pytest.mark.parametrize("limit", [None, 2])
def test_a_stream_carries_the_same_logprobs(api, limit):
    options = {"temperature": 0, "logprobs": True, "top_logprobs": 2, "max_tokens": limit}
    plain = ask(api, **options).choices[0].logprobs.content
    parts = [part for chunk in ask(api, stream=True, **options) for part in chunk.choices if part.logprobs]
    assert [one for part in parts for one in part.logprobs.content] == plain
    assert ["".join(one.token for one in part.logprobs.content) for part in parts] == [
        part.delta.content for part in parts
    ]


def test_usage_has_its_details(api):
    usage = ask(api).usage
    assert usage.prompt_tokens_details.cached_tokens == 0
    assert usage.completion_tokens_details.reasoning_tokens == 0


def test_a_long_beginning_that_was_sent_before_counts_as_cached(api):
    def cached(system: str, question: str, client=api.client) -> int:
        messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
        details = client.chat.completions.create(model=MODEL, messages=messages).usage.prompt_tokens_details
        return details.cached_tokens

    api.clock.stop()
    rules = " ".join(f"Bed {number} is watered in the evening." for number in range(200))
    assert cached(rules, "When?") == 0
    assert cached(rules, "Why?") == cached(rules, "Who?") > 1024
    assert cached(rules, "Why?") % 128 == 0
    assert cached("Before. " + rules, "Why?") == 0  # another beginning
    assert cached(rules, "Why?", api.another_client(api.key + "2")) == 0  # another key
    assert cached("Short.", "Why?") == cached("Short.", "Why?") == 0
    api.clock.move(3600)
    assert cached(rules, "Why?") == 0


# --- settings that a model does not take -------------------------------------------------------------------

REASONING = [name for name in facts.names() if facts.values(name, "refuses_while_reasoning")]
TODAY = "2026-11-01"


def on_the_day_of(api, model: str):
    """A client on a day on which the model is there."""
    return api.client if model.startswith("o4") else api.another_client(f"{api.key}@{TODAY}")


def refused(api, model: str, **settings):
    ask = on_the_day_of(api, model).chat.completions.create
    return api.refusal(ask, model=model, messages=MESSAGES, **settings)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", REASONING)
def test_a_model_that_reasons_refuses_a_temperature(api, model, stream):
    error = refused(api, model, temperature=0, stream=stream)
    assert isinstance(error, openai.BadRequestError)
    assert error.body == {
        "message": "Unsupported value: 'temperature' does not support 0 with this model. "
        "Only the default (1) value is supported.",
        "type": "invalid_request_error",
        "param": "temperature",
        "code": "unsupported_value",
    }
    assert refused(api, model, temperature=0.7, reasoning_effort="low").param == "temperature"
    assert refused(api, model, top_p=0.5).code == "unsupported_parameter"


@pytest.mark.parametrize("model", REASONING)
def test_it_takes_one_if_it_need_not_reason_and_always_the_default(api, model):
    ask = on_the_day_of(api, model).chat.completions.create
    for settings in (
        {"temperature": 0, "top_p": 0.5, "reasoning_effort": "none"},
        {"temperature": 1, "top_p": 1},
        {"temperature": None},
        {"reasoning_effort": "high"},
    ):
        assert text(ask(model=model, messages=MESSAGES, **settings))


@pytest.mark.parametrize("model", [*REASONING, "o4-mini", "o4-mini-2025-04-16"])
def test_a_model_that_reasons_knows_only_the_new_name_of_the_limit(api, model):
    error = refused(api, model, max_tokens=9, reasoning_effort="none")
    assert (error.status_code, error.code, error.param) == (400, "unsupported_parameter", "max_tokens")
    assert error.body["message"] == (
        "Unsupported parameter: 'max_tokens' is not supported with this model. "
        "Use 'max_completion_tokens' instead."
    )
    ask = on_the_day_of(api, model).chat.completions.create
    assert text(ask(model=model, messages=MESSAGES, max_completion_tokens=999))


@pytest.mark.parametrize("model", [*REASONING, "o4-mini"])
def test_reasoning_is_counted_and_billed_as_output(api, model):
    ask = on_the_day_of(api, model).chat.completions.create
    low, high = (ask(model=model, messages=MESSAGES, reasoning_effort=effort) for effort in ("low", "high"))
    for answer in (low, high):
        details = answer.usage.completion_tokens_details
        assert 0 < details.reasoning_tokens < answer.usage.completion_tokens
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert low.usage.completion_tokens_details.reasoning_tokens < (
        high.usage.completion_tokens_details.reasoning_tokens
    )


@pytest.mark.parametrize("model", REASONING)
def test_a_limit_that_the_reasoning_uses_up_leaves_no_answer(api, model):
    ask = on_the_day_of(api, model).chat.completions.create
    answer = ask(model=model, messages=MESSAGES, max_completion_tokens=9)
    assert (text(answer), answer.choices[0].finish_reason) == ("", "length")
    assert answer.usage.completion_tokens == answer.usage.completion_tokens_details.reasoning_tokens == 9
    quick = ask(model=model, messages=MESSAGES, max_completion_tokens=9, reasoning_effort="none")
    assert text(quick) and quick.usage.completion_tokens_details.reasoning_tokens == 0


def test_an_effort_that_a_model_does_not_know_is_refused(api):
    error = refused(api, "gpt-6.1-sol", reasoning_effort="none")
    assert (error.param, error.code) == ("reasoning_effort", "unsupported_value")
    assert "'low', 'medium'" in error.body["message"]


def test_the_older_one_takes_no_temperature_at_all(api):
    assert refused(api, "o4-mini", temperature=0, reasoning_effort="none").code == "unsupported_value"


def test_all_other_models_take_every_setting(api):
    settings = {"temperature": 0, "top_p": 0.5, "max_tokens": 9}
    assert {"gpt-5.6-terra", "gpt-6-luna"} <= set(REASONING)
    for name in ("gpt-3.5-turbo", "gpt-4o-mini", "gpt-4o", "gpt-4.1", "gpt-4.1-mini", "gpt-4.1-nano"):
        assert not facts.values(name, "refuses") and text(ask(api, model=name, **settings))


def test_a_stream_says_the_same_as_a_plain_answer(api):
    plain = ask(api, temperature=0, n=2)
    chunks = list(ask(api, temperature=0, n=2, stream=True))
    assert len({chunk.id for chunk in chunks}) == 1
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    for choice in plain.choices:
        parts = [part for chunk in chunks for part in chunk.choices if part.index == choice.index]
        assert parts[0].delta.role == "assistant"
        assert "".join(part.delta.content or "" for part in parts) == choice.message.content
        assert [part.finish_reason for part in parts] == [None] * (len(parts) - 1) + ["stop"]
    assert all(chunk.usage is None for chunk in chunks)


def test_a_stream_ends_with_the_usage_if_asked(api):
    plain = ask(api, temperature=0)
    *others, last = ask(api, temperature=0, stream=True, stream_options={"include_usage": True})
    assert last.choices == [] and last.usage == plain.usage
    assert all(chunk.usage is None for chunk in others)


async def test_the_async_client_streams_too(api):
    async with api.async_client() as client:
        stream = await client.chat.completions.create(
            model=MODEL, messages=MESSAGES, temperature=0, stream=True
        )
        told = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert told == text(ask(api, temperature=0))


def test_a_stream_that_cannot_begin_is_a_plain_error(api):
    error = api.refusal(ask, api, model="gpt-9", stream=True)
    assert (error.status_code, error.code) == (404, "model_not_found")


def test_more_tokens_than_the_model_writes_or_takes_are_refused(api):
    most = int(facts.value(facts.snapshot(MODEL), "most_output"))
    assert text(ask(api, max_tokens=most))
    for name in ("max_tokens", "max_completion_tokens"):
        error = api.refusal(ask, api, **{name: most + 1})
        assert (error.status_code, error.param, error.code) == (400, name, "invalid_value")
        assert f"{name} is too large: {most + 1}. This model supports at most {most} " in error.message
    small = "gpt-4-0613"
    context = int(facts.value(small, "context"))
    error = api.refusal(ask, api, model=small, max_tokens=context)
    assert (error.param, error.code) == ("messages", "context_length_exceeded")
    assert f"in the messages, {context} in the completion)" in error.message
    long = [{"role": "user", "content": "word " * context}]
    error = api.refusal(ask, api, model=small, messages=long)
    assert error.code == "context_length_exceeded" and "your messages resulted in" in error.message
    assert text(ask(api, messages=long))
    error = api.refusal(api.client.responses.create, model=small, input="word " * context)
    assert (error.param, error.code) == ("input", "context_length_exceeded")
    error = api.refusal(api.client.responses.create, model=MODEL, input="x", max_output_tokens=most + 1)
    assert error.param == "max_output_tokens" and error.message.count("max_output_tokens is too large") == 1


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"role": "pilot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [*MESSAGES, {"content": "x"}]}, "messages[2].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "x", "mood": "bad"}]}, "messages[0].mood"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {}}]}]},
            "messages[0].content[0].cache_control",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x", "size": 1}}]}
                ]
            },
            "messages[0].content[0].image_url.size",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "poem"}]}]}, "messages[0].content[0].type"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"stream_options": {"include": True}, "stream": True}, "stream_options.include"),
        ({"metadata": {"k": 7}}, "metadata.k"),
        ({"extra_body": {"model": None}}, "model"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": list("abcde")}, "stop"),
        ({"extra_body": {"temprature": 1}}, "temprature"),
        ({"metadata": {"k": "v" * 513}, "store": True}, "metadata"),
    ],
)
def test_a_wrong_request_is_refused_with_its_param(api, options, param):
    error = api.refusal(ask, api, **options)
    assert (error.status_code, error.type, error.param) == (400, "invalid_request_error", param)


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ({"n": 0}, "integer_below_min_value", "Expected a value >= 1, but got 0 instead."),
        ({"temperature": 2.5}, "decimal_above_max_value", "Expected a value <= 2, but got 2.5 instead."),
        ({"n": "2"}, "invalid_type", "expected an integer, but got a string instead."),
        ({"seed": 1.5}, "invalid_type", "expected an integer, but got a decimal number instead."),
        ({"tools": "x"}, "invalid_type", "expected an array, but got a string instead."),
        (
            {"messages": [{"role": "user", "content": 7}]},
            "invalid_type",
            "expected one of a string or an array",
        ),
        ({"messages": ["x"]}, "invalid_type", "'messages[0]': expected an object, but got a string instead."),
        ({"extra_body": {"model": None}}, "invalid_type", "expected a string, but got null instead."),
        ({"messages": []}, "empty_array", "Expected an array with minimum length 1"),
        ({"reasoning_effort": "much"}, "invalid_value", "'medium'"),
    ],
)
def test_errors_name_types_and_ranges_as_openai_does(api, options, code, said):
    error = api.refusal(ask, api, **options)
    assert error.code == code and said in error.message


@pytest.mark.parametrize("model", ["text-embedding-3-small", "babbage-002"])
def test_a_model_that_does_not_chat_says_so(api, model):
    error = api.refusal(ask, api, model=model)
    assert error.status_code == 404 and "not a chat model" in error.message


# --- stored completions ------------------------------------------------------------------------------------


def test_a_stored_completion_can_be_found_changed_and_deleted(api):
    stored = api.client.chat.completions
    ask(api)
    first = ask(api, store=True, metadata={"lesson": "5"})
    second = ask(api, store=True, stream=False)
    list(ask(api, store=True, stream=True))
    assert len(list(stored.list())) == 3
    assert [c.id for c in stored.list(metadata={"lesson": "5"})] == [first.id]
    assert [c.id for c in stored.list(order="desc", limit=1)][1:] == [second.id, first.id]
    assert [c.id for c in stored.list(model="gpt-4o")] == []
    assert text(stored.retrieve(first.id)) == text(first)
    assert [m.content for m in stored.messages.list(first.id)] == [m["content"] for m in MESSAGES]
    assert stored.update(first.id, metadata={"lesson": "6"}).metadata == {"lesson": "6"}
    assert stored.retrieve(first.id).metadata == {"lesson": "6"}
    assert stored.delete(first.id).deleted
    for call in (stored.retrieve, stored.delete, stored.messages.list):
        assert api.refusal(call, first.id).status_code == 404
