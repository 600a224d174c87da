"""openai: chat, tools, JSON, the Responses API, and a fine-tuning job."""

import json
import sys
import time

from openai import OpenAI
from pydantic import BaseModel

MODEL = "gpt-4o-mini"
TOOL = {
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
client = OpenAI()


class City(BaseModel):
    name: str
    inhabitants: int


def chat():
    messages = [{"role": "user", "content": "What is the weather in Rome?"}]
    tools = [{"type": "function", "function": TOOL}]
    reply = client.chat.completions.create(
        model=MODEL, messages=messages, tools=tools, tool_choice="required"
    ).choices[0]
    messages.append(reply.message)
    for call in reply.message.tool_calls:
        assert json.loads(call.function.arguments)["city"]
        messages.append({"role": "tool", "tool_call_id": call.id, "content": "31 degrees"})
    assert client.chat.completions.create(model=MODEL, messages=messages, tools=tools, tool_choice="none")
    parsed = client.chat.completions.parse(model=MODEL, messages=messages[:1], response_format=City)
    assert isinstance(parsed.choices[0].message.parsed, City)


def respond():
    asked = {"model": MODEL, "input": "What is the weather in Rome?"}
    first = client.responses.create(**asked, tools=[{"type": "function"} | TOOL], tool_choice="required")
    outputs = [
        {"type": "function_call_output", "call_id": call.call_id, "output": "31 degrees"}
        for call in first.output
    ]
    assert client.responses.create(model=MODEL, input=outputs, previous_response_id=first.id).output_text
    assert isinstance(client.responses.parse(**asked, text_format=City).output_parsed, City)
    assert [event.type for event in client.responses.create(**asked, stream=True)][-1] == "response.completed"


def tune(path):
    with open(path, "rb") as file:
        uploaded = client.files.create(file=file, purpose="fine-tune")
    job = client.fine_tuning.jobs.create(model=MODEL, training_file=uploaded.id, suffix="plain")
    while job.status not in ("succeeded", "failed", "cancelled"):
        time.sleep(0.2)
        job = client.fine_tuning.jobs.retrieve(job.id)
    assert job.status == "succeeded"
    assert client.responses.create(model=job.fine_tuned_model, input="Hello?").output_text


chat()
respond()
tune(sys.argv[1])
