"""A large upload goes to disk as it comes: the server's memory stays flat, and the limit holds."""

import http.client
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests import by_hand

MEGABYTE = 1024 * 1024
BLOCK = b"x" * MEGABYTE
HEAD = (
    b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="large.jsonl"\r\n\r\n'
)
TAIL = b"\r\n--b--\r\n"


def body(megabytes: int) -> Iterator[bytes]:
    """A form with a file of that size, made as it is sent."""
    yield HEAD
    for _ in range(megabytes):
        yield BLOCK
    yield TAIL


def upload(url: str, megabytes: int, announced: bool = True) -> tuple[int, dict]:
    """Status and answer. The size is announced in a header, or not known beforehand (chunked)."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=300)
    headers = {"Authorization": "Bearer sk-local", "Content-Type": "multipart/form-data; boundary=b"}
    if announced:
        headers["Content-Length"] = str(len(HEAD) + megabytes * MEGABYTE + len(TAIL))
    try:
        connection.request("POST", "/v1/files", body(megabytes), headers, encode_chunked=not announced)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the server has refused before the end; its answer is there to be read
    answer = connection.getresponse()
    told = json.loads(answer.read())
    connection.close()
    return answer.status, told


def peak_memory(process_id: int) -> int:
    """The most memory that the process has had, in megabytes."""
    status = Path(f"/proc/{process_id}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) // 1024


def check(folder: Path, megabytes: int) -> str:
    with by_hand.quick_server(folder) as (url, process):
        assert upload(url, 1)[0] == 200
        before = peak_memory(process.pid)
        for announced in (True, False):
            status, file = upload(url, megabytes, announced)
            assert (status, file["bytes"]) == (200, megabytes * MEGABYTE)
            assert (folder / "files" / file["id"]).stat().st_size == megabytes * MEGABYTE
            (folder / "files" / file["id"]).unlink()
        growth = peak_memory(process.pid) - before
    assert growth < 32
    return (
        f"{megabytes} MB uploaded; the server's peak memory was {before} MB before, and grew by {growth} MB"
    )


pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@pytest.mark.endurance(sample=64, soak=512)
def test_memory_stays_flat_up_to_the_limit(tmp_path, count, figures):
    figures(check(tmp_path, count))


@pytest.mark.slow
@pytest.mark.parametrize("announced", [True, False])
def test_more_than_the_limit_is_refused_and_leaves_nothing(tmp_path, announced):
    with by_hand.quick_server(tmp_path) as (url, _):
        status, told = upload(url, 513, announced)
        assert (status, told["error"]["param"]) == (413, "file")
        assert list((tmp_path / "files").iterdir()) == []
        assert upload(url, 1)[0] == 200
