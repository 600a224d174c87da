"""Runs the exported fine-tuning job with TRL, on as many processes and graphics cards as accelerate finds.

    accelerate launch train_trl.py

It reads settings.json, train.jsonl and, if it is there, valid.jsonl of its own folder, and writes the trained
matrices (LoRA) into the folder adapter. README.md has the commands.
"""

import argparse
import json
from pathlib import Path

import torch
from accelerate import PartialState
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer

HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", help="a folder with the base model that settings.json names")
    settings = json.loads((HERE / "settings.json").read_text(encoding="utf-8"))
    base = parser.parse_args().base or settings["base"]
    refuse_rate_of_a_narrower_model(settings, AutoConfig.from_pretrained(base).get_text_config())
    tokenizer = AutoTokenizer.from_pretrained(base)
    train, valid = (read(HERE / name, tokenizer) for name in ("train.jsonl", "valid.jsonl"))
    trainer = SFTTrainer(
        model=load(base, settings),
        args=config(settings, has_validation=valid is not None),
        train_dataset=train,
        eval_dataset=valid,
        processing_class=tokenizer,
    )
    if trainer.is_world_process_zero():
        print(f"learning rate {settings['learning_rate']:g}")
    trainer.train()
    if trainer.is_world_process_zero():
        trainer.model.peft_config["default"].base_model_name_or_path = settings["base"]
    trainer.save_model(str(HERE / "adapter"))
    trainer.save_state()  # losses of every step, in output/trainer_state.json
    if trainer.is_world_process_zero():
        page = card(settings, len(train), trainer.state.log_history)
        (HERE / "adapter" / "README.md").write_text(page, encoding="utf-8")  # PEFT's own names this folder


def refuse_rate_of_a_narrower_model(settings: dict, config) -> None:
    """Ends the program if the learning rate was chosen for a model that is not as wide as this one."""
    if config.hidden_size <= settings["learning_rate_up_to_width"]:
        return
    rule, family = settings["learning_rate_rule"], config.model_type
    powers = [power for name, power in rule["powers"].items() if family.startswith(name)] or rule[
        "powers"
    ].values()
    rate = min(rule["at_width_2000"] * (2000 / config.hidden_size) ** power for power in powers)
    raise SystemExit(
        f"The learning rate in settings.json, {settings['learning_rate']:g}, is for models of a width of "
        f"{settings['learning_rate_up_to_width']}; this one has {config.hidden_size}. Begin with {rate:.2g} (by the "
        f'rule of {rule["source"]}): set "learning_rate" and "learning_rate_up_to_width" in settings.json.'
    )


def read(path: Path, tokenizer) -> Dataset | None:
    """The chats of a file as prompt and completion: the loss is taken on the completion only."""
    if not path.exists():
        return None
    with open(path, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return Dataset.from_list([text_of(row["messages"], tokenizer) for row in rows])


def text_of(messages: list[dict], tokenizer) -> dict:
    *before, answer = messages
    prompt = tokenizer.apply_chat_template(before, tokenize=False, add_generation_prompt=True)
    return {"prompt": prompt, "completion": answer["content"]}  # TRL adds the end mark


def load(base: str, settings: dict):
    """The base model with LoRA matrices beside each linear layer: new ones, or those of an earlier job."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    if (HERE / "start").exists():
        return PeftModel.from_pretrained(model, HERE / "start", is_trainable=True)
    torch.manual_seed(settings["seed"])
    return get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **settings["lora"]))


def card(settings: dict, rows: int, history: list[dict]) -> str:
    """The page beside the trained matrices: their base, its licence, the data and the numbers of this run."""
    last = {key: entry[key] for entry in history for key in ("step", "loss", "eval_loss") if key in entry}
    result = ", ".join(f"{key} {value:.4g}" for key, value in last.items())
    lora = settings["lora"]
    return f"""---
base_model: {settings["base"]}
library_name: peft
license: {settings["base_license"]}
pipeline_tag: text-generation
tags: [lora]
---

# Matrices (LoRA) for {settings["base"]}

Trained with TRL on {rows} rows: {settings["n_epochs"]} epochs, batches of {settings["batch_size"]}, learning rate
{settings["learning_rate"]:g}, rank {lora["r"]}, alpha {lora["lora_alpha"]}, seed {settings["seed"]}.
The end: {result}.

The licence above is that of the base. The matrices were made from the examples: pass them on only if you may pass on
those.

    vllm serve {settings["base"]} --enable-lora --lora-modules tuned=adapter
"""


def config(settings: dict, has_validation: bool) -> SFTConfig:
    """The settings of the job in TRL's words."""
    has_gpu = torch.cuda.is_available()
    processes = PartialState(cpu=not has_gpu).num_processes
    if settings["batch_size"] % processes:
        raise SystemExit(
            f"A batch of {settings['batch_size']} cannot be shared by {processes} processes. Take a number of "
            "processes that divides it, or change batch_size in settings.json."
        )
    return SFTConfig(
        output_dir=str(HERE / "output"),
        num_train_epochs=settings["n_epochs"],
        per_device_train_batch_size=settings["batch_size"] // processes,
        train_sampling_strategy=settings["order"],
        learning_rate=settings["learning_rate"],
        lr_scheduler_type="cosine",
        warmup_steps=settings["warmup_steps"],
        max_grad_norm=settings["max_grad_norm"],
        adam_beta1=settings["adam_betas"][0],
        adam_beta2=settings["adam_betas"][1],
        weight_decay=0.0,
        completion_only_loss=True,
        max_length=settings["max_tokens"],
        seed=settings["seed"],
        logging_steps=1,
        eval_strategy="epoch" if has_validation else "no",
        save_strategy="epoch",
        gradient_checkpointing=False,  # True saves memory and takes longer
        use_cpu=not has_gpu,
        bf16=has_gpu and torch.cuda.is_bf16_supported(),
        report_to="none",
    )


if __name__ == "__main__":
    main()
