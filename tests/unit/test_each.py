"""tests/each.py: all cases are looked at, and each that is wrong is named."""

import pytest

from tests.each import of_each


def test_each_case_that_is_wrong_is_named():
    seen = []

    def test_small(number):
        """Numbers are small."""
        seen.append(number)
        assert 10 / number > 3

    of_all = of_each([0, 2, 4], lambda number: f"number {number}")(test_small)
    with pytest.raises(AssertionError) as raised:
        of_all()
    first, second, *_ = str(raised.value).splitlines()
    assert first == "number 0: ZeroDivisionError: division by zero"
    assert second.startswith("number 4: AssertionError: assert (10 / 4) > 3")
    assert (seen, of_all.__name__, of_all.__doc__) == ([0, 2, 4], "test_small", "Numbers are small.")
    of_each([1, 2])(test_small)()


def test_no_case_at_all_is_a_fault():
    with pytest.raises(AssertionError):
        of_each([])
