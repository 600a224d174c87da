"""Tables in a notebook: columns of text begin at the left. pandas puts texts and numbers to the right alike.

Only the HTML of a DataFrame changes, and of that only where a cell's text begins; what is printed stays as it is.
Nobody calls this: importing ``helpers`` in a notebook registers it.
"""

import re
import sys
from itertools import islice

LEFT = ' style="text-align: left"'
CELL = re.compile(r"<(th|td)((?: [^>]*)?)>.*</\1>\s*$")
NUMBER = re.compile(r"[-+−]?[$€]?\d[\d., ]*\d* ?%?")
NOTHING = ("", "-", "–", "None", "nan", "NaN", "<NA>")
LOOKED_AT = 200  # values of a column


def register() -> None:
    """Lets the running notebook show DataFrames so; outside of IPython nothing happens."""
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    if shell:
        formatter = shell.display_formatter.formatters["text/html"]
        for module in ("pandas", "pandas.core.frame"):  # the name of the class in pandas 3, and before
            formatter.for_type_by_name(module, "DataFrame", as_html)


def as_html(frame) -> str | None:
    """What pandas makes of a DataFrame, with columns of text at the left; None where pandas shows no HTML.

    A table whose columns are cut, or stand in several levels, stays as pandas makes it.
    """
    text = frame._repr_html_()
    if text is None or frame.columns.nlevels > 1 or _is_cut(text, frame):
        return text
    levels = frame.index.nlevels
    at_left = [_is_text(frame.index)] * levels
    at_left += [_is_text(frame.iloc[:, place]) for place in range(frame.shape[1])]
    return "\n".join(_aligned(text.split("\n"), at_left, levels))


def _is_cut(text: str, frame) -> bool:
    """Whether columns are not shown, or no row is."""
    first_row = text.partition("<tbody>")[2].partition("</tr>")[0]
    return first_row.count("<td>") != frame.shape[1]


def _aligned(lines: list[str], at_left: list[bool], levels: int):
    """The lines, a cell each, with the style in those cells that belong to the left."""
    in_body, place = False, 0
    for line in lines:
        in_body = in_body or "<tbody>" in line
        if "<tr" in line:
            place = 0
        elif cell := CELL.search(line):
            if in_body and cell[1] == "td":
                place = max(place, levels)  # a level of the index that repeats has no cell of its own
            if place < len(at_left) and at_left[place]:
                line = line[: cell.end(2)] + LEFT + line[cell.end(2) :]
            place += 1
        yield line


def _is_text(values) -> bool:
    """Whether words stand there: neither numbers nor texts that all are numbers, such as "68 %"."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    if is_numeric_dtype(values.dtype) and not is_bool_dtype(values.dtype):
        return False
    found = [str(value).strip() for value in islice(values, LOOKED_AT)]
    return any(value not in NOTHING and not NUMBER.fullmatch(value) for value in found)
