"""What a class on a JupyterHub takes: python -m tests.benchmarks.room 5 10 [--train 3]

For each number of learners a hub with the configuration in workshop/jupyterhub is started on loopback. All log in and
open their servers at once, then run lesson 00 at once. It prints a table of what that takes, in the form of
workshop/jupyterhub/room.csv, which is written by hand from it. ``--train N``: at the end N learners order the real
training of lesson 09's file at once, and one who does not trains runs a cell now and then. Linux, root or sudo.
"""

import argparse
import asyncio
import csv
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil

from helpers.local_api.engines.trained import weights
from tests import room

KINDS = {
    "jupyterhub_idle_culler": "culler",
    "jupyterhub.singleuser": "server of a learner",
    "ipykernel_launcher": "kernel of a learner",
    "configurable-http-proxy": "proxy",
    "trained.worker": "training process",
    "jupyterhub": "hub",
}
TRAIN = """
training_file = client.files.create(file=open("../data/airport/train.jsonl", "rb"), purpose="fine-tune")
job = client.fine_tuning.jobs.create(model="smollm2-135m-instruct", training_file=training_file.id, seed=1)
"""
LOOK = "print(client.fine_tuning.jobs.retrieve(job.id).status)"
EVENTS = "print([e.message for e in client.fine_tuning.jobs.list_events(job.id) if e.message[:7] == 'Waiting'][-1:])"
CELL = "sum(len(str(client.chat.completions.create(model=MODEL, messages=messages))) for _ in range(3))"


def memory(place: room.Room) -> dict[str, list[float]]:
    """Megabytes of each process (shared pages divided among those that share them), by its kind."""
    found: dict[str, list[float]] = {}
    for process in psutil.Process(place.pid).children(recursive=True):
        try:
            command = " ".join(process.cmdline())
            kind = next((kind for mark, kind in KINDS.items() if mark in command), None)
            if kind:
                found.setdefault(kind, []).append(process.memory_full_info().pss / 1e6)
        except psutil.NoSuchProcess:
            continue
    return found


def processor_seconds(place: room.Room) -> float:
    """What all processes of the room have taken so far."""
    total = 0.0
    for process in psutil.Process(place.pid).children(recursive=True):
        try:
            total += sum(process.cpu_times()[:4])  # with those of children that have ended
        except psutil.NoSuchProcess:
            continue
    return total


class Stopwatch:
    """Seconds, and processor seconds of one learner, since it was last asked."""

    def __init__(self, place: room.Room, count: int):
        self._place, self._count = place, count
        self.lap()

    def lap(self) -> tuple[float, float]:
        now = time.perf_counter(), processor_seconds(self._place)
        passed = [new - old for new, old in zip(now, getattr(self, "_last", now), strict=True)]
        self._last = now
        return passed[0], passed[1] / self._count


async def measure(count: int, trainings: int, work: Path):
    """Yields (what, value, unit) for a class of so many."""
    home = weights.folder()
    more = f"c.Spawner.environment['LOCAL_API_WEIGHTS'] = {str(home)!r}\n" if trainings else ""
    with room.Room(work, count, more, (home,) if trainings else ()) as place:
        await place.ready()
        watch = Stopwatch(place, count)
        learners = [room.Learner(place, name) for name in place.people]
        await asyncio.gather(*[one.log_in(place.people[one.name]) for one in learners])
        await asyncio.gather(*[one.open_server() for one in learners])
        seconds, of_one = watch.lap()
        yield "all servers ready, opened at once", seconds, "s"
        yield "processor: to log in and open a server", of_one, "s a learner"
        kernels = await asyncio.gather(*[one.open_notebook() for one in learners])
        sources = await learners[0].notebook()
        await asyncio.gather(*[through(kernel, sources) for kernel in kernels])
        seconds, of_one = watch.lap()
        yield "all have run lesson 00, begun at once", seconds, "s"
        yield "processor: to open and run lesson 00", of_one, "s a learner"
        for kind, sizes in sorted(memory(place).items()):
            yield f"memory: {kind}", statistics.mean(sizes), "MB"
        disk = await kernels[0].run("import subprocess; print(subprocess.getoutput('du -sk ~').split()[0])")
        yield "disk: home of a learner", int(disk) / 1000, "MB"
        if trainings:
            async for row in train(place, kernels, trainings):
                yield row
        for learner in learners:
            await learner.__aexit__()


async def through(kernel: room.Kernel, sources: list[str]) -> None:
    for source in sources:
        await kernel.run(source)


async def train(place: room.Room, kernels: list[room.Kernel], count: int):
    """Real trainings of so many learners at once; what somebody else notices of them, and how long it takes."""
    quiet = [await timed(kernels[-1]) for _ in range(10)]
    yield "a cell of another learner, before", statistics.median(quiet), "s"
    start, ends, noticed, most = time.perf_counter(), {}, [], {}
    await asyncio.gather(*[kernel.run(TRAIN) for kernel in kernels[:count]])
    while len(ends) < count:
        noticed.append(await timed(kernels[-1]))
        for kind, sizes in memory(place).items():
            most[kind] = max([most.get(kind, 0), *sizes])
        for number, kernel in enumerate(kernels[:count]):
            status = "" if number in ends else (await kernel.run(LOOK)).strip()
            if status in ("succeeded", "failed"):
                ends[number] = time.perf_counter() - start
                print(f"# {number}: {status} after {ends[number]:.0f} s", file=sys.stderr)
        await asyncio.sleep(2)
    yield "a cell of another learner, while others train", statistics.median(noticed), "s"
    yield "the slowest such cell", max(noticed), "s"
    yield "memory: training process, at most", most["training process"], "MB"
    yield "first training done", min(ends.values()), "s"
    yield f"last of {count} trainings done", max(ends.values()), "s"


async def timed(kernel: room.Kernel) -> float:
    start = time.perf_counter()
    await kernel.run(CELL)
    return time.perf_counter() - start


async def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("learners", nargs="+", type=int)
    parser.add_argument("--train", type=int, default=0)
    options = parser.parse_args()
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["learners", "cores", "what", "value", "unit"])
    for count in options.learners:
        with tempfile.TemporaryDirectory() as work:
            last = options.train if count == options.learners[-1] else 0
            async for what, value, unit in measure(count, last, Path(work) / "room"):
                table.writerow([count, os.cpu_count(), what, round(value, 2 if value < 10 else 0), unit])
                sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
