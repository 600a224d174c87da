"""The trained engine: really fine-tunes a small open language model on this computer, and answers with it.

Nothing heavy is imported here: ``owns`` and ``problem`` are asked for every request, torch is loaded only by
``training`` (in a process of its own) and by ``serving`` (at the first question).
"""

import importlib.util

MODEL = "smollm2-135m-instruct"
ORGANIZATION = "org-this-computer"  # owns what is trained here, as "org-simulated" owns what is not
NEEDED = ("torch", "transformers", "peft", "accelerate", "gguf")
AUTO = {"n_epochs": 4, "batch_size": 4, "learning_rate_multiplier": 1.0}  # what "auto" becomes


def owns(model: str) -> bool:
    """True for the model of this engine and for those tuned from it."""
    return model == MODEL or model.startswith(f"ft:{MODEL}:")


def problem() -> str | None:
    """Why this engine cannot work now, with the command that mends it; None if it can."""
    from .weights import folder_is_ready

    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if not missing and folder_is_ready():
        return None
    what = f"packages are missing ({', '.join(missing)})" if missing else "its weights are not here yet"
    return f"It is trained on this computer, but {what}. Install it with: python start.py local"


def resolve(hyperparameters: dict) -> dict:
    """The numbers behind "auto": measured on 84 short examples, 4 epochs of batches of 4 gave the best form."""
    return {key: AUTO[key] if value == "auto" else value for key, value in hyperparameters.items()}
