"""Models that a learner adds, in the manner of Qwen and of Gemma: from the folder to the exported model.

Each is a tiny one with random weights. The jobs are real ones, in a training process.
"""

import pytest

from helpers.jobs import new_events
from helpers.local_api.engines import trained
from helpers.local_api.engines.trained import lease, weights
from tests import other_models, tiny_model

from . import test_trained_methods as methods
from .conftest import rows
from .test_trained_jobs import answers_plainly_and_streamed
from .training_jobs import create, status

if tiny_model.HAS_TORCH:
    import torch

    from helpers.local_api.__main__ import main
    from helpers.local_api.engines.trained import adding, serving, training
    from helpers.local_api.engines.trained.export import NO_GGUF

pytestmark = tiny_model.TIER

ASKED = {"messages": [methods.said("user", "When?")], "temperature": 0, "max_tokens": 5}
WITHOUT_THOUGHTS = 'extra_body={"chat_template_kwargs": {"enable_thinking": False}}'


@pytest.fixture(scope="module", params=other_models.KINDS)
def folder(request, tmp_path_factory):
    """The folder of a model, as it would come from the hub."""
    return other_models.KINDS[request.param](
        tmp_path_factory.mktemp("from-the-hub") / f"Tiny_{request.param}-0.1B-it"
    )


@pytest.fixture
def with_it(local, folder, tmp_path, monkeypatch):
    """An API with the trained engine, to which the model was added; and its name there."""
    monkeypatch.setenv("LOCAL_API_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("LOCAL_API_HOME", str(local.app.state.service.store.folder))  # for the command line
    assert adding.main([str(folder)]) == 0
    return local, adding.api_name(folder.name)


def succeeded(api, **options):
    job = status(api, create(api, **options), "succeeded", "failed")
    assert job.status == "succeeded", job.error
    return job


def listed(api) -> set[str]:
    return {model.id for model in api.client.models.list()}


def test_it_is_trained_asked_trained_further_and_exported(with_it, tmp_path, capsys):
    api, name = with_it
    assert {trained.MODEL, name} <= listed(api)
    model = api.client.models.retrieve(name)
    assert (model.id, model.owned_by) == (name, "this-computer") and model.created > 1.7e9
    assert api.refusal(api.client.models.delete, name).status_code == 403
    job = succeeded(api, model=name, suffix="garden", epochs=3)
    assert job.fine_tuned_model.startswith(f"ft:{name}:this-computer:garden:")
    losses = [data["train_loss"] for data in methods.steps(api, job)]
    assert len(losses) == 9 and losses[-1] < losses[0]
    says_what_computes_and_with_which_rate(api, job)
    answers_plainly_and_streamed(api, job.fine_tuned_model)
    further = succeeded(api, model=job.fine_tuned_model, epochs=1)
    assert further.fine_tuned_model.startswith(f"ft:{name}:")
    assert main(["export", further.fine_tuned_model, "--to", str(tmp_path / "out")]) == 0
    assert NO_GGUF in capsys.readouterr().out and not (tmp_path / "out" / "model.gguf").exists()
    exported_scores_like_the_served(api, further.fine_tuned_model, tmp_path / "out" / "merged")
    page = (tmp_path / "out" / "adapter" / "README.md").read_text(encoding="utf-8")
    assert "as it was added" in page and "SmolLM2" not in page and str(tmp_path) not in page
    thinks = "enable_thinking" in training.load_tokenizer(weights.base(name).folder).chat_template
    assert (WITHOUT_THOUGHTS in page) == thinks


def says_what_computes_and_with_which_rate(api, job):
    said = [event.message for event in new_events(api.client, job.id)]
    (how,) = [text for text in said if text.startswith("Training on ")]
    assert how.startswith("Training on the processor (cpu), in ")
    assert how.endswith("highest learning rate 0.00069")  # the rule for Qwen at a width of 32
    assert said[said.index(how) + 1] == "Fine-tuning job started"


def exported_scores_like_the_served(api, model, merged):
    """The merged folder, read by transformers alone, writes the prompt as the API does and gives the same scores."""
    data = api.app.state.service.store.data("model", model, api.key)
    served = serving.merged(weights.base(trained.base_of(model)), data).float()
    plain = training.AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32).eval()
    tokenizer = training.AutoTokenizer.from_pretrained(merged)
    prompt = tokenizer.apply_chat_template(ASKED["messages"], add_generation_prompt=True, tokenize=False)
    assert prompt == training.prompt_text(training.load_tokenizer(merged), ASKED["messages"])
    tokens = torch.tensor([tokenizer.encode(prompt, add_special_tokens=False)])
    with torch.inference_mode():
        torch.testing.assert_close(plain(tokens).logits, served(tokens).logits, atol=0.05, rtol=0.05)


@pytest.mark.slow
def test_it_learns_from_preferences_and_rewards(with_it):
    api, name = with_it
    for taught, method in (
        (methods.pairs(10), methods.dpo(n_epochs=1)),
        (methods.questions(10), methods.rft()),
    ):
        methods.succeeded(api, methods.create(api, taught, method, model=name))


@pytest.mark.slow
def test_removed_it_says_so_and_added_again_it_answers_again(with_it, folder, capsys):
    api, name = with_it
    tuned = succeeded(api, model=name, epochs=1).fine_tuned_model
    before = api.client.chat.completions.create(model=tuned, **ASKED).choices[0].message.content
    assert adding.main(["--remove", name]) == 0
    assert "kept" in capsys.readouterr().out and name not in listed(api)
    for model in (name, tuned):
        error = api.refusal(api.client.chat.completions.create, model=model, **ASKED)
        assert (error.status_code, error.code) == (404, "model_not_found")
        assert api.refusal(create, api, model=model).status_code in (400, 404)
    assert "not on this computer any more" in error.message and "--model" in error.message
    other = other_models.KINDS[name.split("-")[1]](folder.with_name("other"), seed=5)
    assert adding.main([str(other), "--as", name]) == 0
    error = api.refusal(api.client.chat.completions.create, model=tuned, **ASKED)
    assert error.code == "model_not_found" and "another model of the name" in error.message
    assert adding.main(["--remove", name]) == adding.main([str(folder)]) == 0
    assert api.client.chat.completions.create(model=tuned, **ASKED).choices[0].message.content == before


@pytest.mark.slow
def test_a_base_that_is_removed_before_its_job_begins_fails_it(with_it, monkeypatch):
    api, name = with_it
    launch = lease._launch
    monkeypatch.setattr(lease, "_launch", lambda *arguments: None)
    job = create(api, model=name)
    adding.remove(name)
    store = api.app.state.service.store
    with store.write() as db:
        db.execute("DELETE FROM objects WHERE kind = 'lease'")
    monkeypatch.setattr(lease, "_launch", launch)
    job = status(api, job, "failed")
    assert (
        job.error.code == "model_not_found"
        and f"The base {name} is not on this computer" in job.error.message
    )


@pytest.mark.slow
def test_what_its_template_cannot_write_down_is_refused_with_the_row(with_it):
    api, name = with_it
    twice = [methods.said("user", "One"), methods.said("user", "Two"), methods.said("assistant", "Three")]
    file = api.upload([*rows(), {"messages": twice}])
    job = status(
        api, api.client.fine_tuning.jobs.create(model=name, training_file=file.id), "succeeded", "failed"
    )
    if "gemma" in name:
        assert (
            job.error.code == "invalid_training_file" and "Example 13: The chat template" in job.error.message
        )
        error = api.refusal(api.client.chat.completions.create, model=name, messages=twice[:2])
        assert error.status_code == 400 and "roles must alternate" in error.message
    else:
        assert job.status == "succeeded"
