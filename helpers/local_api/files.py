"""Files: bytes on disk, one row each in the store."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

from openai.types import FileObject, FilePurpose

from .errors import APIError, bad_request, not_found
from .scenarios import Caller
from .store import Row, Store, new_id
from .validate import model_dump

PURPOSES = get_args(FilePurpose)
MAX_BYTES = 512 * 1024 * 1024  # OpenAI's limit for one file
MIN_EXPIRY, MAX_EXPIRY = 3600, 2_592_000  # seconds, OpenAI's API description, FileExpirationAfter


def too_large() -> APIError:
    """413 for a file over the limit."""
    megabytes = MAX_BYTES // (1024 * 1024)
    return APIError(413, f"File is too large. The limit is {megabytes} MB for one file.", param="file")


def create(store: Store, caller: Caller, fields: dict[str, str], name: str, chunks: Iterable[bytes]) -> dict:
    """POST /files. ``fields`` are the form's text fields, ``name`` the file's name as sent."""
    purpose = _purpose(fields)
    seconds = _expires_after(fields)
    file_id = new_id("file-")
    size = store.save_bytes(file_id, chunks)
    if size == 0:
        store.path(file_id).unlink()
        raise bad_request(f"File '{name}' is empty.", "file")
    created = int(store.clock())
    body = {
        "id": file_id,
        "object": "file",
        "bytes": size,
        "created_at": created,
        "expires_at": created + seconds if seconds else None,
        "filename": name,
        "purpose": purpose,
        "status": "processed",
        "status_details": None,
    }
    try:
        store.add("file", file_id, caller.owner, body)
    except BaseException:
        store.path(file_id).unlink(missing_ok=True)
        raise
    return model_dump(FileObject, body)


def list_all(store: Store, caller: Caller, *, purpose: str | None, after: str | None, limit: int, order: str):
    """GET /files: rows, whether there are more."""

    def keep(row: Row) -> bool:
        return not _expired(store, row) and purpose in (None, row.body["purpose"])

    return store.page(
        "file",
        caller.owner,
        after=after,
        limit=limit,
        newest_first=order == "desc",
        having=None if purpose is None else {"purpose": purpose},
        keep=keep,
    )


def retrieve(store: Store, caller: Caller, file_id: str) -> dict:
    """GET /files/{file_id}."""
    return model_dump(FileObject, _own(store, caller, file_id).body)


def content(store: Store, caller: Caller, file_id: str) -> tuple[Path, str]:
    """GET /files/{file_id}/content: where the bytes lie, and the file's name."""
    row = _own(store, caller, file_id)
    return store.path(row.id), row.body["filename"]


def delete(store: Store, caller: Caller, file_id: str) -> dict:
    """DELETE /files/{file_id}. The row goes first, so that a kill leaves an orphan and never a dead name."""
    row = _own(store, caller, file_id)
    store.remove("file", row.id, caller.owner)
    store.path(row.id).unlink(missing_ok=True)
    return {"id": row.id, "object": "file", "deleted": True}


def remove_expired(store: Store) -> None:
    """Deletes the files whose time is over, whoever owns them. Until then they are hidden only."""
    for row in store.every("file", but=("expires_at", None)):
        if _expired(store, row):
            store.remove("file", row.id, row.owner)
            store.path(row.id).unlink(missing_ok=True)


def for_training(store: Store, caller: Caller, file_id: str, param: str) -> Row:
    """The uploaded file that a job names, or a 400 that says what is wrong with it."""
    return for_purpose(store, caller, file_id, param, "fine-tune")


def for_purpose(store: Store, caller: Caller, file_id: str, param: str, purpose: str) -> Row:
    """The caller's file, uploaded for this purpose, or a 400 that says what is wrong with it."""
    row = store.get("file", file_id, caller.owner)
    if row is None or _expired(store, row):
        raise bad_request(f"invalid {param}: {file_id}. There is no such file.", param)
    if row.body["purpose"] != purpose:
        given = row.body["purpose"]
        message = (
            f"invalid {param}: {file_id} was uploaded with purpose '{given}'. Upload it with '{purpose}'."
        )
        raise bad_request(message, param)
    return row


def _own(store: Store, caller: Caller, file_id: str) -> Row:
    row = store.get("file", file_id, caller.owner)
    if row is None or _expired(store, row):
        raise not_found("File object", file_id)
    return row


def _expired(store: Store, row: Row) -> bool:
    return row.body["expires_at"] is not None and row.body["expires_at"] <= store.clock()


def _purpose(fields: dict[str, str]) -> str:
    purpose = fields.get("purpose")
    if purpose is None:
        raise bad_request("Missing required parameter: 'purpose'.", "purpose", "missing_required_parameter")
    if purpose not in PURPOSES:
        message = f"'{purpose}' is not one of {list(PURPOSES)} - 'purpose'"
        raise bad_request(message, "purpose")
    return purpose


def _expires_after(fields: dict[str, str]) -> int | None:
    """Seconds until the file expires, from the form fields expires_after[anchor] and expires_after[seconds]."""
    anchor, seconds = fields.get("expires_after[anchor]"), fields.get("expires_after[seconds]")
    if anchor is None and seconds is None:
        return None
    if anchor != "created_at":
        raise bad_request(
            "Invalid value for 'expires_after[anchor]': it must be 'created_at'.", "expires_after"
        )
    is_number = seconds is not None and re.fullmatch("[0-9]{1,10}", seconds)
    if not is_number or not MIN_EXPIRY <= int(seconds) <= MAX_EXPIRY:
        message = f"Invalid value for 'expires_after[seconds]': a number from {MIN_EXPIRY} to {MAX_EXPIRY}."
        raise bad_request(message, "expires_after")
    return int(seconds)
