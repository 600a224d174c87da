"""Tables in a notebook: columns of text begin at the left. pandas puts texts and numbers to the right alike.

Only the HTML of a DataFrame changes, and of that only where a cell's text begins; what is printed stays as it is.
Nobody calls this: importing ``helpers`` in a notebook registers it.
"""

import re
import sys
from itertools import islice

LEFT = ' style="text-align: left"'
ROW, CELL = re.compile(r"<tr.*?</tr>", re.DOTALL), re.compile(r"<(th|td)( [^>]*)?>")
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

    A table with so many columns that some are not shown stays as pandas makes it.
    """
    text = frame._repr_html_()
    if text is None:
        return None
    head, mark, body = text.partition("<tbody>")
    index = _is_text(frame.index)
    columns = [_is_text(frame.iloc[:, place]) for place in range(frame.shape[1])]
    heads = [index] * frame.index.nlevels + columns

    def head_row(row: re.Match) -> str:
        return _aligned(row[0], heads) if len(CELL.findall(row[0])) == len(heads) else row[0]

    def body_row(row: re.Match) -> str:
        kinds = [cell[0] for cell in CELL.findall(row[0])]
        fits = kinds.count("td") == len(columns)
        return _aligned(row[0], [index] * kinds.count("th") + columns) if fits else row[0]

    return ROW.sub(head_row, head) + mark + ROW.sub(body_row, body)


def _aligned(row: str, at_left: list[bool]) -> str:
    """The row of a table; ``at_left`` says of each cell whether it goes there."""
    places = iter(at_left)
    return CELL.sub(lambda cell: cell[0][:-1] + LEFT + ">" if next(places) else cell[0], row)


def _is_text(values) -> bool:
    """Whether words stand there: neither numbers nor texts that all are numbers, such as "68 %"."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    if is_numeric_dtype(values.dtype) and not is_bool_dtype(values.dtype):
        return False
    found = [str(value).strip() for value in islice(values, LOOKED_AT)]
    return any(value not in NOTHING and not NUMBER.fullmatch(value) for value in found)
