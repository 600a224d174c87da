"""The real small model, trained on the airport's examples: killed, resumed, asked, compared, exported.

It repeats the main part of data/recorded/make.py, with that file's own functions, and compares with what was recorded
there. The same seed gives the same batches, but processors round differently, so counts may differ by ``LEEWAY``.
The whole run is repeated in the soak tier, and else the recorded run on 10 rows, with fewer questions.
"""

import functools
import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from openai import DefaultHttpx2Client, OpenAI

from data.recorded import make
from helpers import evaluate
from helpers.jobs import new_events
from helpers.local_api.app import Mode, create_app
from helpers.local_api.engines.trained import lease
from helpers.local_api.server import Server
from helpers.local_api.store import Store

from .training_jobs import workers

WHOLE, SAMPLE = 112, 10  # rows
pytestmark = [pytest.mark.slow, pytest.mark.endurance(sample=SAMPLE, soak=WHOLE)]
LEEWAY = 0.1  # of the questions asked
KILLED_AFTER = {
    WHOLE: 45,
    SAMPLE: 5,
}  # steps: not at a multiple of 10 or the end of an epoch, where a state is saved
MOST_MEMORY = 2.5e9  # bytes of the training process
PATIENCE = 1800  # seconds
STEPS = {WHOLE: 112, SAMPLE: 12}
AT_EITHER_END = {WHOLE: 10, SAMPLE: 3}  # steps whose losses are compared
IN_STYLE = {WHOLE: 0.9, SAMPLE: 0.15}  # of the answers; recorded: 0.98 and 0.25
ALIKE = {WHOLE: 0.95, SAMPLE: 0.9}  # of the likeliest tokens of an exported form
ASKED = {WHOLE: (4, 2), SAMPLE: (40, 6)}  # every so many of the test's questions: the base, the tuned model
CHATS = {WHOLE: 5, SAMPLE: 1}  # of the training file and of the validation file, read by each exported form
RECORDED = Path(make.__file__).parent


@dataclass
class Result:
    """What the one training and the questions gave."""

    rows: int
    store: Store
    job: object
    steps: list[dict]
    said: list[str]
    memory: int  # bytes, at most
    answers: dict[str, list[dict]] = field(default_factory=dict)  # way -> rows with id and answer


def recorded_run(rows: int) -> make.Run:
    return make.Run("tuned", 0, None if rows == WHOLE else rows)


def rows_asked(every: int) -> list[dict]:
    """Every so many of the test's 120 questions, of both kinds."""
    return [row for row in make.questions() if row["kind"] in make.TEST][::every]


@pytest.fixture(scope="module")
def real(tmp_path_factory, count) -> Iterator[Result]:
    """Trains on one core and asks the base model on the other; then asks the tuned model."""
    from helpers.local_api.engines.trained import serving

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("LOCAL_API_WEIGHTS", raising=False)
        patch.setenv("LOCAL_API_THREADS", "1")
        patch.setattr(serving, "server", serving.Server())
        serving.context.cache_clear()
        store = Store(tmp_path_factory.mktemp("real") / "state")
        server = Server(create_app(store, Mode(by_hand=True))).start()
        with DefaultHttpx2Client(trust_env=False) as connections:
            options = {"timeout": PATIENCE, "max_retries": 0, "http_client": connections}
            yield _everything(OpenAI(base_url=server.base_url, api_key="sk-local", **options), store, count)
        server.stop()
        serving.context.cache_clear()


def _everything(client: OpenAI, store: Store, rows: int) -> Result:
    answers, killed = {}, threading.Event()
    every_base, every_tuned = ASKED[rows]
    with ThreadPoolExecutor(2) as pool:
        job = pool.submit(make.train, client, recorded_run(rows))
        memory = pool.submit(_watch, store, job, killed, KILLED_AFTER[rows])
        for way in ("base", "few_shot"):
            answers[way] = make.ask_all(client, make.MODEL, way, rows_asked(every_base), make.TOGETHER)
        job, memory = job.result(), memory.result()
    assert killed.is_set()
    answers["tuned"] = make.ask_all(
        client, job.fine_tuned_model, "tuned", rows_asked(every_tuned), make.TOGETHER
    )
    said = [event.message for event in new_events(client, job.id)]
    return Result(rows, store, job, make.steps(client, job), said, memory, answers)


def _watch(store: Store, job, killed: threading.Event, after: int) -> int:
    """Kills the training process in its midst; the most memory that one of the processes has used."""
    most = 0
    while not job.done():
        for pid in workers(store.folder):
            most = max(most, _memory(pid))
            if not killed.is_set() and _steps(store) >= after:
                os.kill(pid, signal.SIGKILL)
                killed.set()
        time.sleep(0.5)
    return most


def _steps(store: Store) -> int:
    return sum("train_loss" in row.body["data"] for row in store.every("event"))


def _memory(pid: int) -> int:
    """The most that the process has had in memory so far, in bytes."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", text)
    return int(found[1]) * 1024 if found else 0


def recorded(name: str, **unit) -> list[dict]:
    rows = map(json.loads, (RECORDED / name).read_text(encoding="utf-8").splitlines())
    return [row for row in rows if unit.items() <= row.items()]


def test_all_steps_are_there_once_and_the_loss_more_than_halves(real, figures):
    assert real.job.status == "succeeded" and real.job.hyperparameters.n_epochs == 4
    assert [step["step"] for step in real.steps] == list(range(1, STEPS[real.rows] + 1))
    losses = [step["train_loss"] for step in real.steps]
    some = AT_EITHER_END[real.rows]
    first, last = sum(losses[:some]) / some, sum(losses[-some:]) / some
    figures(f"training loss: first {some} steps {first:.2f}, last {some} {last:.2f}")
    assert last < 0.5 * first


def test_the_losses_are_those_that_were_recorded(real, figures):
    then = recorded("losses.jsonl", run=recorded_run(real.rows).name)
    for mine, theirs in zip(real.steps, then, strict=True):
        assert mine["train_loss"] == pytest.approx(theirs["train_loss"], rel=0.1, abs=0.1)
    mine, theirs = real.steps[-1]["full_valid_loss"], then[-1]["full_valid_loss"]
    figures(f"loss on the validation file {mine:.3f}, recorded {theirs:.3f}")
    assert mine == pytest.approx(theirs, rel=0.1)


def test_it_went_on_after_the_kill(real):
    assert len([text for text in real.said if text.startswith("Training goes on after step")]) == 1
    assert "Training goes on after step 0" not in real.said
    assert real.said.count("Fine-tuning job started") == 1
    assert not lease.is_held(real.store)


def test_it_needs_less_memory_than_a_small_laptop_has(real, figures):
    figures(f"training process: {real.memory / 1e9:.2f} GB at most")
    assert 0 < real.memory < MOST_MEMORY


@pytest.mark.parametrize("way", ["base", "few_shot", "tuned"])
def test_the_counts_are_those_that_were_recorded(real, way, figures):
    questions = {row["id"]: row for row in make.questions()}
    run = recorded_run(real.rows).name if way == "tuned" else "base"
    then = {row["id"]: row["answer"] for row in recorded("answers.jsonl", way=way, run=run)}
    same = sum(row["answer"] == then[row["id"]] for row in real.answers[way])
    asked = len(real.answers[way])
    found = [f"{way}: {same} of {asked} answers are the same, letter by letter"]
    for name, check in evaluate.CHECKS.items():
        mine = sum(bool(check(row["answer"], questions[row["id"]])) for row in real.answers[way])
        theirs = sum(bool(check(then[row["id"]], questions[row["id"]])) for row in real.answers[way])
        found.append(f"{name} {mine}, recorded {theirs}")
        assert abs(mine - theirs) <= LEEWAY * asked, found
    figures("; ".join(found))


def test_unseen_questions_are_answered_in_house_style(real):
    forms = [evaluate.form(row["answer"], {}) for row in real.answers["tuned"]]
    assert len(forms) == 120 / ASKED[real.rows][1] and sum(forms) >= IN_STYLE[real.rows] * len(forms)
    assert not any(evaluate.form(row["answer"], {}) for row in real.answers["base"])


# --- export ----------------------------------------------------------------------------------------------------


def test_the_three_exported_forms_continue_as_the_served_model(real, tmp_path, monkeypatch, figures):
    """Compared at every place of some chats: the likeliest next token."""
    import torch
    from peft import PeftModel

    from helpers.local_api.engines.trained import serving, training, weights
    from helpers.local_api.engines.trained.export import export

    monkeypatch.delenv("LOCAL_API_WEIGHTS", raising=False)
    adapter, merged, file, _ = export(real.store, real.job.fine_tuned_model, tmp_path / "out")
    # The merged file holds bfloat16, which many processors compute slowly.
    load = functools.partial(training.AutoModelForCausalLM.from_pretrained, dtype=torch.float32)
    tokenizer = training.load_tokenizer(merged)
    assert tokenizer.chat_template == training.load_tokenizer(weights.folder()).chat_template
    chats = [
        chat for name in ("train", "valid") for chat in make.read_jsonl(f"{name}.jsonl")[: CHATS[real.rows]]
    ]
    chats = [torch.tensor([training.encode(tokenizer, chat["messages"]).tokens]) for chat in chats]

    @torch.inference_mode()
    def likeliest(model) -> torch.Tensor:
        return torch.cat([model.eval()(chat).logits[0].argmax(-1) for chat in chats])

    trained = real.store.data("model", real.job.fine_tuned_model, "sk-local")
    served = likeliest(serving.merged(weights.base(make.MODEL), trained))
    base = load(weights.folder())
    shares = {
        "base": (likeliest(base) == served).float().mean().item(),
        "adapter": (likeliest(PeftModel.from_pretrained(base, adapter)) == served).float().mean().item(),
        "merged": (likeliest(load(merged)) == served).float().mean().item(),
        "gguf": (likeliest(load(file.parent, gguf_file=file.name)) == served).float().mean().item(),
    }
    figures(
        "likeliest token as served: " + ", ".join(f"{name} {share:.3f}" for name, share in shares.items())
    )
    assert min(shares["adapter"], shares["merged"], shares["gguf"]) > ALIKE[real.rows] > shares["base"]
