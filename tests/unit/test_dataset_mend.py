"""dataset.fix, dataset.split and the converters."""

import json
from pathlib import Path

import pandas as pd
import pytest

from helpers import dataset
from tests import planted

ROOT = Path(__file__).resolve().parents[2]
CHAT = {"messages": [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "Here."}]}
WITH_SYSTEM = {"messages": [{"role": "system", "content": "Be brief."}, *CHAT["messages"]]}


def chat(question: str, answer: str) -> dict:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


# --- fix -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["bom", "blank_line", "duplicate", "not_utf8"])
@pytest.mark.parametrize("seed", range(1, 8))
def test_fix_mends_what_needs_no_judgement(code, seed, tmp_path):
    path, to = tmp_path / "rows.jsonl", tmp_path / "mended.jsonl"
    path.write_bytes(planted.plant(code, seed))
    before = path.read_bytes()
    changes = dataset.fix(path, to)
    assert len(changes) == 1
    assert path.read_bytes() == before
    assert code not in dataset.check(to).totals


def test_fix_says_what_it_changed(tmp_path):
    path, to = tmp_path / "rows.jsonl", tmp_path / "mended.jsonl"
    one, two = (json.dumps(row, ensure_ascii=False).encode() for row in (CHAT, chat("Why?", "Because.")))
    cafe = json.dumps(chat("Café?", "Yes."), ensure_ascii=False).encode("cp1252")
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join([one, b"", two, one, cafe, b"{broken"]))
    changes = dataset.fix(path, to)
    assert [(change.line, change.what.split(":")[0].split(",")[0]) for change in changes] == [
        (1, "byte order mark removed"),
        (2, "blank line removed"),
        (4, "removed"),
        (5, "not UTF-8"),
        (1, "Windows line ends replaced on 3 lines"),
    ]
    lines = to.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines[:3]] == [CHAT, chat("Why?", "Because."), chat("Café?", "Yes.")]
    assert lines[3] == "{broken"  # needs judgement


def test_fix_reads_the_encoding_it_is_told(tmp_path):
    path, to = tmp_path / "rows.jsonl", tmp_path / "mended.jsonl"
    path.write_bytes(json.dumps(chat("猪肉?", "不行。"), ensure_ascii=False).encode("gbk"))
    dataset.fix(path, to, encoding="gbk")
    assert dataset.read(to) == [chat("猪肉?", "不行。")]


def test_fix_never_overwrites_the_original(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(planted.plant("bom"))
    before = path.read_bytes()
    with pytest.raises(ValueError, match="never overwrites"):
        dataset.fix(path, path.parent / "." / path.name)
    assert path.read_bytes() == before


def test_fix_leaves_a_clean_file_as_it_is(tmp_path):
    path = ROOT / "data" / "airport" / "train.jsonl"
    assert dataset.fix(path, tmp_path / "mended.jsonl") == []
    assert (tmp_path / "mended.jsonl").read_bytes() == path.read_bytes()


# --- split ---------------------------------------------------------------------------------------------------


def family(number: int) -> list[dict]:
    """Four rows that belong together: the same question twice, and two that are nearly the same."""
    question, answer = planted.POOL[number]
    long = f"{answer} This rule of the house has been on the wall since the mill was built, and everybody keeps it."
    return [
        chat(question, answer),
        chat(question.upper(), f"Nobody asked that before: {question}"),
        chat(f"Tell me, please: {question}", long),
        chat(f"Tell us, please: {question}", long.replace("keeps", "knows")),
    ]


def test_a_split_has_no_leak_and_loses_no_row():
    rows = [row for number in range(20) for row in family(number)]
    training, validation = dataset.split(rows, validation=0.25)
    assert len(validation) == 20
    assert sorted(map(json.dumps, training + validation)) == sorted(map(json.dumps, rows))
    report = dataset.check(training, against=validation)
    assert not {"leak", "near_leak"} & report.totals.keys()
    assert {"near_duplicate", "conflicting_answers"} <= report.totals.keys()  # the families are still there


def test_a_split_is_that_of_its_seed():
    rows = dataset.read(ROOT / "data" / "airport" / "train.jsonl")
    assert dataset.split(rows) == dataset.split(rows)
    assert dataset.split(rows) != dataset.split(rows, seed=1)
    assert len(dataset.split(rows)[1]) == 17  # 15 % of 112


def test_a_split_at_the_borders():
    rows = [CHAT, chat("Why?", "Because.")]
    assert dataset.split(rows, validation=0) == (rows, [])
    assert dataset.split([], validation=0.5) == ([], [])
    assert dataset.split([CHAT] * 4, validation=0.5) == ([CHAT] * 4, [])  # one question cannot be divided
    with pytest.raises(ValueError, match="0.15"):
        dataset.split(rows, validation=15)
    with pytest.raises(ValueError, match="Row 2 is broken"):
        dataset.split([CHAT, {"messages": []}])


# --- converters ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_from_a_csv_file(delimiter, mark, tmp_path):
    path = tmp_path / "rows.csv"
    lines = [["question", "answer"], ['"Where, exactly?"', '"Here;\nhere."']]
    path.write_text(mark + "\n".join(delimiter.join(line) for line in lines), encoding="utf-8")
    assert dataset.from_table(path) == [chat("Where, exactly?", "Here;\nhere.")]


def test_from_a_data_frame():
    frame = pd.DataFrame({"Q": ["Where?", "Where?"], "A": ["Here.", "Here."], "system": ["Be brief.", None]})
    assert dataset.from_table(frame, question="Q", answer="A") == [WITH_SYSTEM, CHAT]
    assert dataset.from_table(frame[["Q", "A"]], "Q", "A", system="Be brief.") == [WITH_SYSTEM] * 2
    with pytest.raises(ValueError, match="no column 'question'. The columns are 'Q', 'A', 'system'"):
        dataset.from_table(frame)
    with pytest.raises(ValueError, match="Row 2 has no text for the role 'assistant'"):
        dataset.from_table(pd.DataFrame({"question": ["a", "b"], "answer": ["c", float("nan")]}))


def test_a_csv_file_in_another_encoding(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes("question,answer\ncafé,ja\n".encode("cp1252"))
    with pytest.raises(ValueError, match="CSV UTF-8"):
        dataset.from_table(path)


def test_from_prompt_completion():
    rows = [{"prompt": "Where?", "completion": " Here."}]
    assert dataset.from_prompt_completion(rows) == [CHAT]
    assert dataset.from_prompt_completion(rows, system="Be brief.") == [WITH_SYSTEM]
    with pytest.raises(ValueError, match="Row 1"):
        dataset.from_prompt_completion([{"prompt": "Where?"}])


def test_from_sharegpt():
    turns = [("system", "Be brief."), ("human", "Where?"), ("gpt", "Here.")]
    row = {"id": "1", "conversations": [{"from": speaker, "value": text} for speaker, text in turns]}
    assert dataset.from_sharegpt([row], drop=["id"]) == [WITH_SYSTEM]
    with pytest.raises(ValueError, match="Row 1 has the key 'id'.*drop="):
        dataset.from_sharegpt([row])
    with pytest.raises(ValueError, match="Row 1: unknown speaker 'tool'"):
        dataset.from_sharegpt([{"conversations": [{"from": "tool", "value": "x"}]}])
    with pytest.raises(ValueError, match="Row 1 has no 'conversations'"):
        dataset.from_sharegpt([{}])


def test_from_alpaca():
    rows = [
        {"instruction": "Where?", "input": "", "output": "Here."},
        {"instruction": "Sort:", "input": "b, a", "output": "a, b"},
    ]
    assert dataset.from_alpaca(rows) == [CHAT, chat("Sort:\n\nb, a", "a, b")]
    with pytest.raises(ValueError, match="Row 1 has no text for the role 'user'"):
        dataset.from_alpaca([{"output": "Here."}])


def test_from_chatml():
    text = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhere?<|im_end|>\n<|im_start|>assistant\nHere."
    assert dataset.from_chatml([text, text + "<|im_end|>\n"]) == [WITH_SYSTEM] * 2
    with pytest.raises(ValueError, match="Row 1 has no"):
        dataset.from_chatml(["Where?"])


def test_what_is_converted_passes_the_check():
    pairs = [{"prompt": question, "completion": answer} for question, answer in planted.POOL]
    assert dataset.check(dataset.from_prompt_completion(pairs)).totals == {}


# --- a file of one's own -----------------------------------------------------------------------------------


def test_a_file_is_read_by_its_ending(tmp_path):
    (tmp_path / "rows.csv").write_text("question;answer\nWhere?;Here.\n", encoding="utf-8")
    (tmp_path / "rows.TSV").write_text("question\tanswer\nWhere?\tHere.\n", encoding="utf-8")
    dataset.write([{"question": "Where?", "answer": "Here."}], tmp_path / "table.jsonl")
    dataset.write([chat("Where?", "Here.")], tmp_path / "chat.jsonl")
    for name in ("rows.csv", "rows.TSV", "table.jsonl", "chat.jsonl"):
        assert dataset.from_file(tmp_path / name) == [chat("Where?", "Here.")], name


def test_rows_that_are_examples_stay_as_they_are(tmp_path):
    broken = {"messages": [{"role": "user", "content": "Where?"}]}
    dataset.write([chat("Where?", "Here."), broken], tmp_path / "chat.jsonl")
    assert dataset.from_file(tmp_path / "chat.jsonl", system="Be brief.") == [chat("Where?", "Here."), broken]


def test_an_excel_file_is_read_or_says_what_is_missing(tmp_path, monkeypatch):
    frame = pd.DataFrame({"Q": ["Where?"], "A": ["Here."]})
    monkeypatch.setattr(pd, "read_excel", lambda path, **options: frame)
    assert dataset.from_file(tmp_path / "rows.xlsx", "Q", "A") == [chat("Where?", "Here.")]

    def lacks_openpyxl(path, **options):
        raise ImportError("Missing optional dependency 'openpyxl'.")

    monkeypatch.setattr(pd, "read_excel", lacks_openpyxl)
    with pytest.raises(ValueError, match="openpyxl.*CSV UTF-8"):
        dataset.from_file(tmp_path / "rows.xlsx")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("rows.csv", "question,answer\n", "rows.csv has no rows"),
        ("rows.docx", "", "not .csv, .xlsx or .jsonl"),
        ("rows.csv", "Frage,answer\nWhere?,Here.\n", "no column 'question'.*'Frage'"),
        ("rows.csv", "question,answer\nWhere?,\n", "Row 1 has no text"),
        ("rows.jsonl", "[1]\n", "Row 1 is not an object"),
        ("rows.jsonl", "{\n", "Line 1 is not valid JSON"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path, name, content, said):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        dataset.from_file(tmp_path / name)
