"""One test that looks at many rows of a file: pytest needs longer for an item of its own than for what it looks at."""

from collections.abc import Callable, Iterable


def of_each(cases: Iterable, name: Callable = str) -> Callable:
    """Makes a test of one case a test of all. It looks at all of them, and a failure names each that is wrong."""
    cases = list(cases)
    assert cases

    def decorate(test: Callable) -> Callable[[], None]:
        def of_all() -> None:
            wrong = []
            for case in cases:
                try:
                    test(case)
                except Exception as error:
                    wrong.append(f"{name(case)}: {type(error).__name__}: {error}")
            assert not wrong, "\n".join(wrong)

        of_all.__name__, of_all.__doc__ = test.__name__, test.__doc__
        return of_all

    return decorate
