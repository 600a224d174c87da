"""Takes a tuned model out of the local API, in the three forms that other programs read.

python -m helpers.local_api export MODEL --to DIR

DIR/merged      the whole model as safetensors, for transformers and most servers: the safe choice
DIR/model.gguf  the whole model in 8 bits, for llama.cpp and what builds on it; DIR/Modelfile is for Ollama
DIR/adapter     the trained matrices alone (PEFT), with a page that says what they are. They were trained on a copy
                of the base that was rounded to 4 bits, and a server puts them on the original weights: compare first
"""

import json
from pathlib import Path

import gguf
import numpy
import torch

from ...store import Row, Store
from . import MODEL, base_of, other_base, owns, problem, training, weights
from .card import card

NO_GGUF = (
    "No GGUF file was written: only Llamas with a tokenizer like that of SmolLM2 are known here. From the folder "
    "merged, llama.cpp's convert_hf_to_gguf.py makes one."
)


CHATML_TURN = "<|im_start|>{}\n{}<|im_end|>\n"
OLLAMA_CHATML = """{{- range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
"""  # https://github.com/ollama/ollama/blob/main/docs/modelfile.md, "Template"


class ExportError(Exception):
    """The model cannot be exported; the text says why."""


def export(store: Store, name: str, target: Path) -> list[Path]:
    """Writes the tuned model ``name`` into the folder ``target``. Returns the paths. Raises ExportError.

    They are the adapter, the merged model and, for kinds of models that ``write_gguf`` knows, the GGUF file.
    """
    row = _row(store, name)
    base = weights.base(base_of(name))
    adapter = store.data("model", name, row.owner)
    target.mkdir(parents=True, exist_ok=True)
    plain = training.AutoModelForCausalLM.from_pretrained(base.folder, dtype=torch.float32)
    model = training.with_lora(plain, adapter, seed=0)
    save_adapter(model, base, target / "adapter", card(store, row))
    whole = model.merge_and_unload()
    tokenizer = training.load_tokenizer(base.folder)
    written = [target / "adapter", target / "merged"]
    if has_gguf(whole.config, tokenizer):
        write_gguf(whole, tokenizer, target / "model.gguf")
        (target / "Modelfile").write_text(modelfile(tokenizer), encoding="utf-8")
        written += [target / "model.gguf", target / "Modelfile"]
    whole.bfloat16().save_pretrained(target / "merged")
    tokenizer.save_pretrained(target / "merged")
    return written


def save_adapter(model, base: weights.Base, folder: Path, page: str) -> None:
    """Writes the matrices of a PEFT model, and the page beside them. No path of this computer is in either."""
    model.peft_config["default"].base_model_name_or_path = base.public_name
    model.save_pretrained(folder, save_embedding_layers=False)  # else it asks the hub
    (folder / "README.md").write_text(page, encoding="utf-8")  # PEFT's own names the folder of the base


def _row(store: Store, name: str) -> Row:
    rows = [row for row in store.every("model") if row.id == name]
    if not rows:
        raise ExportError(f"There is no model {name} in {store.folder}")
    if not owns(name):
        raise ExportError(f"{name} is simulated: there is nothing to export. Train one with model {MODEL}.")
    if what := problem(name) or other_base(rows[0].body):
        raise ExportError(what)
    return rows[0]


def has_gguf(config, tokenizer) -> bool:
    """Whether ``write_gguf`` knows this kind of model. What it does not know, it would write down wrongly."""
    is_plain = config.tie_word_embeddings and not getattr(config, "attention_bias", False)
    usual_turns = config.rope_parameters.get("rope_type", "default") == "default"
    splits = str(tokenizer.backend_tokenizer.pre_tokenizer)
    return config.model_type == "llama" and is_plain and usual_turns and _is_like_smollm(splits)


def _is_like_smollm(pre_tokenizer: str) -> bool:
    """Byte-level, and not cut by an expression of its own first, as the tokenizers of Llama 3 and Qwen are."""
    return "ByteLevel" in pre_tokenizer and "Split" not in pre_tokenizer


def write_gguf(model, tokenizer, path: Path) -> None:
    """Writes a Llama model with tied embeddings and a byte-level tokenizer as GGUF: norms in 32 bits, the rest in 8."""
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(path.parent.name)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    _add_tokenizer(writer, tokenizer, config.vocab_size)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        if name != "lm_head.weight":  # the same numbers as the embedding
            _add_tensor(writer, names.get_name(name, (".weight",)), tensor, config)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer, size: int) -> None:
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    special = set(tokenizer.added_tokens_decoder)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list([tokenizer.convert_ids_to_tokens(i) or f"[unused{i}]" for i in range(size)])
    kinds = gguf.TokenType
    writer.add_token_types([kinds.CONTROL if i in special else kinds.NORMAL for i in range(size)])
    writer.add_token_merges([one if isinstance(one, str) else " ".join(one) for one in model["merges"]])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(
        tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    )
    writer.add_bos_token_id(tokenizer.bos_token_id or tokenizer.eos_token_id)
    writer.add_unk_token_id(tokenizer.unk_token_id or 0)
    writer.add_add_bos_token(False)
    writer.add_chat_template(tokenizer.chat_template)


def modelfile(tokenizer) -> str:
    """What ``ollama create`` reads beside model.gguf: where the weights are and, for models that write their turns
    as SmolLM2 does (ChatML), how a conversation is written down, with the system prompt that stands in by default.
    """
    alone = tokenizer.apply_chat_template([{"role": "user", "content": "Q"}], tokenize=False)
    turn = CHATML_TURN.format("user", "Q")
    if not alone.endswith(turn):
        return "FROM ./model.gguf\n"  # Ollama looks for the chat template in the file
    lines = ["FROM ./model.gguf", f'TEMPLATE """{OLLAMA_CHATML}"""', 'PARAMETER stop "<|im_end|>"']
    first, last = CHATML_TURN.format("system", "\0").split("\0")
    if (before := alone.removesuffix(turn)).startswith(first) and before.endswith(last):
        lines.append(f'SYSTEM """{before.removeprefix(first).removesuffix(last)}"""')
    return "\n".join(lines) + "\n"


def _add_tensor(writer: gguf.GGUFWriter, name: str, tensor: torch.Tensor, config) -> None:
    data = tensor.float().numpy()
    for part, heads in (("attn_q", config.num_attention_heads), ("attn_k", config.num_key_value_heads)):
        if part in name:  # llama.cpp turns neighbouring numbers, transformers the two halves of a head
            data = data.reshape(heads, 2, -1, data.shape[1]).swapaxes(1, 2).reshape(data.shape)
    kind = gguf.GGMLQuantizationType.Q8_0
    if data.ndim == 1:
        writer.add_tensor(name, data.astype(numpy.float32))
    else:
        writer.add_tensor(name, gguf.quants.quantize(data, kind), raw_dtype=kind)
