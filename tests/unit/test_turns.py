"""Trainings of several people on one machine: so many at a time, one a person, in the order of their coming."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from helpers.local_api.engines.trained import turns
from helpers.local_api.training_files import Failure

if os.name == "nt":
    pytest.skip("there are no such locks on Windows", allow_module_level=True)

PATIENCE = 20


@pytest.fixture
def queue(tmp_path, monkeypatch):
    monkeypatch.setattr(turns, "PACE", 0.01)
    monkeypatch.setattr(turns.os, "nice", lambda more: 0)
    monkeypatch.setenv("LOCAL_API_QUEUE", str(tmp_path / "queue"))
    turns.make(tmp_path / "queue", 2)
    return tmp_path / "queue"


class Training:
    """Asks for a turn in a thread; trains until it is told to stop, and remembers what it was told meanwhile."""

    def __init__(self, person: str, log: list | None = None):
        self.person, self.told, self.log = person, [], [] if log is None else log
        self.training, self.enough, self.given_up = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        try:
            with turns.turn(self._look, self.person):
                self.log.append(self.person)
                self.training.set()
                self.enough.wait(PATIENCE)
        except InterruptedError:
            pass

    def _look(self, before, at_once):
        self.told.append((before, at_once))
        if self.given_up.is_set():
            raise InterruptedError

    def waits(self, before: int) -> bool:
        """Whether it comes to wait with so many before it."""
        return until(lambda: self.told[-1:] == [(before, 2)]) and not self.training.is_set()

    def end(self):
        self.enough.set()
        self.given_up.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


def until(done) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.005)
    return True


def test_without_a_queue_a_training_begins_at_once(monkeypatch):
    monkeypatch.delenv("LOCAL_API_QUEUE", raising=False)
    with turns.turn(lambda *numbers: pytest.fail("it waits")):
        pass


@pytest.mark.parametrize(("now", "after"), [(0, 10), (4, 10), (10, 10), (19, 19)])
def test_a_training_gives_way_to_others_and_never_the_other_way_round(queue, monkeypatch, now, after):
    niceness = [now]

    def nice(more):
        niceness[0] += more
        return niceness[0]

    monkeypatch.setattr(turns.os, "nice", nice)
    with turns.turn(lambda *numbers: None, "1"):
        assert niceness == [after]


def test_so_many_at_a_time_and_the_others_in_the_order_of_their_coming(queue):
    began: list[str] = []
    people = []
    for number in range(6):
        people.append(Training(str(number), began))
        assert people[-1].training.wait(PATIENCE) if number < 2 else people[-1].waits(before=number)
    for number in range(4):
        assert began == [str(one) for one in range(number + 2)]
        people[number].end()
        assert people[number + 2].training.wait(PATIENCE)
    for person in people[4:]:
        person.end()
    # the line before it got shorter and never longer; how often it looked hangs on the machine
    assert people[5].told[0] == (5, 2) and people[5].told == sorted(people[5].told, reverse=True)
    assert people[5].told[-1] >= (2, 2)


def test_one_person_trains_one_model_at_a_time_though_a_slot_is_free(queue):
    first = Training("7")
    assert first.training.wait(PATIENCE)
    second, other = Training("7"), Training("8")
    assert second.waits(before=1) and other.training.wait(PATIENCE)
    first.end()
    assert second.training.wait(PATIENCE)
    second.end()
    other.end()


def test_who_gives_up_leaves_the_line(queue):
    people = [Training(str(number)) for number in range(2)]
    assert all(person.training.wait(PATIENCE) for person in people)
    third = Training("2")
    assert third.waits(before=2)
    fourth = Training("3")
    assert fourth.waits(before=3)
    third.end()
    assert fourth.waits(before=2) and third.log == []
    people[0].end()
    assert fourth.training.wait(PATIENCE)
    fourth.end()
    people[1].end()


def test_a_killed_process_leaves_its_slot_and_its_place(queue):
    code = (
        "from helpers.local_api.engines.trained import turns\nimport sys, time\n"
        "with turns.turn(lambda *numbers: None, sys.argv[1]):\n    print('trains', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code]
    process = subprocess.Popen([*command, "1"], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "trains\n"
    same = Training("1")
    assert same.waits(before=1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert same.training.wait(PATIENCE)
    same.end()


def test_others_may_look_at_a_place_whatever_the_umask(queue):
    old = os.umask(0o077)
    try:
        with turns.turn(lambda *numbers: None, "1"):
            assert {oct(path.stat().st_mode & 0o777) for path in (queue / "line").iterdir()} == {"0o644"}
    finally:
        os.umask(old)
    assert queue.joinpath("line").stat().st_mode & 0o1777 == 0o1777


def test_a_queue_can_be_given_another_number(queue):
    turns.make(queue, 1)
    assert [path.name for path in queue.glob("slot-*")] == ["slot-1"]
    turns.make(queue, 12)
    assert len(list(queue.glob("slot-*"))) == 12


def test_a_folder_that_is_no_queue_is_named_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_API_QUEUE", str(tmp_path))
    for made in (False, True):  # the second time somebody else's file is in the way
        with pytest.raises(Failure, match=f"{tmp_path}, and that is no queue.*turns FOLDER 2") as raised:
            with turns.turn(lambda *numbers: None, "1"):
                pass
        assert raised.value.error["code"] == "no_queue"
        if not made:
            turns.make(tmp_path, 1)
            (tmp_path / "line" / "1.waits").mkdir()


def test_the_command_makes_a_queue_and_says_what_to_set(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(turns.sys, "argv", ["turns", str(tmp_path / "q"), "3"])
    assert turns.main() == 0
    assert f"LOCAL_API_QUEUE={tmp_path / 'q'}" in capsys.readouterr().out
    assert len(list((tmp_path / "q").glob("slot-*"))) == 3
