"""What a training file costs: tools, calls, pictures and pairs of answers, with one number wherever it is shown."""

import base64
import importlib.util
import io
import json
import random

import pytest
from PIL import Image

from helpers import costs, dataset, token_rules, tokens
from helpers.local_api.training_files import read_file
from helpers.spend_guard import SpendGuard, Target, orders
from tests.environment import ROOT
from tests.planted import POOL

OPENAI = Target("openai", "https://api.example/v1")
SEES = "gpt-4o-2024-08-06"  # the model that is trained with pictures
WORDS = "umbrella kite violin pram surfboard cello tag owner date shelf desk counter ticket key".split()
SEEDS = range(10)


# --- files of each kind -----------------------------------------------------------------------------------------


def clean_rows(count: int) -> list[dict]:
    turns = [zip(("user", "assistant"), pair, strict=True) for pair in POOL[:count]]
    return [{"messages": [{"role": role, "content": text} for role, text in pair]} for pair in turns]


def some_words(picker: random.Random, count: int) -> str:
    return " ".join(picker.choices(WORDS, k=count))


def a_tool(picker: random.Random, number: int, nested: bool = False) -> dict:
    properties = {
        f"field_{n}": {"type": "string", "description": some_words(picker, 9)}
        for n in range(picker.randint(1, 6))
    }
    if nested:
        properties["things"] = {"type": "array", "items": {"type": "object", "properties": dict(properties)}}
    parameters = {"type": "object", "properties": properties}
    function = {"name": f"tool_{number}", "description": some_words(picker, 12), "parameters": parameters}
    return {"type": "function", "function": function}


def with_tools(seed: int, key: str = "tools") -> list[dict]:
    """Rows with definitions of their own, every other seed with lists and objects in objects."""
    picker, made = random.Random(seed), []
    for row in clean_rows(12):
        tools = [a_tool(picker, n, nested=seed % 2 == 1) for n in range(picker.randint(1, 8))]
        made.append(row | {key: tools if key == "tools" else [tool["function"] for tool in tools]})
    return made


def with_calls(seed: int) -> list[dict]:
    picker, made = random.Random(seed), []
    for row in with_tools(seed):
        arguments = json.dumps({"field_0": some_words(picker, 3)})
        call = {"id": "call_1", "type": "function", "function": {"name": "tool_0", "arguments": arguments}}
        answer = {"role": "assistant", "content": None, "tool_calls": [call]}
        reply = {"role": "tool", "tool_call_id": "call_1", "content": "Shelf 4."}
        made.append(row | {"messages": [row["messages"][0], answer, reply, row["messages"][1]]})
    return made


def data_url(width: int, height: int, kind: str = "PNG") -> str:
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


def with_pictures(seed: int) -> list[dict]:
    picker, made = random.Random(seed), []
    for row in clean_rows(12):
        url = data_url(picker.randint(1, 900), picker.randint(1, 900), picker.choice(["PNG", "JPEG", "WEBP"]))
        image = {"url": picker.choice([url, "https://luggage.example/kite.jpg"])}
        image |= picker.choice([{}, {"detail": "low"}, {"detail": "high"}, {"detail": "auto"}])
        asked = [*picture_part(image), {"type": "text", "text": row["messages"][0]["content"]}]
        made.append({"messages": [{"role": "user", "content": asked}, row["messages"][1]]})
    return made


def picture_part(image: dict) -> list[dict]:
    return [{"type": "image_url", "image_url": image}]


def preferences(seed: int) -> list[dict]:
    picker, made = random.Random(seed), []
    for row in clean_rows(12):
        asked = {"messages": row["messages"][:1], "tools": [], "parallel_tool_calls": True}
        if seed % 2:
            asked["tools"] = [a_tool(picker, 0)]
        other = {"role": "assistant", "content": some_words(picker, picker.randint(1, 20))}
        made.append(
            {"input": asked, "preferred_output": row["messages"][1:], "non_preferred_output": [other]}
        )
    return made


KINDS = {
    "chat": (lambda seed: clean_rows(12 + seed), "gpt-4.1-mini", "supervised"),
    "tools": (with_tools, SEES, "supervised"),
    "functions": (lambda seed: with_tools(seed, "functions"), "gpt-3.5-turbo", "supervised"),
    "calls": (with_calls, "gpt-4o-mini", "supervised"),
    "pictures": (with_pictures, SEES, "supervised"),
    "preferences": (preferences, "gpt-4.1-mini", "dpo"),
}


# --- one number -------------------------------------------------------------------------------------------------


def starters_number(rows: list[dict]) -> tuple[int, str]:
    spec = importlib.util.spec_from_file_location("starter", ROOT / "notebooks" / "starter.py")
    starter = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(starter)
    return starter.rough_size(rows)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", KINDS)
def test_checker_price_guard_and_job_give_one_number_and_the_starter_one_near_it(kind, seed, tmp_path):
    make, model, method = KINDS[kind]
    rows, epochs = make(seed), 3
    path = tmp_path / "train.jsonl"
    dataset.write(rows, path)
    report = dataset.check(path, model=model, method=method)
    assert report.errors == 0
    cost = costs.training(report, model, n_epochs=epochs)
    job = {"model": model, "training_file": "file-0", "hyperparameters": {"n_epochs": epochs}}
    content = path.read_bytes()
    guard = orders.estimate(OPENAI, job, content, len(content))
    trained = read_file(path, "file-0", method, "training_file", 0).tokens(model) * epochs
    assert cost.billing_tokens == report.kept_tokens * epochs == trained
    assert guard.usd == cost.usd and f"= {trained:,}" in guard.words
    assert report.exact == cost.exact == (kind == "chat" or (kind == "preferences" and seed % 2 == 0))
    assert ("about" in cost.title()) == (not cost.exact)
    if kind == "preferences":
        return  # the starter takes chats only
    rough, left_out = starters_number(rows)
    pictures = sum("image_url" in json.dumps(row) for row in rows)
    assert left_out == (f", {pictures} pictures not counted" if pictures else "")
    without = dataset.check(rows, model="gpt-3.5-turbo").tokens if pictures else report.tokens
    assert 0.7 * without < rough < 1.4 * without


def test_a_row_is_cut_at_the_training_context_in_the_jobs_tokens_too(tmp_path):
    rows = with_tools(0)
    rows[3]["tools"] *= 1_000
    path = tmp_path / "train.jsonl"
    dataset.write(rows, path)
    report = dataset.check(path, model=SEES)
    assert report.totals["too_long"] == 1 and report.kept_tokens < report.tokens
    assert read_file(path, "file-0", "supervised", "training_file", 0).tokens("gpt-4o") == report.kept_tokens


def test_the_guards_limit_holds_a_job_whose_tools_pass_it():
    """Case: twelve rows with 6,742 tokens of tools each, $16 in all, that was held for $0.13."""
    row = clean_rows(1)[0] | {"tools": [a_tool(random.Random(0), n) for n in range(60)]}
    content = "".join(json.dumps(row) + "\n" for _ in range(12)).encode()
    job = {"model": SEES, "training_file": "file-0"}
    estimate = orders.estimate(OPENAI, job, content, len(content))
    assert estimate.usd > 5
    guard = SpendGuard(OPENAI, None)
    assert not guard._fits(estimate)


# --- tools ------------------------------------------------------------------------------------------------------

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_current_weather",
        "description": "Get the current weather in a given location",
        "parameters": {
            "type": "object",
            "properties": {
                "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
                "unit": {
                    "type": "string",
                    "description": "The unit of temperature to return",
                    "enum": ["celsius", "fahrenheit"],
                },
            },
            "required": ["location"],
        },
    },
}
ABOUT_WEATHER = [
    {
        "role": "system",
        "content": "You are a helpful assistant that can answer to questions about the weather.",
    },
    {"role": "user", "content": "What's the weather like in San Francisco?"},
]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gpt-3.5-turbo", 105),
        ("gpt-4", 105),
        ("gpt-4o", 101),
        ("gpt-4o-mini", 101),
        ("ft:gpt-4o-mini:o::i", 101),
    ],
)
def test_prompt_tokens_with_tools_published_by_openai(model, expected):
    """OpenAI cookbook, How_to_count_tokens_with_tiktoken.ipynb: what the API itself said, too."""
    assert tokens.count_messages(ABOUT_WEATHER, model, [WEATHER]) == expected
    functions = [WEATHER["function"]]
    assert tokens.count_messages(ABOUT_WEATHER, model, functions) == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_where_the_formula_does_not_apply_tools_are_counted_by_their_json(seed):
    picker = random.Random(seed)
    plain, nested = a_tool(picker, 0), a_tool(picker, 1, nested=True)
    for tools, model in (([plain], "gpt-4.1-mini"), ([plain, nested], "gpt-4o"), ([{"odd": seed}], "gpt-4o")):
        assert tokens.count_tools(tools, model) == tokens.count(json.dumps(tools), model)
    assert 0 < tokens.count_tools([plain], "gpt-4o") < tokens.count(json.dumps([plain]), "gpt-4o")
    for nothing in (None, []):
        assert tokens.count_tools(nothing, "gpt-4o") == 0


@pytest.mark.parametrize("damage", [None, 1, "x", [], {"function": None}, {"function": {"name": 1}}])
def test_what_is_no_tool_is_counted_and_raises_nothing(damage):
    assert tokens.count_tools([damage], "gpt-4o") == tokens.count(json.dumps([damage]), "gpt-4o")


@pytest.mark.parametrize("seed", SEEDS)
def test_the_tokens_of_a_file_with_tools_are_at_most_those_of_their_json(seed):
    rows = with_tools(seed)
    report = dataset.check(rows, model=SEES)
    chats = sum(tokens.count_messages(row["messages"], SEES) for row in rows)
    by_json = sum(tokens.count(json.dumps(row["tools"], ensure_ascii=False), SEES) for row in rows)
    by_formula = sum(tokens.count_tools(row["tools"], SEES) for row in rows)
    assert (report.tokens, report.least_tokens) == (chats + by_json, chats + by_formula)
    assert not report.exact
    assert any("how training counts tools" in note for note in report.notes) == (by_formula < by_json)


def test_what_an_answer_of_the_api_carries_beside_its_text_is_not_counted():
    answer = {"role": "assistant", "content": "Yes."}
    sent_back = answer | {"refusal": None, "annotations": [], "audio": None, "tool_calls": None}
    assert tokens.count_messages([sent_back], "gpt-4o") == tokens.count_messages([answer], "gpt-4o")


# --- pictures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "height", "high"),
    [
        (1024, 1024, 765),  # these two: OpenAI's guide
        (2048, 4096, 1105),
        (128, 64, 255),  # these: bills shown at community.openai.com/t/1262691 and /t/1281361
        (2049, 513, 1445),
        (2050, 513, 765),
        (512, 512, 255),
        (5_000, 1, 85 + 4 * 170),
    ],
)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_tokens_of_a_picture(width, height, high, kind):
    image = {"url": data_url(width, height, kind)}
    assert token_rules.picture(image | {"detail": "high"}, SEES) == (high, high, True)
    assert token_rules.picture(image | {"detail": "low"}, SEES) == (85, 85, True)
    assert token_rules.picture(image, SEES) == token_rules.picture(image, "gpt-4o") == (85, high, False)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_picture_is_never_more_than_the_most(seed):
    picker = random.Random(seed)
    for _ in range(1_000):
        sides = [int(2 ** picker.uniform(0, 15)) for _ in range(2)]
        assert 1 <= token_rules.tiles(*sides) <= token_rules.MOST_TILES


@pytest.mark.parametrize(
    "url",
    [
        "https://luggage.example/kite.jpg",
        "file-abc",
        "",
        None,
        7,
        "data:image/png;base64,",
        "data:image/png;base64,AAAA",
        "data:image/png;base64,???",
        "data:image/png;base64," + "é",
        data_url(9, 9)[:60],
    ],
)
def test_a_picture_of_unknown_size_may_have_any(url):
    assert token_rules.picture({"url": url}, SEES) == (85, 1445, False)
    assert token_rules.picture({"url": url, "detail": "high"}, SEES) == (255, 1445, False)
    assert token_rules.picture({"url": url, "detail": "low"}, SEES) == (85, 85, True)
    assert token_rules.picture(url, SEES) == (85, 1445, False)


def test_other_models_count_pictures_in_their_own_way():
    image = {"url": data_url(128, 64), "detail": "high"}
    assert token_rules.picture(image, "gpt-4o-mini").most == 8500  # billed: 8512 with 12 of its text
    assert token_rules.picture(image | {"detail": "low"}, "gpt-4o-mini").most == 2833
    assert token_rules.picture(image, "gpt-4.1").most == 255
    for model, most in (("gpt-4.1-mini", 14), ("gpt-4.1-nano", 21)):  # of 8 patches
        found = token_rules.picture(image, model)
        assert (found.most, found.exact) == (most, False)
    scaled = {"url": data_url(4000, 1474)}
    assert token_rules.picture(scaled, "gpt-4.1-mini").most >= 2488  # billed
    assert token_rules.picture(image, "gpt-3.5-turbo") is None


def test_pictures_in_files_as_twelve_links():
    """Case: counted as 0 tokens and called exact."""
    rows = [
        {
            "messages": [
                {"role": "user", "content": picture_part({"url": f"https://l.example/{n}.jpg"})},
                answer,
            ]
        }
        for n, answer in enumerate(row["messages"][1] for row in clean_rows(12))
    ]
    texts = sum(
        tokens.count_messages([{"role": "user", "content": ""}, row["messages"][1]], SEES) for row in rows
    )
    report = dataset.check(rows, model=SEES)
    assert (report.least_tokens, report.tokens) == (texts + 12 * 85, texts + 12 * 1445)
    assert not report.exact and "about" in report.summary()
    assert f"at least they are {report.least_tokens:,}" in str(report)
    assert f"at least {report.least_tokens:,}" in str(costs.training(report, SEES))


@pytest.mark.parametrize("model", ["gpt-3.5-turbo", "gpt-6-luna"])
@pytest.mark.parametrize("seed", SEEDS[:5])
def test_pictures_that_nobody_says_how_to_count_are_not_counted_and_leave_the_price_unknown(model, seed):
    rows = with_pictures(seed)
    report = dataset.check(rows, model=model)
    assert report.pictures_not_counted == 12 and not report.exact
    assert f"Pictures are not counted: 12. Nobody says how many tokens {model} takes" in str(report)
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    job = {"model": model, "training_file": "file-0", "hyperparameters": {"n_epochs": 3}}
    for target in (OPENAI, Target("other", "https://other.example/v1", price=lambda _: (1.0, "a source"))):
        estimate = orders.estimate(target, job, content, len(content))
        assert estimate.usd is None and "Pictures: 12" in estimate.words
    if model == "gpt-3.5-turbo":
        assert costs.training(report, model).title().endswith(", without its pictures")


# --- pairs of answers, tuned names ------------------------------------------------------------------------------


def test_both_answers_of_a_preference_row_count():
    """Billed "by the number of tokens in the training dataset": help.openai.com, article 11323177."""
    row = preferences(0)[0]
    model = "gpt-4.1-mini"
    both = [*row["input"]["messages"], *row["preferred_output"], *row["non_preferred_output"]]
    assert dataset.check([row], model=model).tokens == tokens.count_messages(both, model)


@pytest.mark.parametrize(
    "base", ["gpt-3.5-turbo", "gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "gpt-4.1-nano"]
)
@pytest.mark.parametrize(
    "name", ["ft:{}", "ft:{}:org", "ft:{}:org::id", "ft:{}:org:x:id", "ft:{}:org:x:id:ckpt-step-9"]
)
def test_an_undated_tuned_name_has_the_price_of_its_base(base, name):
    tuned = name.format(base)
    for kind in ("training", "tuned_input", "tuned_output"):
        assert costs.price(tuned, kind) == costs.price(base, kind)
    rows = clean_rows(12)
    report = dataset.check(rows, model=tuned)
    assert costs.training(report, tuned).usd == costs.training(report, base).usd
    assert costs.call(tuned, 10, 10).usd == costs.call(base, 10, 10, tuned=True).usd
