"""Query strings and list answers: limits, cursors, order, metadata filters."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import QueryParams

from .errors import bad_request
from .store import Row


@dataclass(frozen=True)
class Query:
    """The query string of one request. ``lenient`` accepts limit 0 and unknown cursors (conformance only)."""

    params: QueryParams
    lenient: bool = False

    def text(self, name: str) -> str | None:
        """A parameter as sent, or None."""
        return self.params.get(name)

    def limit(self, default: int, most: int) -> int:
        """The page size, from 1 to ``most``."""
        text = self.params.get("limit")
        if text is None:
            return default
        least = 0 if self.lenient else 1
        if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
            raise bad_request(f"Invalid 'limit': a whole number from 1 to {most}, but got '{text}'.", "limit")
        return int(text)

    def number(self, name: str, default: int) -> int:
        """A whole number from 0 on, or the default if there is none."""
        text = self.params.get(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise bad_request(f"Invalid '{name}': a whole number from 0 on, but got '{text}'.", name)
        return int(text)

    def order(self, default: str, allowed: tuple[str, str] = ("asc", "desc")) -> str:
        """The sort order."""
        value = self.params.get("order", default)
        if value not in allowed:
            message = f"Invalid 'order': '{value}'. Supported values are: {', '.join(allowed)}."
            raise bad_request(message, "order")
        return value

    def metadata(self) -> dict[str, str] | None:
        """The pairs of ``metadata[key]=value``; {} for ``metadata=null``; None if there is no such filter."""
        pairs = {
            name.removeprefix("metadata[").removesuffix("]"): value
            for name, value in self.params.items()
            if name.startswith("metadata[") and name.endswith("]")
        }
        return {} if self.params.get("metadata") == "null" else pairs or None

    def listing(self, page: tuple[list[Row], bool] | None, view: Callable[[Row], dict]) -> dict:
        """A list answer of OpenAI's form. ``page`` is None if ``after`` named nothing."""
        if page is None:
            if not self.lenient:
                after = self.params.get("after")
                raise bad_request(f"Invalid 'after': no object '{after}' in this list.", "after")
            page = [], False
        data = [view(row) for row in page[0]]
        ids = [item["id"] for item in data]
        return {
            "object": "list",
            "data": data,
            "first_id": ids[0] if ids else None,
            "last_id": ids[-1] if ids else None,
            "has_more": page[1],
        }
