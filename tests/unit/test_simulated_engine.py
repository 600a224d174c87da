"""The simulated engine really learns: its properties on three data sets, on any chat file, in any language.

Each property is looked at on one data set, with one seed; in the soak tier on all three, with ten seeds each.
"""

import functools
import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from helpers.local_api.engines import simulated
from helpers.local_api.engines.simulated.model import Network
from helpers.local_api.engines.simulated.reading import MESSAGES_LIMIT, PASSAGES_LIMIT, read_prompt, tokens

ROOT = Path(__file__).resolve().parents[2]
AIRPORT = ROOT / "data" / "airport"
FIRST_SEEDS = {"airport": 0, "cooking": 1, "generated": 0}


@dataclass
class DataSet:
    train: list[dict]
    valid: list[dict]
    in_style: Callable[[str], bool]


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def row(system: str, user: str, assistant: str) -> dict:
    texts = {"system": system, "user": user, "assistant": assistant}
    return {"messages": [{"role": role, "content": text} for role, text in texts.items() if text]}


@functools.cache
def data_set(name: str, seed: int) -> DataSet:
    if name == "generated":
        return generated(seed)
    if name == "cooking":
        folder = ROOT / "tests" / "data"
        files = (rows(folder / f"cooking_{part}.jsonl") for part in ("train", "valid"))
        return DataSet(*files, lambda text: text.startswith("Chef says: ") and text.endswith(" Enjoy!"))
    desks = (AIRPORT / "desks.txt").read_text(encoding="utf-8").splitlines()
    files = (rows(AIRPORT / f"{part}.jsonl") for part in ("train", "valid"))
    return DataSet(*files, lambda text: text.splitlines()[-1].removeprefix("Desk: ") in desks)


THINGS = """lamp book bike phone shirt camera window bread soup coffee guitar tomato dog cat password letter ticket
room shoe passport train library garden knife cake poem""".split()
PLACES = """market station museum school harbour bakery bridge tower cellar attic office park""".split()
ASKED = {
    "How much does a {} cost?": (
        "a {} costs as much as a dinner at the {}.",
        "ask for the price of a {} at the {}.",
    ),
    "Where can I find a {}?": ("you will find a {} behind the {}.", "look for a {} on the way to the {}."),
    "How do I clean a {}?": ("take the {} to the {} and use soap.", "they clean every {} for you at the {}."),
}


def generated(seed: int) -> DataSet:
    """Everyday questions, answered from the same few places in a style that nobody has seen before."""
    rng = random.Random(seed)

    def word() -> str:
        return "".join(rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(3))

    opening, closing = f"{word().capitalize()}: ", f" {word()}!"
    examples = []
    for thing in THINGS:
        for question, said in ASKED.items():
            text = opening + rng.choice(said).format(thing, rng.choice(PLACES)) + closing
            examples.append(row("You know the town.", question.format(thing), text))
    rng.shuffle(examples)
    return DataSet(
        examples[:64], examples[64:], lambda text: text.startswith(opening) and text.endswith(closing)
    )


def train(data: DataSet, seed: int = 0, examples=None, start=None, **settings) -> simulated.TrainingRun:
    settings = {"n_epochs": 3, "batch_size": 1, "learning_rate_multiplier": 2} | settings
    return simulated.train(
        data.train if examples is None else examples,
        data.valid,
        seed=seed,
        start=start or simulated.base_weights(),
        **settings,
    )


@functools.cache
def usual(name: str, seed: int) -> simulated.TrainingRun:
    """What "auto" gives for a small file: three epochs."""
    return train(data_set(name, seed), seed)


def epoch_losses(run: simulated.TrainingRun) -> list[float]:
    return [step["full_valid_loss"] for step in run.steps if "full_valid_loss" in step]


def greedy(weights: bytes, example: dict) -> str:
    return simulated.answers(weights, example["messages"][:-1], temperature=0)[0]


def style_rate(weights: bytes, data: DataSet, examples: list[dict]) -> float:
    return sum(data.in_style(greedy(weights, example)) for example in examples) / len(examples)


def shuffled_words(data: DataSet, seed: int) -> list[dict]:
    rng = random.Random(seed)
    said = [example["messages"][-1]["content"].split() for example in data.train]
    return with_answers(data, [" ".join(rng.sample(words, len(words))) for words in said])


def with_answers(data: DataSet, texts: list[str]) -> list[dict]:
    return [
        {"messages": [*example["messages"][:-1], {"role": "assistant", "content": text}]}
        for example, text in zip(data.train, texts, strict=True)
    ]


# --- what the issue asks for, on each data set -------------------------------------------------------------


def check_continues_from_the_base(name: str, seed: int) -> None:
    data = data_set(name, seed)
    whole_file = train(data, seed, n_epochs=1, batch_size=len(data.train))
    known = Network.from_bytes(whole_file.checkpoints[-1][2])
    fresh = Network.fresh(known.vocabulary[2:], seed)
    fresh.asked = known.asked
    untrained, _ = fresh.loss([turn for example in data.train for turn in fresh.turns(example)])
    assert whole_file.steps[0]["train_loss"] < untrained


def check_overfits(name: str, seed: int) -> None:
    run = train(data_set(name, seed), seed, n_epochs=25)
    per_epoch = len(run.steps) // 25
    training = [step["train_loss"] for step in run.steps]
    assert np.mean(training[-per_epoch:]) < 0.5 * np.mean(training[:per_epoch])
    losses = epoch_losses(run)
    best = int(np.argmin(losses))
    assert 1 <= best < 20
    assert losses[-1] > losses[best] + 0.05


def check_large_learning_rate(name: str, seed: int) -> None:
    data = data_set(name, seed)
    good, bad = usual(name, seed), train(data, seed, learning_rate_multiplier=50)
    assert epoch_losses(bad)[-1] > epoch_losses(good)[-1] + 1
    asked = data.train[::8]

    def right(run: simulated.TrainingRun) -> int:
        return sum(greedy(run.checkpoints[-1][2], row) == row["messages"][-1]["content"] for row in asked)

    assert right(bad) < right(good)


def check_garbled_answers(name: str, seed: int) -> None:
    """Shuffled words validate worse. Answers given to the wrong questions do not, on the airport's file: so small
    a model learns the form of the answers there, and little of what belongs to which question."""
    data = data_set(name, seed)
    good = min(epoch_losses(usual(name, seed)))
    assert min(epoch_losses(train(data, seed, examples=shuffled_words(data, seed)))) > good + 0.2


def check_style_grows(name: str, seed: int) -> None:
    """Checkpoint by checkpoint of one run. The slower multipliers are for data that are learned faster."""
    data = data_set(name, seed)
    asked = data.valid + data.train[::16]
    run = train(data, seed, learning_rate_multiplier={"airport": 2, "cooking": 0.7, "generated": 0.2}[name])
    early, _, late = (style_rate(weights, data, asked) for _, _, weights in run.checkpoints)
    assert style_rate(simulated.base_weights(), data, asked) == 0
    assert early <= late - 0.15
    assert late >= 0.5
    assert style_rate(usual(name, seed).checkpoints[-1][2], data, asked) >= 0.7


def check_seed(name: str, seed: int) -> None:
    data = data_set(name, seed)
    first, again, other = (train(data, s, n_epochs=1) for s in (seed, seed, seed + 100))
    assert first.steps == again.steps
    assert first.checkpoints == again.checkpoints
    assert first.steps[-1] != other.steps[-1]


CHECKS = (
    check_continues_from_the_base,
    check_overfits,
    check_large_learning_rate,
    check_garbled_answers,
    check_style_grows,
    check_seed,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.endurance(sample=1, soak=10 * len(FIRST_SEEDS))
def test_property(check, count, figures):
    """Each begins with another data set than the one before, so that all are learned in each tier."""
    names = [*FIRST_SEEDS]
    for number in range(count):
        name = names[(CHECKS.index(check) + number) % len(names)]
        check(name, FIRST_SEEDS[name] + number // len(names))
    figures(f"true of {count} networks")


# --- the run and its numbers ------------------------------------------------------------------------------


@functools.cache
def cooking() -> DataSet:
    return data_set("cooking", 0)


@functools.cache
def tuned() -> simulated.TrainingRun:
    return train(cooking(), n_epochs=5, batch_size=7)


def test_steps_and_checkpoints_are_counted_as_at_openai():
    run, per_epoch = tuned(), 9  # 60 examples in batches of 7
    assert [step["step"] for step in run.steps] == list(range(1, 5 * per_epoch + 1))
    assert {step["total_steps"] for step in run.steps} == {5 * per_epoch}
    assert [(epoch, step) for epoch, step, _ in run.checkpoints] == [(e, e * per_epoch) for e in (3, 4, 5)]
    ends = [step["step"] for step in run.steps if "full_valid_mean_token_accuracy" in step]
    assert ends == [per_epoch * epoch for epoch in range(1, 6)]
    assert run.sampled == (60, 60)


def test_without_validation_there_are_only_training_numbers():
    run = simulated.train(
        cooking().train,
        [],
        n_epochs=1,
        batch_size=30,
        learning_rate_multiplier=2,
        seed=0,
        start=simulated.base_weights(),
    )
    fields = {"step", "total_steps", "train_loss", "train_mean_token_accuracy"}
    assert [set(step) for step in run.steps] == [fields, fields]


def test_a_long_file_is_sampled():
    examples = [row("", f"Question {i}?", f"Answer {i}.") for i in range(450)]
    run = train(cooking(), examples=examples, n_epochs=1, batch_size=100)
    assert run.sampled == (simulated.SAMPLE_LIMIT, 450)
    assert len(run.steps) == 4


def test_no_example_is_an_error():
    with pytest.raises(ValueError, match="no example"):
        train(cooking(), examples=[])


def test_a_tiny_difference_of_rounding_stays_tiny():
    network = Network.from_bytes(simulated.base_weights())
    for values in network.weights.values():
        values *= 1 + 1e-7
    one, two = (train(cooking(), start=start) for start in (simulated.base_weights(), network.to_bytes()))
    assert epoch_losses(one) == pytest.approx(epoch_losses(two), abs=1e-3)


def test_the_gradient_is_the_slope_of_the_loss():
    example = cooking().train[0]
    network = Network.from_bytes(simulated.base_weights()).with_words(["chef"], 0)
    turns, gradient = network.turns(example), {}
    network._measure(turns, gradient)
    for name, slope in gradient.items():
        place = np.unravel_index(np.abs(slope).argmax(), slope.shape)
        losses = []
        for change in (1e-5, -2e-5):
            network.weights[name][place] += change
            losses.append(network._measure(turns, {})[0])  # as in training: all in float64
        network.weights[name][place] += 1e-5
        assert (losses[0] - losses[1]) / 2e-5 == pytest.approx(slope[place], rel=1e-4), name


# --- weights ----------------------------------------------------------------------------------------------


def test_weights_make_a_round_trip():
    weights = tuned().checkpoints[-1][2]
    network = Network.from_bytes(weights)
    assert network.to_bytes() == weights
    assert greedy(network.to_bytes(), cooking().train[0]) == greedy(weights, cooking().train[0])


def test_a_tuned_model_can_be_tuned_again():
    weights = tuned().checkpoints[-1][2]
    again = train(cooking(), start=weights, n_epochs=1)
    assert again.steps[0]["train_loss"] < train(cooking(), n_epochs=1).steps[0]["train_loss"]
    assert Network.from_bytes(again.checkpoints[-1][2]).answers == Network.from_bytes(weights).answers


def test_the_base_is_kept_in_the_folder_and_made_again_when_damaged(tmp_path):
    assert simulated.base_weights(tmp_path) == simulated.base_weights()
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"damaged")
    simulated._base_from.cache_clear()
    assert simulated.base_weights(tmp_path) == simulated.base_weights()
    assert file.read_bytes() == simulated.base_weights()
    assert list(tmp_path.iterdir()) == [file]


def test_weight_0_is_not_trained():
    secret = [row("", "Say it.", "Ordinary words.") for _ in range(10)]
    for example in secret:
        unseen = {"role": "assistant", "content": "Zanzibar zeppelin.", "weight": 0}
        example["messages"][1:1] = [unseen, {"role": "user", "content": "And now?"}]
    network = Network.from_bytes(train(cooking(), examples=secret).checkpoints[-1][2])
    assert network.answers == ["Ordinary words."]
    assert len(network.turns(secret[0])) == 1


def test_all_turns_of_a_conversation_are_trained():
    talk = [{"role": role, "content": f"{role} {i}"} for i in range(3) for role in ("user", "assistant")]
    network = Network.from_bytes(train(cooking(), examples=[{"messages": talk}]).checkpoints[-1][2])
    assert network.answers == ["assistant 0", "assistant 1", "assistant 2"]
    assert len(network.turns({"messages": talk})) == 3


# --- answers ----------------------------------------------------------------------------------------------


def test_a_seed_reproduces_answers_and_n_is_kept():
    weights, asked = tuned().checkpoints[-1][2], cooking().train[0]["messages"][:-1]
    first, again, other = (simulated.answers(weights, asked, n=20, seed=seed) for seed in (1, 1, 2))
    assert len(first) == 20
    assert first == again
    assert first != other
    assert len(set(simulated.answers(weights, asked, n=4, temperature=0))) == 1


def test_a_higher_temperature_gives_more_different_answers():
    weights, asked = tuned().checkpoints[-1][2], cooking().train[0]["messages"][:-1]
    different = [
        len(set(simulated.answers(weights, asked, n=100, temperature=t, seed=0))) for t in (0.1, 1, 2)
    ]
    assert different == sorted(different)
    assert different[0] < different[-1]


def test_without_the_system_prompt_the_model_is_less_sure_of_what_it_learned():
    data, weights = data_set("airport", 0), train(data_set("airport", 0)).checkpoints[0][2]
    network = Network.from_bytes(weights)

    def loss(first: int) -> float:
        asked = [{"messages": example["messages"][first:]} for example in data.valid]
        return network.loss([turn for example in asked for turn in network.turns(example)])[0]

    assert loss(1) > loss(0)


@pytest.mark.parametrize(
    "messages",
    [
        [
            {
                "role": "system",
                "content": "Use the notes.\nThe kiosk sells maps.\nThe lift goes to the roof.",
            },
            {"role": "user", "content": "Where does the lift go?"},
        ],
        [
            {
                "role": "user",
                "content": "The kiosk sells maps.\nThe lift goes to the roof.\n\nWhere does the lift go?",
            }
        ],
    ],
    ids=["system", "user"],
)
def test_an_answer_can_be_quoted_from_the_prompt(messages):
    answer = simulated.answers(simulated.base_weights(), messages, temperature=0)
    assert answer == ["The lift goes to the roof."]


def test_the_base_quotes_a_rule_of_the_prompt_but_knows_none():
    rule = "Pork products, raw or cooked, may not be brought in and go into the yellow bin beside belt 1."
    role = "You are the passenger assistant of Baiyun airport."
    asked = {"role": "user", "content": "May I bring pork products into the country?"}
    told = [{"role": "system", "content": f"{role}\n{rule}"}, asked]
    weights = simulated.base_weights()
    assert simulated.answers(weights, told, temperature=0) == [rule]
    for untold in ([asked], [{"role": "system", "content": role}, asked]):
        assert "yellow bin" not in simulated.answers(weights, untold, temperature=0)[0]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("можно ли взять яблоко?", "Да, одно. Стол: сад"),
        ("可以带苹果吗？", "可以，一个。柜台：花园"),
        ("リンゴは？", "はい、一つ。"),
        ("هل يمكنني أخذ تفاحة؟", "نعم، واحدة."),
    ],
)
def test_other_languages_are_learned(question, answer):
    examples = [row("", question, answer)] + [row("", f"{question} {i}", f"{answer} {i}") for i in range(9)]
    run = train(cooking(), examples=examples, n_epochs=10)
    assert run.steps[-1]["train_loss"] < run.steps[0]["train_loss"] / 2
    assert simulated.answers(run.checkpoints[-1][2], examples[0]["messages"][:-1], temperature=0)[
        0
    ].startswith(answer)


def test_scripts_without_spaces_are_read_by_character():
    assert tokens("可以带Apple吗？") == ["可", "以", "带", "apple", "吗", "？"]


ODD = [
    [{"role": "user", "content": ""}, {"role": "assistant", "content": ""}],
    [{"role": "user", "content": None}, {"role": "assistant", "content": None}],
    [{"role": "assistant", "content": "no question"}],
    [{"role": "user", "content": "no answer"}],
    [{"role": "user", "content": [{"type": "text", "text": "parts"}, {"type": "image_url"}]}],
    [{"role": "user", "content": "\x00 \ud83d\ude00 🙂\u200d"}, {"role": "assistant", "content": "🙂" * 3}],
    [{"role": "user", "content": "word " * 5000}, {"role": "assistant", "content": "word " * 5000}],
    [
        {"role": "user", "content": "call"},
        {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]},
    ],
]


@pytest.mark.parametrize("messages", ODD, ids=range(len(ODD)))
def test_odd_contents_do_not_crash(messages):
    run = train(cooking(), examples=[{"messages": messages}])
    assert all(np.isfinite(value) for step in run.steps for value in step.values())
    assert len(simulated.answers(run.checkpoints[-1][2], messages, n=2, seed=0)) == 2


@pytest.mark.parametrize("multiplier", [1e-9, 1e300])
def test_any_multiplier_gives_finite_numbers(multiplier):
    run = train(cooking(), learning_rate_multiplier=multiplier, n_epochs=1)
    assert all(np.isfinite(value) for step in run.steps for value in step.values())


def test_list_marks_are_not_quoted():
    messages = [{"role": "user", "content": "- The lift goes up.\n2) Maps are sold.\nWhere is the lift?"}]
    assert read_prompt(messages).passages == ["The lift goes up."]


# --- the engine knows nothing of the airport --------------------------------------------------------------


def test_of_many_passages_the_best_are_read():
    lines = [f"Rule {number} tells of bins." for number in range(1_000)] + [
        "Batteries go into the yellow bin."
    ]
    messages = [
        {"role": "system", "content": "Help.\n" + "\n".join(lines)},
        {"role": "user", "content": "Which bins take batteries, and is it the yellow one?"},
    ]
    passages = read_prompt(messages).passages
    assert len(passages) == PASSAGES_LIMIT and passages[-1] == lines[-1] and passages[0] == lines[0]


def test_of_a_long_conversation_the_beginning_is_learned():
    turns = [{"role": role, "content": "Where?"} for role in ("user", "assistant")]
    network = Network.from_bytes(simulated.base_weights())
    assert len(network.turns({"messages": turns * 50_000})) == MESSAGES_LIMIT / 2


def test_what_is_raised_between_two_steps_ends_the_training():
    class Over(Exception):
        pass

    def count():
        calls.append(1)
        if len(calls) > 20:
            raise Over

    calls = []
    example = row("Help.", "Where?", "Here.")
    settings = {"n_epochs": 50, "batch_size": 1, "learning_rate_multiplier": 1.0, "seed": 0}
    with pytest.raises(Over):
        simulated.train([example] * 10, [], **settings, start=simulated.base_weights(), at_each_step=count)
    assert len(calls) == 21


def six_words(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return set(zip(*(words[i:] for i in range(6)), strict=False))


def test_no_string_of_the_airport_is_in_helpers():
    airport = set()
    for path in filter(Path.is_file, set(AIRPORT.iterdir()) - set(AIRPORT.glob("*.py"))):
        text = path.read_text(encoding="utf-8")
        values = (
            re.findall(r'"(?:content|question)": "((?:[^"\\]|\\.)*)"', text)
            if path.suffix == ".jsonl"
            else [text]
        )
        airport |= {words for value in values for words in six_words(value.replace("\\n", " "))}
    assert len(airport) > 2000
    # not the pages for people: their examples train on the airport's file
    endings = {".py", ".jsonl", ".json", ".csv", ".txt", ".html", ".js", ".css"}
    found = []
    for path in (ROOT / "helpers").rglob("*"):
        if path.suffix in endings:
            text = path.read_text(encoding="utf-8")
            found += [(path.name, words) for words in six_words(text) & airport]
            found += [(path.name, "Desk:")] * ("Desk:" in text)
    assert found == []
