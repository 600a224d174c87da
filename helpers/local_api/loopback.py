"""What in the environment stands between a client and a server on this computer: proxies and certificates."""

import importlib.util
import os
import ssl
from collections.abc import Callable
from pathlib import Path

LOOPBACK = ("127.0.0.1", "localhost")
PROXIES = ("http_proxy", "https_proxy", "all_proxy")  # in upper case too


def around_proxies() -> dict[str, str]:
    """``NO_PROXY`` and ``no_proxy`` as they must be, so that no proxy is asked for this computer.

    What the user has excepted stays; a name that is not set takes over what the other one says, because most
    programs look at one of the two only.
    """
    upper, lower = os.environ.get("NO_PROXY", ""), os.environ.get("no_proxy", "")
    return {"NO_PROXY": _with_loopback(upper or lower), "no_proxy": _with_loopback(lower or upper)}


def _with_loopback(excepted: str) -> str:
    if excepted.strip() == "*":
        return excepted
    hosts = [host.strip() for host in excepted.split(",") if host.strip()]
    return ",".join(hosts + [host for host in LOOPBACK if host not in hosts])


def unusable() -> dict[str, str]:
    """Environment variables with which ``OpenAI()`` cannot be made or cannot trust anybody: name -> why.

    The client reads them whatever it is to talk to, so they are in the way of a server on this computer too. Whether
    a proxy will do is asked of httpx2, which the client is built on. No value is quoted: it may hold a password.
    """
    found = {name: _why_no_proxy(value) for name, value in os.environ.items() if name.lower() in PROXIES}
    found["SSL_CERT_FILE"] = _why(_load_certificates, "SSL_CERT_FILE", "a file of certificates")
    if not os.environ.get("SSL_CERT_FILE"):  # else this one is not read
        found["SSL_CERT_DIR"] = _why(_find_folder, "SSL_CERT_DIR", "a folder of certificates")
    return {name: why for name, why in found.items() if why}


def _why_no_proxy(value: str) -> str:
    import httpx2

    if not value:
        return ""
    try:
        proxy = httpx2.Proxy(value if "://" in value else f"http://{value}")
    except (ValueError, httpx2.InvalidURL):
        return "does not name a proxy that the openai client can use, such as http://host:8080"
    if proxy.url.scheme.startswith("socks") and not importlib.util.find_spec("socksio"):
        return "names a SOCKS proxy, and the package socksio is not installed"
    return ""


def _why(use: Callable[[str], None], name: str, wanted: str) -> str:
    if not (value := os.environ.get(name)):
        return ""
    try:
        use(value)
    except FileNotFoundError:
        return f"names {wanted} that is not there"
    except OSError:  # ssl.SSLError is one
        return f"does not name {wanted}"
    return ""


def _load_certificates(file: str) -> None:
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)


def _find_folder(value: str) -> None:
    if not any(Path(folder).is_dir() for folder in value.split(os.pathsep)):
        raise FileNotFoundError
