"""Tiny models with random weights of other kinds than the course's own: one in the manner of Qwen, one of Gemma.

They differ from ``tiny_model`` in what an engine can get wrong: layers, tokenizer, chat template, end mark.
"""

import json
from pathlib import Path

TEXTS = [
    "Water bed number one in the evening. When do I water? Où est l'eau ? Wasser für Beet 2, bitte."
] * 20
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
}

# In the manner of Qwen3: it thinks aloud unless told not to, and earlier answers are written without their thoughts.
QWEN_TEMPLATE = """{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' }}
{%- if message.role == 'assistant' and loop.last %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{{- message.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{%- endif %}"""

# In the manner of Gemma 2: no system role, roles must alternate, texts are trimmed, turns end with another mark.
GEMMA_TEMPLATE = """{{ bos_token }}
{%- if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{%- endif %}
{%- for message in messages %}
{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{%- endif %}
{{- '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\\n' }}
{{- message['content'] | trim + '<end_of_turn>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{%- endif %}"""


def make_qwen(folder: Path, seed: int = 0) -> Path:
    """A Qwen3 with a byte-level tokenizer."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=320, special_tokens=special, initial_alphabet=alphabet)
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=QWEN_TEMPLATE,
    )
    torch.manual_seed(seed)
    model = Qwen3ForCausalLM(Qwen3Config(vocab_size=len(tokenizer), **SIZES))
    return _saved(model, tokenizer, folder, "apache-2.0")


def make_gemma(folder: Path, seed: int = 0) -> Path:
    """A Gemma 3 for text, with a tokenizer in SentencePiece's way and layers that look back 512 tokens only."""
    import torch
    from tokenizers import Tokenizer, decoders, models, normalizers, trainers
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig, PreTrainedTokenizerFast

    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
    first = Tokenizer(models.BPE(unk_token="<unk>"))
    first.normalizer = normalizers.Replace(" ", "▁")
    trainer = trainers.BpeTrainer(vocab_size=140, special_tokens=special, show_progress=False)
    first.train_from_iterator(TEXTS, trainer)
    learned = json.loads(first.to_str())["model"]
    vocabulary = learned["vocab"] | {f"<0x{byte:02X}>": len(learned["vocab"]) + byte for byte in range(256)}
    merges = [tuple(pair) for pair in learned["merges"]]
    raw = Tokenizer(models.BPE(vocabulary, merges, byte_fallback=True, unk_token="<unk>"))
    raw.normalizer = first.normalizer
    raw.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    raw.add_special_tokens(special)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        unk_token="<unk>",
        chat_template=GEMMA_TEMPLATE,
    )
    torch.manual_seed(seed)
    config = Gemma3TextConfig(vocab_size=len(tokenizer), sliding_window=512, query_pre_attn_scalar=8, **SIZES)
    return _saved(Gemma3ForCausalLM(config), tokenizer, folder, "gemma")


def make_mamba(folder: Path) -> Path:
    """A model that reads one token after the other and has no attention: examples in one row run into each other."""
    import torch
    from transformers import AutoTokenizer, MambaConfig, MambaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(make_qwen(folder.with_name("tokenizer-of-" + folder.name)))
    torch.manual_seed(0)
    config = MambaConfig(vocab_size=len(tokenizer), hidden_size=32, state_size=4, num_hidden_layers=2)
    return _saved(MambaForCausalLM(config), tokenizer, folder, "apache-2.0")


FAMILIES = ("Qwen2", "Mistral", "Phi3", "Gemma2", "Granite")


def make_of(family: str, with_tokenizer: Path, folder: Path) -> Path:
    """A model of another family, with the tokenizer of that folder."""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(with_tokenizer)
    torch.manual_seed(0)
    sizes = {key: size for key, size in SIZES.items() if key != "head_dim" or family in ("Gemma2", "Mistral")}
    end = {
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": None,
    }
    config = getattr(transformers, f"{family}Config")(vocab_size=len(tokenizer), **sizes, **end)
    return _saved(getattr(transformers, f"{family}ForCausalLM")(config), tokenizer, folder, "apache-2.0")


def _saved(model, tokenizer, folder: Path, licence: str) -> Path:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(f"---\nlicense: {licence}\n---\n# A tiny model\n", encoding="utf-8")
    return folder


KINDS = {"qwen": make_qwen, "gemma": make_gemma}
