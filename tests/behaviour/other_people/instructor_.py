"""instructor: one model of an answer, by tools, by schema, by the Responses API. (Its mode JSON asks in words only.)"""

import instructor
from openai import OpenAI
from pydantic import BaseModel


class City(BaseModel):
    name: str
    inhabitants: int


for mode in ("TOOLS", "JSON_SCHEMA", "TOOLS_STRICT", "RESPONSES_TOOLS"):
    client = instructor.from_openai(OpenAI(), mode=instructor.Mode[mode])
    messages = [{"role": "user", "content": "Which city is Rome? Answer in JSON."}]
    city = client.chat.completions.create(model="gpt-4o-mini", messages=messages, response_model=City)
    assert isinstance(city, City), mode
