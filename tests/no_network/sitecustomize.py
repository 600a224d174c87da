"""Blocks the outside network in every Python process that has this folder on PYTHONPATH.

Python imports a module of this name at its start, so subprocesses and notebook kernels are blocked too. It
watches audit events, which no Python library can go around: what connects, sends or looks up a name raises
PermissionError, unless the address is this computer's own. Attempts are also written to the file named by
``NETWORK_LOG``, because some libraries swallow the error; the test run fails if there are any.
"""

import os
import sys

LOOPBACK_NAMES = {"localhost", "ip6-localhost", "::1", "", None}
NAME_LOOKUPS = {"socket.getaddrinfo", "socket.gethostbyname"}
CONNECTIONS = {"socket.connect", "socket.sendto", "socket.sendmsg"}


def is_own_computer(host: object) -> bool:
    """True for a host that is this computer, reached through its loopback interface."""
    text = host.decode() if isinstance(host, bytes) else host
    return text in LOOPBACK_NAMES or str(text).startswith("127.")


def _watch(event: str, details: tuple) -> None:
    if event in NAME_LOOKUPS:
        host = details[0]
    elif event in CONNECTIONS and isinstance(details[1], tuple):  # a path or None is no address of a network
        host = details[1][0]
    else:
        return
    if not is_own_computer(host):
        _record(f"{event} {host!r}")
        raise PermissionError(f"The tests block the network: {event} to {host!r}")


def _record(attempt: str) -> None:
    log = os.environ.get("NETWORK_LOG")
    if log:
        with open(log, "a", encoding="utf-8") as file:
            file.write(attempt + "\n")


sys.addaudithook(_watch)
