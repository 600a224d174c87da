"""What makes other models fit for the trained engine: templates, tokens, learning rates, devices, refusals."""

import ast
import json
import math
from types import SimpleNamespace

import pytest
from jinja2.exceptions import TemplateError

from helpers.local_api.engines import trained
from helpers.local_api.engines.trained import rates, weights
from tests import other_models, tiny_model

if tiny_model.HAS_TORCH:
    import torch

    from helpers.local_api.engines.trained import (
        adding,
        devices,
        export,
        export_job,
        serving,
        templates,
        training,
    )

pytestmark = tiny_model.TIER

TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "When?"},
    {"role": "assistant", "content": "At six. "},
    {"role": "user", "content": "And été 登?"},
    {"role": "assistant", "content": "At dix, é 登."},
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("others")
    return {kind: make(place / kind) for kind, make in other_models.KINDS.items()}


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_API_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def fit(folder):
    tokenizer = training.load_tokenizer(folder)
    templates.make_fit(tokenizer)
    return tokenizer


# --- chat templates and tokens -----------------------------------------------------------------------------------


def test_the_end_mark_is_what_ends_an_answer_in_the_template(folders):
    assert fit(folders["gemma"]).eos_token == "<end_of_turn>"
    assert fit(folders["qwen"]).eos_token == "<|im_end|>"


def test_a_template_without_a_system_role_puts_its_text_before_the_first_question(folders):
    tokenizer = fit(folders["gemma"])
    text = training.prompt_text(tokenizer, TALK[:2])
    assert text == "<bos><start_of_turn>user\nBe brief.\n\nWhen?<end_of_turn>\n<start_of_turn>model\n"
    assert training.prompt_text(tokenizer, TALK[1:2]).startswith("<bos><start_of_turn>user\nWhen?<end")
    alone = training.prompt_text(tokenizer, TALK[:1])
    assert alone.startswith("<bos><start_of_turn>user\nBe brief.<end_of_turn>\n")


def test_a_model_that_thinks_aloud_answers_at_once(folders):
    text = training.prompt_text(fit(folders["qwen"]), TALK[1:2])
    assert text.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")


@pytest.mark.parametrize("kind", other_models.KINDS)
def test_both_answers_of_a_talk_are_learned_with_their_end_marks(kind, folders):
    tokenizer = fit(folders[kind])
    example = training.encode(tokenizer, TALK)
    learned = [t for t, on in zip(example.tokens, example.trained, strict=True) if on]
    end = tokenizer.eos_token
    assert tokenizer.decode(learned) == f"At six. {end}At dix, é 登.{end}"
    whole = tokenizer.decode(example.tokens)
    first, last = (training.prompt_text(tokenizer, TALK[:n]) for n in (2, 4))
    assert whole.startswith(first + "At six. " + end) and whole.endswith("At dix, é 登." + end)
    between = last.partition("At six.")[2].lstrip(" ").removeprefix(end)
    assert f"At six. {end}{between}At dix" in whole


def test_a_tokenizer_without_a_template_is_refused(folders):
    tokenizer = training.load_tokenizer(folders["qwen"])
    tokenizer.chat_template = None
    with pytest.raises(templates.Unusable, match="no chat template.*-Instruct"):
        templates.make_fit(tokenizer)


@pytest.mark.parametrize("kind", other_models.KINDS)
def test_the_bytes_of_the_tokens_are_those_of_the_text(kind, folders):
    tokenizer = fit(folders[kind])
    text = "Où est l'eau? 登 é"
    found = b"".join(serving.token_bytes(tokenizer, token) for token in tokenizer.encode(text))
    assert found.decode() == text
    assert serving.token_bytes(tokenizer, tokenizer.eos_token_id) == tokenizer.eos_token.encode()


# --- learning rates ----------------------------------------------------------------------------------------------


def test_the_rate_follows_the_width(folders):
    assert rates.by_rule("llama", 4096) == pytest.approx(2.86e-4, rel=0.01)  # Llama 3.1 8B
    assert rates.by_rule("qwen3", 4096) == pytest.approx(4.73e-4, rel=0.01)
    assert rates.by_rule("llama", 2000) == rates.by_rule("qwen3", 2000) == pytest.approx(5e-4)
    for width in (500, 4096):  # of a family that nobody has measured: the more careful one
        both = [rates.by_rule(family, width) for family in ("llama", "qwen2")]
        assert rates.by_rule("gemma3_text", width) == min(both) < max(both)


def test_the_course_s_own_model_keeps_the_measured_rate(folders, models):
    own = weights.Base(trained.MODEL, folders["qwen"], "x", None, "x", 0, True)
    other = weights.Base("x", folders["qwen"], "x", None, "x", 0, True)
    for method, rate in trained.USUAL_RATES.items():
        assert rates.usual_rate(method, own) == rate
        assert rates.usual_rate(method, other) == pytest.approx(rates.by_rule("qwen3", 32) * rate / 3e-3)


def of_the_script(name: str):
    """A function of the exported script. The whole needs TRL, so what calls nothing of it is taken out."""
    tree = ast.parse(export_job.SCRIPT.read_text(encoding="utf-8"))
    names = ("ANSWER", "refuse_rate_of_a_narrower_model", "prompt_of", "answer_of", "written", "end_mark")
    taken = [node for node in tree.body if names_of(node) & set(names)]
    space: dict = {"TemplateError": TemplateError}
    exec(compile(ast.Module(taken, []), "train_trl.py", "exec"), space)
    return space[name]


def names_of(node: ast.stmt) -> set[str]:
    """What a statement of a module defines."""
    return {getattr(node, "name", ""), *(target.id for target in getattr(node, "targets", []))}


@pytest.mark.parametrize("kind", ["llama", "qwen", "gemma"])
@pytest.mark.parametrize("talk", [TALK[:3], TALK[1:3], TALK[3:]])
def test_an_exported_job_writes_prompts_and_answers_as_this_engine_does(kind, talk, folders):
    """The script reads the tokenizer as it is published. The one that the engine trains with was made fit."""
    folder = folders.get(kind) or tiny_model.shared()
    published, tokenizer = training.load_tokenizer(folder), fit(folder)
    *before, answer = talk
    prompt = of_the_script("prompt_of")(before, published)
    assert prompt == training.prompt_text(tokenizer, before)
    assert prompt.endswith("<think>\n\n</think>\n\n") == (kind == "qwen")
    learned = of_the_script("answer_of")(before, [answer], published)
    assert learned == answer["content"] + tokenizer.eos_token  # as TRL ends the answers of examples
    assert of_the_script("end_mark")(published) == tokenizer.eos_token
    example = training.encode(tokenizer, talk)
    assert published.encode(prompt + learned, add_special_tokens=False) == example.tokens
    trained_part = [t for t, on in zip(example.tokens, example.trained, strict=True) if on]
    assert published.encode(learned, add_special_tokens=False) == trained_part


def test_an_exported_job_ends_before_it_carries_its_rate_to_a_wider_model(folders):
    check = of_the_script("refuse_rate_of_a_narrower_model")
    own = weights.Base(trained.MODEL, folders["qwen"], "x", None, "x", 0, True)
    numbers = {"n_epochs": 1, "batch_size": 4, "learning_rate_multiplier": 1.0}
    job = {"method": {"type": "supervised", "supervised": {"hyperparameters": numbers}}, "seed": 1}
    settings = export_job.settings_of(job, own, rows=8, rank=2)
    assert settings["learning_rate"] == 3e-3 and settings["learning_rate_up_to_width"] == 32
    assert (settings["lora"]["r"], settings["lora"]["lora_alpha"]) == (2, 4)
    check(settings, SimpleNamespace(hidden_size=32, model_type="llama"))
    for family in ("llama", "qwen3", "mistral"):
        with pytest.raises(
            SystemExit, match="0.003, is for models of a width of 32; this one has 4096"
        ) as end:
            check(settings, SimpleNamespace(hidden_size=4096, model_type=family))
        assert f"Begin with {rates.by_rule(family, 4096):.2g} (" in str(end.value)
    check(settings | {"learning_rate_up_to_width": 4096}, SimpleNamespace(hidden_size=4096))


# --- adding ------------------------------------------------------------------------------------------------------


def test_licence_and_size_are_shown_and_what_was_added_is_recorded(folders, models, capsys):
    base = adding.add(str(folders["gemma"]), "My Gemma_1", lambda: False)
    said = capsys.readouterr().out
    assert "0 million parameters" in said and "Licence: gemma" in said and "in the API: my-gemma-1" in said
    assert base == weights.base("my-gemma-1") and base.folder == models / "my-gemma-1"
    assert (
        trained.added() == ["my-gemma-1"]
        and trained.owns("my-gemma-1")
        and trained.problem("my-gemma-1") is None
    )
    assert [path.name for path in models.iterdir()] == ["my-gemma-1"]  # nothing else is left
    assert not trained.owns("gpt-4o-mini") and trained.owns("ft:gone:this-computer:x:y")


def changed(folder, target, **config):
    """A copy of a model folder whose config.json says something else."""
    target.mkdir()
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    known = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps(known | config))
    return target


def refusal(source, name="x") -> str:
    with pytest.raises(adding.CannotAdd) as caught:
        adding.add(str(source), name, lambda: False)
    return str(caught.value)


def test_what_is_impossible_is_a_sentence(folders, models, tmp_path, monkeypatch):
    qwen = folders["qwen"]
    assert "no folder or file" in refusal("nowhere")
    assert "config.json and .safetensors" in refusal(tmp_path)
    (tmp_path / "broken.gguf").write_bytes(b"GGUF and no more")
    assert "no GGUF file, or it is damaged" in refusal(tmp_path / "broken.gguf")
    assert "quantised" in refusal(changed(qwen, tmp_path / "a", quantization_config={"bits": 4}))
    assert "code of its own" in refusal(changed(qwen, tmp_path / "b", auto_map={"AutoModel": "x.py"}))
    assert "more than text" in refusal(changed(qwen, tmp_path / "c", vision_config={}))
    assert "transformers cannot read it" in refusal(changed(qwen, tmp_path / "d", model_type="unheard-of"))
    short = changed(folders["gemma"], tmp_path / "e", sliding_window=128)
    assert "look back 128 tokens only" in refusal(short)
    cut = changed(qwen, tmp_path / "g")
    (cut / "model.safetensors").write_bytes((qwen / "model.safetensors").read_bytes()[:-99])
    assert "transformers cannot read it" in refusal(cut)
    (cut / "model.safetensors").write_bytes(b"no such thing")
    assert "no safetensors file, or it is damaged" in refusal(cut)
    bare = changed(qwen, tmp_path / "f")
    (bare / "chat_template.jinja").unlink()
    assert "no chat template" in refusal(bare)
    assert "already" in refusal(qwen, "gpt-4o-mini") and "already" in refusal(qwen, trained.MODEL)
    with pytest.raises(adding.CannotAdd, match="No model x was added. Added are: none"):
        adding.remove("x")
    monkeypatch.setattr(devices, "memory", lambda: 1_000_000_000)
    assert "too large" in refusal(qwen) and "1.0 GB" in refusal(qwen)
    assert trained.added() == [] and not any(models.glob("*"))


def test_examples_that_would_run_into_each_other_are_noticed(folders, models, tmp_path, monkeypatch):
    assert "This engine cannot train it" in refusal(other_models.make_mamba(tmp_path / "mamba"))
    everything = SimpleNamespace(seen=training.mask)
    monkeypatch.setattr(
        training, "mask", lambda owners, dtype: everything.seen(torch.zeros_like(owners) - 1, dtype)
    )
    assert "not read as each alone" in refusal(folders["qwen"])


@pytest.mark.parametrize("kind", other_models.FAMILIES)
def test_the_engine_reads_models_of_these_families_as_they_read_themselves(kind, folders, tmp_path):
    adding.refuse_unless_it_works(other_models.make_of(kind, folders["qwen"], tmp_path / kind))


def test_a_gguf_file_is_added_too(models, tmp_path):
    tiny = tiny_model.shared()
    model, tokenizer = training.AutoModelForCausalLM.from_pretrained(tiny), training.load_tokenizer(tiny)
    export.write_gguf(model, tokenizer, tmp_path / "Tiny.Q8.gguf")
    base = adding.add(str(tmp_path / "Tiny.Q8.gguf"), None, lambda: False)
    assert (base.name, base.is_rounded, base.licence) == ("tiny.q8", True, None)
    found = training.load_model(base.folder, 999)
    assert (
        found.get_input_embeddings().weight.float().sub(model.get_input_embeddings().weight).abs().max()
        < 0.01
    )


class Hub:
    """Stands in for the hub: a folder under a name."""

    def __init__(self, folder):
        self.folder, self.fetched = folder, 0

    def model_info(self, name, files_metadata):
        files = [
            SimpleNamespace(rfilename=path.name, size=path.stat().st_size) for path in self.folder.iterdir()
        ]
        return SimpleNamespace(
            safetensors=SimpleNamespace(total=12_000_000),
            config={},
            siblings=files,
            card_data=SimpleNamespace(license="apache-2.0"),
            sha="abc",
        )

    def snapshot_download(self, name, revision, local_dir, allow_patterns, ignore_patterns):
        assert (revision, ignore_patterns) == ("abc", "*/*")
        self.fetched += 1
        local_dir.mkdir()
        for path in self.folder.iterdir():
            (local_dir / path.name).write_bytes(path.read_bytes())


@pytest.fixture
def hub(folders, monkeypatch):
    import huggingface_hub

    found = Hub(folders["qwen"])
    for name in ("model_info", "snapshot_download"):
        monkeypatch.setattr(huggingface_hub, name, getattr(found, name))
    return found


def test_a_model_of_the_hub_is_fetched_after_a_yes_only(hub, models, capsys):
    with pytest.raises(adding.CannotAdd, match="Nothing was fetched"):
        adding.add("Tiny/Qwen_x-0.1B", None, lambda: False)
    said = capsys.readouterr().out
    assert "12 million parameters" in said and "to download" in said and "Licence: apache-2.0" in said
    assert hub.fetched == 0 and trained.added() == []
    base = adding.add("Tiny/Qwen_x-0.1B", None, lambda: True)
    assert (base.name, base.public_name, base.owner) == ("qwen-x-0.1b", "Tiny/Qwen_x-0.1B", "Tiny")
    assert hub.fetched == 1 and trained.added() == ["qwen-x-0.1b"]


def test_without_a_network_the_hub_is_named_in_a_sentence(models):
    assert "is no folder here, and the Hugging Face hub says" in refusal("Nobody/Nothing")


# --- devices -----------------------------------------------------------------------------------------------------


def there(monkeypatch, cards: int, apple: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cards > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: apple)


@pytest.mark.parametrize(
    ("cards", "apple", "wanted", "expected"),
    [
        (0, False, "", "cpu"),
        (2, False, "", "cuda"),
        (0, True, "", "mps"),
        (1, False, "cpu", "cpu"),
        (2, False, "cuda:1", "cuda:1"),
    ],
)
def test_the_quickest_device_is_taken_unless_the_environment_names_one(
    cards, apple, wanted, expected, monkeypatch
):
    there(monkeypatch, cards, apple)
    monkeypatch.setenv(devices.VARIABLE, wanted)
    assert str(devices.device()) == expected


@pytest.mark.parametrize("wanted", ["cuda", "mps", "gpu", "cuda:0"])
def test_a_device_that_is_not_there_is_named_with_those_that_are(wanted, monkeypatch):
    there(monkeypatch, 0, False)
    monkeypatch.setenv(devices.VARIABLE, wanted)
    with pytest.raises(ValueError, match="finds only cpu here"):
        devices.device()
    assert devices.main() == 1
    monkeypatch.setenv(devices.VARIABLE, "cpu")
    assert devices.main() == 0


def test_on_a_card_a_batch_is_not_shared_out_and_the_precision_is_not_probed(monkeypatch):
    there(monkeypatch, 1, False)
    monkeypatch.delenv(devices.VARIABLE, raising=False)
    monkeypatch.delenv("LOCAL_API_PRECISION", raising=False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    training.quickest_precision.cache_clear()
    assert training.quickest_precision() == torch.float32 and training.share_out_threads(4) == 1
    training.quickest_precision.cache_clear()


@pytest.mark.parametrize("kind", ["llama", "qwen"])  # Gemma's cache makes tensors on one device for another
def test_no_tensor_is_made_without_its_device(kind, folders, monkeypatch):
    """Where nothing is said, tensors are made on a device without numbers here, and could not be mixed with others."""
    from helpers.local_api.engines.trained import preferences, rewards
    from helpers.local_api.graders import Grade

    folder = folders.get(kind) or tiny_model.shared()
    tokenizer = fit(folder)
    model = training.with_lora(training.load_model(folder), None, seed=0)
    chats = [[*TALK[1:2], {"role": "assistant", "content": text}] for text in ("At six.", "At seven, or so.")]
    rows = [
        {
            "input": {"messages": TALK[1:2]},
            "preferred_output": [chats[0][1]],
            "non_preferred_output": [chats[1][1]],
        }
    ] * 3
    trainer = training.Trainer(model, training.Settings(batch_size=2), 4)
    trainer.pool = SimpleNamespace(map=map)  # the default device holds for one thread
    grades = lambda answers: [Grade(float(number)) for number, _ in enumerate(answers)]  # noqa: E731
    questions = [rewards.encode(tokenizer, {"messages": TALK[1:2]})] * 2
    answering = rewards.Answering(trainer, tokenizer)
    monkeypatch.setattr(rewards, "MAX_ANSWER", 3)
    with torch.device("meta"):
        assert math.isfinite(
            trainer.learn([training.encode(tokenizer, chat) for chat in chats])["train_loss"]
        )
        pairs = preferences.with_reference(trainer, [preferences.encode(tokenizer, row) for row in rows])
        assert math.isfinite(preferences.learn(trainer, pairs, 0.1, 1.0)["train_loss"])
        drawn = rewards.graded(answering.draw(questions, 2, "seed"), grades)
        assert math.isfinite(rewards.learn(trainer, drawn, rewards.Wishes(drawn=2, beta=0.1))["kl"])


@pytest.mark.slow
@pytest.mark.endurance(sample=20, soak=112)
def test_the_comparison_for_cards_agrees_with_itself_on_the_processor(count, monkeypatch, capsys, figures):
    """On the first rows of the airport's file; all of them in the soak tier."""
    from helpers.local_api.engines.trained import rewards
    from tests import on_gpu

    examples = on_gpu.chats()[:count]
    monkeypatch.setattr(on_gpu, "chats", lambda: examples)
    monkeypatch.setattr(rewards, "MAX_ANSWER", 12)  # a model with random weights comes to no end by itself
    for name, value in (("WEIGHTS", str(tiny_model.shared())), ("DEVICE", "cpu"), ("PRECISION", "")):
        monkeypatch.setenv(f"LOCAL_API_{name}", value)
    assert on_gpu.main(["--steps", "1"]) == 0
    said = capsys.readouterr().out
    assert said.count(" step 1: ") == said.count(" whole, in ") == 3 and "The losses agree." in said
    figures(f"{len(examples)} examples: the losses agree")
