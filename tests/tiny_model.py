"""A language model with random weights, so small that the whole trained engine runs on it in seconds."""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest
from filelock import FileLock

from tests.environment import ROOT

HAS_TORCH = find_spec("torch") is not None
# Without torch these tests are no part of the first tier; the second tier installs it, and they fail if it does not.
TIER = [] if HAS_TORCH else [pytest.mark.slow]

TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>'"
    " + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def shared() -> Path:
    """The model of this run of the tests, made by whoever asks first. Nobody may change it."""
    folder = Path(os.environ["TMPDIR"]) / "tiny-model"  # the folder of this run, see tests/environment.py
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            make(folder.with_suffix(".part")).rename(folder)
    return folder


def make(folder: Path) -> Path:
    """Saves a Llama of two layers and a tokenizer of 1,000 tokens, as ``weights.prepare`` would."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=1000, special_tokens=special, initial_alphabet=alphabet)
    # as many tokens as the real tokenizer makes of the airport's examples, or every step would take much longer
    texts = ["Water bed number one in the evening. When do I water?"] * 5
    texts += (ROOT / "data" / "airport" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    raw.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token="<|im_end|>", pad_token="<|im_end|>", chat_template=TEMPLATE
    )
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_broken(whole: Path, folder: Path) -> Path:
    """The same model with a number that is none, as training with far too high a rate leaves behind."""
    import shutil

    from safetensors.torch import load_file, save_file

    shutil.copytree(whole, folder)
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"][0] = float("nan")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
