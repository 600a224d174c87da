"""The starter in a process of its own, forked from one that has imported openai: it starts in milliseconds."""

import importlib.util
import io
import multiprocessing
import os
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType, SimpleNamespace

from tests import by_hand

STARTER = by_hand.ROOT / "notebooks" / "starter.py"
PATIENCE = 9  # seconds, in the place of the starter's own; as many as a busy machine may need for an order


def load() -> ModuleType:
    """The starter as a module."""
    spec = importlib.util.spec_from_file_location("starter", STARTER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def start(folder: Path, url: str, key: str, *options: str, typed: str = "") -> BaseProcess:
    """Runs it in ``folder`` on the file train.jsonl there, its parent is the home, said.txt gets what it prints."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([by_hand.__name__])
    process = context.Process(target=_run, args=(folder, url, key, options, typed), daemon=True)
    process.start()
    return process


def _run(folder: Path, url: str, key: str, options: tuple[str, ...], typed: str) -> None:
    os.environ |= {"HOME": str(folder.parent), "OPENAI_BASE_URL": url, "OPENAI_API_KEY": key}
    os.chdir(folder)
    sys.stdin = io.StringIO(typed)
    sys.stdout = sys.stderr = open("said.txt", "a", buffering=1, encoding="utf-8")
    starter = load()
    starter.LOCAL_ORDER_SECONDS = PATIENCE / 1.5
    starter.time = SimpleNamespace(
        time=time.time, ctime=time.ctime, sleep=lambda seconds: time.sleep(seconds / 10)
    )
    starter.main(["train.jsonl", "--model", "gpt-4o-mini", "--epochs", "1", *options])
