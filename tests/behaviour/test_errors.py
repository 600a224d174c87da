"""Every refusal has OpenAI's envelope of four keys, its headers, and the right exception in the client."""

import re
from pathlib import Path

import openai
import pytest
import requests

from .conftest import MODEL, rows

HEADERS = (
    "x-request-id",
    "openai-processing-ms",
    "openai-version",
    "openai-organization",
    "x-ratelimit-limit-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
)


def send(api, method: str, path: str, **options) -> requests.Response:
    headers = {"Authorization": f"Bearer {api.key}"} | options.pop("headers", {})
    return requests.request(method, api.url + path, headers=headers, timeout=20, **options)


def check_envelope(answer: requests.Response) -> dict:
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["error"]
    error = answer.json()["error"]
    assert sorted(error) == ["code", "message", "param", "type"]
    assert isinstance(error["message"], str) and error["message"] and isinstance(error["type"], str)
    assert all(name in answer.headers for name in HEADERS)
    return error


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/files/file-none", 404, None),
        ("GET", "/files/file-none/content", 404, None),
        ("DELETE", "/files/file-none", 404, None),
        ("GET", "/fine_tuning/jobs/ftjob-none", 404, "fine_tune_not_found"),
        ("GET", "/fine_tuning/jobs/ftjob-none/events", 404, "fine_tune_not_found"),
        ("GET", "/fine_tuning/jobs/ftjob-none/checkpoints", 404, "fine_tune_not_found"),
        ("POST", "/fine_tuning/jobs/ftjob-none/cancel", 404, "fine_tune_not_found"),
        ("POST", "/fine_tuning/jobs/ftjob-none/pause", 404, "fine_tune_not_found"),
        ("POST", "/fine_tuning/jobs/ftjob-none/resume", 404, "fine_tune_not_found"),
        ("GET", "/models/gpt-9", 404, "model_not_found"),
        ("DELETE", "/models/ft:gpt-9:x::y", 404, "model_not_found"),
        ("GET", "/chat/completions/chatcmpl-none", 404, None),
        ("GET", "/fine_tuning/checkpoints/ft:none/permissions", 404, "model_not_found"),
        ("GET", "/nowhere", 404, "unknown_url"),
        ("GET", "/files/../../etc/passwd", 404, "unknown_url"),
        ("PUT", "/files", 405, "method_not_supported"),
        ("POST", "/models", 405, "method_not_supported"),
        ("GET", "/files?limit=0", 400, None),
        ("GET", "/files?limit=10001", 400, None),
        ("GET", "/fine_tuning/jobs?limit=-1", 400, None),
        ("GET", "/fine_tuning/jobs?limit=1e3", 400, None),
        ("GET", "/fine_tuning/jobs?limit=0000000011", 400, None),
        ("GET", "/fine_tuning/jobs?limit=٣", 400, None),
        ("GET", "/files?after=file-none", 400, None),
        ("GET", "/files?order=up", 400, None),
        ("POST", "/uploads", 501, "not_simulated"),
        ("POST", "/uploads/upload_1/parts", 501, "not_simulated"),
        ("POST", "/responses/compact", 501, "not_simulated"),
        ("GET", "/evals/eval_1/runs", 501, "not_simulated"),
        ("DELETE", "/vector_stores/vs_1", 501, "not_simulated"),
        ("POST", "/images/generations", 501, "not_simulated"),
        ("POST", "/audio/speech", 501, "not_simulated"),
        ("POST", "/threads/thread_1/runs", 501, "not_simulated"),
        ("GET", "/responses/resp_1", 404, None),
        ("GET", "/batches/batch_1", 404, None),
        ("GET", "/responses/resp_1/input_items?order=up", 400, None),
        ("GET", "/responses/resp_1?stream=true&starting_after=x", 400, None),
    ],
)
def test_every_refusal_has_the_envelope(api, method, path, status, code):
    answer = send(api, method, path)
    error = check_envelope(answer)
    assert (answer.status_code, error["code"]) == (status, code)


def test_what_is_not_simulated_says_so_at_once(api):
    error = api.refusal(api.another_client(max_retries=2).vector_stores.create, name="x")
    assert isinstance(error, openai.InternalServerError) and "Vector stores" in error.message
    assert error.response.request.headers["x-stainless-retry-count"] == "0"


def test_whatever_the_client_calls_is_there_or_says_that_it_is_not(api):
    """Every path that stands in the installed client; what is in braces stands for an id."""
    resources = Path(openai.__file__).parent / "resources"
    source = "".join(path.read_text(encoding="utf-8") for path in resources.rglob("*.py"))
    call = r'(?:path_template|_get|_post|_delete|_get_api_list)\(\s*"(/[^"?]*)'
    paths = {re.sub(r"{\w+}", "x", path) for path in re.findall(call, source)}
    assert len(paths) > 150
    codes = {path: send(api, "GET", path).json().get("error", {}).get("code") for path in paths}
    assert [path for path, code in codes.items() if code == "unknown_url"] == []


def test_the_client_raises_its_own_exceptions(api):
    with pytest.raises(openai.BadRequestError) as caught:
        api.client.fine_tuning.jobs.create(model="gpt-9", training_file=api.upload(rows()).id)
    error = caught.value
    assert (error.code, error.param, error.type) == ("model_not_available", "model", "invalid_request_error")
    assert error.request_id.startswith("req_")
    with pytest.raises(openai.NotFoundError):
        api.client.files.retrieve("file-none")


def test_a_good_answer_carries_the_headers_too(api):
    first, second = send(api, "GET", "/models"), send(api, "GET", "/models")
    assert all(name in first.headers for name in HEADERS)
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert int(first.headers["openai-processing-ms"]) >= 0
    assert api.upload(rows(1))._request_id.startswith("req_")


# --- keys --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{"Authorization": None}, {"Authorization": "Basic abc"}])
def test_no_key(api, headers):
    answer = send(api, "GET", "/models", headers=headers)
    assert answer.status_code == 401 and "API key" in check_envelope(answer)["message"]


@pytest.mark.parametrize(
    "key", ["sk-proj-1234567890abcdefghij", "sk-local-", "sk-local-x y", "é", "x" * 5000]
)
def test_a_wrong_key_is_refused_and_never_repeated(api, key):
    answer = send(api, "GET", "/models", headers={"Authorization": f"Bearer {key}".encode()})
    error = check_envelope(answer)
    assert (answer.status_code, error["code"]) == (401, "invalid_api_key")
    assert "Incorrect API key provided" in error["message"] and key not in error["message"]


def test_two_keys_see_only_their_own_things(api):
    job = api.finished_job()
    stored = api.client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "x"}], store=True
    )
    other = api.another_client(api.key + "0")
    assert list(other.files.list()) == list(other.fine_tuning.jobs.list()) == []
    assert not [model.id for model in other.models.list() if model.id.startswith("ft:")]
    foreign = {"model": job.fine_tuned_model, "messages": [{"role": "user", "content": "x"}]}
    for call in (
        lambda: other.files.retrieve(job.training_file),
        lambda: other.files.content(job.training_file),
        lambda: other.files.delete(job.training_file),
        lambda: other.fine_tuning.jobs.retrieve(job.id),
        lambda: other.fine_tuning.jobs.cancel(job.id),
        lambda: other.fine_tuning.jobs.list_events(job.id),
        lambda: other.fine_tuning.jobs.checkpoints.list(job.id),
        lambda: other.models.retrieve(job.fine_tuned_model),
        lambda: other.models.delete(job.fine_tuned_model),
        lambda: other.chat.completions.retrieve(stored.id),
        lambda: other.chat.completions.create(**foreign),
    ):
        assert api.refusal(call).status_code == 404
    refused = api.refusal(other.fine_tuning.jobs.create, model=MODEL, training_file=job.training_file)
    assert refused.status_code == 400
    assert api.client.files.retrieve(job.training_file).id == job.training_file


# --- browsers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:80", "", "localhost@evil.example", "testserver"]
)
def test_a_foreign_host_header_is_refused(api, host):
    answer = send(api, "GET", "/models", headers={"Host": host})
    error = check_envelope(answer)
    assert (answer.status_code, error["code"]) == (403, "host_not_allowed")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:9999", "[::1]:80"])
def test_a_loopback_host_header_is_served(api, host):
    assert send(api, "GET", "/models", headers={"Host": host}).status_code == 200


def test_no_web_page_may_read_an_answer(api):
    for method in ("GET", "OPTIONS"):
        answer = send(api, method, "/models", headers={"Origin": "https://evil.example"})
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
