"""The trained engine on a tiny model with random weights: the loop, the masks, decoding, and what it can resume."""

import json
import mmap
import random
import re
import sys
import warnings
from pathlib import Path

import pytest

from helpers.local_api.client import ClientGone
from helpers.local_api.engines.trained import MODEL, weights, worker
from helpers.local_api.store import Store
from helpers.local_api.training_files import Failure, TrainingFile
from tests import tiny_model

if tiny_model.HAS_TORCH:
    import torch
    from peft import PeftModel

    from helpers.local_api.engines.trained import courses, serving, training
    from helpers.local_api.engines.trained.export import ExportError, export

pytestmark = tiny_model.TIER

CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "When do I water?"},
    {"role": "assistant", "content": "In the evening."},
]


def fresh(folder, seed=1, adapter=None):
    torch.set_num_threads(1)
    base = training.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return training.with_lora(base, adapter, seed)


def chat(number: int) -> list[dict]:
    return [
        {"role": "user", "content": f"When do I water bed {number}?"},
        {"role": "assistant", "content": f"Water bed {number} in the evening."},
    ]


def learned(tokenizer, example) -> str:
    return tokenizer.decode([t for t, on in zip(example.tokens, example.trained, strict=True) if on])


def test_only_the_answer_and_its_end_are_learned(tokenizer):
    example = training.encode(tokenizer, CHAT)
    assert learned(tokenizer, example) == "In the evening.<|im_end|>"
    assert tokenizer.decode(example.tokens) == training.prompt_text(tokenizer, CHAT, False).rstrip("\n")


def test_an_answer_of_weight_0_is_read_but_not_learned(tokenizer):
    quiet = [*CHAT[:2], CHAT[2] | {"weight": 0}, *CHAT[1:2], {"role": "assistant", "content": "At six."}]
    example = training.encode(tokenizer, quiet)
    assert learned(tokenizer, example) == "At six.<|im_end|>"
    assert "In the evening." in tokenizer.decode(example.tokens)


def test_an_assistant_may_speak_first(tokenizer):
    first = [{"role": "assistant", "content": "Hello."}, *chat(1)]
    example = training.encode(tokenizer, first)
    assert learned(tokenizer, example) == "Hello.<|im_end|>Water bed 1 in the evening.<|im_end|>"
    assert tokenizer.decode(example.tokens) == training.prompt_text(tokenizer, first, False).rstrip("\n")


def test_batches_hold_every_example_once_and_lie_close_in_length():
    examples = [training.Example([0] * n, [True] * n) for n in range(1, 34)]
    found = training.batches(examples, 4, random.Random(1))
    assert sorted(len(e.tokens) for batch in found for e in batch) == list(range(1, 34))
    assert [len(batch) for batch in found].count(4) == 8
    assert max(len(batch[-1].tokens) - len(batch[0].tokens) for batch in found) <= 3


TALK = [*CHAT, {"role": "user", "content": "And the roses?"}, {"role": "assistant", "content": "At six."}]
BATCHES = {
    "a common system prompt": [CHAT, TALK, [CHAT[0], *chat(1)]],
    "nothing in common": [CHAT, chat(1), [{"role": "assistant", "content": "Hello."}]],
    "the same twice": [CHAT, CHAT],
    "one alone": [TALK],
    "one that is not learned": [CHAT, [*CHAT[:2], CHAT[2] | {"weight": 0}]],
}


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", BATCHES)
def test_examples_in_one_row_are_learned_as_each_alone(name, attention, folder, tokenizer):
    base = training.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation=attention
    )
    model = training.with_lora(base, adapter_that_does_something(folder), 1)
    trainer = training.Trainer(model, training.Settings(), 1)
    examples = [training.encode(tokenizer, rows) for rows in BATCHES[name]]
    # transformers' own loss, one example at a time: nothing of ours is in it
    wanted, lengths = 0.0, 0
    for example in examples:
        labels = [t if on else -100 for t, on in zip(example.tokens, example.trained, strict=True)]
        if count := sum(example.trained):
            wanted += count * model(torch.tensor([example.tokens]), labels=torch.tensor([labels])).loss
            lengths += count
    slopes = torch.autograd.grad(wanted, trainer.weights)
    loss, _, count, found = trainer.gradient(examples)
    assert (loss, count) == (pytest.approx(wanted.item(), rel=1e-4), lengths)
    for mine, theirs in zip(found, slopes, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-4)


def adapter_that_does_something(folder) -> bytes:
    """New LoRA matrices leave the model as it is, and half of them would have no gradient."""
    model = fresh(folder)
    for name, values in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(values.data, std=0.1, generator=torch.Generator().manual_seed(3))
    return training.adapter_bytes(model)


def test_what_the_examples_begin_with_is_computed_once(folder, tokenizer, monkeypatch):
    model = fresh(folder)
    examples = [training.encode(tokenizer, [CHAT[0], *chat(number)]) for number in (1, 2)]
    start = training.common_start(examples)
    assert tokenizer.decode(examples[0].tokens[:start]).endswith("When do I water bed")
    inner, rows = model.get_base_model().model, []
    monkeypatch.setattr(
        inner, "forward", lambda forward=inner.forward, **row: rows.append(row) or forward(**row)
    )
    training.loss_of(model, examples)
    assert rows[0]["input_ids"].shape == (1, sum(len(e.tokens) - 1 for e in examples) - start)


def test_a_common_start_ends_before_what_is_learned():
    def start(*examples) -> int:
        return training.common_start([training.Example(list(t), [c.isupper() for c in t]) for t in examples])

    assert start("abcDE", "abcDF") == 2  # c predicts D, once for each
    assert start("abcDE", "abxDE") == 2
    assert start("abcd", "abcd") == 3 and start("abcdE", "ab") == 1  # the last one predicts nothing
    assert start("Abc", "Abc") == start("a", "a") == start("ab", "xb") == 0


def test_a_large_batch_is_learned_in_rows_of_a_few(folder, tokenizer, monkeypatch):
    sizes, loss_of = [], training.loss_of
    monkeypatch.setattr(
        training, "loss_of", lambda model, part: sizes.append(len(part)) or loss_of(model, part)
    )
    examples = [training.encode(tokenizer, chat(number)) for number in range(10)]
    trainer = training.Trainer(fresh(folder), training.Settings(batch_size=10), 10, parts=2)
    trainer.learn(examples)
    assert sorted(sizes) == [3, 3, 4] and training.TOGETHER == 4


def trained(folder, tokenizer, steps=None, state=None, seed=1, parts=1):
    examples = [training.encode(tokenizer, chat(number)) for number in range(12)]
    model = fresh(folder, seed)
    settings = training.Settings(n_epochs=8, batch_size=4, learning_rate_multiplier=3.0, seed=seed)
    trainer = training.Trainer(model, settings, len(examples), parts)
    if state:
        trainer.restore(state)
    seen = []
    for metrics in training.train(trainer, examples, examples[:3]):
        seen.append(metrics)
        if trainer.step == steps:
            break
    return model, trainer, seen


def test_it_learns_and_only_lora_changes(folder, tokenizer):
    before = {name: p.clone() for name, p in fresh(folder).named_parameters()}
    model, _, seen = trained(folder, tokenizer)
    assert [metrics["step"] for metrics in seen] == list(range(1, 25))
    assert seen[-1]["train_loss"] < 0.85 * seen[0]["train_loss"]
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed and all("lora_" in name for name in changed)
    assert [m["step"] for m in seen if "full_valid_loss" in m] == [3 * epoch for epoch in range(1, 9)]
    assert [m["step"] for m in seen if "valid_loss" in m and "full_valid_loss" not in m] == [10, 20]


def test_a_run_that_goes_on_after_a_break_gives_the_same_numbers(folder, tokenizer):
    _, _, whole = trained(folder, tokenizer)
    _, trainer, first = trained(folder, tokenizer, steps=7)
    _, _, rest = trained(folder, tokenizer, state=trainer.state(), seed=1)
    assert [m["step"] for m in first + rest] == [m["step"] for m in whole]
    assert [m["train_loss"] for m in first + rest] == pytest.approx(
        [m["train_loss"] for m in whole], rel=1e-4
    )


@pytest.mark.parametrize("parts", [2, 3, 5])
def test_a_batch_in_parts_gives_the_same_numbers(parts, folder, tokenizer):
    _, _, whole = trained(folder, tokenizer)
    _, trainer, in_parts = trained(folder, tokenizer, parts=parts)
    assert len(in_parts) == len(whole) == trainer.total
    for mine, theirs in zip(in_parts, whole, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4)


@pytest.mark.parametrize(("cores", "batch", "expected"), [(2, 4, (2, 1)), (8, 3, (3, 2)), (1, 4, (1, 1))])
def test_the_cores_are_shared_out_among_the_parts_of_a_batch(cores, batch, expected, monkeypatch):
    monkeypatch.setenv("LOCAL_API_THREADS", str(cores))
    assert (training.share_out_threads(batch), torch.get_num_threads()) == expected


def test_the_rate_rises_and_falls_to_zero(folder):
    trainer = training.Trainer(fresh(folder), training.Settings(n_epochs=10, batch_size=1), 10)
    rates = []
    for trainer.step in range(101):
        rates.append(trainer.rate())
    assert (
        rates[0] == pytest.approx(3e-4)
        and max(rates) == pytest.approx(3e-3)
        and rates[100] == pytest.approx(0)
    )
    assert rates.index(max(rates)) in (9, 10)


def test_the_environment_may_say_how_many_threads_are_used(monkeypatch):
    monkeypatch.setenv("LOCAL_API_THREADS", "3")
    assert training.quickest_threads() == 3
    for wrong in ("two", "0", "-1"):
        monkeypatch.setenv("LOCAL_API_THREADS", wrong)
        with pytest.raises(ValueError, match="a whole number from 1 up"):
            training.quickest_threads()
    monkeypatch.delenv("LOCAL_API_THREADS")
    assert training.quickest_threads() in (1, training.ALL_THREADS)


def test_the_scores_of_many_questions_are_computed_from_one_piece_of_memory(folder):
    """Else torch copies the matrix of scores for each question: 1.8 GB and many seconds for 32 of them."""
    model, seen = training.load_model(folder), []
    head = model.get_output_embeddings()
    head.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.inference_mode():
        model(input_ids=torch.ones(3, 5, dtype=torch.long), logits_to_keep=1)
    (given,) = seen
    assert given.shape[:2] == (3, 1) and given.is_contiguous()


def test_the_environment_may_say_in_which_precision_is_computed(monkeypatch):
    monkeypatch.setenv("LOCAL_API_PRECISION", "half")
    training.quickest_precision.cache_clear()
    with pytest.raises(ValueError, match="float32 or bfloat16"):
        training.quickest_precision()
    for name in ("float32", "bfloat16"):
        monkeypatch.setenv("LOCAL_API_PRECISION", name)
        training.quickest_precision.cache_clear()
        assert training.quickest_precision() == getattr(torch, name)
    training.quickest_precision.cache_clear()


def test_the_environment_may_say_the_rank_of_new_matrices_and_old_ones_keep_theirs(folder, monkeypatch):
    monkeypatch.setenv("LOCAL_API_RANK", "2")
    adapter = training.adapter_bytes(fresh(folder))
    monkeypatch.delenv("LOCAL_API_RANK")
    again = training.with_lora(training.load_model(folder), adapter, seed=1)
    (config,) = again.peft_config.values()
    assert (config.r, config.lora_alpha) == (2, 4)
    assert training.adapter_bytes(again) == adapter
    assert training.rank_of({}) == training.RANK
    for wrong in ("two", "0"):
        monkeypatch.setenv("LOCAL_API_RANK", wrong)
        with pytest.raises(ValueError, match="a whole number from 1 up"):
            training.rank_of({})


def test_what_was_kept_of_a_job_that_has_ended_is_removed(tmp_path):
    store = Store(tmp_path)
    (tmp_path / "trained").mkdir()
    names = ("ftjob-ended.pt", "ftjob-ended.part", "ftjob-paused.pt", "worker.log")
    for name in names:
        (tmp_path / "trained" / name).touch()
    store.add("state", "1", "sk-local", {"status": "cancelled"}, parent="ftjob-ended")
    store.add("state", "2", "sk-local", {"status": "paused"}, parent="ftjob-paused")
    worker.tidy(store)
    assert sorted(path.name for path in (tmp_path / "trained").iterdir()) == sorted(names[2:])


# --- answering -------------------------------------------------------------------------------------------------


def answer(tokenizer, prompt="When?", **options) -> "serving.Answer":
    options = {"limit": 12, "temperature": 0, "seed": 1, "stops": [], "top": -1} | options
    return serving.Answer(tokenizer.encode(prompt), **options)


def written(model, tokenizer, *answers) -> list[tuple[str, str]]:
    serving.decode(model, tokenizer, list(answers))
    pieces = [list(one) for one in answers]
    return [("".join(p.text for p in parts), parts[-1].finish_reason) for parts in pieces]


@pytest.fixture
def model(folder, tokenizer):
    return trained(folder, tokenizer)[0].merge_and_unload().eval()


def test_a_batch_answers_as_each_question_alone(model, tokenizer):
    prompts = ["When do I water bed 3?", "Bed", "In the evening water number one in the"]
    alone = [written(model, tokenizer, answer(tokenizer, prompt))[0] for prompt in prompts]
    assert written(model, tokenizer, *(answer(tokenizer, prompt) for prompt in prompts)) == alone
    assert len(set(alone)) > 1


def test_what_the_prompts_begin_with_is_read_once(model, tokenizer, monkeypatch):
    prompts = [f"When do I water bed {number}?" for number in (1, 2, 2)]
    alone = [written(model, tokenizer, answer(tokenizer, prompt))[0] for prompt in prompts]
    read, forward = [], model.forward
    monkeypatch.setattr(model, "forward", lambda **how: read.append(how["input_ids"]) or forward(**how))
    assert written(model, tokenizer, *(answer(tokenizer, prompt) for prompt in prompts)) == alone
    assert len(read[0]) == 1 and tokenizer.decode(read[0][0]) == "When do I water bed"
    assert read[1].shape == (3, len(tokenizer.encode(" 1?")))


@pytest.mark.parametrize(
    "prompts", [["When do I water bed 3?"], ["When do I water bed 3?", "When", "In the evening"]]
)
def test_long_prompts_are_read_in_parts(model, tokenizer, monkeypatch, prompts):
    whole = written(model, tokenizer, *(answer(tokenizer, prompt) for prompt in prompts))
    at_once, forward = [], model.forward

    def counted(**how):
        at_once.append(how["input_ids"].shape[1] * how["attention_mask"].numel())
        return forward(**how)

    monkeypatch.setattr(model, "forward", counted)
    monkeypatch.setattr(serving, "AT_ONCE", 40)
    assert written(model, tokenizer, *(answer(tokenizer, prompt) for prompt in prompts)) == whole
    longest = max(len(tokenizer.encode(prompt)) for prompt in prompts)
    # one token at a time if more are not allowed
    assert max(at_once) <= max(40, len(prompts) * (longest + 12)) < len(prompts) * longest**2


def test_the_cache_gives_what_reading_all_again_gives(model, tokenizer):
    one = answer(tokenizer, "When do I water bed 3?")
    written(model, tokenizer, one)
    tokens = list(one.prompt)
    for token in one.generated:
        with torch.inference_mode():
            assert int(model(torch.tensor([tokens])).logits[0, -1].argmax()) == token
        tokens.append(token)


def test_no_warning_of_a_library_stands_above_an_answer(model, tokenizer):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert written(model, tokenizer, answer(tokenizer), answer(tokenizer, "Bed"))


def test_a_seed_gives_the_same_draw_again(model, tokenizer):
    draws = [written(model, tokenizer, answer(tokenizer, temperature=1.0, seed=s))[0] for s in (5, 5, 6)]
    assert draws[0] == draws[1] != draws[2]


@pytest.mark.parametrize(
    "temperature, expected", [(1.0, [0, 0.5, 0.2, 0.3, 0]), (0.5, [0, 25 / 38, 4 / 38, 9 / 38, 0])]
)
def test_tokens_are_drawn_as_often_as_they_are_likely(temperature, expected):
    scores = torch.log(torch.tensor([0.0, 0.5, 0.2, 0.3, 0.0]))
    answer = serving.Answer([1], limit=1, temperature=temperature, seed=1, stops=[], top=-1)
    drawn = torch.bincount(torch.tensor([answer._choose(scores) for _ in range(5000)]), minlength=5) / 5000
    assert drawn.tolist() == pytest.approx(expected, abs=0.03) and not drawn[[0, 4]].any()


def test_logprobs_are_those_of_the_model(model, tokenizer):
    one = answer(tokenizer, limit=3, top=4)
    serving.decode(model, tokenizer, [one])
    found = [entry for piece in one for entry in piece.logprobs]
    with torch.inference_mode():
        logs = torch.log_softmax(model(torch.tensor([one.prompt])).logits[0, -1].float(), -1)
    assert len(found) == 3 and len(found[0]["top_logprobs"]) == 4
    assert [t["logprob"] for t in found[0]["top_logprobs"]] == pytest.approx(
        logs.topk(4).values.tolist(), abs=1e-4
    )
    assert found[0]["logprob"] == found[0]["top_logprobs"][0]["logprob"]
    assert bytes(found[0]["bytes"]) == serving.token_bytes(tokenizer, one.generated[0])


def scripted(tokenizer, text: str, **options) -> "serving.Answer":
    """An answer whose tokens are given, as if the model had found them the likeliest."""
    one = answer(tokenizer, limit=99, **options)
    for token in [*tokenizer.encode(text), tokenizer.eos_token_id]:
        if not one.done:
            one.put(tokenizer, torch.nn.functional.one_hot(torch.tensor(token), len(tokenizer)).float())
    return one


def test_one_bad_answer_does_not_end_the_others_of_its_batch(model, tokenizer):
    alone = written(model, tokenizer, answer(tokenizer))
    good, bad = answer(tokenizer), answer(tokenizer, temperature=float("nan"))
    serving.decode(model, tokenizer, [bad, good])
    assert [("".join(p.text for p in pieces), pieces[-1].finish_reason) for pieces in [list(good)]] == alone
    with pytest.raises(RuntimeError):
        list(bad)


@pytest.mark.parametrize("temperature", [5e-324, 1e-320, 1e-9])
def test_the_coldest_temperature_is_as_zero(model, tokenizer, temperature):
    zero, cold = (answer(tokenizer, temperature=t) for t in (0, temperature))
    assert written(model, tokenizer, zero) == written(model, tokenizer, cold)


def test_an_answer_that_nobody_waits_for_is_not_written(tokenizer, monkeypatch):
    monkeypatch.setattr(serving, "decode", lambda model, tokenizer, batch: written_to.extend(batch))
    written_to, server = [], serving.Server()
    monkeypatch.setattr(server, "_model", lambda name, base, adapter: None)
    monkeypatch.setattr(server, "tokenizer", lambda base: (tokenizer, 1))
    left, waits = answer(tokenizer), answer(tokenizer)
    left.fail(ClientGone())
    with pytest.raises(ClientGone):
        list(left)
    server._answer("m", None, None, [one for one in (left, waits) if not one.done])
    assert written_to == [waits]


def test_the_thread_outlives_a_panic(tokenizer, monkeypatch):
    class PanicException(BaseException):
        pass

    def panic(*arguments):
        raise PanicException

    server = serving.Server()
    monkeypatch.setattr(server, "_model", panic)
    for _ in range(2):
        one = answer(tokenizer)
        server._start()
        server._waiting.put((("m", None), None, one))
        with pytest.raises(RuntimeError):
            list(one)


def test_a_prompt_of_megabytes_is_refused_without_counting_it(folder, tokenizer, monkeypatch):
    monkeypatch.setenv("LOCAL_API_WEIGHTS", str(folder))
    monkeypatch.setattr(serving, "context", lambda base: 2048)
    server = serving.Server()
    monkeypatch.setattr(training, "load_tokenizer", lambda folder: Uncounted(tokenizer))
    with pytest.raises(
        serving.ContextTooLong, match="2048 tokens. However, your messages resulted in at least"
    ):
        options = {"n": 1, "limit": 1, "temperature": 0, "seed": 1, "stops": [], "top": -1}
        server.ask("m", MODEL, None, [{"role": "user", "content": "x" * 1_000_000}], **options)


class Uncounted:
    """A tokenizer that counts nothing."""

    def __init__(self, tokenizer):
        self.get_vocab, self.apply_chat_template = tokenizer.get_vocab, tokenizer.apply_chat_template

    def encode(self, *arguments, **options):
        raise AssertionError("it is counted")


def test_an_example_of_many_messages_is_refused_before_it_is_written_down(tokenizer):
    file = TrainingFile(1, [{"messages": chat(1) * 5_000}], set())
    with pytest.raises(Failure, match="Example 1 has at least 10000 tokens"):
        course = object.__new__(courses.Examples)
        course.tokenizer = Uncounted(tokenizer)
        course._encoded(file, "training_file")


def test_text_before_a_stop_is_shown_and_nothing_of_the_stop(tokenizer):
    pieces = list(scripted(tokenizer, "Water it. Desk: none", stops=["Desk:", "zzz"]))
    assert "".join(piece.text for piece in pieces) == "Water it. "
    assert pieces[-1].finish_reason == "stop"


def test_what_only_looks_like_a_stop_is_shown_in_the_end(tokenizer):
    assert "".join(piece.text for piece in scripted(tokenizer, "Water De", stops=["Desk:"])) == "Water De"


def test_a_character_of_several_tokens_is_never_shown_in_halves(tokenizer):
    pieces = list(scripted(tokenizer, "Gate é 登 x"))
    assert "".join(piece.text for piece in pieces) == "Gate é 登 x"
    assert not any("\N{REPLACEMENT CHARACTER}" in piece.text for piece in pieces)


def test_an_answer_that_nobody_reads_is_not_computed_further(tokenizer):
    one = scripted(tokenizer, "Water bed")
    assert next(iter(one)).text
    assert one.done


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_was_freed_between_other_things_is_given_back():
    def in_memory() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE

    pieces = [bytearray(100_000) for _ in range(2_000)]  # too small for the system to hand out one by one
    del pieces[:1_990]
    before = in_memory()
    serving.give_memory_back()
    assert before - in_memory() > 100_000_000


def test_a_wrong_file_is_no_weights(tmp_path):
    file = tmp_path / "x"
    file.write_bytes(b"x")
    assert weights.file_hash(file) != weights.SHA256 and len(weights.SHA256) == 64


# --- export ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(folder, tmp_path_factory):
    """The exported forms of a tuned tiny model, and the scores that the served one gives."""
    place, name = tmp_path_factory.mktemp("export"), "ft:smollm2-135m-instruct:this-computer::x"
    model, _, _ = trained(folder, training.load_tokenizer(folder))
    store = Store(place / "state")
    store.add("model", name, "sk-local", {"base": "b"}, data=training.adapter_bytes(model))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCAL_API_WEIGHTS", str(folder))
        paths = export(store, name, place / "out")
        with pytest.raises(ExportError, match="There is no model nobody"):
            export(store, "nobody", place / "out")
    return [*paths, scores(model.merge_and_unload())]


def scores(model) -> "torch.Tensor":
    with torch.inference_mode():
        return model.eval()(torch.arange(3, 40)[None]).logits[0].float()


def test_the_adapter_names_the_public_base_and_gives_the_same_scores(exported, folder):
    adapter, *_, served = exported
    assert (
        json.loads((adapter / "adapter_config.json").read_text())["base_model_name_or_path"]
        == weights.PUBLIC_NAME
    )
    base = training.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert torch.allclose(scores(PeftModel.from_pretrained(base, adapter)), served, atol=1e-4)


def test_the_merged_folder_gives_the_same_scores(exported):
    _, merged, *_, served = exported
    found = scores(training.AutoModelForCausalLM.from_pretrained(merged))
    assert torch.allclose(found, served, atol=0.05)  # it is kept in bfloat16
    assert training.load_tokenizer(merged).chat_template == tiny_model.TEMPLATE


def test_ollama_is_told_how_a_conversation_is_written(exported, tokenizer):
    """Compared with the tokenizer's own chat template; Ollama itself is not run here."""
    _, _, file, modelfile, _ = exported
    text = modelfile.read_text(encoding="utf-8")
    assert text.startswith(f"FROM ./{file.name}\n") and modelfile.parent == file.parent
    template, *system = re.findall(r'"""(.*?)"""', text, re.DOTALL)
    parts = re.fullmatch(r"\{\{- range \.Messages \}\}(.*)\{\{ end \}\}(.*)", template, re.DOTALL)
    turn, end = parts.groups()
    asked = {"role": "user", "content": "When?"}
    chat = [*({"role": "system", "content": one} for one in system), asked]
    turns = (turn.replace("{{ .Role }}", m["role"]).replace("{{ .Content }}", m["content"]) for m in chat)
    wanted = tokenizer.apply_chat_template([asked], tokenize=False, add_generation_prompt=True)
    assert "".join(turns) + end == wanted


def test_the_gguf_file_gives_nearly_the_same_scores(exported):
    _, _, file, _, served = exported
    found = scores(training.AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name))
    assert torch.allclose(found, served, atol=0.05)  # 8 bits a number
    assert (found.argmax(-1) == served.argmax(-1)).float().mean() > 0.9
