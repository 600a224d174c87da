"""What is said of the trained engine where it is not installed."""

import pytest

from helpers.local_api.engines import trained

from .test_chat import ask


@pytest.fixture(autouse=True)
def not_installed(monkeypatch):
    monkeypatch.setattr(trained, "NEEDED", ("no_such_package",))


def test_asking_training_and_looking_say_how_to_install_it(api):
    file = api.upload([{"messages": []}])
    for call in (
        lambda: ask(api, model=trained.MODEL),
        lambda: api.client.fine_tuning.jobs.create(model=trained.MODEL, training_file=file.id),
        lambda: api.client.models.retrieve(trained.MODEL),
    ):
        error = api.refusal(call)
        assert (error.status_code, error.code) == (404, "model_not_found")
        assert "python start.py local" in error.message and "no_such_package" in error.message


def test_it_is_neither_listed_nor_suggested(api):
    assert trained.MODEL not in {model.id for model in api.client.models.list()}
    file = api.upload([{"messages": []}])
    error = api.refusal(
        api.client.fine_tuning.jobs.create, model="gpt-4-turbo-2024-04-09", training_file=file.id
    )
    assert error.code == "model_not_available" and trained.MODEL not in error.message


def test_weights_that_are_missing_are_named_too(monkeypatch, tmp_path):
    monkeypatch.setattr(trained, "NEEDED", ("json",))
    monkeypatch.setenv("LOCAL_API_WEIGHTS", str(tmp_path))
    assert "weights are not here" in trained.problem()
    (tmp_path / "config.json").write_text("{}")
    assert trained.problem() is None
