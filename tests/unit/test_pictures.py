"""The drawn pictures: files and lessons agree with the code, all words can be read, the tree keeps to the rules."""

import itertools
import re
import xml.etree.ElementTree as ElementTree
from functools import cache
from pathlib import Path

import matplotlib
import pandas
import pytest
from PIL import ImageFont

from helpers import decide
from helpers.charts import pictures
from helpers.charts.pictures import cures, svg, tree, way
from tests.notebooks import refresh

SVG = "{http://www.w3.org/2000/svg}"
FOLDER = refresh.NOTEBOOKS / "pictures"
FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"  # DejaVu Sans: wider than most
NAMES = sorted(pictures.pictures())
ENOUGH = 4.5


def root(name: str) -> ElementTree.Element:
    return ElementTree.fromstring(pictures.pictures()[name].svg)


# --- files and lessons -----------------------------------------------------------------------------------


def test_the_files_are_those_of_the_code():
    files = {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.svg")}
    assert files == {name: picture.svg for name, picture in pictures.pictures().items()}, "run refresh"


def test_writing_touches_only_what_differs(tmp_path):
    pictures.write(tmp_path / "new")
    files = sorted((tmp_path / "new").iterdir())
    assert [file.stem for file in files] == NAMES
    files[0].write_text("old", encoding="utf-8")
    before = files[1].stat().st_mtime_ns
    pictures.write(tmp_path / "new")
    assert files[0].read_text(encoding="utf-8") == pictures.pictures()[NAMES[0]].svg
    assert files[1].stat().st_mtime_ns == before


@pytest.mark.parametrize("path", refresh.notebooks(), ids=lambda path: path.stem)
def test_alt_texts_in_the_lessons_are_those_of_the_code(path):
    for cell in refresh.read(path).cells:
        assert pictures.with_alt_texts(cell.source) == cell.source, "run refresh"
        for name in re.findall(r"\(pictures/([^)]+)\)", cell.source):
            assert (FOLDER / name).exists()


@pytest.mark.parametrize("path", refresh.lessons(), ids=lambda path: path.stem)
def test_every_lesson_says_where_on_the_way_it_is(path):
    head = refresh.read(path).cells[1]
    assert pictures.in_markdown(f"way_{path.stem[:2]}") in head.source


def test_alt_texts_are_filled_in_and_brought_up_to_date():
    lora = pictures.in_markdown("lora")
    assert (
        pictures.with_alt_texts("See ![](pictures/lora.svg), ![old](pictures/lora.svg).")
        == f"See {lora}, {lora}."
    )
    assert pictures.with_alt_texts("![a chart](chart.png)") == "![a chart](chart.png)"
    with pytest.raises(KeyError):
        pictures.with_alt_texts("![](pictures/nothing.svg)")


# --- what can be read ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_has_a_title_a_white_ground_and_its_alt_text(name):
    drawn = root(name)
    width, height = drawn.get("width"), drawn.get("height")
    assert drawn.get("viewBox") == f"0 0 {width} {height}" and int(width) <= 900
    ground = next(drawn.iter(f"{SVG}rect"))
    assert (ground.get("width"), ground.get("height"), ground.get("fill")) == (width, height, "#FFFFFF")
    alt = pictures.pictures()[name].alt
    assert drawn.find(f"{SVG}title").text and drawn.find(f"{SVG}desc").text == alt
    assert not re.search(r"[\[\]\n<]", alt)


@cache
def font(size: int, is_bold: bool) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(FONTS / f"DejaVuSans{'-Bold' if is_bold else ''}.ttf", size)


def place(text: ElementTree.Element) -> tuple[float, float, float, float]:
    """Left, top, right and foot of a text."""
    size = int(text.get("font-size"))
    width = font(size, text.get("font-weight") == "bold").getlength(text.text or "")
    left = float(text.get("x")) - width * {"start": 0, "middle": 0.5, "end": 1}[text.get("text-anchor")]
    foot = float(text.get("y"))
    return left, foot - 0.75 * size, left + width, foot + 0.22 * size


def rectangles(drawn: ElementTree.Element) -> list[tuple[float, float, float, float, str]]:
    """Left, top, right, foot and fill of each box, in the order of drawing."""
    found = []
    for rect in drawn.iter(f"{SVG}rect"):
        x, y, width, height = (float(rect.get(name, 0)) for name in ("x", "y", "width", "height"))
        found.append((x, y, x + width, y + height, rect.get("fill")))
    return found


def under(drawn: ElementTree.Element, left: float, top: float, right: float, foot: float) -> tuple:
    """The uppermost box under the middle of a text."""
    middle, level = (left + right) / 2, (top + foot) / 2
    boxes = rectangles(drawn)
    return [box for box in boxes if box[0] <= middle <= box[2] and box[1] <= level <= box[3]][-1]


@pytest.mark.parametrize("name", NAMES)
def test_no_words_leave_their_box_or_lie_on_others(name):
    drawn = root(name)
    places = [(place(text), text.text) for text in drawn.iter(f"{SVG}text")]
    for (one, words), (other, others) in itertools.combinations(places, 2):
        is_apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
        assert is_apart, (words, others)
    for (left, top, right, foot), words in places:
        box = under(drawn, left, top, right, foot)
        assert box[0] + 3 <= left and right <= box[2] - 3 and box[1] <= top and foot <= box[3], words


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("name", NAMES)
def test_words_stand_out_from_their_ground(name):
    drawn = root(name)
    for text in drawn.iter(f"{SVG}text"):
        darker, lighter = sorted(map(luminance, (text.get("fill"), under(drawn, *place(text))[4])))
        assert (lighter + 0.05) / (darker + 0.05) >= ENOUGH, text.text


# --- the way ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("station", way.STATIONS, ids=lambda station: station.key)
def test_the_station_is_marked_by_words_edge_and_ground(station):
    drawn = root(f"way_{station.key}")
    (words,) = [text for text in drawn.iter(f"{SVG}text") if text.text == way.MARK]
    assert station.x <= float(words.get("x")) <= station.x + station.width
    (marked,) = [rect for rect in drawn.iter(f"{SVG}rect") if rect.get("stroke-width") == "4"]
    assert (float(marked.get("x")), float(marked.get("y"))) == (station.x, station.y)
    assert marked.get("fill") == svg.HERE
    assert pictures.pictures()[f"way_{station.key}"].alt.startswith("You are here: ")


def test_every_lesson_is_a_station():
    assert {path.stem[:2] for path in refresh.lessons()} <= {station.key for station in way.STATIONS}


# --- the tree --------------------------------------------------------------------------------------------


def every_case() -> list[dict[str, str]]:
    """All answers to all questions. The first five decide alone, so each of them is varied by itself."""
    questions = decide.questions()
    first = list(questions)[:5]
    safe = {"simple": "no", "computed": "no", "danger": "no", "keeper": "yes", "evaluation": "yes"}
    assert list(safe) == first
    others = [name for name in questions if name not in first]
    rest = [
        dict(zip(others, said, strict=True))
        for said in itertools.product(*(questions[o].options for o in others))
    ]
    early = [
        dict(zip(first, said, strict=True))
        for said in itertools.product(*(questions[f].options for f in first))
    ]
    return [safe | one for one in rest] + [one | rest[0] for one in early] + [one | rest[-1] for one in early]


def test_the_tree_ends_where_the_rules_end():
    rules = decide.rules()

    def ruled(answers: dict[str, str]) -> str:
        return next(
            r.answer for r in rules if all(answers[name] in options for name, options in r.when.items())
        )

    reached = {}
    for answers in every_case():
        leaf = tree.walk(answers)
        assert ruled(answers) in leaf.answers, (answers, leaf.lines)
        reached.setdefault(leaf.lines, set()).add(ruled(answers))
    leaves = [
        end
        for question in tree.QUESTIONS.values()
        for end in (question.yes, question.no)
        if not isinstance(end, int)
    ]
    assert reached == {
        leaf.lines: set(leaf.answers) for leaf in leaves
    }  # no end promises more than the rules give
    assert set().union(*reached.values()) == {rule.answer for rule in rules}


def test_the_alt_text_of_the_tree_says_every_question_and_end():
    alt = pictures.pictures()["tree"].alt
    for number, question in tree.QUESTIONS.items():
        assert f"{number}. {' '.join(question.lines)} Yes: " in alt
    assert "Yes: Tune and retrieve. No: Tune." in alt


# --- the others ------------------------------------------------------------------------------------------


def test_lora_counts_what_lesson_09_counts():
    matrices = pandas.read_csv(refresh.ROOT / "data" / "recorded" / "matrices.csv", index_col="matrix")
    whole = (matrices["rows"] * matrices["columns"] * matrices["count"]).sum()
    thin = (matrices["rank"] * (matrices["rows"] + matrices["columns"]) * matrices["count"]).sum()
    alt = pictures.pictures()["lora"].alt
    assert f"{whole:,} numbers frozen, {thin:,} trained ({thin / whole:.1%})" in alt
    assert "W, 576 by 576, 331,776 numbers" in alt and "9,216 numbers, 2.8% of those of W" in alt


def test_the_thin_matrices_are_drawn_to_scale():
    w, b, a = [box for box in rectangles(root("lora"))[1:]]
    assert (b[2] - b[0]) / (w[2] - w[0]) == pytest.approx(8 / 576, rel=0.01)
    assert (a[3] - a[1]) / (w[3] - w[1]) == pytest.approx(8 / 576, rel=0.01)


def test_cures_say_what_is_seen_meant_and_tried():
    assert len(cures.SYMPTOMS) == 5
    shown = {text.text for text in root("cures").iter(f"{SVG}text")}
    alt = pictures.pictures()["cures"].alt
    for symptom in cures.SYMPTOMS:
        assert {*symptom.see, *symptom.means, *symptom.cure} <= shown
        assert (
            f"{' '.join(symptom.see)} It means: {' '.join(symptom.means)} Try: {' '.join(symptom.cure)}"
            in alt
        )


def test_the_sketches_show_what_the_words_say():
    falls, turns, jumps, flat, memorised = cures.SYMPTOMS
    early, late = 0.4, 1.0
    assert falls.training(late) < falls.training(early) and falls.validation(late) < falls.validation(early)
    assert turns.training(late) < turns.training(early) and turns.validation(late) > turns.validation(early)
    assert jumps.training(late) > jumps.training(0)
    assert (
        abs(flat.training(late) - flat.training(0)) < 0.05 > abs(flat.validation(late) - flat.validation(0))
    )
    assert memorised.training(late) < 0.05 and memorised.validation(late) > 0.6
    for curve in (curve for one in cures.SYMPTOMS for curve in (one.training, one.validation)):
        assert all(0 <= curve(step / 40) <= 1 for step in range(41))
