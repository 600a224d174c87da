"""The trained engine: really fine-tunes a small open language model on this computer, and answers with it.

Nothing heavy is imported here: ``owns`` and ``problem`` are asked for every request, torch is loaded only by
``training`` (in a process of its own) and by ``serving`` (at the first question).
"""

import importlib.util
import os

# Both are read when torch is imported. What it cannot yet compute on Apple's graphics processor, the other one does;
# and a thread of it that waits for another one sleeps. Else it spins, with all cores at work for seconds, and where
# nothing else runs it gains nothing: 2.3 answers a second in both ways.
os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

MODEL = "smollm2-135m-instruct"  # the course's own; others can be added: see ``adding``
PLACE = "this-computer"  # stands in the names of models tuned here, where OpenAI's have the organization
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
USUAL_RATES = {"supervised": 3e-3, "dpo": 3e-4, "reinforcement": 5e-4}  # of MODEL: see ``rates``


def added() -> list[str]:
    """The names of the models that were added beside ``MODEL``."""
    from . import weights

    return weights.added()


def base_of(model: str) -> str:
    """The base of a model that was tuned here; a base is its own."""
    return model.split(":")[1] if model.startswith("ft:") else model


def owns(model: str) -> bool:
    """True for the models of this engine and for those tuned from them, even if their base has been removed."""
    from . import weights

    if model.startswith("ft:") and model.split(":")[2:3] == [PLACE]:
        return True
    return base_of(model) == MODEL or weights.is_added(base_of(model))


def problem(model: str = MODEL) -> str | None:
    """Why this engine cannot work with this model now, with the command that mends it; None if it can."""
    from .weights import folder_is_ready

    name = base_of(model)
    missing = [package for package in NEEDED if importlib.util.find_spec(package) is None]
    if not missing and folder_is_ready(name):
        return None
    if name != MODEL and not missing:
        return (
            f"The base {name} is not on this computer any more. Add it again, and what was tuned from it answers "
            "again: python start.py local --model NAME_OR_FOLDER"
        )
    what = f"packages are missing ({', '.join(missing)})" if missing else "its weights are not here yet"
    return f"It is trained on this computer, but {what}. Install it with: python start.py local"


def other_base(tuned: dict) -> str | None:
    """Why a tuned model does not fit the base that has the name of its own now; None if it does."""
    from . import weights

    name = tuned["base"]
    if name not in added() or tuned.get("weights") == weights.base(name).weights:
        return None
    return f"It was tuned from another model of the name {name} than the one that is on this computer now."


def resolve(method: str, hyperparameters: dict) -> dict:
    """The numbers behind "auto". Measured: for examples on 84 short ones, 4 epochs of batches of 4 gave the best form;
    for the other methods see ``data/recorded/methods.py``."""
    auto = AUTO[method]
    return {key: auto[key] if value == "auto" else value for key, value in hyperparameters.items()}
