"""The lessons in other languages: nothing of them drifts from the English ones, and the machinery that sees to it."""

import json
import re
from urllib.parse import unquote

import nbformat
import polib
import pytest

from helpers import language, mine, teach
from tests.notebooks import frame, refresh
from workshop import editions
from workshop.editions import Message, Part

# How many texts of a list wait for somebody who writes the language. A list that is not named here waits for none.
WAITING: dict[str, int] = {}
EDITIONS = editions.editions()
LISTS = [(edition.language, name) for edition in EDITIONS for name in editions.names(edition.language)]
MADE = [(edition, name) for edition in EDITIONS for name in edition.lessons()]
FIELD = re.compile(r"\{[\w.]*(?::[^}]*)?\}")
CODE_SPAN = re.compile(r"`[^`\n]+`")


def called(value: object) -> str:
    return getattr(value, "language", value)


# --- what is there -----------------------------------------------------------------------------------------


def test_the_russian_edition_has_the_first_lessons_and_the_readme():
    edition = next(edition for edition in EDITIONS if edition.language == "ru")
    first = [path.stem for path in refresh.lessons() if path.name < "06"]
    assert edition.lessons()[:6] == first and editions.README in editions.names("ru")


@pytest.mark.parametrize(("lang", "name"), LISTS)
def test_nothing_is_untranslated_stale_or_orphaned(lang, name):
    found = editions.drift(lang, name)
    assert found.orphaned == [], "python -m workshop.editions"
    assert len(found.untranslated) + len(found.stale) == WAITING.get(f"{lang}/{name}", 0), found


@pytest.mark.parametrize(("lang", "name"), LISTS)
def test_a_list_is_in_the_order_of_its_sources_with_their_places(lang, name):
    old = editions.catalog(lang, name)
    assert str(editions.merged(old, editions.messages(name), {})) == str(old), "python -m workshop.editions"


@pytest.mark.parametrize(("edition", "name"), MADE, ids=called)
def test_a_lesson_is_what_the_command_makes_of_list_and_english_lesson(edition, name):
    assert refresh.as_text(edition.in_standard_form(name)) == edition.path(name).read_text(encoding="utf-8")
    assert frame.problems_of_any_notebook(refresh.read(edition.path(name)), edition.path(name)) == []


@pytest.mark.parametrize(("edition", "name"), MADE, ids=called)
def test_a_lesson_has_the_cells_and_the_code_of_the_english_one(edition, name):
    english, made = editions.lesson(name).cells, refresh.read(edition.path(name)).cells
    assert [cell.id for cell in made] == [cell.id for cell in english]
    code = [cell.source for cell in made if cell.cell_type == "code"]
    wanted = [cell.source for cell in english if cell.cell_type == "code"]
    assert [text.replace("../../", "../") for text in code] == wanted


@pytest.mark.parametrize("edition", EDITIONS, ids=called)
def test_readme_and_texts_are_what_the_command_makes(edition):
    assert edition.readme() == (edition.folder / "README.md").read_text(encoding="utf-8")
    file = language.TEXTS / f"{edition.language}.json"
    assert json.loads(file.read_text(encoding="utf-8")) == edition.texts()


@pytest.mark.parametrize("edition", EDITIONS, ids=called)
def test_the_folder_holds_nothing_else(edition):
    made = {edition.path(name).name for name in edition.lessons()} | {"README.md"}
    assert {path.name for path in edition.folder.iterdir() if path.is_file()} == made


@pytest.mark.parametrize("edition", EDITIONS, ids=called)
def test_every_link_of_the_readme_leads_somewhere(edition):
    page = edition.readme()
    anchors = {
        re.sub(r"[^\w -]", "", name).strip().lower().replace(" ", "-")
        for name in re.findall(r"^#+ (.+)", page, re.M)
    }
    links = editions.LINK.findall(page)
    assert links and [target for _, target, _ in links if not (edition.folder / target).exists()] == []
    assert {unquote(link) for link in re.findall(r"\]\(#([^)]+)\)", page)} <= anchors


@pytest.mark.parametrize(("lang", "name"), LISTS)
def test_a_translation_keeps_fields_code_and_links(lang, name):
    for text, said in editions.translations(lang, name).items():
        assert sorted(FIELD.findall(said)) == sorted(FIELD.findall(text)), said
        assert {target for _, target, _ in editions.LINK.findall(said)} == {
            target for _, target, _ in editions.LINK.findall(text)
        }, said
        assert set(CODE_SPAN.findall(text)) <= set(CODE_SPAN.findall(said)), said


# --- the machinery -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", [*refresh.notebooks(), refresh.ROOT / "README.md"], ids=lambda path: path.stem
)
def test_a_text_taken_apart_and_joined_is_the_same(path):
    texts = [path.read_text(encoding="utf-8").strip()]
    if path.suffix == ".ipynb":
        texts = [cell.source for cell in refresh.read(path).cells if cell.cell_type == "markdown"]
    assert [editions.joined(editions.parts(text)) for text in texts] == texts


def test_pieces_are_paragraphs_rows_and_whole_fences():
    text = "One\ntwo\n\n| a |\n| --- |\n| b |\n\n```python\n1\n\n2\n```\n\nThe end."
    assert editions.parts(text) == [
        Part("One\ntwo"),
        Part("| a |", "\n"),
        Part("| --- |", "\n"),
        Part("| b |"),
        Part("```python\n1\n\n2\n```"),
        Part("The end."),
    ]


@pytest.mark.parametrize(
    ("text", "is_text"),
    [
        ("Words", True),
        ("```\na formula\n```", True),
        ("<details><summary>Solution</summary>", True),
        ("```python\nx = 1\n```", False),
        ("| --- | --- |", False),
        ("</details>", False),
        ("---", False),
    ],
)
def test_what_there_is_to_translate(text, is_text):
    assert editions.is_text(text) is is_text


def listed(texts: dict[str, str]) -> polib.POFile:
    """A list of texts with their translations."""
    made = polib.POFile()
    made.extend(polib.POEntry(msgid=text, msgstr=said) for text, said in texts.items())
    return made


def states(catalog: polib.POFile) -> dict[str, tuple]:
    return {entry.msgid: (entry.msgstr, entry.fuzzy) for entry in catalog}


def test_a_changed_text_becomes_stale_a_new_one_untranslated_and_a_lost_one_goes():
    old = listed({"Press the green button.": "Нажмите зелёную.", "Same.": "То же.", "Lost and gone.": "Нет."})
    wanted = ["Press the red button.", "Same.", "Known elsewhere.", "Something new 123."]
    new = editions.merged(old, [Message(text, "cell") for text in wanted], {"Known elsewhere.": "Уже было."})
    assert states(new) == {
        "Press the red button.": ("Нажмите зелёную.", True),
        "Same.": ("То же.", False),
        "Known elsewhere.": ("Уже было.", False),
        "Something new 123.": ("", False),
    }
    assert new[0].previous_msgid == "Press the green button."
    again = editions.merged(new, [Message(text, "cell") for text in wanted], {})
    assert str(again) == str(new)  # what is stale stays so until somebody has looked at it


def test_a_text_that_stands_twice_is_one_entry_with_both_places():
    new = editions.merged(
        listed({}), [Message("Run it.", "a"), Message("Run it.", "b"), Message("Run it.", "a")], {}
    )
    assert [entry.occurrences for entry in new] == [[("a", ""), ("b", "")]]


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course of two lessons, the first of them in Russian, all of it translated."""
    for name in ("notebooks", "locale/ru", "texts", "helpers", "data/quizzes"):
        (tmp_path / name).mkdir(parents=True)
    folders = {
        "ROOT": "",
        "NOTEBOOKS": "notebooks",
        "LOCALE": "locale",
        "TEXTS": "texts",
        "HELPERS": "helpers",
    }
    for name, place in folders.items():
        monkeypatch.setattr(editions, name, tmp_path / place)
    write_lesson(
        tmp_path,
        "00_start",
        "# Start\n\nSee [the next](01_next.ipynb), [it](00_start.ipynb).\n\n| a |\n| --- |\n| b |",
    )
    write_lesson(tmp_path, "01_next", "# Next")
    (tmp_path / "data/quizzes/00.toml").write_text(
        '[[question]]\nask = "Why?"\nheading = "Start"\n', encoding="utf-8"
    )
    (tmp_path / "helpers/talk.py").write_text(
        'A = {"x": "Yes."}\nsaid("No.")\nsaid(A["x"])\n', encoding="utf-8"
    )
    (tmp_path / "README.md").write_text("# Course", encoding="utf-8")
    texts = {
        "# Start": "# Начало",
        "See [the next](01_next.ipynb), [it](00_start.ipynb).": "См. [дальше](01_next.ipynb), [его](00_start.ipynb).",
        "| a |": "| а |",
        "| b |": "| б |",
        "Why?": "Почему?",
    }
    save(tmp_path, "00_start", texts)
    save(
        tmp_path,
        editions.INTERFACE,
        {"in English": "по-английски", "Not translated yet:": "Пока так:", "Yes.": "Да."},
    )
    editions.update_all("ru")
    return tmp_path


def write_lesson(course, name: str, text: str) -> None:
    cells = [
        nbformat.v4.new_markdown_cell(text, id="text"),
        nbformat.v4.new_code_cell('open("../data/x")', id="code"),
    ]
    cells[1].outputs = [nbformat.v4.new_output("stream", text="read ../data/x\n")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), course / "notebooks" / f"{name}.ipynb")


def save(course, name: str, texts: dict[str, str]) -> None:
    listed(texts).save(str(course / "locale" / "ru" / f"{name}.po"))


def source(course) -> str:
    return refresh.read(course / "notebooks" / "ru" / "00_start.ipynb").cells[0].source


def test_a_lesson_is_made_with_links_paths_and_outputs_of_its_folder(course):
    (edition,) = editions.editions()
    edition.write()
    made = refresh.read(edition.path("00_start"))
    links = "См. [дальше](../01_next.ipynb) (по-английски), [его](00_start.ipynb)."
    assert made.cells[0].source == f"# Начало\n\n{links}\n\n| а |\n| --- |\n| б |"
    assert made.cells[1].source == 'open("../../data/x")'
    assert made.cells[1].outputs[0].text == "read ../../data/x\n"
    texts = json.loads((course / "texts" / "ru.json").read_text(encoding="utf-8"))
    assert texts == {"Start": "Начало", "Why?": "Почему?", "Yes.": "Да."}
    assert edition.write() == []


def test_what_is_stale_is_shown_in_english_and_marked(course):
    write_lesson(
        course,
        "00_start",
        "# Start\n\nSee [the next](01_next.ipynb), [it](00_start.ipynb)!\n\n| a |\n| --- |\n| c |",
    )
    editions.main([], say=lambda text: None)
    english = "See [the next](../01_next.ipynb) (по-английски), [it](00_start.ipynb)!"
    table = "| а |\n| --- |\n| c *(по-английски)* |"
    assert source(course) == f"# Начало\n\n*Пока так:*\n\n{english}\n\n{table}"
    found = editions.drift("ru", "00_start")
    assert [len(texts) for texts in (found.untranslated, found.stale, found.orphaned)] == [0, 2, 0]


def test_before_the_command_has_run_a_change_shows_as_drift(course):
    write_lesson(course, "00_start", "# Begin\n\n| a |")
    found = editions.drift("ru", "00_start")
    assert found.untranslated == ["# Begin"] and "# Start" in found.orphaned
    said = []
    assert editions.main(["--report"], say=said.append) == 0
    assert "ru/00_start: 3 texts, 1 not translated, 0 stale, 3 orphaned" in said[0]


def test_an_output_that_was_made_in_the_edition_stays_while_the_code_does(course):
    (edition,) = editions.editions()
    edition.write()
    made = refresh.read(edition.path("00_start"))
    made.cells[1].outputs[0].text = "прочитано"
    assert edition.notebook("00_start", made).cells[1].outputs[0].text == "прочитано"
    made.cells[1].source = "other()"
    assert edition.notebook("00_start", made).cells[1].outputs[0].text == "read ../../data/x\n"


def test_a_new_lesson_is_begun_and_a_wrong_number_refused(course, capsys):
    editions.main(["ru", "01"], say=lambda text: None)
    assert [edition.lessons() for edition in editions.editions()] == [["00_start", "01_next"]]
    with pytest.raises(SystemExit):
        editions.main(["ru", "07"])
    assert "there is no lesson 07" in capsys.readouterr().err


# --- the language of what runs -----------------------------------------------------------------------------


def test_texts_are_in_the_language_of_the_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_MY", str(tmp_path / "my"))
    monkeypatch.chdir(refresh.NOTEBOOKS)
    assert language.said("Right. ") == "Right. " and "1. What does fine-tuning do" in repr(
        teach.quiz("concepts")
    )
    monkeypatch.chdir(refresh.NOTEBOOKS / "ru")
    assert language.said("Right. ") == "Верно. " and language.said("Unknown.") == "Unknown."
    quiz = teach.quiz("concepts")
    assert "1. Что дообучение делает с моделью?" in repr(quiz)
    assert repr(quiz).count("   Об этом в уроке 00 в разделе «Три шага».") == 1
    right = [
        [option.get("right", False) for option in question["options"]].index(True)
        for question in quiz.questions
    ]
    for choice, place in zip(quiz._choices, right, strict=True):
        choice.index = place
    quiz._say()
    assert (
        "Верно.</strong> Продолжение обучения" in quiz._said[0].value and "Верно: 6 из 6." in quiz._sum.value
    )
    kept = json.loads((mine.folder() / "first_answers_concepts.json").read_text(encoding="utf-8"))
    assert kept[0].startswith(
        "It trains a model"
    )  # in English: lesson 10, which is not translated, compares with it


def test_a_check_speaks_the_language_of_the_folder(monkeypatch, capsys):
    monkeypatch.chdir(refresh.NOTEBOOKS / "ru")
    teach.check("04-read-curves", {"A": "too long", "B": "", "C": ""})
    assert capsys.readouterr().out.startswith("Пока нет. Диагноза ещё нет: B, C.")


def test_in_another_folder_with_the_name_of_an_edition_it_is_english(tmp_path, monkeypatch):
    (tmp_path / "ru").mkdir()
    monkeypatch.chdir(tmp_path / "ru")
    assert language.said("Right. ") == "Right. "
