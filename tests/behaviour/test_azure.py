"""Azure's addresses: code that takes its address from AZURE_OPENAI_ENDPOINT finds the same API behind it."""

import json

import httpx2
import pytest
from openai import AzureOpenAI, OpenAI

from .conftest import MODEL, rows

MESSAGES = [{"role": "user", "content": "Hello?"}]
VERSION = "2025-04-01-preview"


@pytest.fixture
def azure(api):
    """A function that makes Azure's client."""
    endpoint = api.url.removesuffix("/v1")

    def make(**options) -> AzureOpenAI:
        place = {"azure_endpoint": endpoint, "api_key": api.key, "api_version": VERSION}
        return AzureOpenAI(http_client=api.connections, max_retries=0, **place | options)

    return make


def test_a_job_from_file_to_answer(api, azure):
    client = azure()
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows())
    file = client.files.create(file=("train.jsonl", lines), purpose="fine-tune")
    job = client.fine_tuning.jobs.create(
        model=MODEL, training_file=file.id, seed=1, extra_body={"hyperparameters": None}
    )
    api.app.state.service.worker.wait()
    job = client.fine_tuning.jobs.retrieve(job.id)
    assert job.status == "succeeded"
    assert (
        client.fine_tuning.jobs.list_events(job.id).data
        and client.fine_tuning.jobs.checkpoints.list(job.id).data
    )
    answer = client.chat.completions.create(model=job.fine_tuned_model, messages=MESSAGES)
    assert answer.model == job.fine_tuned_model
    assert job.id in [one.id for one in api.client.fine_tuning.jobs.list()]  # one state behind both addresses
    assert client.models.delete(job.fine_tuned_model).deleted


def test_what_azure_names_in_its_address_answers(azure):
    assert azure().chat.completions.create(model=MODEL, messages=MESSAGES).choices
    assert azure().embeddings.create(model="text-embedding-3-small", input="x").data
    assert azure().completions.create(model="babbage-002", prompt="x").choices
    assert azure().responses.create(model=MODEL, input="x").output_text
    parts = list(azure().chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
    assert parts[-1].choices[0].finish_reason == "stop"


def test_the_deployment_counts_and_not_the_model_of_the_body(azure):
    client = azure(azure_deployment="gpt-4.1-mini")
    assert client.chat.completions.create(model="anything", messages=MESSAGES).model.startswith(
        "gpt-4.1-mini"
    )
    assert client.files.list().data == []


def test_a_body_without_a_model_is_enough(api):
    url = api.url.removesuffix("/v1") + f"/openai/deployments/{MODEL}/chat/completions"
    answer = httpx2.post(
        url,
        json={"messages": MESSAGES},
        headers={"api-key": api.key},
        params={"api-version": VERSION},
        trust_env=False,
    )
    assert answer.status_code == 200 and answer.json()["choices"]


def test_the_newer_address_takes_the_plain_client(api):
    endpoint = api.url.removesuffix("/v1") + "/openai/v1/"
    client = OpenAI(base_url=endpoint, api_key=api.key, http_client=api.connections, max_retries=0)
    assert client.chat.completions.create(model=MODEL, messages=MESSAGES).choices
    assert client.responses.create(model=MODEL, input="x").output_text
    assert client.fine_tuning.jobs.list().data == []


def test_azures_client_on_the_plain_address(api):
    client = AzureOpenAI(
        base_url=api.url, api_key=api.key, api_version=VERSION, http_client=api.connections, max_retries=0
    )
    assert client.chat.completions.create(model=MODEL, messages=MESSAGES).choices


def test_a_wrong_key_and_a_wrong_address_say_so(api, azure):
    assert api.refusal(azure(api_key="sk-wrong").models.list).status_code == 401
    error = api.refusal(
        azure(azure_deployment="no-such").chat.completions.create, model="x", messages=MESSAGES
    )
    assert (error.status_code, error.code) == (404, "model_not_found")
    url = api.url.removesuffix("/v1") + "/openai/nothing"
    answer = httpx2.get(url, headers={"api-key": api.key}, trust_env=False)
    assert answer.json()["error"]["code"] == "unknown_url"
