"""Lesson 11 with LIVE = True: three jobs of three methods really train, one on the other, and what they made answers.

Only that nothing fails is looked at, and that the answers come from models that were trained here.
"""

import pytest

from tests.notebooks import live, refresh

CHANGES = {
    "chats[:100]": "chats[:12]",
    "[100:164]": "[100:112]",
    "[100:148]": "[100:112]",
    "max_tokens=96": "max_tokens=8",
    '"learning_rate_multiplier": 0.2': '"compute_multiplier": 0.25',  # draws two answers
}


@pytest.mark.slow
def test_the_lesson_trains_three_models_and_asks_them_when_it_is_live(tmp_path, monkeypatch):
    notebook = live.executed("11", CHANGES, tmp_path / "state", monkeypatch)
    for words in ("start = trained(", "preferred = trained(", "rewarded = trained("):
        assert "succeeded" in refresh.said(notebook, words), words
    counts = refresh.shown(notebook, "rewarded = trained(")
    for name in ("100 examples", "then pairs", "then a reward"):
        assert name in counts
