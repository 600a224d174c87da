"""Paid providers, imitated on this computer as their documents describe them: nothing is bought without a yes."""

import asyncio
import csv
import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest
import requests
from openai import APIStatusError, AuthenticationError, AzureOpenAI, InternalServerError, OpenAI

from helpers import costs, dataset, jobs
from helpers.spend_guard import SpendGuard
from tests.behaviour.conftest import rows
from tests.behaviour.shop import CODE, DATA, SECRET, SHAPES, TABLE, Imitation, Shop
from tests.environment import KEY_NAMES


@pytest.fixture(autouse=True)
def plain_world(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr(SpendGuard, "spent_usd", 0.0)


@pytest.fixture(params=SHAPES)
def shop(request):
    shop = Shop(request.param)
    yield shop
    shop.close()


@pytest.fixture
def openai_shop(request):
    shop = Shop("openai", getattr(request, "param", 5.0))
    yield shop
    shop.close()


# --- the guard ------------------------------------------------------------------------------------------------


def test_no_call_makes_a_job_without_a_yes(shop):
    for _ in range(3):
        assert "nothing was spent" in shop.held()
    headers = {"Authorization": f"Bearer {shop.guard.token}"}
    body = {"model": shop.provider.shape["model"], "training_file": shop.file}
    for path in (
        "/fine_tuning/jobs",
        "/fine_tuning/jobs/",
        "//fine_tuning//jobs",
        "/fine_tuning/%6Aobs",
        "/fine-tunes",
    ):
        assert requests.post(shop.url + path, json=body, headers=headers).status_code == 402, path
    for bad in (b"", b"[]", b"{}", b"model=a&training_file=b"):
        assert requests.post(shop.url + "/fine_tuning/jobs", data=bad, headers=headers).status_code == 400, (
            bad
        )
    assert requests.put(shop.url + "/fine_tuning/jobs", json=body, headers=headers).status_code == 402
    # somebody who knows the provider's own key comes no further
    stranger = requests.post(shop.url + "/fine_tuning/jobs", json=body, headers={"api-key": SECRET})
    assert stranger.status_code == 401
    assert shop.provider.jobs == []
    assert [method for method, path in shop.provider.seen if "fine" in path and method != "GET"] == []


def test_the_client_does_not_try_a_held_job_again(openai_shop):
    before = len(openai_shop.provider.seen)
    openai_shop.held()
    assert [path for _, path in openai_shop.provider.seen[before:]].count("/v1/fine_tuning/jobs") == 1


def test_a_yes_makes_exactly_one_job_and_a_running_one_is_found(shop, capsys):
    message = shop.held()
    shop.approve(message)
    job = shop.order()
    assert (job.id, job.status) == ("ftjob-0", shop.provider.shape["job"])
    assert [shop.order().id for _ in range(3)] == ["ftjob-0"] * 3
    assert capsys.readouterr().out.count("already running") == 3
    assert len(shop.provider.jobs) == 1
    assert jobs.wait(shop.client, job.id, every=0.01).status == "succeeded"
    second = shop.held()  # it is over: another one would be paid again
    assert CODE.search(second)[1] != CODE.search(message)[1]
    with pytest.raises(ValueError, match="approves nothing"):
        shop.approve(message)
    assert len(shop.provider.jobs) == 1


def test_a_yes_is_for_one_job_and_no_other(openai_shop):
    openai_shop.approve(openai_shop.held())
    openai_shop.held(hyperparameters={"n_epochs": 4})
    openai_shop.held(suffix="other")
    openai_shop.held(model="gpt-4o-2024-08-06")
    assert openai_shop.provider.jobs == []


@pytest.mark.parametrize("code", ["", "yes", "$0.0018", "unknown"])
def test_no_guessed_code_is_a_yes(openai_shop, code):
    openai_shop.held()
    with pytest.raises(ValueError, match="approves nothing"):
        openai_shop.guard.approve(code)


def test_two_cells_at_the_same_time_get_the_same_job(openai_shop):
    openai_shop.approve(openai_shop.held())
    with ThreadPoolExecutor(4) as pool:
        found = {future.result().id for future in [pool.submit(openai_shop.order) for _ in range(4)]}
    assert (found, len(openai_shop.provider.jobs)) == ({"ftjob-0"}, 1)


def test_the_same_rows_uploaded_again_are_the_same_file(openai_shop):
    openai_shop.approve(openai_shop.held())
    first = openai_shop.order()
    again = openai_shop.client.files.create(file=("train.jsonl", DATA), purpose="fine-tune").id
    other = openai_shop.client.files.create(file=("train.jsonl", DATA + DATA), purpose="fine-tune").id
    assert again != openai_shop.file and openai_shop.order(training_file=again).id == first.id
    openai_shop.held(training_file=other)


def test_a_cell_that_uploads_the_same_rows_again_keeps_its_yes_for_one_job(openai_shop):
    openai_shop.approve(openai_shop.held())
    again = openai_shop.client.files.create(file=("train.jsonl", DATA), purpose="fine-tune").id
    job = openai_shop.order(training_file=again)
    assert jobs.wait(openai_shop.client, job.id, every=0.01).status == "succeeded"
    openai_shop.held(training_file=again)
    openai_shop.held()
    assert len(openai_shop.provider.jobs) == 1


def orders_at_the_same_time(shops: list, **options) -> list[str]:
    """What comes back, for each order: the id of a job, or the status of the refusal."""

    def order(shop) -> str:
        try:
            return shop.order(**options).id
        except APIStatusError as error:
            return str(error.status_code)

    with ThreadPoolExecutor(len(shops)) as pool:
        return sorted(pool.map(order, shops))


def test_one_yes_makes_one_job_however_many_orders_come_at_once(openai_shop):
    openai_shop.provider.over_at_once, openai_shop.provider.seconds_to_create = True, 0.2
    openai_shop.approve(openai_shop.held())
    assert orders_at_the_same_time([openai_shop] * 8) == ["402"] * 7 + ["ftjob-0"]
    assert len(openai_shop.provider.jobs) == 1


@pytest.mark.parametrize(
    ("lock", "answers"), [(asyncio.Lock, ["ftjob-0"] * 4), (nullcontext, ["402"] * 3 + ["ftjob-0"])]
)
def test_while_a_job_is_being_made_its_twins_wait_for_it(lock, answers, openai_shop):
    """The second row shows what the lock is for: without it, the twins do not find the job."""
    openai_shop.provider.seconds_to_create = 0.5
    openai_shop.guard._one_order_at_a_time = lock()
    openai_shop.approve(openai_shop.held())
    assert orders_at_the_same_time([openai_shop] * 4) == answers
    assert len(openai_shop.provider.jobs) == 1


def test_orders_to_two_providers_at_once_stay_below_one_limit(monkeypatch):
    shops = [Shop("openai", 0.01), Shop("nebius", 0.01)]
    for shop in shops:
        shop.provider.seconds_to_create = 0.5
        shop.approve(shop.held(hyperparameters={"n_epochs": 3}))
    dear = max(shops[0].guard._orders.values(), key=lambda order: order.estimate.usd)
    monkeypatch.setattr(SpendGuard, "spent_usd", 0.01 - dear.estimate.usd)
    answers = orders_at_the_same_time(shops)
    for shop in shops:
        shop.close()
    assert sorted(answers) == ["402", "ftjob-0"]


@pytest.mark.parametrize(
    ("settings", "same"),
    [
        ({"hyperparameters": {"n_epochs": 3, "batch_size": "auto"}}, True),
        ({"hyperparameters": {"n_epochs": 2}}, False),
        ({"method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 3}}}}, True),
        ({"method": {"type": "dpo", "dpo": {"hyperparameters": {"n_epochs": 3}}}}, False),
        ({"model": "gpt-4o-mini-2024-07-18"}, True),
        ({"seed": 8}, False),
    ],
)
def test_what_counts_as_the_same_settings(openai_shop, settings, same):
    openai_shop.approve(openai_shop.held())
    job = openai_shop.order()
    assert openai_shop.order(**settings).id == job.id if same else openai_shop.held(**settings)


def test_a_refused_order_keeps_its_yes_and_an_unclear_one_does_not(openai_shop):
    openai_shop.approve(openai_shop.held())
    openai_shop.provider.next_answer = (
        403,
        {"error": {"message": "closed", "code": "training_not_available"}},
    )
    with pytest.raises(APIStatusError, match="closed"):
        openai_shop.order()
    openai_shop.provider.next_answer = (500, {"error": {"message": "perhaps made"}})
    before = openai_shop.provider.seen.count(("POST", "/v1/fine_tuning/jobs"))
    with pytest.raises(InternalServerError, match="perhaps made"):
        openai_shop.order()
    assert openai_shop.provider.seen.count(("POST", "/v1/fine_tuning/jobs")) == before + 1  # no retry
    openai_shop.provider.next_answer = None
    openai_shop.held()
    assert openai_shop.provider.jobs == []


# --- the estimate and the limit -------------------------------------------------------------------------------


def tokens(model: str) -> int:
    return dataset.check(rows(12), model=model, content=False).kept_tokens


def test_the_estimate_is_tokens_times_epochs_times_the_price_of_the_table(openai_shop):
    price = costs.price("gpt-4o-mini", "training").usd_per_1m_tokens
    usd = tokens("gpt-4o-mini") * 3 * price / 1_000_000
    message = openai_shop.held()
    assert CODE.search(message)[1].startswith(costs.dollars(usd) + " ")
    assert f"{tokens('gpt-4o-mini'):,} x 3" in message
    assert "developers.openai.com" in message


@pytest.mark.parametrize("name", ["nebius", "crusoe"])
def test_a_provider_of_the_table_has_a_price_there(name):
    shop = Shop(name)
    usd = tokens(shop.provider.shape["model"]) * 3 * 0.40 / 1_000_000
    message = shop.held()
    shop.close()
    assert CODE.search(message)[1].startswith(costs.dollars(usd) + " ")
    assert "grade" in message


def test_an_unknown_price_is_called_unknown_and_still_needs_a_yes():
    shop = Shop("azure")
    message = shop.held()
    assert "Estimate: unknown" in message and "cannot be checked" in message
    assert CODE.search(message)[1].startswith("UNKNOWN ")
    assert shop.provider.jobs == []
    shop.approve(message)
    assert shop.order().status == "pending"
    shop.close()


@pytest.mark.parametrize("openai_shop", [0.0001], indirect=True)
def test_above_the_limit_no_yes_is_offered(openai_shop):
    message = openai_shop.held()
    assert "limit of $0.00010" in message and "SPEND_LIMIT_USD" in message
    assert CODE.search(message) is None
    assert openai_shop.provider.jobs == []


def test_jobs_of_all_providers_count_toward_the_limit(monkeypatch):
    first, second = Shop("openai", 0.01), Shop("nebius", 0.01)
    cost = float(CODE.search(first.held())[1].split()[0].lstrip("$"))
    first.approve(first.held())
    first.order()
    assert SpendGuard.spent_usd == pytest.approx(cost, rel=0.05)
    monkeypatch.setattr(SpendGuard, "spent_usd", 0.00999)
    assert CODE.search(second.held()) is None
    first.close()
    second.close()


# --- passing through ------------------------------------------------------------------------------------------


def test_files_come_and_go_unchanged(shop):
    data = os.urandom(3_000_000)
    sent = shop.client.files.with_raw_response.create(file=("big.bin", data), purpose="fine-tune")
    assert sent.status_code == shop.provider.shape["created"]
    assert sent.headers["location"].endswith(f"/files/{sent.parse().id}")
    assert sent.parse().status == shop.provider.shape["file"]
    assert shop.client.files.content(sent.parse().id).read() == data
    assert hashlib.sha256(shop.provider.files[sent.parse().id]).digest() == hashlib.sha256(data).digest()
    assert len(shop.client.files.list().data) == 2
    assert shop.client.fine_tuning.jobs.list(limit=5).data == []
    assert [model.id for model in shop.client.models.list()] == [shop.provider.shape["model"]]


def test_chat_passes_and_streams_word_by_word(shop):
    ask = {"model": "tuned", "messages": [{"role": "user", "content": "Hi"}]}
    assert shop.client.chat.completions.create(**ask).choices[0].message.content == "Hello"
    stream = shop.client.chat.completions.create(**ask, stream=True)
    assert (
        next(stream).choices[0].delta.content == "one "
    )  # the provider waits before it sends the second word
    shop.provider.may_continue.set()
    assert [chunk.choices[0].delta.content for chunk in stream] == ["two"]


def test_chat_of_crusoe_goes_to_its_second_host():
    chat = Imitation("crusoe")
    shop = Shop("crusoe", chat_base_url=chat.base_url)
    shop.client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
    assert chat.seen == [("POST", "/v1/chat/completions")]
    assert ("POST", "/v1/chat/completions") not in shop.provider.seen
    shop.close()
    chat.server.stop()


def test_the_deploy_call_of_nebius_passes():
    shop = Shop("nebius")
    with open(TABLE, encoding="utf-8", newline="") as file:
        facts = {row["fact"]: row["value"] for row in csv.DictReader(file) if row["provider"] == "nebius"}
    url = shop.url.removesuffix("/v1") + facts["deploy_url"].removeprefix(
        "https://api.tokenfactory.nebius.com"
    )
    headers = {"Authorization": f"Bearer {shop.guard.token}"}
    answer = requests.post(url, json=json.loads(facts["deploy_body"]), headers=headers)
    assert answer.json()["status"] == "validating"
    shop.close()


def test_azures_own_client_passes_and_is_held():
    shop = Shop("azure")
    azure = AzureOpenAI(base_url=shop.url, api_key=shop.guard.token, api_version="2024-10-21")
    assert len(azure.files.list().data) == 1
    with pytest.raises(APIStatusError) as caught:
        azure.fine_tuning.jobs.create(model="gpt-4.1-2025-04-14", training_file=shop.file)
    assert (caught.value.status_code, shop.provider.jobs) == (402, [])
    shop.close()


def test_a_provider_that_is_gone_is_said_plainly(openai_shop):
    openai_shop.provider.server.stop()
    with pytest.raises(InternalServerError, match="could not be reached"):
        openai_shop.client.files.list()


def test_a_wrong_key_is_refused_by_the_provider_and_no_error_quotes_the_right_one(openai_shop):
    with pytest.raises(AuthenticationError) as caught:
        OpenAI(base_url=openai_shop.url, api_key="not-a-key").files.list()
    assert caught.value.code == "invalid_api_key"
    message = {"error": {"message": f"The key {SECRET} may not do this."}}
    openai_shop.approve(openai_shop.held())
    openai_shop.provider.next_answer = (403, message)
    with pytest.raises(APIStatusError, match="The key .key. may not") as caught:
        openai_shop.order()
    assert SECRET not in str(caught.value.response.headers)


# --- run all cells, in a process of its own -------------------------------------------------------------------

CELLS = """
import logging, sys
logging.basicConfig(level=logging.DEBUG)
from helpers.connect import connect
{connect}
from openai import OpenAI
import openai
client = OpenAI()
file = client.files.create(file=("train.jsonl", open(sys.argv[1], "rb").read()), purpose="fine-tune")
for attempt in range(2):
    for epochs in (1, 2):
        try:
            job = client.fine_tuning.jobs.create(model={model!r}, training_file=file.id,
                                                 hyperparameters={{"n_epochs": epochs}})
            print("MADE", job.id)
        except openai.APIStatusError as error:
            print("HELD", error.status_code, error)
print(client.chat.completions.create(model="m", messages=[{{"role": "user", "content": "Hi"}}]).choices[0].message)
try:
    OpenAI(api_key="wrong").models.list()
except openai.APIStatusError as error:
    print("REFUSED", error, error.response.headers)
import os
print(sorted(os.environ.items()) if {in_file} else "")
client.fine_tuning.jobs.create(model={model!r}, training_file=file.id)
"""


@pytest.fixture
def table(tmp_path):
    """providers.csv with the addresses of imitations in the place of the real ones."""

    def write(*imitations: Imitation) -> Path:
        urls = {imitation.name: imitation.base_url for imitation in imitations}
        with open(TABLE, encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            columns, lines = reader.fieldnames, list(reader)
        for row in lines:
            if (
                row["fact"] in ("base_url", "chat_base_url")
                and row["provider"] in urls
                and "<" not in row["value"]
            ):
                row["value"] = urls[row["provider"]]
        path = tmp_path / "providers.csv"
        with open(path, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(lines)
        return path

    return write


def run_all(name: str, provider: Imitation, path: Path, folder: Path, connect: str, in_file: bool):
    work = folder / "work"
    work.mkdir(exist_ok=True)
    (work / "train.jsonl").write_bytes(DATA)
    key_name = {"openai": "OPENAI_API_KEY"}.get(name, f"{name.upper()}_API_KEY").replace(
        "AZURE_", "AZURE_OPENAI_"
    )
    environment = {key: value for key, value in os.environ.items() if key not in KEY_NAMES}
    environment |= {
        "PROVIDERS_TABLE": str(path),
        "AZURE_OPENAI_ENDPOINT": provider.origin,
        "OPENAI_LOG": "debug",
    }
    environment |= {"HOME": str(work), "TMPDIR": str(work), "LOCAL_API_HOME": str(work / "state")}
    secret = f"{key_name}={SECRET}\n"
    if in_file:
        (folder / ".env").write_text(secret)  # one folder up, as the project's .env is for notebooks/
    else:
        environment[key_name] = SECRET
    code = CELLS.format(connect=connect, model=provider.shape["model"], in_file=in_file)
    run = subprocess.run(
        [sys.executable, "-c", code, "train.jsonl"],
        cwd=work,
        env=environment,
        capture_output=True,
        timeout=120,
    )
    left = [file for file in work.rglob("*") if file.is_file() and SECRET.encode() in file.read_bytes()]
    return (run.stdout + run.stderr).decode(), left


RUNS = [("azure", False), ("nebius", True)]  # a key of the environment, and one of the file
RUNS += [(name, False) for name in SHAPES if name != "azure"]


@pytest.mark.slow
@pytest.mark.endurance(sample=2, soak=len(RUNS))
def test_run_all_cells_makes_no_job_and_shows_no_key(count, table, tmp_path):
    """Once, and again with the old code, which stops."""
    for number, (name, in_file) in enumerate(RUNS[:count]):
        folder = tmp_path / str(number)
        folder.mkdir()
        provider = Imitation(name)
        code = the_first_run_makes_no_job(name, provider, table, folder, in_file)
        a_second_run_stops_at_the_old_code(name, provider, table, folder, in_file, code)
        provider.server.stop()


def the_first_run_makes_no_job(name, provider, table, folder, in_file) -> str:
    """The code that it shows."""
    said, left = run_all(name, provider, table(provider), folder, f"connect({name!r})", in_file)
    assert said.count("HELD 402") == 4 and "MADE" not in said
    assert "1 listed" in said and "Hello" in said and "REFUSED" in said
    assert "APIStatusError: Error code: 402" in said  # the last cell
    assert provider.jobs == []
    assert SECRET not in said
    assert left == []
    assert ("POST", f"{provider.shape['path']}/chat/completions") in provider.seen  # the key did arrive
    return CODE.search(said)[1]


def a_second_run_stops_at_the_old_code(name, provider, table, folder, in_file, code) -> None:
    stale = f"connect({name!r}); connect({name!r}, approve={code!r})"
    said, left = run_all(name, provider, table(provider), folder, stale, in_file)
    assert "approves nothing" in said and provider.jobs == []
    assert SECRET not in said and left == []


def test_the_line_that_the_error_shows_makes_the_job(table, tmp_path):
    provider = Imitation("openai")
    line = """connect("openai")
import openai as o, re
c = o.OpenAI()
f = c.files.create(file=("t.jsonl", open(sys.argv[1], "rb").read()), purpose="fine-tune")
try:
    c.fine_tuning.jobs.create(model="gpt-4o-mini", training_file=f.id)
except o.APIStatusError as error:
    shown = error.message.splitlines()[-1]
exec(shown)
print("BOUGHT", c.fine_tuning.jobs.create(model="gpt-4o-mini", training_file=f.id).id)
"""
    said, left = run_all("openai", provider, table(provider), tmp_path, line, False)
    provider.server.stop()
    assert "Approved once" in said and "BOUGHT ftjob-0" in said
    assert SECRET not in said and left == []
    # the later cells ask for other epochs, which are held; the last one asks for the job that is running
    assert len(provider.jobs) == 1
