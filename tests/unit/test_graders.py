"""Graders: templates, formulas, metrics of similarity, the learner's own function, and what is refused."""

import os
import time

import pytest

from helpers.local_api import graders
from helpers.local_api.engines import trained
from helpers.local_api.errors import APIError
from helpers.local_api.graders import formula, python, similarity

ROW = {"answer": "Paris", "tags": ["city", {"code": 75}], "weight": 2}


def check(**options) -> dict:
    usual = {"input": "{{sample.output_text}}", "reference": "{{item.answer}}", "operation": "eq"}
    return {"type": "string_check", "name": "n"} | usual | options


def code(source: str) -> dict:
    return {"type": "python", "name": "n", "source": source}


def multi(formula: str, **parts) -> dict:
    return {"type": "multi", "name": "n", "graders": parts, "calculate_output": formula}


def alike(metric: str) -> dict:
    texts = {"input": "{{sample.output_text}}", "reference": "r"}
    return {"type": "text_similarity", "name": "n", "evaluation_metric": metric} | texts


def grade(grader: dict, answer: str, row: dict = ROW, ask=None) -> graders.Grade:
    with graders.Grading(grader, ask) as grading:
        return grading.grades([(answer, row)])[0]


# --- texts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "answer", "reward"),
    [
        ("eq", "Paris", 1),
        ("eq", "paris", 0),
        ("ne", "paris", 1),
        ("like", "In Paris.", 1),
        ("like", "In paris.", 0),
        ("ilike", "In paris.", 1),
    ],
)
def test_a_string_check(operation, answer, reward):
    assert grade(check(operation=operation), answer) == graders.Grade(float(reward))


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ item.answer }}!", "Paris!"),
        ("{{item.tags[0]}}", "city"),
        ("{{item.tags[1].code}}", "75"),
        ("{{item['answer']}}", "Paris"),
        ("{{item.tags}}", '["city", {"code": 75}]'),
        ("{{sample.output_json.city}}", "Lyon"),
        ("{{sample.choices[0].message.role}}", "assistant"),
        ("no field, {one} brace", "no field, {one} brace"),
    ],
)
def test_what_a_field_stands_for(template, text):
    assert grade(check(input=template, reference=text), '{"city": "Lyon"}').reward == 1


@pytest.mark.parametrize(
    ("template", "error"),
    [
        ("{{item.nothing}}", "invalid_variable_error"),
        ("{{item.tags[5]}}", "invalid_variable_error"),
        ("{{item.answer.more}}", "invalid_variable_error"),
        ("{{sample.nothing}}", "invalid_variable_error"),
        ("{{sample.output_json.city}}", "sample_parse_error"),
    ],
)
def test_a_field_that_is_not_there_is_an_error_and_no_reward(template, error):
    found = grade(check(input=template), "no JSON")
    assert (found.reward, found.error) == (0, error) and template in found.details


# --- formulas --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a", 0.5),
        ("0.5 * a + 0.5 * b", 0.75),
        ("(a + b) / 2", 0.75),
        ("a ^ 2", 0.25),
        ("-a + 1", 0.5),
        ("max(a, b, 0)", 1),
        ("min(a, b) * abs(-2)", 1),
        ("floor(1.7) + ceil(a)", 2),
        ("exp(0) + log(1) + sqrt(4)", 3),
    ],
)
def test_a_formula(text, value):
    assert formula.calculate(formula.parse(text, ["a", "b"]), {"a": 0.5, "b": 1.0}) == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    ["", "a +", "a; b", "c", "a.b", "a[0]", "a if b else 0", "a < b", "'a'", "True", "__import__('os')", "max", "a()",
     "max(*a)", "max(a, key=b)", "max()", "lambda: a", "a" * 1001, "(" * 300 + "a" + ")" * 300, "a // b", "a % b"],
)  # fmt: skip
def test_what_is_no_formula(text):
    with pytest.raises(ValueError):
        formula.calculate(formula.parse(text, ["a", "b"]), {"a": 1.0, "b": 1.0})


@pytest.mark.parametrize(
    "text", ["1 / (a - 1)", "9 ^ 9 ^ 9", "(0 - a) ^ 0.5", "log(0)", "sqrt(0 - 1)", "exp(1000)"]
)
def test_a_formula_without_a_value_is_an_error_and_no_reward(text):
    found = grade(multi(text, a=check()), "Paris")
    assert (found.reward, found.error) == (0, "formula_parse_error")


def test_parts_of_a_multi_grader():
    both = multi("0.5 * form + 0.5 * form * city", form=check(operation="like"), city=check())
    assert grade(both, "In Paris") == graders.Grade(0.5, parts={"form": 1.0, "city": 0.0})
    assert grade(both, "Paris") == graders.Grade(1.0, parts={"form": 1.0, "city": 1.0})


# --- similarity ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "text", "reference", "value"),
    [
        ("fuzzy_match", "this is a test", "this is a test!", 28 / 29),  # rapidfuzz's own example
        ("fuzzy_match", "", "", 1),
        ("fuzzy_match", "abc", "", 0),
        ("rouge_1", "the cat sat", "The cat sat.", 1),
        ("rouge_1", "the the the", "the cat", 2 / 5),  # one hit of 3 words said and 2 wanted
        ("rouge_2", "the cat sat down", "the cat lay down", 1 / 3),
        ("rouge_l", "police killed the gunman", "police kill the gunman", 3 / 4),  # of Lin's paper
        ("rouge_5", "one two", "one two", 0),
        ("gleu", "the cat sat", "the cat sat", 1),
        ("gleu", "the cat", "the cat sat", 3 / 6),
        ("bleu", "the cat sat on the mat", "the cat sat on the mat", 1),
        ("bleu", "dog", "cat", 0),
    ],
)
def test_similarity(metric, text, reference, value):
    assert similarity.similarity(metric, text, reference) == pytest.approx(value)


def test_the_longest_common_subsequence_of_many_pairs():
    import random

    def plainly(a, b):
        table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
        for i, x in enumerate(a):
            for j, y in enumerate(b):
                table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
        return table[-1][-1]

    picker = random.Random(1)
    for _ in range(200):
        a, b = ("".join(picker.choices("abc", k=picker.randrange(90))) for _ in range(2))
        assert similarity.common(a, b) == plainly(a, b)


def test_a_very_long_text_is_not_compared():
    found = grade(alike("rouge_l"), "x" * 20_001)
    assert found.error == "other_error" and "20,000 characters" in found.details


# --- the learner's own function --------------------------------------------------------------------------------


def test_a_function_gets_the_answer_and_the_row():
    source = "def grade(sample, item):\n    return len(sample['output_text']) * item['weight']"
    assert grade(code(source), "four").reward == 8


def test_one_process_answers_all_and_is_gone_afterwards():
    source = "import os\ncalls = []\ndef grade(sample, item):\n    calls.append(1)\n"
    source += "    return os.getpid() + len(calls) / 10"
    with graders.Grading(code(source)) as grading:
        first, second = (grading.grades([("a", {})])[0].reward for _ in range(2))
        process = grading._kind.process._process
    assert round(second - first, 1) == 0.1 and process.poll() is not None


HARMLESS = [
    "print('x' * 10**6)\n    return 1",  # what it prints is no answer
    "import sys\n    sys.stdout.write('{\"reward\": 5}\\n')\n    return 1",
    "import sys\n    sys.stdin.read()\n    return 1",
    "item.clear(); sample.clear()\n    return 1",
    "return True",
    "import json, re, math, random, difflib, statistics\n    return 1",
    "import numpy\n    return numpy.float32(1)",
]


@pytest.mark.parametrize("body", HARMLESS)
def test_what_a_function_may_do(body):
    assert grade(code(f"def grade(sample, item):\n    {body}"), "a") == graders.Grade(1.0)


ERRORS = {
    "return 1 / 0": "ZeroDivisionError: division by zero (line 2: return 1 / 0)",
    "return item['nothing']": "KeyError: 'nothing'",
    "return 'good'": "returned 'good', which is no number",
    "return None": "returned None",
    "return 1j": "no number",
    "return float('nan')": "finite",
    "return 1e999": "finite",
    "raise SystemExit(0)": "SystemExit",
    "raise KeyboardInterrupt": "KeyboardInterrupt",
    "import os; os._exit(0)": "ended without an answer",
    "return grade(sample, item)": "RecursionError",
    "return len(bytearray(4 * 1024**3))": "MemoryError",
    "import socket; socket.create_connection(('127.0.0.1', 80))": "may not use the network",
    "import urllib.request as u; u.urlopen('http://127.0.0.1/')": "may not use the network",
    "import subprocess; subprocess.run(['true'])": "may not use other programs",
    "import os; os.system('true')": "may not use other programs",
    "import os; os.fork()": "may not use other programs",
    "import nothing_of_this_name": "ModuleNotFoundError",
}


@pytest.mark.parametrize("body", ERRORS)
def test_an_error_is_no_reward_and_has_its_text(body):
    source = f"def grade(sample, item):\n    if item: return 1\n    {body}".replace(
        "    if item: return 1\n", "", 1
    )
    found = grade(code(source), "a", {})
    assert (found.reward, found.error) == (0, "python_grader_runtime_error") and ERRORS[body] in found.details


def test_after_an_error_the_next_answer_is_graded():
    source = "import os\ndef grade(sample, item):\n    if item['end']: os._exit(1)\n    return 1"
    with graders.Grading(code(source)) as grading:
        found = grading.grades([("a", {"end": end}) for end in (False, True, False)])
    assert [grade.reward for grade in found] == [1, 0, 1]


@pytest.mark.parametrize("body", ["while True: pass", "import time; time.sleep(60)"])
def test_a_call_that_takes_too_long_is_ended(body, monkeypatch):
    monkeypatch.setattr(python, "SECONDS", 0.5)
    start = time.monotonic()
    found = grade(code(f"def grade(sample, item):\n    {body}"), "a")
    assert "ended without an answer" in found.details
    assert time.monotonic() - start < 30  # not the minute that it wanted


def test_keys_and_the_environment_stay_outside(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    source = "import os\ndef grade(sample, item):\n"
    source += "    return 'OPENAI_API_KEY' in os.environ or os.getcwd() == item['here']"
    assert grade(code(source), "a", {"here": os.getcwd()}).reward == 0


# --- models as judges ------------------------------------------------------------------------------------------

SCORE = {
    "type": "score_model",
    "name": "n",
    "model": trained.MODEL,
    "input": [{"role": "user", "content": "{{item.answer}}?"}],
}
PICTURE = {"type": "input_image", "image_url": "x"}
LABEL = SCORE | {"type": "label_model", "labels": ["good", "bad"], "passing_labels": ["good"]}


@pytest.mark.parametrize(
    ("grader", "said", "reward", "error"),
    [
        (SCORE, "0.7", 0.7, None),
        (SCORE, "Score: 7 of 10", 1, None),
        (SCORE | {"range": [0, 10]}, "I give it 7.", 7, None),
        (SCORE, "-3", 0, None),
        (SCORE, "good", 0, "model_grader_parse_error"),
        (LABEL, "Good.", 1, None),
        (LABEL, "bad", 0, None),
        (LABEL, "good or bad", 0, "model_grader_parse_error"),
        (LABEL, "goodish", 0, "model_grader_parse_error"),
    ],
)
def test_what_a_judge_says(grader, said, reward, error):
    asked = []
    found = grade(grader, "an answer", ask=lambda model, chats: asked.extend(chats) or [said])
    assert (found.reward, found.error) == (reward, error)
    assert asked == [[{"role": "user", "content": "Paris?"}]]


# --- what is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grader", "place"),
    [
        (check(input="{{answer}}"), ".input"),
        (check(reference="{{item}}"), ".reference"),
        (check(reference="{{}}"), ".reference"),
        (check(reference="{{other.answer}}"), ".reference"),
        (code("x = 1"), ".source"),
        (code("def grade(sample):\n    return 1"), ".source"),
        (code("def grade(sample, item, more):\n    return 1"), ".source"),
        (code("def grade(sample, item)\n    return 1"), ".source"),
        (code("#" * 256_001), ".source"),
        (multi("a"), ".graders"),
        (multi("b", a=check()), ".calculate_output"),
        (multi("a", **{"a b": check()}), ".graders.a b"),
        (multi("max", max=check()), ".graders.max"),
        (multi("a", a=multi("b", b=check())), ".graders.a"),
        (multi("a", a=check(input="{{x}}")), ".graders.a.input"),
        (alike("cosine"), ".evaluation_metric"),
        (alike("meteor"), ".evaluation_metric"),
        (SCORE | {"model": "gpt-4o-2024-08-06"}, ".model"),
        (SCORE | {"range": [1, 0]}, ".range"),
        (SCORE | {"range": [1]}, ".range"),
        (SCORE | {"input": [{"role": "user", "content": [PICTURE]}]}, ".input[0].content"),
        (LABEL | {"passing_labels": ["fine"]}, ".passing_labels"),
    ],
)  # fmt: skip
def test_a_grader_that_can_never_work_is_refused_with_its_place(grader, place):
    with pytest.raises(APIError) as caught:
        graders.check(grader)
    assert caught.value.error["param"] == f"grader{place}"


@pytest.mark.parametrize(
    "source",
    ["def grade(sample, item):\n    return 1", "def grade(sample, item, weight=2):\n    return weight",
     "def grade(*both):\n    return 1", "grade = lambda sample, item: 1"],
)  # fmt: skip
def test_what_may_be_a_grader(source):
    graders.check(code(source))


def test_rows_without_the_keys_of_a_grader_are_found_before_training():
    both = multi("a + b", a=check(), b=code("def grade(sample, item):\n    return 1"))
    graders.refuse_unless_filled(both, [ROW])
    with pytest.raises(graders.GraderBroken, match="Example 2 has no 'answer'"):
        graders.refuse_unless_filled(both, [ROW, {"messages": []}])


def test_a_grader_that_mostly_fails_is_given_up():
    bad = graders.Grade(0.0, "python_grader_runtime_error", "KeyError: 'x'")
    graders.refuse_if_broken([bad, graders.Grade(0.0)])
    with pytest.raises(graders.GraderBroken, match="2 of 3 answers.*KeyError: 'x'"):
        graders.refuse_if_broken([bad, bad, graders.Grade(1.0)])
    graders.refuse_if_broken(
        [graders.Grade(0.0, "sample_parse_error", "no JSON")] * 3
    )  # the model's own fault
