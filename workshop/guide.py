"""What the guides say, for those that read them by program: the questions, by the heading after which to ask."""

import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "guides"
QUESTION = re.compile(r'^### After "([^\n]+)"\n+(.*?)(?=^##|\Z)', re.MULTILINE | re.DOTALL)


def questions(number: str, folder: Path = FOLDER) -> dict[str, str]:
    """Heading of the lesson, and the question to ask after it with the answers to expect, in Markdown; in order.

    Empty for a lesson without a guide.
    """
    guide = folder / f"{number}.md"
    text = guide.read_text(encoding="utf-8") if guide.is_file() else ""
    return {heading: said.strip() for heading, said in QUESTION.findall(text)}
