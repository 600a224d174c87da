"""The blind test: sides, votes, undo, what is saved and found again, damaged files, the widget."""

import json

import pandas
import pytest

from helpers import widgets
from helpers.widgets import ballot

ROWS = [{"id": f"v{number:02}", "question": f"Question {number}?"} for number in range(20)]
NAMES = ("base", "tuned")


def table(way: str) -> pandas.DataFrame:
    rows = [{"id": row["id"], "question": row["question"], "answer": f"{way} {row['id']}"} for row in ROWS]
    return pandas.DataFrame(rows).set_index("id")


@pytest.fixture
def open_ballot(tmp_path):
    """A function: opens the ballot on the same pairs again."""

    def open_again(seed: int | None = None) -> ballot.Ballot:
        return ballot.Ballot.opened(ballot.pairs(table("base"), table("tuned")), NAMES, tmp_path / "my", seed)

    return open_again


def side_of(votes: ballot.Ballot, way: int) -> str:
    """The side on which this way stands in the next pair."""
    return (ballot.LEFT, ballot.RIGHT)[votes.sides(votes.next()).index(way)]


def test_each_way_stands_on_both_sides(open_ballot):
    votes = open_ballot(seed=1)
    left = [votes.sides(pair)[0] for pair in votes.pairs]
    assert 4 <= sum(left) <= 16
    assert left == [open_ballot(seed=1).sides(pair)[0] for pair in votes.pairs]
    assert left != [open_ballot(seed=2).sides(pair)[0] for pair in votes.pairs]


def test_votes_are_counted_for_the_way_and_not_for_the_side(open_ballot):
    votes = open_ballot()
    for _ in range(12):
        votes.vote(side_of(votes, 1))
    votes.vote(side_of(votes, 0))
    votes.vote(ballot.SAME)
    assert votes.counts() == (1, 12, 1)
    assert votes.result().startswith("tuned is preferred to base (votes: tuned 12, base 1, no difference 1;")


def test_undo_asks_the_same_pair_again(open_ballot):
    votes = open_ballot()
    assert not votes.undo()
    first = votes.next()
    votes.vote(ballot.LEFT)
    assert votes.next() != first and votes.undo() and votes.next() == first
    assert votes.counts() == (0, 0, 0)


def test_a_new_ballot_goes_on_where_the_old_one_ended(open_ballot):
    votes = open_ballot()
    for choice in (ballot.LEFT, ballot.RIGHT, ballot.SAME):
        votes.vote(choice)
    again = open_ballot()
    assert (again.seed, again.votes, again.counts()) == (votes.seed, votes.votes, votes.counts())
    again.undo()
    assert len(open_ballot().votes) == 2


def test_nothing_is_written_before_the_first_vote(open_ballot):
    assert not open_ballot().file.parent.exists()


def test_other_answers_have_their_own_file(open_ballot, tmp_path):
    votes = open_ballot()
    votes.vote(ballot.LEFT)
    other = ballot.Ballot.opened(ballot.pairs(table("base"), table("few-shot")), NAMES, tmp_path / "my")
    assert other.file != votes.file and not other.votes
    other.vote(ballot.LEFT)
    assert len(open_ballot().votes) == 1


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", '{"seed": 1}', '{"seed": 1, "votes": {"v00": "up"}}', "\x00\xff"]
)
def test_a_damaged_file_is_kept_aside_and_said(open_ballot, damage):
    votes = open_ballot()
    votes.vote(ballot.LEFT)
    for number in range(2):
        votes.file.write_bytes(damage.encode("latin-1"))
        fresh = open_ballot()
        assert "is damaged" in fresh.notice and "my/blind_test_" in fresh.notice and not fresh.votes
        aside = votes.file.with_suffix(".broken2" if number else ".broken")
        assert aside.read_bytes() == damage.encode("latin-1") and aside.name in fresh.notice
        fresh.vote(ballot.RIGHT)
        assert fresh.notice == "" and len(open_ballot().votes) == 1


def test_votes_that_cannot_be_written_are_not_lost_at_once(tmp_path):
    (tmp_path / "my").write_text("a file where the folder should be")
    votes = ballot.Ballot.opened(ballot.pairs(table("base"), table("tuned")), NAMES, tmp_path / "my")
    votes.vote(ballot.LEFT)
    assert "could not be" in votes.notice and len(votes.votes) == 1


def test_the_file_is_whole_after_a_save_that_breaks_off(open_ballot, monkeypatch):
    votes = open_ballot()
    votes.vote(ballot.LEFT)

    def refused(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ballot.os, "replace", refused)
    votes.vote(ballot.LEFT)
    assert "No space left on device" in votes.notice
    assert len(json.loads(votes.file.read_text())["votes"]) == 1


def test_functions_are_asked_and_need_rows():
    found = ballot.pairs(str.upper, lambda question: "no", ROWS[:2])
    assert [(pair.id, pair.answers) for pair in found] == [
        ("v00", ("QUESTION 0?", "no")),
        ("v01", ("QUESTION 1?", "no")),
    ]
    with pytest.raises(ValueError, match="needs rows"):
        ballot.pairs(str.upper, table("tuned"))
    with pytest.raises(ValueError, match="same questions"):
        ballot.pairs(table("base"), table("tuned")[1:])


# --- the widget ------------------------------------------------------------------------------------------


@pytest.fixture
def widget(tmp_path):
    return widgets.blind_test(table("base"), table("<tuned>"), names=NAMES, folder=tmp_path / "my", seed=1)


def press(widget, name: str) -> None:
    buttons = {button.description: button for button in widget.children[2].children}
    buttons[name].click()


def shown(widget) -> str:
    return widget.children[1].value


def test_what_the_widget_shows(widget):
    assert repr(widget) == "Blind test (live while the notebook runs)"
    assert 'role="status"' in shown(widget) and "Question 1 of 20: Question 0?" in shown(widget)
    assert "&lt;tuned&gt; v00" in shown(widget) and "<tuned>" not in shown(widget)
    press(widget, "Left is better")
    assert "Your vote: left." in shown(widget) and "Question 2 of 20" in shown(widget)
    press(widget, "Undo")
    press(widget, "Undo")
    assert "There is no vote to take back." in shown(widget) and "Question 1 of 20" in shown(widget)


def test_the_result_comes_at_the_end_and_not_before(widget):
    for number in range(20):
        assert "Result" not in shown(widget)
        press(widget, ("No difference", "Right is better")[number % 2])
    assert "All 20 questions have a vote." in shown(widget) and "Result: " in shown(widget)
    assert "no difference 10" in shown(widget)
    press(widget, "Left is better")
    assert "There is nothing left to vote on." in shown(widget)
    press(widget, "Undo")
    assert "Question 20 of 20" in shown(widget)


def test_a_notice_is_an_alert(widget, tmp_path):
    press(widget, "Left is better")
    widget.ballot.file.write_text("{")
    again = widgets.blind_test(table("base"), table("<tuned>"), names=NAMES, folder=tmp_path / "my")
    assert 'role="alert"' in again.children[3].value and "is damaged" in again.children[3].value


def test_at_the_end_it_shows_which_was_which(tmp_path):
    widget = widgets.blind_test(table("base"), table("tuned"), names=NAMES, folder=tmp_path, seed=1)
    expected = []
    while pair := widget.ballot.next():
        assert "Which was which" not in widget._shown.value
        left, right = (NAMES[way] for way in widget.ballot.sides(pair))
        choice = (ballot.LEFT, ballot.SAME, ballot.RIGHT)[len(expected) % 3]
        widget._vote(choice)
        expected.append(
            (pair.question, left, right, {ballot.LEFT: left, ballot.RIGHT: right}.get(choice, ballot.SAME))
        )
    assert widget.ballot.told() == expected
    shown = widget._shown.value
    assert shown.index("Result: ") < shown.index("Which was which") and shown.count("<tr>") == 1 + len(ROWS)
