"""Which processor computes: a graphics card if torch can use one, else the computer's own.

    python -m helpers.local_api.engines.trained.devices     says which, and which models are installed

The same code runs on all of them, and begins with the same numbers. They round differently: see ``tests/on_gpu.py``.
"""

import os
import platform
import sys

import torch

VARIABLE = "LOCAL_API_DEVICE"


def device() -> torch.device:
    """LOCAL_API_DEVICE if that is set; else CUDA or Apple's MPS if torch can use it, else the CPU.

    Raises ValueError if LOCAL_API_DEVICE names one that is not there.
    """
    there, wanted = available(), os.environ.get(VARIABLE)
    if wanted and wanted not in there:
        raise ValueError(
            f"{VARIABLE} is {wanted!r}, but torch finds only {', '.join(there)} here. Set it to one of these, or not "
            "at all. A graphics card needs a torch that was made for it: see the README."
        )
    return torch.device(wanted or there[0])


def available() -> list[str]:
    """The devices that torch can use here, the quickest first: "cuda", "cuda:0", "mps", "cpu"."""
    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    found = ["cuda", *(f"cuda:{number}" for number in range(cards))] if cards else []
    return [*found, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]


def described() -> str:
    """The device in words: "the processor (cpu)", "NVIDIA H100 (cuda)"."""
    chosen = device()
    names = {"cpu": "the processor", "mps": f"the graphics processor of {platform.machine()}"}
    name = torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else names[chosen.type]
    return f"{name} ({chosen})"


def memory() -> int:
    """Bytes of memory that the device has in all. Apple's graphics processor shares that of the computer."""
    chosen = device()
    if chosen.type == "cuda":
        return torch.cuda.get_device_properties(chosen).total_memory
    import psutil

    return psutil.virtual_memory().total


def main() -> int:
    """The command line. Returns 0, or 1 if LOCAL_API_DEVICE is wrong."""
    from .weights import installed

    try:
        where = described()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{', '.join(installed()) or 'no model'} on {where}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
