"""dataset.check: each code fires on its planted files and on nothing else; nothing makes it raise."""

import array
import json
import random
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from helpers import dataset, tokens
from helpers.dataset import checker, lines, processes
from helpers.dataset.codes import CODES, SEVERITIES
from helpers.dataset.part import COLUMNS, Settings
from tests import planted

ROOT = Path(__file__).resolve().parents[2]
AIRPORT = ROOT / "data" / "airport"
CLEAN = [*sorted((ROOT / "tests" / "data").glob("*.jsonl")), AIRPORT / "train.jsonl", AIRPORT / "valid.jsonl"]
VARIANTS = 20


def chat(question: str, answer: str) -> dict:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def clean_rows(count: int = 30) -> list[dict]:
    return [chat(question, answer) for question, answer in planted.POOL[:count]]


def check_bytes(tmp_path: Path, data: bytes, **options) -> dataset.Report:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(data)
    return dataset.check(path, **options)


# --- the table of codes --------------------------------------------------------------------------------------


def test_every_code_has_a_severity_a_cure_and_a_source_or_consequence():
    for code in CODES.values():
        assert code.severity in SEVERITIES
        assert code.what and code.mend and code.source
        if code.severity != "error":
            assert "onsequence: " in code.source


def test_every_code_has_a_planted_defect_and_a_file():
    assert planted.PLANTS.keys() == CODES.keys()
    files = {path.name.split(".")[0] for path in planted.FOLDER.glob("*.jsonl")}
    assert files == CODES.keys() - planted.NOT_AS_FILES


# --- planted defects -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", sorted(CODES.keys() - planted.NOT_AS_FILES))
def test_a_code_fires_on_its_planted_file_and_no_other_does(code):
    options = dict(planted.OPTIONS.get(code, {}))
    against = planted.FOLDER / f"{code}.valid.jsonl"
    if against.exists():
        options["against"] = against
    report = dataset.check(planted.FOLDER / f"{code}.jsonl", **options)
    assert report.totals.keys() == {code}


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_code_fires_on_generated_variants_and_no_other_does(code, tmp_path, monkeypatch):
    if code == "file_too_large":
        monkeypatch.setattr(checker, "MAX_BYTES", 1_000)
    options = dict(planted.OPTIONS.get(code, {}))
    for seed in range(1, (3 if code == "image_size" else VARIANTS) + 1):
        if (against := planted.plant_against(code, seed)) is not None:
            options["against"] = tmp_path / "valid.jsonl"
            options["against"].write_bytes(against)
        report = check_bytes(tmp_path, planted.plant(code, seed), **options)
        assert report.totals.keys() == {code}, f"seed {seed}"


@pytest.mark.parametrize("path", CLEAN, ids=lambda path: path.name)
def test_clean_files_give_no_error_and_no_warning(path):
    report = dataset.check(path)
    assert (report.errors, report.warnings) == (0, 0), str(report)


def test_the_airport_validation_file_holds_no_training_row():
    report = dataset.check(AIRPORT / "train.jsonl", against=AIRPORT / "valid.jsonl")
    assert (report.errors, report.warnings) == (0, 0)


def test_a_file_is_its_own_leak():
    report = dataset.check(AIRPORT / "train.jsonl", against=AIRPORT / "train.jsonl")
    assert report.totals["leak"] == 112


# --- single checks, at their borders -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "codes"),
    [
        ({"role": "assistant", "content": "Yes.", "weight": 1}, set()),
        ({"role": "assistant", "content": "Yes.", "weight": 1.0}, set()),
        ({"role": "assistant", "content": "Write to info@example.com."}, set()),
        ({"role": "assistant", "content": "The risk-averse sk-ateboard."}, set()),
        ({"role": "assistant", "content": "Family emoji: 👩‍👩‍👧 and Persian می‌خواهم."}, set()),
        ({"role": "assistant", "content": "Bye bye, very very good."}, set()),
        ({"role": "assistant", "content": "No, no, no!"}, set()),
        ({"role": "assistant", "content": 'He said: "Go to the'}, {"answer_cut_off"}),
        ({"role": "assistant", "content": '{"desk": "Customs", "flo'}, {"answer_cut_off"}),
        ({"role": "assistant", "content": "```python\nprint()"}, {"answer_cut_off"}),
        ({"role": "assistant", "content": "half \ud83d a pair."}, {"half_character"}),
    ],
)
def test_what_counts_and_what_does_not(message, codes):
    rows = [*clean_rows(20), {"messages": [{"role": "user", "content": "And?"}, message]}]
    assert dataset.check(rows).totals.keys() == codes


@pytest.mark.parametrize(
    ("number", "codes"),
    [
        (
            "4111 1111 1111 1111",
            {"personal_data"},
        ),  # the payment industry's test number: its checksum is valid
        ("4111 1111 1111 1112", set()),
        ("1234567890123", set()),
    ],
)
def test_a_card_number_needs_a_valid_checksum(number, codes):
    rows = [*clean_rows(20), chat(f"My card is {number}, what now?", "Please keep it to yourself.")]
    assert dataset.check(rows).totals.keys() == codes


def test_a_misspelt_key_is_reported_once_with_what_was_meant():
    rows = [
        *clean_rows(12),
        {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "contnet": "Hi"}]},
    ]
    (problem,) = dataset.check(rows).problems
    assert problem.code == "missing_content"
    assert problem.where == "message 2: it has 'contnet': did you mean 'content'?"


def test_the_same_question_in_two_conversations_is_no_conflict():
    one, two = clean_rows(2)
    more = [{"role": "user", "content": "Why?"}]
    rows = [*clean_rows(20)]
    rows[0] = {
        "messages": one["messages"] + more + [{"role": "assistant", "content": "It is an old custom."}]
    }
    rows[1] = {"messages": two["messages"] + more + [{"role": "assistant", "content": "Nobody knows it."}]}
    assert dataset.check(rows).totals == {}


def test_a_long_document_with_another_question_is_no_near_duplicate():
    document = " ".join(answer for _, answer in planted.POOL)
    rows = [chat(f"{document}\n\n{question}", answer) for question, answer in planted.POOL]
    assert dataset.check(rows).totals == {}


def test_labels_are_no_dominating_answer_and_no_style():
    rows = [
        chat(question, "Yes" if number % 3 else "No") for number, (question, _) in enumerate(planted.POOL)
    ]
    assert dataset.check(rows).totals == {}


def test_lines_and_columns_are_named(tmp_path):
    rows = dataset.check(AIRPORT / "train.jsonl").rows
    data = (AIRPORT / "train.jsonl").read_bytes().splitlines(keepends=True)
    data[41] = data[41].replace(b'"role": "user"', b'"role" "user"')
    report = check_bytes(tmp_path, b"".join(data))
    (problem,) = [problem for problem in report.problems if problem.severity == "error"]
    assert (report.rows, problem.line, problem.code) == (rows, 42, "not_json")
    column = data[41].decode().index('"role" "user"') + len('"role" ') + 1
    assert f"column {column}" in problem.where


def test_an_object_over_lines_is_one_row_and_its_lines_are_named(tmp_path):
    rows = clean_rows(12)
    data = [json.dumps(row) for row in rows]
    data[4] = json.dumps(rows[4], indent=2)
    report = check_bytes(tmp_path, "\n".join(data).encode())
    (problem,) = report.problems
    assert (problem.line, problem.last_line) == (5, 4 + len(data[4].splitlines()))
    assert report.rows == 12


def test_rows_that_are_lists_are_no_array_over_the_file(tmp_path):
    data = "".join(json.dumps(row["messages"]) + "\n" for row in clean_rows(12))
    assert check_bytes(tmp_path, data.encode()).totals == {"not_object": 12}


def test_at_most_100_examples_are_kept_and_all_are_counted(tmp_path):
    report = check_bytes(tmp_path, b"{\n" * 1_234)
    assert report.totals["not_json"] == 1_234
    assert [problem.line for problem in report.problems] == list(range(1, 101))


def test_models_and_methods():
    rows, pairs = clean_rows(12), [{"prompt": q, "completion": a} for q, a in planted.POOL]
    assert dataset.check(pairs, model="davinci-002").totals == {}
    assert dataset.check(rows, model="davinci-002").totals.keys() == {"wrong_method"}
    assert (
        dataset.check(rows, model="ft:gpt-4.1-mini-2025-04-14:rowan::abc", method="supervised").totals == {}
    )
    with pytest.raises(ValueError, match="supervised"):
        dataset.check(rows, method="sft")


# --- tokens --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["gpt-4.1-mini", "gpt-3.5-turbo"])
@pytest.mark.parametrize("name", ["clean_talk", "clean_tools", "clean_labels", "cooking_train"])
def test_tokens_are_those_of_count_messages(name, model):
    path = ROOT / "tests" / "data" / f"{name}.jsonl"
    report = dataset.check(path, model=model)
    rows = dataset.read(path)
    expected = sum(tokens.count_messages(row["messages"], model, row.get("tools")) for row in rows)
    assert report.tokens == report.kept_tokens == expected
    assert report.exact == (name != "clean_tools")


def test_answer_tokens_and_truncation():
    rows = clean_rows(12)
    report = dataset.check(rows, model="gpt-3.5-turbo")
    assert report.answer_tokens == sum(
        tokens.count(row["messages"][1]["content"], "gpt-3.5-turbo") for row in rows
    )
    long = chat("word " * 5_000, "Yes.")
    report = dataset.check([*rows, long], model="gpt-3.5-turbo-0613")
    cut = tokens.count_messages(long["messages"], "gpt-3.5-turbo-0613") - 4_096
    assert report.tokens - report.kept_tokens == cut
    assert report.totals == {"too_long": 1}


def test_tokens_that_cannot_be_counted_exactly_are_called_estimates(recwarn):
    report = dataset.check(clean_rows(12), model="text-davinci-003")  # its vocabulary is not installed
    assert not report.exact
    assert "about" in report.summary()
    assert not recwarn.list


def test_little_is_kept_of_a_row():
    assert sum(array.array(kind).itemsize for kind in COLUMNS.values()) <= 80


# --- broken data of every kind -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"\0" * 500,
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"messages": ' * 5_000,
        b"[\n" * 5_000,
        b'{"messages": [' + b"[" * 900 + b"]" * 900 + b"]}",
        b'{"a": 1e999, "b": NaN}',
        b'{"a": ' + b"9" * 5_000 + b"}",
        b"\xef\xbb\xbf\xef\xbb\xbf{}",
        b"{}\r{}\r{}",
        random.Random(1).randbytes(3_000),
    ],
    ids=lambda data: repr(data[:15]),
)
def test_whatever_the_bytes_are_there_is_a_report(data, tmp_path):
    report = check_bytes(tmp_path, data)
    assert report.errors
    assert str(report) and report._repr_html_() and json.dumps(report.as_dict())


@pytest.mark.parametrize(
    "row", [None, 5, "text", [], {1, 2}, object(), {"messages": [{"role": {1}}]}, float("nan")]
)
def test_whatever_the_rows_are_there_is_a_report(row):
    report = dataset.check([row, *clean_rows(12)])
    assert report.errors
    assert {problem.line for problem in report.problems} == {1}


NOISE = [
    b"",
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\\",
    b"\n",
    b"\xff",
    b"\xe2\x80\x9c",
    b"\0",
    b"null",
    b"\\u",
]


def mutated(data: bytes, picker: random.Random) -> bytes:
    """The data with one to three small accidents."""
    for _ in range(picker.randint(1, 3)):
        start = picker.randrange(len(data) + 1)
        end = min(len(data), start + picker.choice([0, 1, 1, 5, 40]))
        data = data[:start] + picker.choice([*NOISE, bytes([picker.randrange(256)])]) + data[end:]
    return data


def invalid_lines(data: bytes) -> set[int]:
    """The numbers of the lines that are not JSON."""
    found = set()
    for number, line in enumerate(data.split(b"\n"), start=1):
        try:
            if line.strip():
                json.loads(line.decode("utf-8"), parse_constant=lambda name: json.loads(name.lower()))
        except ValueError:
            found.add(number)
    return found


def check_mutations(path: Path, count: int, seed: int) -> int:
    """Checks so many mutated rows, ten a file, and returns how many lines were no JSON any more."""
    picker = random.Random(seed)
    valid = [row for name in CLEAN for row in name.read_bytes().splitlines()]
    valid += [
        line for file in sorted(planted.FOLDER.glob("*.jsonl")) for line in file.read_bytes().split(b"\n")
    ]
    invalid = 0
    for _ in range(count // 10):
        data = b"\n".join(mutated(row, picker) for row in picker.choices(valid, k=10))
        path.write_bytes(data)
        report = dataset.check(path)
        reported = {line for found in report.problems for line in range(found.line, found.last_line + 1)}
        assert invalid_lines(data) <= reported, data
        assert str(report) and report._repr_html_()
        invalid += len(invalid_lines(data))
    return invalid


def test_1_000_mutations(tmp_path):
    assert check_mutations(tmp_path / "rows.jsonl", 1_000, seed=1) > 500


@pytest.mark.endurance(sample=5_000, soak=100_000)
def test_mutations(tmp_path, count, figures):
    invalid = check_mutations(tmp_path / "rows.jsonl", count, seed=100)
    assert invalid > count / 2
    figures(f"{count} mutated rows: no exception, {invalid} lines that are no JSON any more, each named")


# --- large files ---------------------------------------------------------------------------------------------


def test_several_processes_find_what_one_finds(tmp_path, monkeypatch):
    monkeypatch.setattr(checker, "LARGE", 1)
    path = tmp_path / "rows.jsonl"
    path.write_bytes(
        b"".join(planted.plant(code) for code in sorted(CODES) if not code.startswith("image_size"))
    )
    whole = lines.layout(path)
    monkeypatch.setattr(lines, "BLOCK", 5_000)
    parts = lines.layout(path, part=20_000)
    assert len(parts.spans) > 10
    assert (parts.lines, parts.size, parts.spans[-1].end) == (whole.lines, whole.size, whole.size)
    reports = []
    for layout, workers in ((whole, 1), (parts, 1), (parts, 2)):
        monkeypatch.setattr(checker, "layout", lambda path, layout=layout: layout)
        reports.append(dataset.check(path, workers=workers).as_dict())
    assert reports[0] == reports[1] == reports[2]
    assert reports[0]["errors"] > 20


def test_if_no_process_can_be_started_the_work_is_done_here(tmp_path, monkeypatch):
    monkeypatch.setattr(checker, "LARGE", 1)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere"))
    path = AIRPORT / "train.jsonl"
    monkeypatch.setattr(lines, "BLOCK", 5_000)
    layout = lines.layout(path, part=10_000)
    monkeypatch.setattr(checker, "layout", lambda path: layout)
    assert len(layout.spans) > 2
    assert dataset.check(path, workers=2).rows == 112


ABORTS = """
import os, pickle
load = pickle.load
def look(file):
    task = load(file)
    if task[1].first_line == {line}:
        try:
            os.mkdir({once!r})  # the first process that gets here ends
        except FileExistsError:
            if not {only_once}:
                os.abort()
        else:
            os.abort()
    return task
pickle.load = look
"""


@pytest.mark.slow
@pytest.mark.parametrize("only_once", [True, False])
def test_lines_over_which_processes_end_are_tried_twice(only_once, tmp_path, monkeypatch):
    """As a crash of a library, or want of memory, ends them; this process, perhaps a notebook, must live on."""
    path = AIRPORT / "train.jsonl"
    monkeypatch.setattr(checker, "LARGE", 1)
    monkeypatch.setattr(lines, "BLOCK", 5_000)
    layout = lines.layout(path, part=20_000)
    monkeypatch.setattr(checker, "layout", lambda path: layout)
    line = layout.spans[1].first_line
    code = ABORTS.format(line=line, once=str(tmp_path / "once"), only_once=only_once)
    (tmp_path / "sitecustomize.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    if only_once:
        assert dataset.check(path, workers=2).rows == 112
    else:
        with pytest.raises(RuntimeError, match=f"Two processes ended .* lines from {line} on"):
            dataset.check(path, workers=2)


def test_whatever_a_span_raises_reaches_the_caller(monkeypatch):
    class PanicException(BaseException):
        pass

    def panic(*task):
        raise PanicException

    monkeypatch.setattr(processes, "_start", lambda: None)
    monkeypatch.setattr(processes, "check_span", panic)
    spans = [lines.Span(0, 1, 1), lines.Span(1, 2, 2)]
    with pytest.raises(PanicException):
        list(processes.check_spans("rows.jsonl", spans, Settings(None), workers=2))


def test_near_duplicates_in_a_large_file_only_on_request(tmp_path, monkeypatch):
    monkeypatch.setattr(checker, "MOST_NEAR", 5)
    data = planted.plant("near_duplicate")
    report = check_bytes(tmp_path, data)
    assert report.totals == {}
    assert "near_duplicates=True" in report.notes[0]
    assert check_bytes(tmp_path, data, near_duplicates=True).totals == {"near_duplicate": 1}


def test_without_content_only_shapes_and_tokens(tmp_path):
    everything = check_bytes(tmp_path, planted.plant("secret"))
    shapes = check_bytes(tmp_path, planted.plant("secret"), content=False)
    assert shapes.totals == {}
    assert shapes.tokens == everything.tokens


# --- the report ----------------------------------------------------------------------------------------------


@pytest.fixture
def report(tmp_path) -> dataset.Report:
    rows = [
        *clean_rows(12),
        {"messages": []},
        chat("What is the key?", "It is sk-ABCDEFGHIJKLMNOPQRSTUVWXYZ."),
        chat("Why?", "In 1911."),
    ]
    return dataset.check(rows)


def test_the_worst_comes_first(report):
    assert [problem.severity for problem in report.problems] == ["error", "warning", "hint"]
    assert (report.errors, report.warnings, report.hints) == (1, 1, 1)
    text = str(report)
    assert text.index("empty_messages") < text.index("secret") < text.index("unprompted_facts")


def test_the_table(report):
    table = report.table()
    assert isinstance(table, pd.DataFrame)
    assert list(table.columns) == ["line", "last_line", "code", "severity", "what", "where", "mend"]
    assert list(table.line) == [13, 14, 15]


def test_the_html_has_a_caption_headers_and_no_raw_data():
    rows = [*clean_rows(12), {"messages": [{"role": "<b>user</b>", "content": "Hi"}]}]
    page = dataset.check(rows)._repr_html_()
    assert "<caption" in page and '<th scope="col"' in page and '<th scope="row"' in page
    assert "<b>user" not in page and "&lt;b&gt;user" in page


def test_a_secret_is_not_repeated(report):
    assert "ABCDEFGHIJ" not in str(report) + report._repr_html_() + json.dumps(report.as_dict())


def test_pandas_is_not_loaded_unasked():
    code = "import sys; from helpers import dataset; dataset.check([{}]); assert 'pandas' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


# --- the command line ----------------------------------------------------------------------------------------


def run(*arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "helpers.dataset", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8")


def test_command_line_without_errors():
    done = run(AIRPORT / "train.jsonl", "--against", AIRPORT / "valid.jsonl", "--model", "gpt-4.1-mini")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("train.jsonl: 112 rows, ")


def test_command_line_with_errors_as_json():
    done = run(planted.FOLDER / "not_json.jsonl", "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["totals"] == {"not_json": 1}
    assert report["problems"][0]["severity"] == "error"


def test_command_line_for_a_file_that_is_not_there():
    done = run("nowhere.jsonl")
    assert done.returncode == 2
    assert "nowhere.jsonl" in done.stderr
    assert "Traceback" not in done.stderr


def test_progress_is_shown_for_large_files(monkeypatch, capsys):
    from helpers.dataset import __main__ as command

    command._show_progress(8_000_000, 32_000_000)
    assert "8 of 32 MB" in capsys.readouterr().err
    command._show_progress(1_000, 1_000)
    assert capsys.readouterr().err == ""
