"""The right to train: one process at a time, and nobody for long after a clock has gone back."""

import time

import pytest

from helpers.local_api.engines.trained import lease
from helpers.local_api.store import Store


@pytest.mark.parametrize(
    ("left", "held"),
    [
        (-1.0, False),
        (5.0, True),
        (lease.START_SECONDS - 1, True),
        (lease.START_SECONDS + 1, False),
        (3610.0, False),
    ],
)
def test_a_lease_that_would_last_longer_than_any_says_that_the_clock_went_back(tmp_path, left, held):
    store = Store(tmp_path)
    assert not lease.is_held(store)
    store.add(lease.KIND, lease.ID, "", {"name": "n", "pid": 1, "until": time.time() + left})
    assert lease.is_held(store) is held


def test_a_process_that_lives_holds_its_lease_again_at_the_next_renewal(tmp_path, monkeypatch):
    store = Store(tmp_path)
    now = [1_800_000_000.0]
    monkeypatch.setattr(lease.time, "time", lambda: now[0])
    with store.write() as db:
        lease._put(store, db, "n", lease.SECONDS)
    now[0] -= 3600
    assert not lease.is_held(store)
    lease.Lease(store, "n").renew()
    assert lease.is_held(store)


def test_a_training_process_does_not_keep_others_from_clearing_the_state(tmp_path):
    from helpers.local_api import folder

    Store(tmp_path).close()
    guest = Store(tmp_path, guest=True)
    assert folder.reset(tmp_path, lambda: True) == 0
    assert lease._identity(guest) is None
