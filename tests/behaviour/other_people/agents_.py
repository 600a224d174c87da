"""openai-agents: an agent with a tool and one with a form, by the Responses API (its default) and by chat."""

from agents import Agent, ModelSettings, Runner, function_tool, set_default_openai_api, set_tracing_disabled
from pydantic import BaseModel

set_tracing_disabled(True)
calls = []


class City(BaseModel):
    name: str
    inhabitants: int


@function_tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    calls.append(city)
    return f"31 degrees in {city}"


for api in ("responses", "chat_completions"):
    set_default_openai_api(api)
    settings = ModelSettings(tool_choice="required")  # the agent itself asks for it once only
    agent = Agent(name="Guide", model="gpt-4o-mini", tools=[get_weather], model_settings=settings)
    first = Runner.run_sync(agent, "What is the weather in Rome?")
    assert first.final_output and calls
    again = Runner.run_sync(agent, [*first.to_input_list(), {"role": "user", "content": "And tomorrow?"}])
    assert again.final_output
    formed = Agent(name="Teacher", model="gpt-4o-mini", output_type=City)
    assert isinstance(Runner.run_sync(formed, "Which city is Rome?").final_output, City)
