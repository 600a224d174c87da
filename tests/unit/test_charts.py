"""helpers.charts: what is drawn, and what is said about it."""

import base64
import io
import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pandas
import pytest
from PIL import Image

from helpers.charts import chart as palette
from helpers.charts import lines as charts
from helpers.charts import shares

SVG = "{http://www.w3.org/2000/svg}"


def metrics(train, valid=None) -> pandas.DataFrame:
    """Metrics from step 1 on."""
    steps = range(1, len(train) + 1)
    return pandas.DataFrame({"step": steps, "train_loss": train, "valid_loss": valid or math.nan})


OVERFIT = metrics([4.1, 2.0, 1.0, 0.8, 0.6], [None, 2.5, 1.2, None, 1.5])


# --- alt text ------------------------------------------------------------------------------------------


def test_alt_text_is_computed_from_the_data():
    assert charts.loss_curve(OVERFIT, "Airport", simulated=True).alt == (
        "Line chart: Airport (simulated). Training loss falls from 4.10 at step 1 to 0.60 at step 5; "
        "validation loss is lowest, 1.20, at step 3; at the last one, step 5, it is 1.50."
    )


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (
            metrics([1.0, 2.5]),
            "rises from 1.00 at step 1 to 2.50 at step 2; no validation loss was measured.",
        ),
        (metrics([1.0, 3.0, 1.001]), "is 1.00 at step 1 and at step 3;"),
        (metrics([2.0]), "Training loss is 2.00 at step 1;"),
        (metrics([2.0, 1.0], [3.0, 2.0]), "validation loss is lowest, 2.00, at step 2."),
        (metrics([2.0, math.nan, 1.0, math.inf]), "falls from 2.00 at step 1 to 1.00 at step 3;"),
    ],
)
def test_alt_text_of_other_shapes(table, said):
    assert said in charts.loss_curve(table, "T").alt


def test_smoothing_is_stated_and_right():
    """100 steps: each point is the mean of the 5 around it, of fewer at the ends."""
    table = metrics([float(i % 2) + 10 for i in range(100)])
    lines = charts.LossLines.of(table)
    assert lines.window == 5
    assert lines.training[50] == pytest.approx(table["train_loss"][47:52].mean())  # steps 48 to 52
    assert lines.training[1] == pytest.approx(table["train_loss"][:3].mean())
    chart = charts.loss_curve(table, "T")
    assert "Training loss (mean of 5 steps)" in chart.alt
    assert any("(mean of 5 steps)" in text.get_text() for text in chart.figure.axes[0].texts)


def test_short_jobs_are_not_smoothed():
    lines = charts.LossLines.of(metrics([3.0, 1.0, 2.0]))
    assert lines.window == 1 and lines.training.tolist() == [3.0, 1.0, 2.0]


def test_nothing_to_draw():
    with pytest.raises(ValueError, match="no training loss"):
        charts.loss_curve(metrics([math.nan, math.nan]), "T")


# --- the figure ----------------------------------------------------------------------------------------


def test_figure_names_and_draws_what_it_should():
    chart = charts.loss_curve(OVERFIT, "Airport")
    axes = chart.figure.axes[0]
    assert axes.get_title(loc="left") == "Airport"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Training step", "Loss")
    raw, smooth, valid, circle = axes.lines
    assert raw.get_ydata().tolist() == smooth.get_ydata().tolist() == OVERFIT["train_loss"].tolist()
    assert valid.get_xdata().tolist() == [2, 3, 5] and valid.get_ydata().tolist() == [2.5, 1.2, 1.5]
    assert (list(circle.get_xdata()), list(circle.get_ydata())) == ([3], [1.2])
    assert chart.data is OVERFIT


def test_the_lowest_loss_on_all_validation_rows_is_circled_and_no_other():
    """A few rows, measured in between, may be lower by chance: they are neither circled nor named."""
    table = metrics([4.0, 3.0, 2.0, 1.0], [2.5, 1.9, 1.1, 1.95])
    table["full_valid_loss"] = [math.nan, 1.9, math.nan, 1.95]
    chart = charts.loss_curve(table, "T")
    assert "validation loss on all rows is lowest, 1.90, at step 2; at the last one, step 4, it is 1.95." in (
        chart.alt
    )
    few, full, circle = chart.figure.axes[0].lines[2:]
    assert (list(full.get_xdata()), list(full.get_ydata())) == ([2, 4], [1.9, 1.95])
    assert few.get_ydata().tolist() == [2.5, 1.9, 1.1, 1.95] and few.get_alpha() < 0.5
    assert (list(circle.get_xdata()), list(circle.get_ydata())) == ([2], [1.9])
    assert "validation loss on all rows\n(circled: lowest,\n1.90 at step 2)" in [
        text.get_text() for text in chart.figure.axes[0].texts
    ]


def test_without_a_measurement_on_all_rows_the_chart_is_as_before():
    table = OVERFIT.assign(full_valid_loss=math.nan)
    assert charts.loss_curve(table, "T").png() == charts.loss_curve(OVERFIT, "T").png()


def test_lines_differ_by_more_than_colour():
    _, train, valid, _ = charts.loss_curve(OVERFIT, "T").figure.axes[0].lines
    assert train.get_linestyle() != valid.get_linestyle()
    assert train.get_marker() != valid.get_marker()
    assert train.get_color() != valid.get_color()


def test_notebook_gets_text_html_and_png():
    chart = charts.loss_curve(OVERFIT, 'A "quoted" <title>')
    bundle = chart._repr_mimebundle_()
    assert list(bundle) == ["text/plain", "text/html", "image/png"]
    assert bundle["text/plain"] == chart.alt == repr(chart)
    tag = re.fullmatch(
        r'<img src="data:image/png;base64,([A-Za-z0-9+/=]+)" alt="([^"<>]*)">', bundle["text/html"]
    )
    assert tag[1] == bundle["image/png"]
    assert "A &quot;quoted&quot; &lt;title&gt;" in tag[2]
    picture = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"])))
    assert picture.size == (750, 380)
    assert picture.convert("RGB").getpixel((2, 2)) == (255, 255, 255)  # opaque: dark themes show it as it is


def test_png_is_the_same_for_the_same_data():
    first = charts.loss_curve(OVERFIT, "T")
    assert first.png() == first.png() == charts.loss_curve(OVERFIT.copy(), "T").png()
    assert first.png() != charts.loss_curve(OVERFIT * 2, "T").png()


# --- the live curve ------------------------------------------------------------------------------------


def points(table: pandas.DataFrame) -> list[dict]:
    """As the API sends them: a loss that was not measured is absent."""
    return [{k: v for k, v in row.items() if v == v} for row in table.to_dict("records")]


def drawn(**arguments) -> ElementTree.Element:
    arguments = {"points": points(OVERFIT), "title": "Loss"} | arguments
    return ElementTree.fromstring(charts.loss_curve_svg(**arguments))


def test_svg_says_the_same_as_the_figure():
    svg = drawn(title="Airport", simulated=True)
    assert svg.get("role") == "img"
    assert svg.get("aria-label") == charts.loss_curve(OVERFIT, "Airport", simulated=True).alt


def test_svg_draws_every_point_inside_its_frame():
    svg = drawn(last_step=10)
    lines = [line.get("points").split() for line in svg.iter(f"{SVG}polyline")]
    assert [len(line) for line in lines] == [5, 5, 3]
    places = [tuple(map(float, place.split(","))) for line in lines for place in line]
    assert all(charts.LEFT <= x <= charts.WIDTH - charts.RIGHT for x, _ in places)
    assert all(charts.TOP <= y <= charts.HEIGHT - charts.BOTTOM for _, y in places)
    assert max(x for x, _ in places) == charts.LEFT + (charts.WIDTH - charts.LEFT - charts.RIGHT) / 2


def test_svg_circles_the_one_minimum_that_the_figure_circles():
    table = metrics([4.0, 3.0, 2.0, 1.0], [2.5, 1.9, 1.1, 1.95])
    table["full_valid_loss"] = [math.nan, 1.9, math.nan, 1.95]
    svg = drawn(points=points(table))
    assert svg.get("aria-label") == charts.loss_curve(table, "Loss").alt
    (circle,) = svg.iter(f"{SVG}circle")
    squares = [rect for rect in svg.iter(f"{SVG}rect")]
    assert float(circle.get("cx")) == float(squares[0].get("x")) + 3 and len(squares) == 2
    faint = [line for line in svg.iter(f"{SVG}polyline") if line.get("stroke-opacity") == "0.5"]
    assert [len(line.get("points").split()) for line in faint] == [4]
    assert not list(drawn(points=points(metrics([2.0, 1.0]))).iter(f"{SVG}circle"))


def test_svg_labels():
    texts = [text.text for text in drawn().iter(f"{SVG}text")]
    assert {"training 0.60", "validation 1.50", "Training step", "Loss"} <= set(texts)


def test_svg_labels_do_not_overlap():
    table = metrics([2.0, 1.0], [2.0, 1.001])
    labels = [t for t in drawn(points=points(table)).iter(f"{SVG}text") if "1.00" in t.text]
    assert len(labels) == 2
    assert abs(float(labels[0].get("y")) - float(labels[1].get("y"))) >= 17.9


def test_svg_before_the_first_step():
    svg = drawn(points=[])
    assert svg.get("aria-label") == "Line chart: Loss. No loss has been measured yet."
    assert not list(svg.iter(f"{SVG}polyline"))


def test_svg_of_a_long_job_stays_small_and_ends_at_its_end():
    table = metrics([5 - i / 3_000 for i in range(10_000)])
    svg = charts.loss_curve_svg(points(table), "Loss")
    assert len(svg) < 20_000
    thin = charts._thinned(table.set_index("step")["train_loss"], 300)
    assert len(thin) <= 300 and thin[-1][0] == 10_000


def test_svg_escapes_what_comes_from_outside():
    svg = charts.loss_curve_svg([], "<script>")
    assert "<script" not in svg


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 4.1, [0, 2, 4, 6]),
        (0, 1, [0, 0.25, 0.5, 0.75, 1]),
        (0, 330, [0, 100, 200, 300, 400]),
        (-1, 1, [-1, -0.5, 0, 0.5, 1]),
        (0, 0, [0, 1]),
    ],
)
def test_ticks(low, high, expected):
    assert charts._ticks(low, high) == expected


# --- colours ---------------------------------------------------------------------------------------------

SHARES = pandas.DataFrame(
    {"passed": [5], "asked": [10], "share": [0.5], "low": [0.2], "high": [0.8]}, index=["form"]
)


def test_one_colour_means_one_thing_in_every_chart():
    raw, train, valid, _ = charts.loss_curve(OVERFIT, "T").figure.axes[0].lines
    assert (train.get_color(), valid.get_color()) == (palette.TRAINING, palette.VALIDATION)
    now, tuned, _ = charts.break_even(WAYS, "T").figure.axes[0].lines
    assert (now.get_color(), tuned.get_color()) == (palette.UNTUNED, palette.TUNED)
    ways = {"base": SHARES, "tuned": SHARES, "untuned": SHARES}
    lines = shares.share_chart(ways, "T").figure.axes[0].lines
    assert [line.get_color() for line in lines[::2]] == [palette.UNTUNED, palette.TUNED, palette.UNTUNED]
    dots = lines[1::2]
    assert dots[0].get_marker() != dots[1].get_marker() and dots[0].get_marker() == dots[2].get_marker()
    kinds = shares.share_chart({"trained": SHARES, "new": SHARES}, "T").figure.axes[0].lines
    assert {line.get_color() for line in kinds} == {palette.INK}


def test_lines_of_checks_differ_by_stroke_and_mark():
    grown = pandas.DataFrame({"rows": [10, 20], "seed": [0, 0], "form": [0.5, 1], "desk": [0.1, 0.2]})
    lines = shares.size_curve(grown, "T", ["form", "desk"]).figure.axes[0].lines
    assert {line.get_color() for line in lines} == {palette.TUNED}
    assert (
        lines[0].get_linestyle() != lines[2].get_linestyle()
        and lines[1].get_marker() != lines[3].get_marker()
    )


# --- break-even ------------------------------------------------------------------------------------------

CALLS = "Calls a month"
WAYS = [
    {CALLS: 0, "As now": 0.0, "Tuned": 50.0},
    {CALLS: 100, "As now": 10.0, "Tuned": 55.0},
    {CALLS: 2_000, "As now": 200.0, "Tuned": 150.0},
]
APART = [{CALLS: 0, "As now": 0.0, "Tuned": 50.0}, {CALLS: 2_000, "As now": 100.0, "Tuned": 150.0}]


def test_break_even_says_where_the_lines_cross():
    assert charts.break_even(WAYS, "A year").alt == (
        "Line chart: A year. As now: $0.00 at 0 calls a month, $200.00 at 2,000; Tuned: $50.00 at 0 calls a month, "
        "$150.00 at 2,000. They cross at 1,000 calls a month, $100.00."
    )
    assert charts.break_even(APART, "A year").alt.endswith("The lines do not cross.")


def test_break_even_draws_both_lines_and_circles_the_crossing():
    axes = charts.break_even(WAYS, "A year").figure.axes[0]
    now, tuned, circle = axes.lines
    assert now.get_xdata().tolist() == [0, 100, 2_000] and now.get_ydata().tolist() == [0, 10, 200]
    assert tuned.get_ydata().tolist() == [50, 55, 150]
    assert (list(circle.get_xdata()), list(circle.get_ydata())) == ([1_000], [100])
    assert {now.get_linestyle(), tuned.get_linestyle()} == {"--", "-"}
    assert now.get_marker() != tuned.get_marker() and now.get_color() != tuned.get_color()
    assert (axes.get_xlabel(), axes.get_ylabel()) == (CALLS, "US dollars")
    assert {text.get_text() for text in axes.texts} == {"As now", "Tuned"}
    assert len(charts.break_even(APART, "A year").figure.axes[0].lines) == 2


def test_break_even_svg_says_and_draws_the_same():
    svg = ElementTree.fromstring(charts.break_even_svg(WAYS, "A year"))
    assert svg.get("aria-label") == charts.break_even(WAYS, "A year").alt
    assert [len(line.get("points").split()) for line in svg.iter(f"{SVG}polyline")] == [3, 3]
    assert {"As now", "Tuned", CALLS, "US dollars", "A year", "2k"} <= {
        t.text for t in svg.iter(f"{SVG}text")
    }
    (circle,) = svg.iter(f"{SVG}circle")
    middle = charts.LEFT + (charts.WIDTH - charts.LEFT - charts.RIGHT) / 2
    assert float(circle.get("cx")) == pytest.approx(middle, abs=0.1)
    assert not list(ElementTree.fromstring(charts.break_even_svg(APART, "T")).iter(f"{SVG}circle"))


def test_the_readers_own_place_is_marked_and_named_and_the_axis_ends_with_the_data():
    chart = charts.break_even(WAYS, "A year", here=100)
    axes = chart.figure.axes[0]
    assert axes.get_xlim() == (0, 2_000)
    assert list(axes.lines[-1].get_xdata()) == [100, 100]
    assert {text.get_text() for text in axes.texts} == {"As now", "Tuned", "yours: 100"}
    assert ". Marked as yours: 100 calls a month. They cross at 1,000" in chart.alt
    svg = ElementTree.fromstring(charts.break_even_svg(WAYS, "A year", here=100))
    assert svg.get("aria-label") == chart.alt
    (name,) = [text for text in svg.iter(f"{SVG}text") if text.text == "yours: 100"]
    width = charts.WIDTH - charts.LEFT - charts.RIGHT
    assert float(name.get("x")) == pytest.approx(charts.LEFT + 0.05 * width + 6, abs=0.1)
    assert name.get("text-anchor") == "start"
    late = ElementTree.fromstring(charts.break_even_svg(WAYS, "A year", here=1_900))
    assert "end" in [t.get("text-anchor") for t in late.iter(f"{SVG}text") if t.text == "yours: 1,900"]


def test_a_crossing_outside_of_the_chart_is_said_and_not_drawn():
    near = WAYS[:2]  # the axis ends at 100 calls, the lines cross at 1,000
    chart = charts.break_even(near, "A year", here=50)
    assert chart.alt.endswith("They cross at 1,000 calls a month, $100.00, to the right of this chart.")
    assert len(chart.figure.axes[0].lines) == 3  # both ways and the mark, no circle
    svg = ElementTree.fromstring(charts.break_even_svg(near, "A year", here=50))
    assert not list(svg.iter(f"{SVG}circle")) and svg.get("aria-label") == chart.alt


def test_break_even_of_nothing():
    flat = [{CALLS: 0, "As now": 0.0, "Tuned": 0.0}, {CALLS: 2, "As now": 0.0, "Tuned": 0.0}]
    assert "The lines do not cross." in charts.break_even(flat, "T").alt
    assert "<svg" in charts.break_even_svg(flat, "T")


@pytest.mark.parametrize(
    ("number", "short"), [(0, "0"), (2.5, "2.5"), (999, "999"), (1_500, "1.5k"), (2e6, "2M")]
)
def test_numbers_of_an_axis(number, short):
    assert charts._short(number) == short


def test_what_every_lesson_imports_loads_nothing_heavy():
    code = """import sys
from helpers import charts, jobs, widgets
heavy = {"pandas", "matplotlib", "PIL", "openai"} & set(sys.modules)
assert not heavy, heavy"""
    subprocess.run([sys.executable, "-c", code], check=True)
