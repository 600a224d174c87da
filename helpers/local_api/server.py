"""Serving the API on loopback: in a background thread for lessons, in the foreground when started by hand."""

import threading
import time

import uvicorn
from starlette.applications import Starlette

START_SECONDS = 10


LOOPBACK = "127.0.0.1"


def _config(app: Starlette, port: int, host: str = LOOPBACK) -> uvicorn.Config:
    # uvicorn binds the socket itself: one made by hand leaves Nagle's algorithm on, 44 ms a call
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="error",
        access_log=False,
        lifespan="off",
        ws="none",
        # The openai client drops an idle connection after 5 seconds. A server that does so just then, as uvicorn
        # would, resets one that is about to be used.
        timeout_keep_alive=60,
        timeout_graceful_shutdown=2,  # seconds; a reader that has stopped reading must not block the end
    )


class Server:
    """The API in a daemon thread of this process, on a free port.

    ``host`` other than loopback is for containers, whose own loopback nobody outside reaches.
    """

    def __init__(self, app: Starlette, port: int = 0, host: str = LOOPBACK):
        self._server = uvicorn.Server(_config(app, port, host))
        self._thread = threading.Thread(target=self._run, daemon=True, name="local-api")

    def _run(self) -> None:
        try:
            self._server.run()
        except SystemExit:  # how uvicorn ends if the port cannot be used; start() will see it
            pass

    def start(self) -> "Server":
        """Returns once the server answers. Raises RuntimeError if it cannot start."""
        self._thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError("The local API could not be started. Run: python start.py check")
            time.sleep(0.005)
        return self

    def stop(self) -> None:
        """Ends the server and its thread."""
        self._server.should_exit = True
        self._thread.join()

    @property
    def base_url(self) -> str:
        """What OPENAI_BASE_URL must be."""
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://{LOOPBACK}:{port}/v1"


def run_forever(app: Starlette, port: int, announce, host: str = LOOPBACK) -> None:
    """Serves in the foreground until Ctrl+C; ``announce(base_url)`` is called once the server answers."""
    server = Server(app, port, host).start()
    announce(server.base_url)
    try:
        while server._thread.is_alive():
            server._thread.join(1)
    except KeyboardInterrupt:
        server.stop()
