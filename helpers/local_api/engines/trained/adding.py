"""Adds any small open model beside the course's own: to be asked, trained and exported under its own name.

    python -m helpers.local_api.engines.trained.adding FOLDER          a model as transformers keeps it (safetensors)
    python -m helpers.local_api.engines.trained.adding FILE.gguf       a model in one file
    python -m helpers.local_api.engines.trained.adding OWNER/NAME      a model of the Hugging Face hub: shows licence
                                                                       and size, and asks before it fetches (--yes)
    python -m helpers.local_api.engines.trained.adding --remove NAME   removes one that was added

``--as NAME`` gives it another name. No code that comes with a model is run, and pickled weights are not read.
"""

import argparse
import json
import math
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

from .... import command_line
from ... import facts
from . import MODEL, PLACE
from .weights import RECORD, Base, added, file_hash, folder, models_folder, save
from .weights import base as find

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
HUB_FOLDER = re.compile(r"models--([\w.-]+?)--([\w.-]+)")  # in the hub's cache, above snapshots/HASH
HUB_FILES = ["*.json", "*.safetensors", "*.model", "*.jinja", "README.md", "LICENSE*"]
LONGEST_HEAD = 100_000_000  # bytes of a safetensors file, by its format
BESIDE = 2e9  # bytes of memory that training takes beside the weights; measured on the course's own model
BY_OTHERS, BY_ENGINE = (
    1e-3,
    0.3,
)  # the most that ``differences`` may give; SmolLM2 in bfloat16: 0 and 0.03


class CannotAdd(Exception):
    """The model cannot be added; the text says why and what to do."""


@dataclass(frozen=True)
class Offer:
    """A model that could be added. ``fetch`` puts it in place: a folder, or a folder and a .gguf file in it."""

    name: str  # of the folder, the file, or on the hub
    licence: str | None
    parameters: int
    to_download: int  # bytes
    is_rounded: bool  # a .gguf file usually holds rounded numbers
    fetch: Callable[[Path], tuple[Path, dict]]


def add(source: str, wanted: str | None, agree: Callable[[], bool]) -> Base:
    """Adds the model that ``source`` names, under its own name or ``wanted``. Prints what it does.

    ``agree`` is asked before something is fetched. Raises CannotAdd.
    """
    offer = look(source)
    name = api_name(wanted or offer.name)
    refuse_taken(name)
    print(described(name, offer), flush=True)
    refuse_too_large(offer)
    if offer.to_download and not agree():
        raise CannotAdd("Nothing was fetched.")
    models_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=models_folder(), prefix=".adding-", ignore_cleanup_errors=True
    ) as work:
        place, options = offer.fetch(Path(work) / "fetched")
        if not options:
            _refuse_config(_read_config(place))
        print("Converting and trying it.", flush=True)
        ready = Path(work) / name
        _convert(place, options, ready)
        refuse_unless_it_works(ready)
        _record(ready, name, offer)
        shutil.rmtree(folder(name), ignore_errors=True)  # what a removal that was broken off has left
        os.replace(ready, folder(name))  # in one step: others see a whole model or none
    print(f"{name} is ready: name it as the model of a job or a question.", flush=True)
    return find(name)


def remove(name: str) -> None:
    """Removes a model that was added. Raises CannotAdd if there is none of that name."""
    if name not in added():
        names = ", ".join(added()) or "none"
        raise CannotAdd(f"No model {name} was added. Added are: {names}.")
    (folder(name) / RECORD).unlink()  # from here on it is gone, also if deleting is broken off
    shutil.rmtree(folder(name))
    print(f"{name} is removed. What was tuned from it is kept, and answers again once {name} is added again.")


# --- what is offered -----------------------------------------------------------------------------------------


def look(source: str) -> Offer:
    """What a folder, a .gguf file or a name on the hub offers. The hub is asked, but nothing is fetched yet.

    Raises CannotAdd if there is no such thing, or if it is of a kind that cannot be read here.
    """
    path = Path(source)
    if path.is_dir():
        return _in_folder(path.resolve())
    if path.is_file() and path.suffix == ".gguf":
        return _in_file(path.resolve())
    if path.exists():
        raise CannotAdd(f"{source} is neither a folder with a model nor a .gguf file.")
    if HUB_NAME.fullmatch(source):
        return _on_the_hub(source)
    raise CannotAdd(
        f"There is no folder or file {source}. Give a folder with config.json and .safetensors files, a .gguf file, or "
        "the name of a model on the Hugging Face hub, such as Qwen/Qwen3-0.6B."
    )


def _in_folder(path: Path) -> Offer:
    files = sorted(path.glob("*.safetensors"))
    if not (path / "config.json").is_file() or not files:
        raise CannotAdd(
            f"{path} has no model that can be read here: config.json and .safetensors files are needed. (Of a .gguf "
            "file give the file itself. Weights in .bin files are not read: they could run code.)"
        )
    cached = HUB_FOLDER.fullmatch(path.parent.parent.name)
    name = f"{cached[1]}/{cached[2]}" if cached else path.name
    return Offer(name, _licence(path), sum(map(_parameters, files)), 0, False, lambda work: (path, {}))


def _parameters(file: Path) -> int:
    """How many numbers a safetensors file holds; its head says it (github.com/huggingface/safetensors, "Format")."""
    with open(file, "rb") as opened:
        size = int.from_bytes(opened.read(8), "little")
        try:
            head = json.loads(opened.read(min(size, LONGEST_HEAD)))
        except ValueError:
            raise CannotAdd(f"{file} is no safetensors file, or it is damaged.") from None
    return sum(math.prod(tensor["shape"]) for name, tensor in head.items() if name != "__metadata__")


def _licence(path: Path) -> str | None:
    """The licence that the folder's page names, or where to read it."""
    from huggingface_hub import ModelCard

    page = path / "README.md"
    data = (
        ModelCard(page.read_text(encoding="utf-8"), ignore_metadata_errors=True).data
        if page.is_file()
        else None
    )
    if data and data.license:
        return str(data.license)
    texts = sorted(path.glob("LICEN[CS]E*"))
    return f"see its file {texts[0].name}" if texts else None


def _in_file(path: Path) -> Offer:
    import gguf

    try:
        reader = gguf.GGUFReader(path)
    except (ValueError, IndexError, TypeError) as error:
        raise CannotAdd(f"{path} is no GGUF file, or it is damaged: {error}") from None
    licence = reader.get_field("general.license")
    count = sum(int(tensor.n_elements) for tensor in reader.tensors)
    return Offer(
        path.stem,
        licence and str(licence.contents()),
        count,
        0,
        True,
        lambda work: (path.parent, {"gguf_file": path.name}),
    )


def _on_the_hub(name: str) -> Offer:
    import huggingface_hub

    try:
        info = huggingface_hub.model_info(name, files_metadata=True)
    except Exception as error:  # noqa: BLE001 - no network, no such model, not allowed: the hub's words say which
        raise CannotAdd(
            f"{name} is no folder here, and the Hugging Face hub says: {_first_line(error)}"
        ) from None
    if info.safetensors is None:
        raise CannotAdd(f"{name} has no .safetensors files. Weights of other kinds are not fetched.")
    _refuse_config(info.config or {})
    wanted = [file for file in info.siblings if any(fnmatch(file.rfilename, form) for form in HUB_FILES)]
    size = sum(file.size or 0 for file in wanted if "/" not in file.rfilename)
    card = info.card_data

    def fetch(work: Path) -> tuple[Path, dict]:
        try:
            huggingface_hub.snapshot_download(
                name, revision=info.sha, local_dir=work, allow_patterns=HUB_FILES, ignore_patterns="*/*"
            )
        except Exception as error:  # noqa: BLE001 - as above
            raise CannotAdd(f"{name} could not be fetched: {_first_line(error)}") from None
        return work, {}

    return Offer(
        name,
        card.license if card else None,
        info.safetensors.total,
        size,
        False,
        fetch,
    )


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".strip().splitlines()[0][:300]


# --- what is impossible --------------------------------------------------------------------------------------


def api_name(name: str) -> str:
    """The name in the API: "Qwen/Qwen3-0.6B" becomes "qwen3-0.6b". Raises CannotAdd if nothing is left of it."""
    short = re.sub(r"[^a-z0-9.-]+", "-", name.rpartition("/")[2].lower()).strip("-.")
    if not short or short == "ft":
        raise CannotAdd(f"{name!r} gives no name that can be used. Choose one: --as NAME")
    return short


def refuse_taken(name: str) -> None:
    """Raises CannotAdd if a model has this name."""
    if name in added():
        raise CannotAdd(
            f"{name} is here already. Remove it first (python start.py local --remove {name}), or give the new one "
            "another name: --as NAME"
        )
    if name == MODEL or name in facts.names():
        raise CannotAdd(f"The API has a model {name} already. Give the new one another name: --as NAME")


def refuse_too_large(offer: Offer) -> None:
    """Raises CannotAdd if the model fits neither the memory that would train it nor the disk."""
    from . import devices, training

    needed = offer.parameters * training.quickest_precision().itemsize + BESIDE
    if needed > devices.memory():
        raise CannotAdd(
            f"It is too large: training it takes about {_gb(needed)} of memory, and {devices.described()} has "
            f"{_gb(devices.memory())}. Take a smaller one, or train on another computer: see export-job in the README."
        )
    place = next(path for path in (models_folder(), *models_folder().parents) if path.exists())
    on_disk, free = offer.to_download + 2 * offer.parameters, shutil.disk_usage(place).free
    if on_disk > free:
        raise CannotAdd(f"It takes {_gb(on_disk)} on the disk of {place}, where {_gb(free)} are free.")


def _read_config(place: Path) -> dict:
    try:
        return json.loads((place / "config.json").read_text(encoding="utf-8"))
    except ValueError:
        raise CannotAdd(f"{place / 'config.json'} is not JSON. The folder may be damaged.") from None


def _refuse_config(config: dict) -> None:
    """Raises CannotAdd for what can be seen in a model's config.json alone."""
    if config.get("quantization_config"):
        raise CannotAdd("Its weights are quantised. Take the version that is not, or a .gguf file.")
    if config.get("auto_map"):
        raise CannotAdd(
            "It needs code of its own, and none is run here. Take a model that transformers knows."
        )
    if any(config.get(key) is not None for key in ("vision_config", "audio_config")):
        raise CannotAdd("It reads more than text. Take a model for text alone.")


def refuse_unless_it_works(ready: Path) -> None:
    """Raises CannotAdd if the engine would compute something else than the model does.

    Training puts several examples into one row, where none may see another. In models that do not only read with
    attention, they do. And a window of attention that is shorter than an example would have to be kept to.
    """
    from transformers import AutoConfig

    from . import training

    window = shortest_window(AutoConfig.from_pretrained(ready, local_files_only=True).get_text_config())
    if window < training.MAX_TOKENS:
        raise CannotAdd(
            f"This engine cannot train it: some of its layers look back {window} tokens only, and an example may have "
            f"{training.MAX_TOKENS}."
        )
    try:
        by_others, by_engine = differences(ready)
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise CannotAdd(f"This engine cannot train it. {_first_line(error)}") from None
    if math.isnan(by_engine):
        raise CannotAdd("It gives no numbers for a simple chat: its weights may be damaged.")
    if by_others > BY_OTHERS or by_engine > BY_ENGINE:
        raise CannotAdd(
            "This engine cannot train it: the examples of a batch, put into one row, are not read as each alone. "
            "Models whose layers are all attention can be trained here (Llama, Qwen, Gemma, Mistral, Phi and others)."
        )


def differences(ready: Path) -> tuple[float, float]:
    """How the log-probabilities of an example's tokens differ, in nats.

    The most, between a row in which another example stands before it and one in which that is turned round; and the
    mean, between such a row or the example alone and the model's own forward pass.
    """
    import torch

    from . import training

    tokenizer = training.load_tokenizer(ready)
    model = training.with_lora(training.load_model(ready), None, seed=0)
    one, other = (
        training.encode(
            tokenizer, [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        )
        for question, answer in (
            ("Where is the sun at noon?", "High in the sky."),
            ("Is water wet?", "Yes, it is."),
        )
    )
    start = training.common_start([one, other])
    turned = replace(one, tokens=one.tokens[:start] + one.tokens[start:][::-1])

    def likely(*row) -> torch.Tensor:
        return training.token_log_probabilities(model, list(row))[0][-sum(other.trained) :]

    with torch.inference_mode():
        beside, beside_turned, alone = likely(one, other), likely(turned, other), likely(other)
        plain = _plain_log_probabilities(model.unload(), other)
    by_engine = torch.stack([beside - plain, alone - plain]).abs().mean(-1).max()
    return (beside - beside_turned).abs().max().item(), by_engine.item()


def shortest_window(config) -> float:
    """How many tokens back the layers of a model look; infinity if all look at everything."""
    slides = "sliding_attention" in (getattr(config, "layer_types", None) or [])
    return (getattr(config, "sliding_window", None) or math.inf) if slides else math.inf


def _plain_log_probabilities(model, example):
    """The log-probability of each token that is to be learned, by the model's own forward pass and nothing else."""
    import torch

    tokens = torch.tensor([example.tokens], device=model.device)
    logs = model(input_ids=tokens).logits[0, :-1].float().log_softmax(-1)
    likely = logs.gather(-1, tokens[0, 1:, None])[:, 0]
    return likely[torch.tensor(example.trained[1:], device=model.device)]


# --- putting it in place -------------------------------------------------------------------------------------


def described(name: str, offer: Offer) -> str:
    """What a learner must know before it is added."""
    fetched = f", {_gb(offer.to_download)} to download" if offer.to_download else ""
    licence = offer.licence or "not stated: ask who made it before you pass anything on"
    return (
        f"{offer.name}: {offer.parameters / 1e6:,.0f} million parameters{fetched}, {_gb(2 * offer.parameters)} here.\n"
        f"Licence: {licence}. Its name in the API: {name}"
    )


def _gb(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def _convert(place: Path, options: dict, target: Path) -> None:
    """Saves model and tokenizer as this engine reads them, in bfloat16. Raises CannotAdd."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, logging

    from . import templates

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    options = options | {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(place, **options)
        templates.make_fit(tokenizer)
        if not options.get("gguf_file"):
            options |= {"use_safetensors": True}
        model = AutoModelForCausalLM.from_pretrained(place, dtype=torch.bfloat16, **options)
    except templates.Unusable as error:
        raise CannotAdd(str(error)) from None
    except Exception as error:  # noqa: BLE001 - whatever a foreign folder makes transformers say
        raise CannotAdd(f"transformers cannot read it: {_first_line(error)}") from None
    save(model, target)
    tokenizer.save_pretrained(target)


def _record(ready: Path, name: str, offer: Offer) -> None:
    """Writes down what was added, beside it."""
    digests = [file_hash(path) for path in sorted(ready.glob("*.safetensors"))]
    record = {
        "public_name": offer.name,
        "licence": offer.licence,
        "owner": offer.name.rpartition("/")[0] or PLACE,
        "created": int(time.time()),
        "is_rounded": offer.is_rounded,
        "weights": "-".join(digests),
    }
    (ready / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """The command line. Returns 0 if the model is added or removed, else 1."""
    parser = argparse.ArgumentParser(prog=command_line("helpers.local_api.engines.trained.adding"))
    parser.add_argument(
        "source", nargs="?", help="a folder, a .gguf file, or OWNER/NAME on the Hugging Face hub"
    )
    parser.add_argument("--as", dest="name", help="the name that it gets in the API")
    parser.add_argument("--yes", action="store_true", help="fetch it without asking")
    parser.add_argument("--remove", metavar="NAME", help="remove a model that was added")
    options = parser.parse_args(arguments)
    if not options.source or Path(options.source).exists():
        os.environ["HF_HUB_OFFLINE"] = "1"  # the hub is asked only by who names a model of it
    if bool(options.source) == bool(options.remove):
        parser.error("name a model to add, or one to --remove")
    try:
        remove(options.remove) if options.remove else add(
            options.source, options.name, lambda: options.yes or _yes()
        )
    except (CannotAdd, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _yes() -> bool:
    try:
        return input("Fetch it? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:  # nobody there to answer
        return False


if __name__ == "__main__":
    sys.exit(main())
