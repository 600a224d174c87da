"""Other ways in: a server started by hand, curl, requests, the async client, and proxies that are in the way."""

import json
import shutil
import subprocess

import pytest
import requests
from openai import AsyncOpenAI

from helpers.local_api.__main__ import main
from helpers.local_api.app import create_app
from helpers.local_api.server import Server
from helpers.local_api.store import Store
from tests import by_hand

from .conftest import MODEL, rows
from .test_chat import MESSAGES

KEY = {"Authorization": "Bearer sk-local"}


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    folder = tmp_path_factory.mktemp("state")
    with by_hand.server(folder) as (url, _):
        yield url


def test_in_a_container_it_listens_to_the_outside_and_still_answers_to_local_names_only(tmp_path):
    """Reached by another address of this computer, as from outside a container."""
    with by_hand.server(tmp_path, "--host", "0.0.0.0") as (url, _), requests.Session() as session:
        session.trust_env = False  # the proxies of the environment
        outside = url.replace("127.0.0.1", "127.0.0.2")
        assert session.get(f"{outside}/models", headers=KEY, timeout=20).status_code == 403
        local = KEY | {"Host": "localhost:8765"}
        assert session.get(f"{outside}/models", headers=local, timeout=20).json()["data"]


@pytest.fixture
def training_file(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows()))
    return path


def wait(read) -> dict:
    """The job, once it is over."""
    while (job := read())["status"] not in ("succeeded", "failed", "cancelled"):
        pass
    return job


def test_requests_from_upload_to_answer(url, training_file):
    with open(training_file, "rb") as file:
        form = {"purpose": "fine-tune"}
        uploaded = requests.post(f"{url}/files", headers=KEY, files={"file": file}, data=form, timeout=20)
    order = {"model": MODEL, "training_file": uploaded.json()["id"]}
    job = requests.post(f"{url}/fine_tuning/jobs", headers=KEY, json=order, timeout=20).json()
    job_url = f"{url}/fine_tuning/jobs/{job['id']}"
    job = wait(lambda: requests.get(job_url, headers=KEY, timeout=20).json())
    question = {"model": job["fine_tuned_model"], "messages": MESSAGES}
    answer = requests.post(f"{url}/chat/completions", headers=KEY, json=question, timeout=20).json()
    assert answer["model"] == job["fine_tuned_model"] and answer["choices"][0]["message"]["content"]


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_curl_from_upload_to_answer(url, training_file):
    def curl(*arguments) -> dict:
        call = ["curl", "--silent", "--noproxy", "*", "-H", "Authorization: Bearer sk-local", *arguments]
        return json.loads(subprocess.run(call, capture_output=True, check=True, timeout=20).stdout)

    def post(path, body) -> dict:
        return curl(f"{url}{path}", "-H", "Content-Type: application/json", "-d", json.dumps(body))

    uploaded = curl(f"{url}/files", "-F", "purpose=fine-tune", "-F", f"file=@{training_file}")
    assert uploaded["bytes"] == training_file.stat().st_size
    job = post("/fine_tuning/jobs", {"model": MODEL, "training_file": uploaded["id"]})
    job = wait(lambda: curl(f"{url}/fine_tuning/jobs/{job['id']}"))
    answer = post("/chat/completions", {"model": job["fine_tuned_model"], "messages": MESSAGES})
    assert answer["choices"][0]["message"]["content"]


async def test_the_async_client_from_upload_to_deletion(url, training_file):
    async with AsyncOpenAI(base_url=url, api_key="sk-local", max_retries=0) as client:
        file = await client.files.create(file=training_file, purpose="fine-tune")
        job = await client.fine_tuning.jobs.create(model=MODEL, training_file=file.id)
        while job.status not in ("succeeded", "failed"):
            job = await client.fine_tuning.jobs.retrieve(job.id)
        answer = await client.chat.completions.create(model=job.fine_tuned_model, messages=MESSAGES)
        assert answer.choices[0].message.content
        events = [event async for event in client.fine_tuning.jobs.list_events(job.id)]
        assert events[0].message == "The job has successfully completed"
        embedded = await client.embeddings.create(model="text-embedding-3-small", input="rose")
        assert len(embedded.data[0].embedding) == 1536
        assert (await client.models.delete(job.fine_tuned_model)).deleted


def test_what_is_streamed_is_server_sent_events(url):
    question = {"model": MODEL, "messages": MESSAGES, "stream": True}
    answer = requests.post(f"{url}/chat/completions", headers=KEY, json=question, stream=True, timeout=20)
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = [line for line in answer.iter_lines(decode_unicode=True) if line]
    assert all(line.startswith("data: ") for line in lines) and lines[-1] == "data: [DONE]"
    assert all(json.loads(line[6:])["choices"] for line in lines[:-1])


def test_a_port_in_use_is_a_message_and_not_a_traceback(url, state_folder, capfd):
    port = url.split(":")[2].removesuffix("/v1")
    assert main(["--port", port]) == 1
    told = capfd.readouterr().err
    assert f"Port {port} cannot be used" in told and "Traceback" not in told


def test_a_lessons_server_knows_one_key_only(tmp_path):
    app = create_app(Store(tmp_path))
    server = Server(app).start()
    try:
        for key, status in ((app.state.service.own_key, 200), ("sk-local", 401), ("sk-local-other", 401)):
            headers = {"Authorization": f"Bearer {key}"}
            assert (
                requests.get(f"{server.base_url}/models", headers=headers, timeout=20).status_code == status
            )
        headers = {"api-key": app.state.service.own_key}
        assert requests.get(f"{server.base_url}/models", headers=headers, timeout=20).status_code == 200
    finally:
        server.stop()


def test_a_stream_arrives_piece_by_piece_where_jobs_take_their_time(api, monkeypatch):
    monkeypatch.setenv("LOCAL_API_JOB_SECONDS", "1")
    question = {"model": MODEL, "messages": MESSAGES, "stream": True}
    headers = {"Authorization": f"Bearer {api.key}"}
    answer = requests.post(
        f"{api.url}/chat/completions", headers=headers, json=question, stream=True, timeout=20
    )
    pieces = [piece for piece in answer.iter_content(chunk_size=None) if piece]
    assert len(pieces) > 3
