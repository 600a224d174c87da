"""litellm: chat, tools, JSON, the Responses API, files and a fine-tuning job."""

import sys
import time

import litellm
from pydantic import BaseModel

MODEL = "openai/gpt-4o-mini"
MESSAGES = [{"role": "user", "content": "What is the weather in Rome?"}]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


class City(BaseModel):
    name: str
    inhabitants: int


tools = [{"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}]
answer = (
    litellm.completion(model=MODEL, messages=MESSAGES, tools=tools, tool_choice="required").choices[0].message
)
messages = [*MESSAGES, answer, {"role": "tool", "tool_call_id": answer.tool_calls[0].id, "content": "31"}]
assert (
    litellm.completion(model=MODEL, messages=messages, tools=tools, tool_choice="none")
    .choices[0]
    .message.content
)
shaped = litellm.completion(model=MODEL, messages=MESSAGES, response_format=City)
assert City.model_validate_json(shaped.choices[0].message.content)
assert "".join(
    part.choices[0].delta.content or ""
    for part in litellm.completion(model=MODEL, messages=MESSAGES, stream=True)
)
assert litellm.responses(model=MODEL, input="Hello?").output[0].content[0].text
assert litellm.moderation(input="Hello?", model="omni-moderation-latest").results[0].flagged is False
with open(sys.argv[1], "rb") as training:
    file = litellm.create_file(file=training, purpose="fine-tune", custom_llm_provider="openai")
job = litellm.create_fine_tuning_job(model="gpt-4o-mini", training_file=file.id, custom_llm_provider="openai")
while job.status not in ("succeeded", "failed", "cancelled"):
    time.sleep(0.2)
    job = litellm.retrieve_fine_tuning_job(fine_tuning_job_id=job.id, custom_llm_provider="openai")
assert job.status == "succeeded"
