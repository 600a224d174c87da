"""The drawn pictures of the course: SVG files in notebooks/pictures/, written by tests/notebooks/refresh.py."""

import re
from functools import cache
from pathlib import Path

from . import cures, lora, tree, way
from .svg import Picture

INCLUDED = re.compile(r"!\[[^\]]*\]\(pictures/(\w+)\.svg\)")


@cache
def pictures() -> dict[str, Picture]:
    """All pictures by the name of their file, such as "way_03"."""
    ways = {f"way_{station.key}": way.picture(station.key) for station in way.STATIONS}
    return {"cures": cures.picture(), "lora": lora.picture(), "tree": tree.picture()} | ways


def write(folder: Path) -> None:
    """Writes every picture as NAME.svg into the folder. A file that is right already is not touched."""
    folder.mkdir(exist_ok=True)
    for name, picture in pictures().items():
        path = folder / f"{name}.svg"
        if not path.exists() or path.read_text(encoding="utf-8") != picture.svg:
            path.write_text(picture.svg, encoding="utf-8", newline="\n")


def in_markdown(name: str) -> str:
    """The Markdown that shows a picture in a lesson, with its alt text. Raises KeyError for an unknown name."""
    return f"![{pictures()[name].alt}](pictures/{name}.svg)"


def with_alt_texts(markdown: str) -> str:
    """The text with the alt text of each picture of ours as the code says it. Raises KeyError for an unknown name."""
    return INCLUDED.sub(lambda found: in_markdown(found[1]), markdown)
