"""The language in which a lesson runs: that of its folder, notebooks/ru/ for Russian; elsewhere English.

What has been translated of the texts of quizzes, exercises and helpers stands in data/texts/, a file a language. It is
written by ``python -m workshop.editions``.
"""

import json
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEXTS = ROOT / "data" / "texts"


def said(text: str) -> str:
    """The text in the language of the lesson that runs here; as it is where there is no translation of it."""
    try:
        here = Path.cwd()
    except OSError:  # the folder has been deleted meanwhile
        return text
    return texts(here).get(text, text)


@cache
def texts(folder: Path) -> dict[str, str]:
    """The translations for the lessons of a folder, by the English text; {} for a folder that is no edition."""
    file = TEXTS / f"{folder.name}.json"
    if folder.parent != ROOT / "notebooks" or not file.is_file():
        return {}
    return json.loads(file.read_text(encoding="utf-8"))
