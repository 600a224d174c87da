"""OpenAI's own tests of its client, unchanged, against the conformance server.

The source distribution of the installed release is fetched from the package index by pip, so this test needs
the network, and nothing of it is committed. It checks the shape of the answers; behaviour is checked by our
own tests.
"""

import importlib.metadata
import os
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests import by_hand, environment

TESTS = (
    "fine_tuning",
    "test_files.py",
    "test_models.py",
    "test_embeddings.py",
    "chat/test_completions.py",
    "test_completions.py",
    "responses",
    "test_responses.py",
    "test_batches.py",
    "test_moderations.py",
)
RESET_BEFORE_EVERY_TEST = """
import os, urllib.request, pytest

@pytest.fixture(autouse=True)
def reset():
    url = os.environ["TEST_API_BASE_URL"].removesuffix("/v1") + "/_mock/reset"
    urllib.request.urlopen(urllib.request.Request(url, method="POST")).close()
"""
# The client asks for base64 and a truthful server sends it. With strict validation, the client then looks for
# a list of numbers before it has decoded the answer, and refuses it.
BASE64_REFUSED = {
    "TestEmbeddings::test_method_create[strict]",
    "TestEmbeddings::test_raw_response_create[strict]",
    "TestEmbeddings::test_streaming_response_create[strict]",
    "TestAsyncEmbeddings::test_method_create[strict]",
    "TestAsyncEmbeddings::test_raw_response_create[strict]",
    "TestAsyncEmbeddings::test_streaming_response_create[strict]",
    "TestAsyncEmbeddings::test_method_create[aiohttp]",
    "TestAsyncEmbeddings::test_raw_response_create[aiohttp]",
    "TestAsyncEmbeddings::test_streaming_response_create[aiohttp]",
}
LEAST = {3: 870, 2: 520}  # tests that pass
RUN = ("strict", "aiohttp", "loose")  # what passes strictly passes loosely
MODES = {"Test": ("loose", "strict"), "TestAsync": ("loose", "strict", "aiohttp")}


def _in_all_modes(group: str, *tests: str) -> set[str]:
    return {
        f"{kind}{group}::{test}[{mode}]" for kind, modes in MODES.items() for mode in modes for test in tests
    }


# Compaction is not simulated: status 501.
COMPACTION = _in_all_modes(
    "Responses",
    "test_method_compact",
    "test_method_compact_with_all_params",
    "test_raw_response_compact",
    "test_streaming_response_compact",
)
# This one asks for a model of the name "model"; tokens are counted for models that there are.
UNKNOWN_MODEL = _in_all_modes("InputTokens", "test_method_count_with_all_params")


def fetch_source(folder: Path) -> Path:
    """The unpacked source distribution of the installed openai package."""
    release = f"openai=={importlib.metadata.version('openai')}"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "openai"]
    command = [*pip, "--dest", str(folder), release]
    subprocess.run(command, check=True, env=environment.with_the_network(), timeout=600)
    with tarfile.open(next(folder.glob("openai-*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    return next(path for path in folder.iterdir() if path.is_dir())


def run_tests(source: Path, url: str, plugins: Path, left_out: tuple[str, ...]) -> ElementTree.Element:
    """The results of the client's tests but for those of some modes, as JUnit XML."""
    (plugins / "reset_plugin.py").write_text(RESET_BEFORE_EVERY_TEST)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    report = plugins / "report.xml"
    # nbval takes seconds to import
    which = ["-p", "reset_plugin", "-p", "no:cacheprovider", "-p", "no:nbval"]
    options = [*which, "-o", "addopts=", "-q", "--tb=line"]
    options += ["-k", " and ".join(f"not {mode}" for mode in left_out)] if left_out else []
    subprocess.run(
        [sys.executable, "-m", "pytest", *options, f"--junitxml={report}"]
        + [f"tests/api_resources/{name}" for name in TESTS],
        cwd=source,
        env=inherited | {"TEST_API_BASE_URL": url, "PYTHONPATH": str(plugins), "NO_PROXY": "127.0.0.1"},
        timeout=600,
    )
    return ElementTree.parse(report).getroot()


@pytest.mark.slow
@pytest.mark.endurance(sample=2, soak=len(RUN))
def test_the_clients_own_tests_pass_but_for_those_named_above(tmp_path, count, figures):
    """In so many of the modes of RUN."""
    downloads, plugins = tmp_path / "downloads", tmp_path / "plugins"
    downloads.mkdir()
    plugins.mkdir()
    source = fetch_source(downloads)
    with by_hand.server(tmp_path, "--conformance") as (url, _):
        cases = list(run_tests(source, url, plugins, RUN[count:]).iter("testcase"))
    failed = {
        f"{case.get('classname').rpartition('.')[2]}::{case.get('name')}"
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    }
    skipped = sum(case.find("skipped") is not None for case in cases)
    figures(f"{len(cases)} tests: {len(cases) - skipped - len(failed)} passed, {len(failed)} failed")
    expected = BASE64_REFUSED | COMPACTION | UNKNOWN_MODEL
    assert failed == {
        test for test in expected if not test.endswith(tuple(f"[{mode}]" for mode in RUN[count:]))
    }
    assert len(cases) - skipped - len(failed) >= LEAST[count]
