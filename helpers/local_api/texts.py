"""What a request may give as text: a text, several, or token numbers in their place."""

from .. import tokens
from .errors import bad_request


def texts_of(given: str | list, model: str, param: str, most: int, called: str) -> list[str]:
    """The texts; token numbers are turned back into text. ``given`` is not an empty list.

    400 for more than ``most`` of what is ``called`` such, and for numbers that are no tokens of the model.
    """
    several = given if isinstance(given, list) and not isinstance(given[0], int) else [given]
    if len(several) > most:
        raise bad_request(f"Invalid '{param}': at most {most} {called} in one call.", param)
    return [item if isinstance(item, str) else _decoded(item, model, param) for item in several]


def _decoded(numbers: list[int], model: str, param: str) -> str:
    try:
        return tokens.decode(numbers, model)
    except (KeyError, OverflowError, tokens.VocabularyError):
        raise bad_request(f"Invalid '{param}': these are not tokens of {model}.", param) from None
