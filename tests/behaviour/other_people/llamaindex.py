"""llama-index-llms-openai: chat, streams, tools, structured prediction, the Responses API."""

from llama_index.core.llms import ChatMessage
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAI, OpenAIResponses
from pydantic import BaseModel

ASKED = ChatMessage(role="user", content="What is the weather in Rome?")


class City(BaseModel):
    """A city."""

    name: str
    inhabitants: int


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"31 degrees in {city}"


for kind in (OpenAI, OpenAIResponses):
    model = kind(model="gpt-4o-mini", temperature=0)
    assert model.chat([ASKED]).message.content
    assert [part.delta for part in model.stream_chat([ASKED])]
    tools = [FunctionTool.from_defaults(get_weather)]
    called = model.chat_with_tools(tools, chat_history=[ASKED], tool_required=True)
    assert model.get_tool_calls_from_response(called)[0].tool_name == "get_weather"
    assert isinstance(
        model.structured_predict(City, PromptTemplate("Which city is {name}?"), name="Rome"), City
    )
