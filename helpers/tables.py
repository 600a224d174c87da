"""Tables in a notebook: text begins at the left and is shown whole, numbers end at the right, nothing is there for
nobody. Row numbers that no one gave and columns in which nothing is are left out; True and False are words with a sign.

Only the HTML of a DataFrame changes, what is printed stays as it is. Nobody calls this: importing ``helpers`` in a
notebook registers it.
"""

import re
import sys
from itertools import islice

YES, NO = "✓ yes", "✗ no"
LEFT, TOP, WRAPPED, UNWRAPPED = (
    "text-align: left",
    "vertical-align: top",
    "white-space: pre-wrap",
    "white-space: pre",
)
ROW, CELL = re.compile(r"<tr.*?</tr>", re.DOTALL), re.compile(r"<(th|td)( [^>]*)?>")
NUMBER = re.compile(r"[-+−]?[$€]?\d[\d., ]*\d* ?%?")
NOTHING = ("", "-", "–", "None", "nan", "NaN", "<NA>")
LOOKED_AT = 200  # values of a column
LONG, SHORT = 60, 18  # characters in a line: above, it is wrapped; up to these, it never is


def register() -> None:
    """Lets the running notebook show DataFrames so; outside of IPython nothing happens."""
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    if shell:
        formatter = shell.display_formatter.formatters["text/html"]
        for module in ("pandas", "pandas.core.frame"):  # the name of the class in pandas 3, and before
            formatter.for_type_by_name(module, "DataFrame", as_html)


def as_html(frame) -> str | None:
    """The table that a notebook shows of a DataFrame; None where pandas is told to show no HTML.

    If there are so many columns that some are not shown, nothing is aligned.
    """
    import pandas

    if not pandas.get_option("display.notebook_repr_html"):
        return None
    frame = _worded(_without_empty_columns(frame))
    if _is_counted(frame.index) and frame.columns.nlevels == 1:
        frame = frame.rename_axis(columns=None)  # this name is shown over the index
    most, least = pandas.get_option("display.max_rows"), pandas.get_option("display.min_rows")
    with pandas.option_context("display.max_colwidth", None):
        text = frame.to_html(
            index=not _is_counted(frame.index),
            na_rep="",
            formatters=[str if column.dtype == object else None for _, column in frame.items()],
            max_rows=min(most, least or most) if most and len(frame) > most else most,
            max_cols=pandas.get_option("display.max_columns"),
            show_dimensions=pandas.get_option("display.show_dimensions"),
        )
    return _aligned(text, frame)


# --- what is shown -----------------------------------------------------------------------------------------


def _without_empty_columns(frame):
    filled = [not all(map(_is_missing, column)) for _, column in frame.items()]
    return frame.loc[:, filled] if len(frame) and any(filled) else frame


def _worded(frame):
    """The frame with texts in place of all values but numbers and dates."""
    from pandas.api.types import is_bool_dtype, is_datetime64_any_dtype, is_numeric_dtype

    frame = frame.copy()
    for place, (_, column) in enumerate(frame.items()):
        is_number = is_numeric_dtype(column.dtype) and not is_bool_dtype(column.dtype)
        if not is_number and not is_datetime64_any_dtype(column.dtype):
            frame.isetitem(place, column.astype(object).map(_as_word).astype(object))
    if frame.index.nlevels == 1 and is_bool_dtype(frame.index.dtype):
        frame.index = frame.index.map(_as_word)
    return frame


def _as_word(value: object) -> str:
    if _is_missing(value):
        return ""
    if type(value).__name__ in ("bool", "bool_"):  # Python's and numpy's
        return YES if value else NO
    return f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _is_missing(value: object) -> bool:
    from pandas import isna
    from pandas.api.types import is_scalar

    return not value.strip() if isinstance(value, str) else is_scalar(value) and bool(isna(value))


def _is_counted(index) -> bool:
    """Whether the index is only row numbers: integers without a name."""
    from pandas.api.types import is_integer_dtype

    return index.nlevels == 1 and index.name is None and is_integer_dtype(index.dtype)


# --- where it is shown -------------------------------------------------------------------------------------


def _aligned(text: str, frame) -> str:
    """The HTML of the frame with a style for each cell."""
    index = [] if _is_counted(frame.index) else [_is_text(frame.index)] * frame.index.nlevels
    columns = [_is_text(column) for _, column in frame.items()]
    lengths = [_lengths(column) for _, column in frame.items()]
    is_tall = any(longest > LONG or lines > 1 for longest, lines in lengths)
    body = [
        _style(is_left, is_tall, wrapped=longest > SHORT)
        for is_left, (longest, _) in zip(columns, lengths, strict=True)
    ]
    heads = [LEFT if is_left else "" for is_left in index + columns]

    def head_row(row: re.Match) -> str:
        return _styled(row[0], heads) if len(CELL.findall(row[0])) == len(heads) else row[0]

    def body_row(row: re.Match) -> str:
        kinds = [cell[0] for cell in CELL.findall(row[0])]
        of_index = [_style(*index[:1], is_tall)] * kinds.count("th")
        return _styled(row[0], of_index + body) if kinds.count("td") == len(columns) else row[0]

    head, mark, rows = text.partition("<tbody>")
    return ROW.sub(head_row, head) + mark + ROW.sub(body_row, rows)


def _style(is_left: bool = True, is_tall: bool = False, wrapped: bool = True) -> str:
    tall = [TOP, WRAPPED if wrapped else UNWRAPPED] if is_tall else []
    return "; ".join(([LEFT] if is_left else []) + tall)


def _styled(row: str, styles: list[str]) -> str:
    """The row of a table with these styles, one a cell."""
    rest = iter(styles)

    def with_style(cell: re.Match) -> str:
        style = next(rest)
        return f'{cell[0][:-1]} style="{style}">' if style else cell[0]

    return CELL.sub(with_style, row)


def _lengths(column) -> tuple[int, int]:
    """The characters of the longest line in the column, and the lines of the text with most of them."""
    texts = [value.strip().splitlines() for value in column if isinstance(value, str)]
    longest = max((len(line) for lines in texts for line in lines), default=0)
    return longest, max(map(len, texts), default=1)


def _is_text(values) -> bool:
    """Whether words stand there: neither numbers nor texts that all are numbers, such as "68 %"."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    if is_numeric_dtype(values.dtype) and not is_bool_dtype(values.dtype):
        return False
    found = [str(value).strip() for value in islice(values, LOOKED_AT)]
    return any(value not in NOTHING and not NUMBER.fullmatch(value) for value in found)
