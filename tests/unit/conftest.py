"""The tiny model, for the tests of the trained engine."""

from pathlib import Path

import pytest

from tests import tiny_model


@pytest.fixture(scope="session")
def folder() -> Path:
    """Where its weights lie."""
    return tiny_model.shared()


@pytest.fixture
def tokenizer(folder: Path):
    from helpers.local_api.engines.trained import training

    return training.load_tokenizer(folder)
