"""langchain-openai: chat, tools, structured output, the Responses API, log-probabilities."""

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

ASKED = HumanMessage("What is the weather in Rome?")


class City(BaseModel):
    name: str
    inhabitants: int


@tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"31 degrees in {city}"


for options in ({}, {"use_responses_api": True}):
    model = ChatOpenAI(model="gpt-4o-mini", temperature=0, **options)
    assert model.invoke([ASKED]).text
    assert "".join(part.text for part in model.stream([ASKED])) == model.invoke([ASKED]).text
    called = model.bind_tools([get_weather], tool_choice="get_weather").invoke([ASKED])
    (call,) = called.tool_calls
    reply = ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])
    assert model.bind_tools([get_weather]).invoke([ASKED, called, reply]) is not None
    for method in ("json_schema", "function_calling"):
        assert isinstance(model.with_structured_output(City, method=method).invoke([ASKED]), City)
measured = ChatOpenAI(model="gpt-4o-mini", logprobs=True, top_logprobs=2).invoke([ASKED])
assert measured.response_metadata["logprobs"]["content"]
# without the flag it would fetch a tokenizer first
vectors = OpenAIEmbeddings(model="text-embedding-3-small", check_embedding_ctx_length=False)
assert len(vectors.embed_query("Rome")) == 1536
