"""The client of one request: whether it still waits for its answer."""

from collections.abc import Callable


class ClientGone(Exception):
    """The client has closed its connection: nobody waits for this answer any more."""


class Client:
    """Who waits for an answer. The event loop sees it leave; the thread that does the work asks here."""

    def __init__(self):
        self.gone = False
        self._ends: list[Callable[[], None]] = []

    def leave(self) -> None:
        """The client has left."""
        self.gone = True
        for end in self._ends:
            end()

    def at_leaving(self, end: Callable[[], None]) -> None:
        """Calls ``end`` once the client has left; it may be called twice."""
        self._ends.append(end)
        if self.gone:
            end()

    def require(self) -> None:
        """Raises ClientGone if the client has left. To be called between two steps of work."""
        if self.gone:
            raise ClientGone
