"""inspect-ai: an evaluation with a model that answers and one that judges, by chat and by the Responses API."""

from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.model import get_model
from inspect_ai.scorer import includes, model_graded_qa
from inspect_ai.solver import generate, use_tools
from inspect_ai.tool import tool


@tool
def get_weather():
    async def execute(city: str) -> str:
        """The weather of a city.

        Args:
            city: Its name.
        """
        return f"31 degrees in {city}"

    return execute


samples = [Sample(input="What is the weather in Rome?", target="31")]
for responses_api in (False, True):
    model = get_model("openai/gpt-4o-mini", responses_api=responses_api)
    solvers = [use_tools(get_weather(), tool_choice="none"), generate()]
    task = Task(dataset=samples, solver=solvers, scorer=[includes(), model_graded_qa(model=model)])
    (log,) = eval(task, model=model, display="none", log_dir="logs")
    assert log.status == "success", log.error
