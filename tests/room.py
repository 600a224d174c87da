"""A class on a JupyterHub of its own, on loopback, and learners who work in it as their browsers would.

The hub runs with the configuration in workshop/jupyterhub. Its people are real users of the system, but of a system
that only the hub and its children see: it is started in new namespaces for mounts and processes, where /srv is empty
and /etc a copy. Nothing of it is left when it ends, and no process outlives it. That needs Linux and root, or sudo.

    python -m tests.room FOLDER      is what runs in there, started by ``Room``
"""

import asyncio
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import aiohttp

from tests.environment import ROOT

SRV = Path("/srv")
GROUP = "course"
PATIENCE = 900  # seconds until it is given up; nothing is measured
NAMESPACES = "unshare --mount --propagation private --pid --fork --kill-child --mount-proc".split()
LESSON = "fine-tuning-course/notebooks/00_start_here.ipynb"


# --- inside the namespaces -----------------------------------------------------------------------------------


def set_up(people: dict[str, str], visible: list[Path]) -> None:
    """Makes the people, name -> password, and opens the way for them to these folders."""
    keep_visible(visible)
    mount_new(SRV)
    shutil.copytree("/etc", SRV / "etc", symlinks=True, ignore_dangling_symlinks=True)
    run("mount", "--bind", SRV / "etc", "/etc")
    (SRV / "home").mkdir()
    run("groupadd", GROUP)
    for name in people:
        run("useradd", "--create-home", "--base-dir", SRV / "home", "--groups", GROUP, name)
    run("chpasswd", stdin="".join(f"{name}:{password}\n" for name, password in people.items()))


def keep_visible(paths: list[Path]) -> None:
    """Lets everybody reach these folders: of a folder on the way that is closed, nothing else is left to see."""
    closed = {path: parent for path in paths if (parent := closed_above(path))}
    mount_new(Path("/mnt"))
    aside = {path: Path(f"/mnt/{number}") for number, path in enumerate(closed)}
    for path, place in aside.items():
        place.mkdir()
        run("mount", "--bind", path, place)
    for parent in set(closed.values()):
        mount_new(parent)
    for path, place in aside.items():
        path.mkdir(parents=True, exist_ok=True)
        run("mount", "--bind", place, path)


def closed_above(path: Path) -> Path | None:
    """The outermost folder above that not everybody may pass through."""
    return next((parent for parent in reversed(path.parents) if not parent.stat().st_mode & 0o001), None)


def mount_new(place: Path) -> None:
    """Hides a folder behind a new one that is empty."""
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", place)


def run(*command, stdin: str = "") -> None:
    subprocess.run([*map(str, command)], input=stdin, text=True, check=True)


def start_proxy(public: int, hub: int, api: int) -> None:
    """Starts the proxy as a service of its own. JupyterHub would give it ten seconds, too few on a busy computer."""
    os.environ["CONFIGPROXY_AUTH_TOKEN"] = secrets.token_hex(16)
    command = [
        Path(sys.executable).with_name("configurable-http-proxy"),
        "--ip=127.0.0.1",
        f"--port={public}",
    ]
    command += ["--api-ip=127.0.0.1", f"--api-port={api}", f"--error-target=http://127.0.0.1:{hub}/hub/error"]
    bin = str(Path(sys.executable).parent)
    subprocess.Popen(command, env=os.environ | {"PATH": os.pathsep.join([bin, os.environ["PATH"]])})


def main(folder: Path) -> None:
    """Sets everything up, and becomes the hub."""
    order = json.loads((folder / "room.json").read_text())
    set_up(order["people"], [Path(path) for path in order["visible"]])
    (SRV / "config.py").write_text(order["config"])
    os.environ["COURSE_HUB_DATA"] = str(SRV / "hub")
    start_proxy(*order["ports"])
    answers(order["ports"][2])
    os.execv(sys.executable, [sys.executable, "-m", "jupyterhub", "--config", str(SRV / "config.py")])


def answers(port: int) -> None:
    """Returns once somebody listens there."""
    for _ in range(10 * PATIENCE):
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise TimeoutError


# --- outside -------------------------------------------------------------------------------------------------


class Room:
    """A hub for so many people. ``people``: name -> password; ``url``: its address; ``log``: what it wrote."""

    def __init__(self, folder: Path, count: int, more_config: str = "", visible: tuple[Path, ...] = ()):
        self.people = {f"learner{number}": secrets.token_hex(12) for number in range(1, count + 1)}
        ports = port, hub, proxy = free_ports(3)
        self.url, self.log = f"http://127.0.0.1:{port}", folder / "hub.log"
        config = (
            f"load_subconfig({str(ROOT / 'workshop' / 'jupyterhub' / 'jupyterhub_config.py')!r})\n"
            f"c.JupyterHub.bind_url = {self.url!r}\n"
            f"c.JupyterHub.hub_bind_url = 'http://127.0.0.1:{hub}'\n"
            "c.ConfigurableHTTPProxy.should_start = False\n"
            f"c.Spawner.start_timeout = c.Spawner.http_timeout = {PATIENCE}\n"
            f"c.ConfigurableHTTPProxy.api_url = 'http://127.0.0.1:{proxy}'\n" + more_config
        )
        paths = [Path(sys.base_prefix), ROOT, Path(os.path.realpath(sys.prefix)), *visible]
        order = {"people": self.people, "config": config, "ports": ports, "visible": [*map(str, paths)]}
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / "room.json").write_text(json.dumps(order))
        command = [*as_root(), *NAMESPACES, sys.executable, "-m", "tests.room", str(folder)]
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    @property
    def pid(self) -> int:
        """The process from which all others in there descend."""
        return self._process.pid

    def __enter__(self) -> "Room":
        return self

    def __exit__(self, *error) -> None:
        """Ends the hub, and with it every process that was started in there."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    async def ready(self) -> None:
        """Returns once the hub answers."""
        async with aiohttp.ClientSession() as session:
            while True:
                assert self._process.poll() is None, self.log.read_text()
                try:
                    async with session.get(self.url + "/hub/health") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientConnectionError:
                    pass
                await asyncio.sleep(0.5)


def as_root() -> list[str]:
    """What a command begins with that needs root."""
    return [] if os.geteuid() == 0 else ["sudo", "-n", "-E"]


def is_possible() -> bool:
    """Whether this computer lets us make namespaces and users."""
    if sys.platform != "linux" or not shutil.which("useradd", path=os.environ["PATH"] + ":/usr/sbin"):
        return False
    try:
        tried = subprocess.run(
            [*as_root(), "unshare", "--mount", "--pid", "--fork", "true"], capture_output=True
        )
    except OSError:
        return False
    return tried.returncode == 0


def environment() -> dict[str, str]:
    """The hub's own: what a system service has, and no more."""
    return {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8", "HOME": "/"}


def free_ports(count: int) -> list[int]:
    with_sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in with_sockets]
    for one in with_sockets:
        one.close()
    return ports


class Refused(Exception):
    """The hub does not let this person in."""


class Learner:
    """One person with a browser: logs in, opens their server, runs cells."""

    def __init__(self, room: Room, name: str):
        self.room, self.name = room, name
        self._session = aiohttp.ClientSession(
            room.url,
            cookie_jar=aiohttp.CookieJar(unsafe=True),
            # The proxy closes a connection that rests for five seconds; on a busy computer just as it is used again.
            connector=aiohttp.TCPConnector(force_close=True),
            timeout=aiohttp.ClientTimeout(total=PATIENCE),
        )

    async def __aenter__(self) -> "Learner":
        return self

    async def __aexit__(self, *error) -> None:
        await self._session.close()

    async def log_in(self, password: str) -> None:
        """Fills in the form. Raises Refused."""
        async with self._session.get("/hub/login") as page:
            await page.read()
        form = {"username": self.name, "password": password, "_xsrf": self._token("/hub/")}
        async with self._session.post("/hub/login?next=/hub/home", data=form) as answer:
            if answer.status != 200 or answer.url.path != "/hub/home":
                raise Refused(answer.status)

    def _token(self, path: str) -> str:
        return self._session.cookie_jar.filter_cookies(self._session._base_url.with_path(path))["_xsrf"].value

    async def open_server(self) -> None:
        """Asks for the server, and waits until JupyterLab's page is there."""
        place, deadline = "/hub/spawn", time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            async with self._session.get(place) as page:
                text = await page.text()
                if page.url.path.startswith(f"/user/{self.name}/") and page.status == 200:
                    return
                assert page.status < 400, text
            place = f"/hub/spawn-pending/{self.name}"
            await asyncio.sleep(1)
        raise TimeoutError(self.room.log.read_text())

    async def get(self, path: str) -> tuple[int, str]:
        """Status and text of one page, such as "/user/learner1/api/status"."""
        async with self._session.get(path) as answer:
            return answer.status, await answer.text()

    async def _post(self, path: str, body: dict) -> dict:
        home = f"/user/{self.name}/"
        headers = {"X-XSRFToken": self._token(home)}
        async with self._session.post(home + path, json=body, headers=headers) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def notebook(self, path: str = LESSON) -> list[str]:
        """The code cells of a notebook as their server gives it."""
        status, text = await self.get(f"/user/{self.name}/api/contents/{path}?content=1")
        assert status == 200, text
        cells = json.loads(text)["content"]["cells"]
        return [cell["source"] for cell in cells if cell["cell_type"] == "code"]

    async def open_notebook(self, path: str = LESSON) -> "Kernel":
        """Opens it with a kernel."""
        body = {"path": path, "name": Path(path).name, "type": "notebook", "kernel": {"name": "python3"}}
        session = await self._post("api/sessions", body)
        home = f"/user/{self.name}/"
        place = f"{home}api/kernels/{session['kernel']['id']}/channels?_xsrf={self._token(home)}"
        return Kernel(await self._session.ws_connect(place, max_msg_size=0))


class Kernel:
    """A kernel, spoken to through the hub's websocket."""

    def __init__(self, socket):
        self._socket = socket

    async def run(self, source: str) -> str:
        """What a cell shows as text, warnings left out. Raises AssertionError with the traceback if it fails."""
        number, said = uuid.uuid4().hex, []
        header = {
            "msg_id": number,
            "msg_type": "execute_request",
            "username": "",
            "session": number,
            "version": "5.3",
        }
        content = {"code": source, "silent": False, "store_history": True, "allow_stdin": False}
        request = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        await self._socket.send_json(request | {"channel": "shell", "buffers": []})
        while True:
            message = await self._socket.receive_json(timeout=PATIENCE)
            if message["parent_header"].get("msg_id") != number:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "stream" and content["name"] == "stdout":
                said.append(content["text"])
            elif kind in ("execute_result", "display_data"):
                said.append(content["data"].get("text/plain", ""))
            elif kind == "error":
                raise AssertionError(re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(content["traceback"])))
            elif kind == "status" and content["execution_state"] == "idle":
                return "".join(said)

    async def close(self) -> None:
        await self._socket.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
