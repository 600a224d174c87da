"""How fast the mock API is: python tests/benchmarks/api.py

Prints the median time of a loopback ``jobs.retrieve`` with the real client, the same for a Starlette app that
does nothing, measured alternately in the same run, and their ratio; and the time from import to ready. On a
busy computer only the ratio means something.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

CALLS = 300
ROOT = Path(__file__).parents[2]
FROM_IMPORT_TO_READY = """
import time; start = time.perf_counter()
import openai; imported = time.perf_counter()
from helpers.connect import connect; connect()
print(imported - start, time.perf_counter() - imported)
"""


def milliseconds(call: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - start)


def retrieving_a_job() -> tuple[float, float]:
    """Median milliseconds of ``jobs.retrieve`` from the mock and from a bare app with the same answer."""
    from openai import OpenAI
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from helpers.local_api.app import Mode, create_app
    from helpers.local_api.server import Server
    from helpers.local_api.store import Store

    server = Server(create_app(Store(), Mode(by_hand=True))).start()
    client = OpenAI(base_url=server.base_url, api_key="sk-local")
    row = {"messages": [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Hello."}]}
    file = client.files.create(file=(json.dumps(row) + "\n").encode() * 10, purpose="fine-tune")
    job = client.fine_tuning.jobs.create(model="gpt-4o-mini", training_file=file.id)
    while job.status != "succeeded":
        job = client.fine_tuning.jobs.retrieve(job.id)

    async def same_answer(request):
        return JSONResponse(job.to_dict(mode="json"))

    bare_server = Server(Starlette(routes=[Route("/v1/fine_tuning/jobs/{id}", same_answer)])).start()
    bare = OpenAI(base_url=bare_server.base_url, api_key="x")
    times = [
        (
            milliseconds(lambda: client.fine_tuning.jobs.retrieve(job.id)),
            milliseconds(lambda: bare.fine_tuning.jobs.retrieve(job.id)),
        )
        for _ in range(CALLS)
    ]
    server.stop()
    bare_server.stop()
    ours, theirs = (statistics.median(column) for column in zip(*times, strict=True))
    return ours, theirs


def starting() -> tuple[float, float]:
    """Seconds for ``import openai``, then for ``connect()`` until the API answers, in a new process."""
    call = [sys.executable, "-c", FROM_IMPORT_TO_READY]
    run = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True)
    imported, ready = run.stdout.splitlines()[-1].split()
    return float(imported), float(ready)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"LOCAL_API_HOME": folder, "LOCAL_API_JOB_SECONDS": "0", "NO_PROXY": "127.0.0.1"}
        ours, bare = retrieving_a_job()
        print(f"jobs.retrieve over loopback: {ours:.2f} ms, median of {CALLS}")
        print(f"the same from a bare Starlette app: {bare:.2f} ms; ratio {ours / bare:.2f}")
        runs = [starting() for _ in range(3)]
        imported, ready = (statistics.median(column) for column in zip(*runs, strict=True))
        print(f"import openai: {imported:.2f} s; then until the API is ready: {ready:.2f} s (median of 3)")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
