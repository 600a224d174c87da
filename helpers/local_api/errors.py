"""Errors in the form of the OpenAI API: an envelope of four keys, a status and, where needed, headers."""

import errno
import sqlite3

MAX_MESSAGE = 2_000  # characters


class APIError(Exception):
    """An answer other than 2xx. Raised anywhere below a route; ``app`` turns it into the HTTP answer."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ):
        if len(message) > MAX_MESSAGE:  # it quotes the request
            message = f"{message[:MAX_MESSAGE]}…"
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.error = {"message": message, "type": type, "param": param, "code": code}

    @property
    def envelope(self) -> dict:
        """The JSON body, as in schema ``ErrorResponse`` of OpenAI's API description."""
        return {"error": self.error}


def bad_request(message: str, param: str | None = None, code: str | None = None) -> APIError:
    """400: the request can never work as it is."""
    return APIError(400, message, param=param, code=code)


def not_found(what: str, object_id: str, param: str | None = "id") -> APIError:
    """404: no such object, or it belongs to another key."""
    return APIError(404, f"No such {what}: {object_id}", param=param)


def model_not_found(model: str, hint: str = "") -> APIError:
    """404 for a model that does not exist or belongs to another key. ``hint`` says what can be done about it."""
    message = f"The model `{model}` does not exist or you do not have access to it. {hint}".rstrip()
    return APIError(404, message, code="model_not_found")


def model_deprecated(model: str) -> APIError:
    """404 for a model that has been shut down (wording seen live by third parties, 2026)."""
    message = (
        f"The model `{model}` has been deprecated, learn more here: "
        "https://platform.openai.com/docs/deprecations"
    )
    return APIError(404, message, code="model_not_found")


def not_simulated(what: str) -> APIError:
    """501: part of the OpenAI API that this server does not imitate. The client is told not to retry."""
    message = f"{what} is part of the OpenAI API, but it is not simulated here. See the README for what is."
    return APIError(501, message, code="not_simulated", headers={"x-should-retry": "false"})


# --- what the disk says ------------------------------------------------------------------------------------

DISK_FULL = (
    "The disk is full, so this was not saved. Delete files or models that you no longer need (deleting works on a "
    "full disk too), or free some space in another way; then try again."
)
NOT_WRITABLE = (
    "The state folder of the local API cannot be written. Fix that, or set LOCAL_API_HOME to another folder."
)
DAMAGED = (
    "The saved state is damaged. Stop the local API and start it again (in a lesson: restart the kernel). It then "
    "sets the damaged state aside and says how to take back what can be read."
)
BUSY = "Another program holds the saved state. Try again in a moment."


def is_disk_full(error: BaseException) -> bool:
    """True if there was no space left to write, or the user may take no more."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return _sqlite_code(error) == sqlite3.SQLITE_FULL


def is_damage(error: BaseException) -> bool:
    """True if SQLite says that its file is damaged."""
    return _sqlite_code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def storage_error(error: BaseException) -> APIError | None:
    """The answer to a request that the disk stopped; None if the disk had no part in it."""
    code = _sqlite_code(error)
    not_writable = isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EROFS, errno.EPERM)
    if is_disk_full(error):
        return _storage(507, DISK_FULL, "disk_full")
    if is_damage(error):
        return _storage(500, DAMAGED, "state_damaged")
    if not_writable or code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        return _storage(500, NOT_WRITABLE, "state_not_writable")
    if code == sqlite3.SQLITE_BUSY:
        return APIError(503, BUSY, type="server_error", code="state_busy")
    return None


def storage_error_of_a_job(error: BaseException) -> dict | None:
    """The same as the ``error`` of a job that failed for it."""
    known = storage_error(error)
    return known and {"code": known.error["code"], "message": known.error["message"], "param": None}


def _storage(status: int, message: str, code: str) -> APIError:
    return APIError(status, message, type="server_error", code=code, headers={"x-should-retry": "false"})


def _sqlite_code(error: BaseException) -> int | None:
    """SQLite's primary result code, as in its documentation; None for what is no error of SQLite's."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
