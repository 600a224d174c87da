"""The trained engine: really fine-tunes a small open language model on this computer, and answers with it.

Nothing heavy is imported here: ``owns`` and ``problem`` are asked for every request, torch is loaded only by
``training`` (in a process of its own) and by ``serving`` (at the first question).
"""

import importlib.util

MODEL = "smollm2-135m-instruct"
ORGANIZATION = "org-this-computer"  # owns what is trained here, as "org-simulated" owns what is not
NEEDED = ("torch", "transformers", "peft", "accelerate", "gguf")
AUTO = {  # what "auto" becomes, for each method
    "supervised": {"n_epochs": 4, "batch_size": 4, "learning_rate_multiplier": 1.0},
    "dpo": {"n_epochs": 2, "batch_size": 4, "learning_rate_multiplier": 1.0, "beta": 0.1, "rpo_alpha": 1.0},
    "reinforcement": {
        "n_epochs": 1,
        "batch_size": 4,
        "learning_rate_multiplier": 1.0,
        "compute_multiplier": 1.0,
        "eval_interval": 5,
        "eval_samples": 1,
        "beta": 0.0,
    },
}
USUAL_RATES = {"supervised": 3e-3, "dpo": 3e-4, "reinforcement": 5e-4}  # of a learning rate multiplier of 1


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


def resolve(method: str, hyperparameters: dict) -> dict:
    """The numbers behind "auto". Measured: for examples on 84 short ones, 4 epochs of batches of 4 gave the best form;
    for the other methods see ``data/recorded/methods.py``."""
    auto = AUTO[method]
    return {key: auto[key] if value == "auto" else value for key, value in hyperparameters.items()}
