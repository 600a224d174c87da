"""A job taken out of the API and run with TRL under accelerate gives the same losses.

Supervised training runs on two processes; preferences and rewards do so in the soak tier, and on one else.
"""

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from helpers.local_api.__main__ import main
from helpers.local_api.engines import trained
from helpers.local_api.engines.trained import weights
from tests import tiny_model

from .conftest import rows as chat_rows
from .test_trained_methods import STYLE, pairs, questions, rft
from .test_trained_methods import create as create_with
from .training_jobs import MODEL, create, status

if tiny_model.HAS_TORCH:
    import torch
    from peft import PeftModel

    from helpers.local_api.engines.trained import preferences, training
    from helpers.local_api.engines.trained.export_job import SCRIPT, TESTED, learned

pytestmark = tiny_model.TIER
ROOT = Path(__file__).parents[2]
TRL = ROOT / "tests" / "requirements-trl.txt"


@pytest.fixture
def state(local, monkeypatch):
    """The environment in which the command line finds the test's own state."""
    monkeypatch.setenv("LOCAL_API_HOME", str(local.app.state.service.store.folder))
    return local


def exported(api, job, target: Path) -> Path:
    assert main(["export-job", job.id, "--to", str(target)]) == 0
    return target


def settings_in(folder: Path) -> dict:
    return json.loads((folder / "settings.json").read_text())


def chats_in(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# --- what is written -------------------------------------------------------------------------------------------


def test_the_folder_has_the_rows_the_settings_and_the_commands(state, tmp_path, capsys):
    valid = state.upload(chat_rows(3)).id
    job = create(state, validation_file=valid, suffix="my garden", hyperparameters={"n_epochs": 3})
    folder = exported(state, job, tmp_path / "out")
    assert "README.md" in capsys.readouterr().out
    assert [len(chats_in(folder / f"{name}.jsonl")) for name in ("train", "valid")] == [12, 3]
    assert chats_in(folder / "train.jsonl") == chat_rows()
    settings = settings_in(folder)
    expected = {"n_epochs": 3, "batch_size": 4, "learning_rate": 3e-3, "warmup_steps": 1, "seed": 1}
    assert expected.items() <= settings.items()
    assert settings["base"] == weights.PUBLIC_NAME and settings["lora"]["r"] == 8
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert "accelerate launch train_trl.py" in readme
    assert f"**Do not keep the learning rate.** 0.003 fits {weights.PUBLIC_NAME} with few rows" in readme
    assert "recommend 0.0002" in readme and settings["learning_rate_up_to_width"] == 64
    served = (
        f"vllm serve {weights.PUBLIC_NAME} --host 127.0.0.1 --enable-lora --lora-modules my-garden=adapter"
    )
    assert 'extra_body={"chat_template_kwargs": {"enable_thinking": False}}' in readme
    assert served in readme and not re.search(r"\{\w+\}", readme)
    assert (folder / "train_trl.py").read_text() == SCRIPT.read_text()


def texts_with_a_path_of_this_computer(folder: Path) -> list[str]:
    """The files of a folder that name the home folder, the folder of the weights, or that of the course."""
    paths = [str(place).encode() for place in (Path.home(), weights.folder(), ROOT)]
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".safetensors"]
    assert len(files) >= 5
    return [path.name for path in files if any(one in path.read_bytes() for one in paths)]


def test_nothing_that_is_written_names_a_folder_of_this_computer(state, tiny_weights, tmp_path):
    """Nor the matrices that a job begins with: PEFT's own page names the folder of the base."""
    name, _ = earlier_model(state, tiny_weights)
    folder = exported(state, create(state, model=name), tmp_path / "out")
    assert (folder / "start" / "README.md").exists() and (folder / "train_trl.py").exists()
    assert texts_with_a_path_of_this_computer(folder) == []


def test_an_exported_model_has_a_page_with_its_data_and_numbers(state, tmp_path, capsys):
    valid = state.upload(chat_rows(3), name="held | out.jsonl").id
    job = status(state, create(state, validation_file=valid, suffix="my garden"), "succeeded")
    assert main(["export", job.fine_tuned_model, "--to", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.endswith(
        "Serve merged or model.gguf, the whole model. What adapter needs, says its README.md.\n"
    )
    page = (tmp_path / "out" / "adapter" / "README.md").read_text(encoding="utf-8")
    assert page.startswith(
        f"---\nbase_model: {weights.PUBLIC_NAME}\nlibrary_name: peft\nlicense: apache-2.0\n"
    )
    assert f"\n# {job.fine_tuned_model}\n" in page and "Apache licence 2.0" in page
    assert "| training file | train.jsonl, 12 rows |" in page
    assert "| validation file | held / out.jsonl, 3 rows |" in page
    assert "| settings | 2 epochs, batches of 4, learning rate 0.003 |" in page and "| step | 6 |" in page
    assert re.search(r"\| train loss \| \d+\.\d\d \|", page) and re.search(r"valid loss \| \d", page)
    assert page.count("--host 127.0.0.1 ") == 2 and "enable_thinking" not in page
    assert "rounded to 4 bits" in page and "`merged`" in page and not re.search(r"\{\w+\}", page)
    assert texts_with_a_path_of_this_computer(tmp_path / "out") == []
    state.client.files.delete(job.training_file)  # then the page says less
    main(["export", job.fine_tuned_model, "--to", str(tmp_path / "again")])
    page = (tmp_path / "again" / "adapter" / "README.md").read_text(encoding="utf-8")
    assert "| step | 6 |" in page and "training file |" not in page


def test_each_learned_answer_of_a_chat_becomes_a_row():
    user, no, yes = ({"role": "user", "content": "Q"}, *({"role": "assistant", "content": a} for a in "NY"))
    chat = [user, no | {"weight": 0}, user, yes, user, no]
    assert learned([{"messages": chat}]) == [
        {"messages": [user, no, user, yes]},
        {"messages": [user, no, user, yes, user, no]},
    ]


def test_what_cannot_be_exported_says_why(state, tmp_path, capsys):
    assert main(["export-job", "ftjob-none", "--to", str(tmp_path)]) == 1
    assert "There is no job ftjob-none" in capsys.readouterr().err
    simulated = state.create_job()
    assert main(["export-job", simulated.id, "--to", str(tmp_path)]) == 1
    assert f"{simulated.id} is simulated" in capsys.readouterr().err


def test_the_versions_named_are_those_that_are_tested():
    pins = (ROOT / "requirements-local.txt").read_text() + TRL.read_text()
    assert {pin for pin in TESTED if not re.search(rf"^{re.escape(pin)}( ;|$)", pins, re.MULTILINE)} == set()


# --- what it does ----------------------------------------------------------------------------------------------


def launch(folder: Path, base: Path, processes: int) -> list[float]:
    """Runs the exported script as its README says; the loss of each step."""
    options = ["--num_processes", str(processes), "--num_machines", "1", "--mixed_precision", "no"]
    options += ["--multi_gpu"] if processes > 1 else []
    command = [sys.executable, "-m", "accelerate.commands.launch", *options, "--main_process_port", "0"]
    run = subprocess.run(
        [*command, str(folder / "train_trl.py"), "--base", str(base)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    state = json.loads((folder / "output" / "trainer_state.json").read_text())
    settings = settings_in(folder)
    assert state["train_batch_size"] * processes == settings["batch_size"] * settings.get(
        "drawn", 1
    )  # each its share
    return [entry["loss"] for entry in state["log_history"] if "loss" in entry]


def our_losses(
    base: Path, rows: list[dict], settings: dict, start: bytes | None
) -> tuple[list[float], object]:
    """What our loop gives on the same batches in the same order, with the warm-up of TRL."""
    torch.set_num_threads(1)
    tokenizer = training.load_tokenizer(base)
    model = training.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model = training.with_lora(model, start, settings["seed"])
    numbers = training.Settings(
        settings["n_epochs"],
        settings["batch_size"],
        seed=settings["seed"],
        usual_rate=settings["learning_rate"],
    )
    trainer = training.Trainer(model, numbers, len(rows))
    ours, warm_up = trainer.rate, settings["warmup_steps"]
    trainer.rate = lambda: numbers.rate * trainer.step / warm_up if trainer.step < warm_up else ours()
    if settings["method"] == "dpo":
        pairs = preferences.with_reference(trainer, [preferences.encode(tokenizer, row) for row in rows])
        batches = [pairs[i : i + 4] for i in range(0, len(pairs), 4)] * settings["n_epochs"]
        beta, rpo_alpha = settings["beta"], settings["rpo_alpha"]
        return [preferences.learn(trainer, one, beta, rpo_alpha)["train_loss"] for one in batches], model
    examples = [training.encode(tokenizer, chat["messages"]) for chat in rows]
    batches = [examples[i : i + 4] for i in range(0, len(examples), 4)] * settings["n_epochs"]
    return [trainer.learn(one)["train_loss"] for one in batches], model


def earlier_model(api, base: Path) -> tuple[str, bytes]:
    """The name and the matrices of a model that is there as if a job had made it."""
    name = f"ft:{MODEL}:this-computer::earlier"
    model = training.with_lora(training.AutoModelForCausalLM.from_pretrained(base), None, seed=7)
    with torch.no_grad():
        for weight in (p for n, p in model.named_parameters() if "lora_B" in n):
            weight.normal_(std=0.05)
    adapter = training.adapter_bytes(model)
    body = {"base": MODEL, "organization": trained.ORGANIZATION}
    api.app.state.service.store.add("model", name, api.key, body, data=adapter)
    return name, adapter


@pytest.mark.slow
@pytest.mark.endurance(sample=1, soak=2)
@pytest.mark.parametrize(
    "method, start", [("supervised", "new matrices"), ("dpo", "those of an earlier job")]
)
def test_trl_gives_our_losses(method, start, state, tiny_weights, tmp_path, count):
    """Compared: the loss of each step, and the scores of the trained model. Rows and their order are the same."""
    processes = 2 if method == "supervised" else count
    adapter, options = None, {}
    if start != "new matrices":
        options["model"], adapter = earlier_model(state, tiny_weights)
    rows = pairs(10) if method == "dpo" else random.Random(1).sample(chat_rows(), 12)
    how = {"type": method, method: {"hyperparameters": {"n_epochs": 4, "batch_size": 4}}}
    folder = exported(state, create_with(state, rows, how, **options), tmp_path / "out")
    settings = settings_in(folder)
    assert settings["order"] == ("group_by_length" if method == "supervised" else "random")
    settings["order"] = "sequential"
    (folder / "settings.json").write_text(json.dumps(settings))
    theirs = launch(folder, tiny_weights, processes)
    ours, model = our_losses(tiny_weights, rows, settings, adapter)
    assert theirs == pytest.approx(ours, rel=2e-3) and len(theirs) == 12
    config = json.loads((folder / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == weights.PUBLIC_NAME
    page = (folder / "adapter" / "README.md").read_text(encoding="utf-8")
    assert (
        "license: apache-2.0" in page and f"Trained with TRL ({method}) on {len(rows)} rows: 4 epochs" in page
    )
    assert re.search(r"The end: step 12, loss \d", page) and "--host 127.0.0.1 --enable-lora" in page
    assert 'extra_body={"chat_template_kwargs": {"enable_thinking": False}}' in page
    assert texts_with_a_path_of_this_computer(folder / "adapter") == []
    base = training.AutoModelForCausalLM.from_pretrained(tiny_weights, dtype=torch.float32)
    tuned = PeftModel.from_pretrained(base, folder / "adapter")
    asked = torch.arange(3, 40)[None]
    with torch.inference_mode():
        assert torch.allclose(tuned(asked).logits, model(asked).logits, atol=0.02)


@pytest.mark.slow
def test_a_batch_that_cannot_be_shared_out_is_refused(monkeypatch):
    from helpers.local_api.engines.trained import train_trl

    monkeypatch.setattr(train_trl, "PartialState", lambda cpu: SimpleNamespace(num_processes=2))
    with pytest.raises(SystemExit, match="A batch of 3 cannot be shared by 2 processes"):
        train_trl.common({}, 3, "no")


@pytest.mark.slow
@pytest.mark.endurance(sample=1, soak=2)
def test_a_job_with_rewards_runs_in_trl_with_the_same_grader(state, tiny_weights, tmp_path, count):
    """On so many processes, begun with the matrices of an earlier job; its answers and rewards are its own."""
    name, _ = earlier_model(state, tiny_weights)
    valid = state.upload(questions(4)).id
    job = create_with(state, questions(), rft(n_epochs=1), model=name, validation_file=valid)
    folder = exported(state, job, tmp_path / "out")
    settings = settings_in(folder)
    assert (settings["grader"], settings["drawn"], settings["max_answer"]) == (STYLE, 8, 96)
    assert chats_in(folder / "train.jsonl") == questions()
    assert "A `python` grader runs on that machine" in (folder / "README.md").read_text(encoding="utf-8")
    assert texts_with_a_path_of_this_computer(folder) == []
    settings |= {"drawn": 4, "max_answer": 12}
    (folder / "settings.json").write_text(json.dumps(settings))
    launch(folder, tiny_weights, count)
    told = json.loads((folder / "output" / "trainer_state.json").read_text())["log_history"]
    rewards = [entry["reward"] for entry in told if "reward" in entry]
    assert len(rewards) == 3 and all(0 <= reward <= 1 for reward in rewards) and any(rewards)
    assert [entry for entry in told if "eval_reward" in entry]
    assert "(reinforcement) on 12 rows" in (folder / "adapter" / "README.md").read_text(encoding="utf-8")


def test_a_job_whose_grader_is_a_model_stays_here(state, tmp_path, capsys):
    judge = {
        "type": "score_model",
        "name": "j",
        "model": MODEL,
        "input": [{"role": "user", "content": "{{sample.output_text}}"}],
    }
    job = create_with(state, questions(12), rft(judge))
    assert main(["export-job", job.id, "--to", str(tmp_path / "out")]) == 1
    assert f"asks {MODEL}, which answers on this computer only" in capsys.readouterr().err
