"""Defects of images."""

import base64
import binascii
import ipaddress
import re
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from ..codes import ERROR, OLD, WARNING, defect
from ..row import Row

MAX_IMAGES = 10
MAX_IMAGE_BYTES = 10_000_000
IMAGE_TYPES = ("jpeg", "jpg", "png", "webp")
BASE64_IMAGE = re.compile(rf"data:image/({'|'.join(IMAGE_TYPES)});base64,", re.IGNORECASE)
WRONG_ENDING = re.compile(r"\.(gif|bmp|tiff?|svg|heic|pdf|avif)(\?|#|$)", re.IGNORECASE)
AT_HOME = (".local", ".internal", ".lan", ".home", ".localhost", ".invalid")


@defect(
    ERROR, f"vision is a method of some models only: data/models.csv; preference rows are text only: {OLD}"
)
def image_model(row: Row) -> Iterable[str]:
    """images for a model or method that is trained on text only
    Choose a model with the method 'vision' in data/models.csv, or leave the images out."""
    if not row.images:
        return
    if row.job.refuses_images and row.format != "reinforcement":  # its description allows them
        yield f"{row.images[0][1]}: {row.job.base} cannot be tuned on images"
    elif row.format == "preference":
        yield f"{row.images[0][1]}: preference rows are text only"


@defect(ERROR, OLD)
def image_count(row: Row) -> Iterable[str]:
    """more than 10 images in one row
    Leave some out."""
    if len(row.images) > MAX_IMAGES:
        yield f"{len(row.images)} images"


@defect(ERROR, OLD)
def image_size(row: Row) -> Iterable[str]:
    """an image of more than 10 MB
    Make it smaller."""
    for where, data in _base64(row):
        if (size := len(data) * 3 // 4) > MAX_IMAGE_BYTES:
            yield f"{where}: {size / 1e6:.1f} MB"


@defect(ERROR, OLD)
def image_type(row: Row) -> Iterable[str]:
    """an image that is not JPEG, PNG or WEBP by http(s) or base64 data URL
    Convert it."""
    for _message, where, url in row.images:
        if not isinstance(url, str) or not url.strip():
            continue
        if url[:5].lower() == "data:":
            if not BASE64_IMAGE.match(url):
                yield f"{where}: {url[:40]!r}"
        elif not _is_http(url) or WRONG_ENDING.search(url):
            yield f"{where}: {url[:60]!r}"


@defect(ERROR, f"an image is an http(s) or base64 data URL of a JPEG, PNG or WEBP: {OLD}")
def image_empty(row: Row) -> Iterable[str]:
    """an image without an image in it
    Give its address, or its bytes in base64."""
    for _message, where, url in row.images:
        if isinstance(url, str) and not url.strip():
            yield f"{where}: its address is empty"
    for where, data in _base64(row):
        if how := _no_image(data):
            yield f"{where}: {how}"


@defect(WARNING, f"consequence: rows whose images cannot be fetched are left out of the training: {OLD}")
def image_unreachable(row: Row) -> Iterable[str]:
    """an image at an address that nobody else can reach
    Put it on a public server, or send its bytes in base64."""
    for _message, where, url in row.images:
        if isinstance(url, str) and _is_http(url) and not _is_public(url):
            yield f"{where}: {url[:60]!r}"


@defect(ERROR, OLD)
def image_on_assistant(row: Row) -> Iterable[str]:
    """an image in a message that is not the user's
    Images belong into user messages."""
    for message, where, _url in row.images:
        if message.role != "user":
            yield f"{where}: role {message.role!r:.40}"


def _is_http(url: str) -> bool:
    return url.lower().startswith(("http://", "https://"))


def _base64(row: Row) -> Iterator[tuple[str, str]]:
    """Where, and the base64 text of each image that is sent as such."""
    for _message, where, url in row.images:
        if isinstance(url, str) and (head := BASE64_IMAGE.match(url)):
            yield where, url[head.end() :]


def _no_image(data: str) -> str | None:
    """Why a base64 text holds nothing, as its beginning tells."""
    if not data.strip("= \n"):
        return "no bytes"
    try:
        base64.b64decode(data[:16], validate=True)
    except (binascii.Error, ValueError):
        return f"it is not base64: {data[:16]!r}"
    return None


def _is_public(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:  # such as half an IPv6 address
        return False
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith(AT_HOME) and " " not in url
