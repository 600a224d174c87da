"""Models: the base models, and the tuned ones from birth to deletion."""

import pytest
import requests

from helpers.local_api.app import Mode, create_app
from helpers.local_api.server import Server
from helpers.local_api.store import Store

from .conftest import MODEL, rows
from .test_chat import MESSAGES, ask


def test_base_models_are_listed_with_their_end(api):
    listed = {model.id: model for model in api.client.models.list()}
    assert {"gpt-3.5-turbo", MODEL, "text-embedding-3-small"} <= set(listed)
    assert api.client.models.retrieve(MODEL) == listed[MODEL]
    assert listed[MODEL].to_dict()["shutdown_date"] == "2027-01-14"
    assert listed["text-embedding-3-small"].to_dict()["shutdown_date"] is None
    assert not [name for name in listed if name.startswith("ft:")]


def test_a_tuned_model_and_its_checkpoints_are_listed_and_answer(api):
    job = api.finished_job()
    names = [c.fine_tuned_model_checkpoint for c in api.client.fine_tuning.jobs.checkpoints.list(job.id)]
    listed = {model.id: model for model in api.client.models.list()}
    assert {name for name in listed if name.startswith("ft:")} == set(names)
    assert listed[names[0]].owned_by == job.organization_id
    for name in names:
        completion = ask(api, model=name)
        assert completion.model == name and completion.choices[0].message.content


def test_a_tuned_model_can_be_tuned_again(api):
    first = api.finished_job(suffix="one")
    second = api.finished_job(rows(10), model=first.fine_tuned_model, suffix="two")
    assert (second.status, second.model) == ("succeeded", first.fine_tuned_model)
    assert second.fine_tuned_model.startswith("ft:gpt-4o-mini-2024-07-18:")
    assert ":two:" in second.fine_tuned_model
    assert ask(api, model=second.fine_tuned_model).choices


def test_a_deleted_model_is_gone_and_its_job_stays(api):
    job = api.finished_job()
    name = job.fine_tuned_model
    answer = api.client.models.delete(name)
    assert answer.to_dict() == {"id": name, "object": "model", "deleted": True}
    for call in (
        lambda: api.client.models.retrieve(name),
        lambda: api.client.models.delete(name),
        lambda: ask(api, model=name),
        lambda: api.create_job(model=name),
    ):
        error = api.refusal(call)
        assert (error.status_code, error.code) == (404, "model_not_found")
    assert api.client.fine_tuning.jobs.retrieve(job.id).fine_tuned_model == name


def test_a_base_model_cannot_be_deleted(api):
    assert api.refusal(api.client.models.delete, MODEL).status_code == 403


def test_a_suffix_may_be_any_text(api):
    job = api.finished_job(suffix="Été / 100 % ?#&")
    assert api.client.models.retrieve(job.fine_tuned_model).id == job.fine_tuned_model
    assert ask(api, model=job.fine_tuned_model, messages=MESSAGES).choices


# --- by date -----------------------------------------------------------------------------------------------

ON_THE_STAGE = [
    *("gpt-4o-2024-05-13", "gpt-4-1106-preview", "gpt-4-turbo-preview", "o1", "o3", "o3-mini", "o1-mini"),
    *("chatgpt-4o-latest", "gpt-4-0125-preview", "o1-preview"),
]


@pytest.mark.parametrize("name", ON_THE_STAGE)
def test_a_model_that_was_there_on_the_day_answers(api, name):
    assert ask(api, model=name).choices[0].message.content
    assert api.client.models.retrieve(name).to_dict()["shutdown_date"]


@pytest.mark.parametrize("name", ["gpt-5", "gpt-5-mini-2025-08-07", "gpt-5-nano"])
def test_a_model_of_a_later_day_says_so_and_answers_on_it(api, name):
    error = api.refusal(ask, api, model=name)
    assert (error.status_code, error.code) == (404, "model_not_found")
    assert "It came on 2025-08-07, and the day of your API key is 2025-06-01." in error.message
    later = api.another_client(f"{api.key}@2025-08-07").chat.completions
    assert later.create(model=name, messages=MESSAGES).choices
    refused = api.refusal(later.create, model=name, messages=MESSAGES, temperature=0)
    assert (refused.param, refused.code) == ("temperature", "unsupported_value")


def test_a_model_that_is_gone_says_so(api):
    last = api.another_client(f"{api.key}@2025-10-26").chat.completions
    assert last.create(model="o1-mini", messages=MESSAGES).choices
    gone = api.another_client(f"{api.key}@2025-10-27").chat.completions
    error = api.refusal(gone.create, model="o1-mini", messages=MESSAGES)
    assert error.status_code == 404 and "deprecated" in error.message


@pytest.mark.parametrize("name", ["gpt-4-32k", "gpt-image-1", "whisper-1", "gpt-3.5-turbo-16k"])
def test_a_model_of_openais_that_is_not_simulated_says_so(api, name):
    for call in (lambda: ask(api, model=name), lambda: api.client.models.retrieve(name)):
        error = api.refusal(call)
        assert (error.status_code, error.code) == (404, "model_not_found")
        assert "not simulated here" in error.message
    assert "not simulated" not in api.refusal(ask, api, model="gpt-9").message


# --- sharing, recorded only --------------------------------------------------------------------------------


def test_checkpoint_permissions_are_kept_and_paged(api):
    name = api.finished_job().fine_tuned_model
    permissions = api.client.fine_tuning.checkpoints.permissions
    made = permissions.create(name, project_ids=["proj_a", "proj_b", "proj_c"]).data
    assert [permission.project_id for permission in made] == ["proj_a", "proj_b", "proj_c"]
    assert [p.project_id for p in permissions.list(name, limit=2)] == ["proj_c", "proj_b", "proj_a"]
    assert [p.project_id for p in permissions.list(name, order="ascending")] == ["proj_a", "proj_b", "proj_c"]
    assert [p.id for p in permissions.list(name, project_id="proj_b")] == [made[1].id]
    assert permissions.delete(made[0].id, fine_tuned_model_checkpoint=name).deleted
    assert len(permissions.list(name).data) == 2
    refused = api.refusal(permissions.delete, made[0].id, fine_tuned_model_checkpoint=name)
    assert refused.status_code == 404
    assert api.refusal(permissions.list, "ft:none").status_code == 404


def test_a_string_check_grader_is_run(api):
    grader = {
        "type": "string_check",
        "name": "exact",
        "input": "{{sample.output_text}}",
        "reference": "{{item.answer}}",
        "operation": "eq",
    }
    graders = api.client.fine_tuning.alpha.graders
    assert graders.validate(grader=grader).grader.name == "exact"
    for sample, reward in (("yes", 1.0), ("no", 0.0)):
        assert graders.run(grader=grader, model_sample=sample, item={"answer": "yes"}).reward == reward


def test_a_combined_grader_is_run_as_the_guide_writes_it(api):
    """OpenAI's guide "Graders": parts by name, pass_threshold, and no name for a Python grader."""
    alike = {
        "type": "text_similarity",
        "name": "a",
        "evaluation_metric": "fuzzy_match",
        "pass_threshold": 0.9,
    }
    parts = {
        "name": alike | {"input": "{{sample.output_json.name}}", "reference": "{{item.name}}"},
        "email": {
            "type": "python",
            "source": "def grade(sample, item):\n    return 'email' in item",
            "image_tag": "x",
        },
    }
    grader = {"type": "multi", "name": "both", "graders": parts, "calculate_output": "(name + email) / 2"}
    graders = api.client.fine_tuning.alpha.graders
    validated = graders.validate(grader=grader).to_dict()
    assert validated["grader"]["graders"].keys() == {"name", "email"}
    found = graders.run(grader=grader, model_sample='{"name": "Jo"}', item={"name": "Joe", "email": "j@e"})
    assert found.sub_rewards == {"name": 0.8, "email": 1.0} and found.reward == 0.9
    assert not any(value for value in found.metadata.errors.to_dict().values())
    found = graders.run(grader=grader, model_sample="no JSON", item={"name": "Joe", "email": "j@e"})
    assert found.reward == 0.5 and found.metadata.errors.sample_parse_error
    grader["graders"]["email"]["source"] = "def grade(sample, item):\n    return item['nothing']"
    errors = graders.run(grader=grader, model_sample='{"name": "Jo"}', item={"name": "Jo"}).metadata.errors
    assert errors.python_grader_runtime_error and "KeyError" in errors.python_grader_runtime_error_details


def test_a_grader_that_can_never_work_is_refused(api):
    graders = api.client.fine_tuning.alpha.graders
    grader = {"type": "python", "name": "n", "source": "x ="}
    for error in (
        api.refusal(graders.validate, grader=grader),
        api.refusal(graders.run, grader=grader, model_sample="a"),
    ):
        assert (error.status_code, error.param) == (400, "grader.source")


def test_a_server_started_by_hand_runs_programs_for_its_own_key_only(tmp_path):
    app = create_app(Store(tmp_path), Mode(by_hand=True, guarded=True))
    service = app.state.service
    body = {
        "grader": {"type": "python", "name": "n", "source": "def grade(s, i): return 1"},
        "model_sample": "a",
    }
    server = Server(app).start()
    for key, status in ((service.own_key, 200), ("sk-local", 403)):
        url, headers = f"{server.base_url}/fine_tuning/alpha/graders/run", {"Authorization": f"Bearer {key}"}
        assert requests.post(url, json=body, headers=headers).status_code == status
    server.stop()
