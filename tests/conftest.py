"""Fixtures for all tests. What notebooks need too is in tests/environment.py."""

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="package", autouse=True)
def loopback_without_proxy() -> Iterator[None]:
    """Tests in Python may talk to a local server directly; lessons must arrange that themselves."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("NO_PROXY", "127.0.0.1,localhost")
        environment.setenv("no_proxy", "127.0.0.1,localhost")
        yield


@pytest.fixture
def state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh state folder for one test; the mock API uses it in this process and in those it starts."""
    folder = tmp_path / "state"
    monkeypatch.setenv("LOCAL_API_HOME", str(folder))
    return folder
