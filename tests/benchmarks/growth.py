"""How fast a large state answers: python tests/benchmarks/growth.py [jobs]

Fills a state with 10 jobs and another with 10,000 (20,000 files, 30,000 models), asks both over loopback, and
prints the median milliseconds of each call, and the ratio.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

CALLS = 100
ROOT = Path(__file__).parents[2]
FEW, MANY = 10, 10_000
KEY = {"Authorization": "Bearer sk-local"}


def medians(count: int) -> dict[str, float]:
    """Median milliseconds of each call on a state of so many jobs; "start" is the opening of the state."""
    import requests

    from helpers.local_api.app import Mode, create_app
    from helpers.local_api.server import Server
    from helpers.local_api.store import Store
    from tests import growth

    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        growth.fill(store, count)
        store.close()
        start = time.perf_counter()
        server = Server(create_app(Store(folder), Mode(by_hand=True))).start()
        found = {"start": 1000 * (time.perf_counter() - start)}
        job, file = f"ftjob-{count - 1:024}", f"file-{count - 1:024}"
        order = {"model": "gpt-4o-mini", "training_file": file}
        with requests.Session() as session:
            session.headers = KEY
            for name, method, path, body in (
                ("list 20 jobs", "GET", "/fine_tuning/jobs", None),
                ("jobs with metadata", "GET", "/fine_tuning/jobs?metadata[number]=3", None),
                ("one job", "GET", f"/fine_tuning/jobs/{job}", None),
                ("its events", "GET", f"/fine_tuning/jobs/{job}/events", None),
                ("20 files", "GET", "/files?limit=20", None),
                ("20 files for training", "GET", "/files?limit=20&purpose=fine-tune", None),
                ("files of no such purpose", "GET", "/files?limit=20&purpose=vision", None),
                ("20 models", "GET", "/models?limit=20", None),
                ("60 models", "GET", "/models?limit=60", None),
                ("create a job", "POST", "/fine_tuning/jobs", order),
            ):
                times = []
                for _ in range(CALLS):
                    start = time.perf_counter()
                    answer = session.request(method, server.base_url + path, json=body)
                    times.append(1000 * (time.perf_counter() - start))
                    assert answer.status_code == 200, answer.text
                found[name] = statistics.median(times)
        server.stop()
    return found


def main(many: int) -> None:
    os.environ |= {"LOCAL_API_JOB_SECONDS": "0", "NO_PROXY": "127.0.0.1"}
    small, large = medians(FEW), medians(many)
    print(f"{'milliseconds (median)':26}{FEW:>10} jobs{many:>10} jobs   ratio")
    for name, milliseconds in small.items():
        print(f"{name:26}{milliseconds:15.1f}{large[name]:15.1f}{large[name] / milliseconds:8.2f}")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main(int(sys.argv[1]) if len(sys.argv) > 1 else MANY)
