"""The instructor's kit: guides, agendas and links fit the lessons; what is made from them is whole, and offline."""

import re

import nbformat
import pytest

from tests.agendas import AGENDAS, LENGTHS, LESSONS, lesson, rows, sections
from tests.notebooks import frame, refresh
from workshop import __main__ as kit
from workshop import guide, minutes, pieces, sheets, slides

KIT = refresh.ROOT / "workshop"
PAGES = sorted(KIT.rglob("*.md"))
MINUTES_A_QUESTION = 10
MOST_WORDS = 600  # of a page


def text_of(number: str) -> str:
    return (guide.FOLDER / f"{number}.md").read_text(encoding="utf-8")


# --- guides ------------------------------------------------------------------------------------------------


def test_each_lesson_has_a_guide():
    assert {path.stem for path in guide.FOLDER.glob("*.md")} == set(LESSONS)


@pytest.mark.parametrize("number", LESSONS)
def test_a_guide_is_one_page_with_its_parts_and_the_minutes_of_the_lesson(number):
    text = text_of(number)
    assert minutes.guide_line(minutes.own_cells(lesson(number))) in text, "PY -m workshop.minutes"
    assert len(text.split()) <= MOST_WORDS
    parts = ["What you can see at the end", "Ask", "If you are late", "What breaks, and what to say"]
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == parts


@pytest.mark.parametrize("number", LESSONS)
def test_a_question_every_ten_minutes_each_after_a_heading_of_the_lesson(number):
    asked = guide.questions(number)
    headings = [name for _, name in frame.headings(lesson(number))]
    assert [name for name in headings if name in asked] == list(asked)  # all there, and in order
    teaching = minutes.estimate(minutes.own_cells(lesson(number))).teaching
    assert len(asked) >= round(teaching / MINUTES_A_QUESTION)
    for text in asked.values():
        wrong = re.findall(r"^- .+: .+$", text, re.MULTILINE)
        assert text.startswith("**Ask:** ") and len(wrong) >= 2 and text.count("\n\n**Right:** ") == 1, text


@pytest.mark.parametrize("number", LESSONS)
def test_what_a_guide_says_to_skip_is_there(number):
    late = text_of(number).split("## If you are late\n")[1].split("\n## ")[0]
    headings = " ".join(name for _, name in frame.headings(lesson(number)))
    for name in re.findall(r'"(.+?)"', late):
        assert name.lower() in headings.lower(), name


def test_the_minutes_of_a_guide_are_renewed_when_its_lesson_is(tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "workshop" / "guides").mkdir(parents=True)
    written = tmp_path / "workshop" / "guides" / "03.md"
    written.write_text("# Guide\n\nTeaching: 0 minutes.\n\nTeaching: stays.\n", encoding="utf-8")
    text = pieces.markdown("# Title\n\n" + "word " * 358 + "\n\n### Exercise: one")
    cells = [text, nbformat.v4.new_code_cell("1"), nbformat.v4.new_code_cell("2")]
    path = tmp_path / "notebooks" / "03_upload.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    minutes.renew_guide(path)
    line = "Teaching: 4 minutes. Exercises: 6 minutes. (The lesson's own estimate.)"
    assert written.read_text(encoding="utf-8") == f"# Guide\n\n{line}\n\nTeaching: stays.\n"


# --- agendas -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("agenda", AGENDAS, ids=LENGTHS)
def test_an_agenda_is_filled_and_each_part_has_its_minutes(agenda):
    table = rows(agenda)
    length = next(length for name, length in LENGTHS.items() if agenda.startswith(name))
    assert [row[0] for row in table] == [0, *(row[1] for row in table[:-1])] and table[-1][1] == length
    for start, end, number, headings in table:
        if number:
            taught = [piece for name in headings for piece in sections(number)[name]]
            found = minutes.estimate(taught)
            assert found.words / minutes.WORDS_A_MINUTE + found.doing <= end - start, (number, headings)


@pytest.mark.parametrize("agenda", AGENDAS, ids=LENGTHS)
def test_what_an_agenda_leaves_out_is_not_needed_later(agenda):
    """Each name that a taught cell uses and the lesson makes is made in a cell that is taught before it."""
    taught = {}
    for _, _, number, headings in rows(agenda):
        taught.setdefault(number, set()).update(headings)
    for number, headings in taught.items():
        at_hand, skipped = set(), {}
        for name, cells in sections(number).items() if number else ():
            for cell in cells:
                if cell.cell_type == "code" and name in headings:
                    lacking = sheets.used(cell.source) & set(skipped) - at_hand
                    assert not lacking, (number, name, {one: skipped[one] for one in lacking})
                    at_hand |= sheets.bound(cell.source)
                elif cell.cell_type == "code":
                    skipped |= dict.fromkeys(sheets.bound(cell.source), name)


# --- pages -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_of_the_kit_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[\w-]+)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_kit_names_each_guide():
    links = re.findall(r"\]\(guides/(\d\d)\.md\)", (KIT / "README.md").read_text(encoding="utf-8"))
    assert links == list(LESSONS)


# --- what is made ------------------------------------------------------------------------------------------


def test_a_sheet_has_no_solution_and_a_solution_has_all():
    path = LESSONS["03"]
    plain, solved = (sheets.sheet(lesson("03"), path.name, solved) for solved in (False, True))
    assert not [cell for cell in plain.cells if "Solution" in cell.source]
    added = [cell.source for cell in solved.cells if cell.source.startswith("# Solution\n")]
    assert (
        len(added) == 3 and 'purpose = "fine-tune"' in added[1] and "<details>" not in nbformat.writes(solved)
    )
    assert "](../notebooks/03_upload.ipynb)" in plain.cells[0].source
    assert all(cell.execution_count is None and not cell.outputs for cell in refresh.code_cells(solved))


def test_a_sheet_takes_of_the_lesson_only_what_its_exercises_need():
    def needed(*sources: str) -> list[str]:
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        task = [pieces.markdown("### Exercise: one"), nbformat.v4.new_code_cell("answer = None")]
        task += [nbformat.v4.new_code_cell('check("03-x", answer, total)')]
        made = sheets.sheet(
            nbformat.v4.new_notebook(cells=[pieces.markdown("# T"), *cells, *task]), "03_x.ipynb", False
        )
        return made.cells[1].source.split("\n\n")[1:]

    assert needed("total = 1", "total = 2", "other = 3") == ["total = 2"]
    assert needed("part = 1", "def total():\n    return part") == [
        "part = 1",
        "def total():\n    return part",
    ]
    assert needed("total = []", "total.append(1)", "print(total)") == ["total = []", "total.append(1)"]
    assert needed("total = {}", "total['a'] = 1") == ["total = {}", "total['a'] = 1"]
    assert needed("file = 1", "with open('x') as file:\n    total = file") == [
        "with open('x') as file:\n    total = file"
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("## Head\n\nOne is `a. B` here. Two is not.", "One is `a. B` here."),
        ("**Say: no.** Never.", "**Say: no.**"),
        ("It is (so. Or so). Yes.", "It is (so. Or so)."),
        ("Three e.g. here, one line.", "Three e.g. here, one line."),
        ("| a | b |\n| --- | --- |\n| 1. Of | 2 |", "| a | b |\n| --- | --- |\n| 1. Of | 2 |"),
        ("- x. Y\n- z\n\n1. x. Y", "- x. Y\n- z\n\n1. x. Y"),
        ("```\na\n\nB. C\n```\n\nD. E", "```\na\n\nB. C\n```\n\nD."),
        ("A. B\n\n<details>\n\nC\n\n</details>", "A."),
    ],
)
def test_slides_show_first_sentences_and_whole_tables(text, shown):
    assert slides.shortened(text) == shown


@pytest.mark.parametrize("number", ["03", "04"])
def test_slides_are_one_file_that_asks_for_nothing_else(number, tmp_path):
    made = {path.name: path.read_text(encoding="utf-8") for path in kit.make(LESSONS[number], tmp_path)}
    assert [name.rpartition("_")[2] for name in made] == ["slides.html", "exercises.ipynb", "solutions.ipynb"]
    page = next(iter(made.values()))
    assert not re.search(r"<link|<iframe|<script[^>]+src|@import|url\(|src=\"(?!data:)", page)
    assert page.count("<h1>") == 1 and "<summary>Solution" not in page
    assert page.count("<section") == page.count("<footer>") > 20
    assert page.count("<details class='notes'>") == len(guide.questions(number)) >= 3


def test_what_is_made_twice_is_the_same(tmp_path):
    (tmp_path / "again").mkdir()
    first, second = (kit.make(LESSONS["03"], folder) for folder in (tmp_path, tmp_path / "again"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_an_unknown_lesson_is_refused(capsys):
    with pytest.raises(SystemExit) as stopped:
        kit.main(["99"])
    assert stopped.value.code == 2
    assert "there is no lesson 99. There are: 00, 01" in capsys.readouterr().err


def test_git_ignores_what_is_made():
    assert f"{kit.HANDOUTS.name}/" in (refresh.ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
