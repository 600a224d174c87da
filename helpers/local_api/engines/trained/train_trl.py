"""Runs the exported fine-tuning job with TRL, on as many processes and graphics cards as accelerate finds.

    accelerate launch train_trl.py

It reads settings.json, train.jsonl and, if it is there, valid.jsonl of its own folder, and writes the trained
matrices (LoRA) into the folder adapter. README.md has the commands. There is one function for each method: learning
from examples, from preferences, from rewards.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import torch
from accelerate import PartialState
from datasets import Dataset
from jinja2.exceptions import TemplateError
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer, GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

HERE = Path(__file__).resolve().parent
FILES = ("train.jsonl", "valid.jsonl")
ANSWER = "\0an answer\0"  # stands for one, to see what a chat template writes around it


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", help="a folder with the base model that settings.json names")
    settings = json.loads((HERE / "settings.json").read_text(encoding="utf-8"))
    base = parser.parse_args().base or settings["base"]
    refuse_rate_of_a_narrower_model(settings, AutoConfig.from_pretrained(base).get_text_config())
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.eos_token = end_mark(tokenizer)
    trainer = TRAINERS[settings["method"]](settings, load(base, settings), tokenizer)
    if trainer.is_world_process_zero():
        print(f"learning rate {settings['learning_rate']:g}")
    trainer.train()
    if trainer.is_world_process_zero():
        trainer.model.peft_config["default"].base_model_name_or_path = settings["base"]
    trainer.save_model(str(HERE / "adapter"))
    trainer.save_state()  # losses of every step, in output/trainer_state.json
    if trainer.is_world_process_zero():
        page = card(settings, len(trainer.train_dataset), trainer.state.log_history)
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


# --- one function for each method ------------------------------------------------------------------------------


def supervised(settings: dict, model, tokenizer) -> SFTTrainer:
    """Learns the answers of the rows. The loss is taken on them only."""

    def example(row: dict) -> dict:
        *before, answer = row["messages"]
        return {
            "prompt": prompt_of(before, tokenizer),
            "completion": answer["content"],
        }  # TRL adds the end mark

    train, valid = (read(name, example) for name in FILES)
    config = SFTConfig(
        **common(settings, settings["batch_size"], "epoch" if valid else "no"),
        completion_only_loss=True,
        max_length=settings["max_tokens"],
        train_sampling_strategy=settings["order"],
    )
    return SFTTrainer(model, config, train_dataset=train, eval_dataset=valid, processing_class=tokenizer)


def dpo(settings: dict, model, tokenizer) -> DPOTrainer:
    """Learns to prefer one answer to another, and a share of the usual loss on the better one.

    The reference is the model that the job starts from: TRL keeps a copy of its matrices.
    """

    def pair(row: dict) -> dict:
        texts = {key: answer_of(row["prompt"], row[key], tokenizer) for key in ("chosen", "rejected")}
        return {"prompt": prompt_of(row["prompt"], tokenizer)} | texts

    train, valid = (read(name, pair) for name in FILES)
    config = DPOConfig(
        **common(settings, settings["batch_size"], "epoch" if valid else "no"),
        loss_type=["sigmoid", "sft"],
        loss_weights=[1.0, settings["rpo_alpha"]],
        beta=settings["beta"],
        max_length=2 * settings["max_tokens"],
        train_sampling_strategy=settings["order"],
    )
    return DPOTrainer(model, args=config, train_dataset=train, eval_dataset=valid, processing_class=tokenizer)


def reinforcement(settings: dict, model, tokenizer) -> GRPOTrainer:
    """Learns from the rewards that the job's grader gives for the model's own answers."""
    from graders import Grading, refuse_if_broken  # the folder beside this file

    grading = Grading(settings["grader"])

    def reward(completions: list[str], row: list[str], **_) -> list[float]:
        grades = grading.grades(
            [(text, json.loads(line)) for text, line in zip(completions, row, strict=True)]
        )
        refuse_if_broken(grades)
        return [grade.reward for grade in grades]

    def question(row: dict) -> dict:
        return {"prompt": prompt_of(row["messages"], tokenizer), "row": json.dumps(row)}

    train, valid = (read(name, question) for name in FILES)
    drawn = settings["drawn"]
    config = GRPOConfig(
        **common(settings, settings["batch_size"] * drawn, "steps" if valid else "no"),
        eval_steps=settings["eval_interval"],
        num_generations=drawn,
        max_completion_length=settings["max_answer"],
        temperature=1.0,
        beta=settings["beta"],
        loss_type="dapo",  # a mean over all drawn tokens
        epsilon=0.2,  # without effect: each answer is learned from once
    )
    return GRPOTrainer(
        model,
        reward_funcs=reward,
        args=config,
        train_dataset=train,
        eval_dataset=valid,
        processing_class=tokenizer,
    )


TRAINERS = {"supervised": supervised, "dpo": dpo, "reinforcement": reinforcement}


# --- what they have in common ----------------------------------------------------------------------------------


def read(name: str, made: Callable[[dict], dict]) -> Dataset | None:
    """The rows of a file, each turned into what a trainer takes; None if there is no such file."""
    if not (HERE / name).exists():
        return None
    with open(HERE / name, encoding="utf-8") as file:
        return Dataset.from_list([made(json.loads(line)) for line in file])


def prompt_of(messages: list[dict], tokenizer) -> str:
    """The conversation as the model reads it, up to the place where its answer begins."""
    return written(messages, tokenizer, add_generation_prompt=True)


def answer_of(before: list[dict], answer: list[dict], tokenizer) -> str:
    """What follows that prompt, to the end mark."""
    first, *rest = answer
    whole = written([*before, first | {"content": ANSWER}, *rest], tokenizer)
    return first["content"] + whole.partition(ANSWER)[2].rstrip("\n")


def written(messages: list[dict], tokenizer, **how) -> str:
    """The conversation in the words of the model's chat template.

    A model that thinks aloud unless told not to is told: the rows have no thoughts to learn from. Ask the tuned model
    in the same way. Templates without this switch ignore it. Where a template takes no system message, as Gemma's,
    its text goes in front of the question.
    """
    how |= {"tokenize": False, "enable_thinking": False}
    try:
        text = tokenizer.apply_chat_template(messages, **how)
        if messages[0]["role"] != "system" or messages[0]["content"].strip() in text:
            return text
    except TemplateError:
        pass
    asked = 2 if messages[1:2] and messages[1]["role"] == "user" else 1
    first = {"role": "user", "content": "\n\n".join(one["content"] for one in messages[:asked])}
    return tokenizer.apply_chat_template([first, *messages[asked:]], **how)


def end_mark(tokenizer) -> str:
    """The special token that ends an answer in the chat template; the tokenizer's own may be another one."""
    talk = [{"role": "user", "content": "?"}, {"role": "assistant", "content": ANSWER}]
    follows = written(talk, tokenizer).partition(ANSWER)[2].lstrip()
    special = [token.content for token in tokenizer.added_tokens_decoder.values()]
    found = [token for token in special if token and follows.startswith(token)]
    return max(found, key=len, default=tokenizer.eos_token)


def load(base: str, settings: dict):
    """The base model with LoRA matrices beside each linear layer: new ones, or those of an earlier job."""
    dtype = torch.bfloat16 if in_bfloat16() else torch.float32  # what is trained stays in float32
    model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    if (HERE / "start").exists():
        return PeftModel.from_pretrained(model, HERE / "start", is_trainable=True)
    torch.manual_seed(settings["seed"])
    return get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **settings["lora"]))


def in_bfloat16() -> bool:
    """True on a card that knows it: the base takes 2 bytes a parameter instead of 4."""
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported()


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

Trained with TRL ({settings["method"]}) on {rows} rows: {settings["n_epochs"]} epochs, batches of
{settings["batch_size"]}, learning rate {settings["learning_rate"]:g}, rank {lora["r"]}, alpha {lora["lora_alpha"]},
seed {settings["seed"]}. The end: {result}.

The licence above is that of the base. The matrices were made from the examples: pass them on only if you may pass on
those.

    vllm serve {settings["base"]} --host 127.0.0.1 --enable-lora --lora-modules tuned=adapter

With `--host 127.0.0.1` only that machine can ask; without it vLLM listens on every network. A base that thinks
aloud unless told not to was trained without thoughts: ask it with
`extra_body={{"chat_template_kwargs": {{"enable_thinking": False}}}}`.
"""


def common(settings: dict, batch: int, eval_strategy: str) -> dict:
    """The settings of the job in TRL's words, as far as all methods have them; ``batch`` rows make a step."""
    has_gpu = torch.cuda.is_available()
    processes = PartialState(cpu=not has_gpu).num_processes
    if batch % processes:
        raise SystemExit(
            f"A batch of {batch} cannot be shared by {processes} processes. Take a number of "
            "processes that divides it, or change batch_size in settings.json."
        )
    return dict(
        output_dir=str(HERE / "output"),
        num_train_epochs=settings["n_epochs"],
        per_device_train_batch_size=batch // processes,
        learning_rate=settings["learning_rate"],
        lr_scheduler_type="cosine",
        warmup_steps=settings["warmup_steps"],
        max_grad_norm=settings["max_grad_norm"],
        adam_beta1=settings["adam_betas"][0],
        adam_beta2=settings["adam_betas"][1],
        weight_decay=0.0,
        seed=settings["seed"],
        logging_steps=1,
        eval_strategy=eval_strategy,
        save_strategy="epoch",
        gradient_checkpointing=has_gpu,  # a card's memory is short: a layer computes twice and keeps nothing
        gradient_checkpointing_kwargs={"use_reentrant": False},
        use_cpu=not has_gpu,
        bf16=in_bfloat16(),
        report_to="none",
    )


if __name__ == "__main__":
    main()
