"""The learning rate behind "auto": measured for the model of the course, by a published rule for all others.

The rule is that of "LoRA Without Regret" (J. Schulman and Thinking Machines, 2025,
https://thinkingmachines.ai/blog/lora/, section on hyperparameters): for LoRA on all layers the best rate is
``5e-5 * 10 * (2000 / width) ** power``; the power was fitted for two families, Llama and Qwen. The measurement behind
it were runs of several hundred steps. In runs of under about 100 steps, they found, 1.5 times the rate is better:
that is what ``learning_rate_multiplier`` is for.
"""

import json
from pathlib import Path

from . import MODEL, USUAL_RATES
from .weights import Base

SOURCE = "https://thinkingmachines.ai/blog/lora/"
AT_WIDTH_2000 = 5e-5 * 10
POWERS = {"llama": 0.781, "qwen": 0.0775}


def usual_rate(method: str, base: Base) -> float:
    """The highest learning rate of a job with this method and base, at a multiplier of 1.

    The rule is for learning from examples. The other methods stand to it as they do in the course's own model.
    """
    if base.name == MODEL:
        return USUAL_RATES[method]
    return by_rule(*family_and_width(base.folder)) * USUAL_RATES[method] / USUAL_RATES["supervised"]


def by_rule(family: str, width: int) -> float:
    """The rule's rate for LoRA. ``family`` is the model type, such as "llama" or "qwen3"; ``width`` the hidden size.

    For a family that nobody has measured: the smaller of the two rates.
    """
    powers = [power for name, power in POWERS.items() if family.startswith(name)] or POWERS.values()
    return min(AT_WIDTH_2000 * (2000 / width) ** power for power in powers)


def family_and_width(folder: Path) -> tuple[str, int]:
    """Model type and hidden size of a folder of weights."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return config["model_type"], config["hidden_size"]
