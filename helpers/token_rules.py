"""What OpenAI publishes on counting what is more than a text: definitions of tools, and pictures.

The values of each model stand in ``data/models.csv``, with their sources. A model without them is not guessed at.
"""

import base64
import csv
import functools
import io
import math
import re
import warnings
from pathlib import Path
from typing import NamedTuple

TABLE = Path(__file__).parents[1] / "data" / "models.csv"

# Tool definitions. Source: OpenAI cookbook, How_to_count_tokens_with_tiktoken.ipynb, num_tokens_for_tools. What a
# function itself takes differs from model to model and stands in the table.
PER_PROPERTIES, PER_PROPERTY = 3, 3
PER_ENUM, PER_ENUM_ITEM = -3, 3
AT_THE_END = 12
PLAIN_FUNCTION = {"name", "description", "parameters", "strict"}
PLAIN_PARAMETERS = {"type", "properties", "required", "additionalProperties"}
PLAIN_PROPERTY = {"type", "description", "enum"}

# Pictures. Source: OpenAI's guide to vision, "calculating costs".
FITS, SHORT_SIDE, TILE = 2048, 768, 512  # pixels
MOST_TILES = 8  # of any picture that was made to fit: 2048 x 768
PATCH, MOST_PATCHES = 32, 1536  # pixels; patches of one picture
DATA_URL = re.compile(r"data:image/[\w.+-]+;base64,")
PICTURE_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")


class Size(NamedTuple):
    """How many tokens something has: so many at least, so many at most.

    ``exact`` if both are the same and that is known to be the number. ``uncounted`` pictures are in neither.
    """

    least: int
    most: int
    exact: bool = True
    uncounted: int = 0

    def plus(self, other: "Size") -> "Size":
        """Both together."""
        return Size(
            self.least + other.least,
            self.most + other.most,
            self.exact and other.exact,
            self.uncounted + other.uncounted,
        )


def definitions(tools: list[dict], model: str) -> tuple[int, list[str]] | None:
    """Tool definitions, or old-style functions, by the published formula: fixed tokens, and the texts to count.

    None where the formula does not apply: to another model, and to definitions with more in them than names, types,
    descriptions and enums, such as lists and objects in objects.
    """
    start = _value(model, "tool_start_tokens")
    functions = [tool.get("function", tool) if isinstance(tool, dict) else None for tool in tools]
    if start is None or not all(map(_is_plain, functions)):
        return None
    fixed, texts = AT_THE_END, []
    for function in functions:
        fixed += int(start)
        texts.append(f"{function['name']}:{function['description'].removesuffix('.')}")
        properties = function["parameters"]["properties"]
        fixed += PER_PROPERTIES if properties else 0
        for name, about in properties.items():
            fixed += PER_PROPERTY
            if "enum" in about:
                fixed += PER_ENUM + PER_ENUM_ITEM * len(about["enum"])
                texts += about["enum"]
            texts.append(f"{name}:{about['type']}:{about['description'].removesuffix('.')}")
    return fixed, texts


def _is_plain(function: object) -> bool:
    if not isinstance(function, dict) or not set(function) <= PLAIN_FUNCTION:
        return False
    parameters = function.get("parameters")
    if not isinstance(parameters, dict) or not set(parameters) <= PLAIN_PARAMETERS:
        return False
    properties = parameters.get("properties")
    return (
        _are_texts(function.get("name"), function.get("description"))
        and isinstance(properties, dict)
        and all(map(_is_plain_property, properties.values()))
    )


def _is_plain_property(about: object) -> bool:
    if not isinstance(about, dict) or not set(about) <= PLAIN_PROPERTY:
        return False
    enum = about.get("enum", [])
    return (
        _are_texts(about.get("type"), about.get("description"))
        and isinstance(enum, list)
        and _are_texts(*enum)
    )


def _are_texts(*values: object) -> bool:
    return all(isinstance(value, str) for value in values)


def picture(image_url: object, model: str) -> Size:
    """The tokens of a picture: the ``image_url`` of a part of a message. Uncounted if no formula of the model is known.

    The size is read from a data URL. A picture that lies elsewhere, or cannot be read, may have any size. Without
    "low" or "high" the model chooses the detail, so it may be either.
    """
    given = image_url if isinstance(image_url, dict) else {"url": image_url}
    model = model or _tuned_with_pictures()
    if base := _value(model, "picture_base_tokens"):
        return _by_tiles(int(base), int(_value(model, "picture_tile_tokens")), given)
    if patch := _value(model, "picture_patch_tokens"):
        return _by_patches(float(patch), given)
    return Size(0, 0, exact=False, uncounted=1)


def _by_tiles(base: int, tile: int, given: dict) -> Size:
    detail = given.get("detail")
    if detail == "low":
        return Size(base, base)
    size = size_of(given.get("url"))
    least, most = (tiles(*size),) * 2 if size else (1, MOST_TILES)
    if detail == "high":
        return Size(base + tile * least, base + tile * most, exact=size is not None)
    return Size(base, base + tile * most, exact=False)


def _by_patches(each: float, given: dict) -> Size:
    """Never exact: bills that were seen are some tokens higher than the formula, of scaled pictures as if not scaled.

    Source: community.openai.com/t/1281361.
    """
    size, most = size_of(given.get("url")), MOST_PATCHES
    if size:
        most = min(most, math.ceil(size[0] / PATCH) * math.ceil(size[1] / PATCH))
    return Size(math.ceil(each), math.ceil(each * most) + 1, exact=False)


def tiles(width: int, height: int) -> int:
    """How many squares of 512 pixels cover a picture, after it was made to fit as OpenAI's guide says.

    Sides are rounded, as bills show (community.openai.com/t/1281361: 2049 x 513 pixels are 8 tiles, 2050 x 513 are 4).
    """
    for limit, side in ((FITS, max), (SHORT_SIDE, min)):
        shrink = min(1, limit / side(width, height))
        width, height = max(1, round(width * shrink)), max(1, round(height * shrink))
    return math.ceil(width / TILE) * math.ceil(height / TILE)


def size_of(url: object) -> tuple[int, int] | None:
    """Width and height in pixels of the picture in a data URL. None if it lies elsewhere or is no picture."""
    head = DATA_URL.match(url) if isinstance(url, str) else None
    if head is None:
        return None
    from PIL import Image

    try:
        data = base64.b64decode(url[head.end() :])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # only the header is read
            with Image.open(io.BytesIO(data), formats=PICTURE_FORMATS) as found:
                return found.size if min(found.size) > 0 else None
    except Exception:  # noqa: BLE001 - whatever is wrong with it, its size is not known
        return None


@functools.cache
def facts() -> dict[tuple[str, str], list[dict]]:
    """The rows of the table, by model and fact."""
    found: dict[tuple[str, str], list[dict]] = {}
    with open(TABLE, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault((row["model"], row["fact"]), []).append(row)
    return found


@functools.cache
def snapshot(model: str) -> str:
    """The dated base model: of a short name, and of a tuned one (ft:...)."""
    base = model.split(":")[1] if model.startswith("ft:") else model
    alias = facts().get((base, "alias_of"))
    return alias[0]["value"] if alias else base


def _value(model: str, fact: str) -> str | None:
    rows = facts().get((snapshot(model), fact))
    return rows[-1]["value"] if rows else None


@functools.cache
def _tuned_with_pictures() -> str:
    """The model that can be trained with pictures: it counts where none is named."""
    return next(
        model
        for (model, fact), rows in facts().items()
        if fact == "fine_tunable_method" and any(row["value"] == "vision" for row in rows)
    )
