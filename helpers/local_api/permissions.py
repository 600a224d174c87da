"""Checkpoint permissions: which other projects may use a tuned model. Recorded, without further effect here."""

from openai.types.fine_tuning.checkpoints import PermissionCreateResponse

from .errors import model_not_found, not_found
from .scenarios import Caller
from .store import Row, Store, new_id
from .validate import model_dump


def create(store: Store, caller: Caller, checkpoint: str, body: dict) -> list[dict]:
    """POST .../permissions: one permission for each project."""
    _require(store, caller, checkpoint)
    made = [
        {
            "id": new_id("cp_"),
            "object": "checkpoint.permission",
            "created_at": int(store.clock()),
            "project_id": project,
        }
        for project in body["project_ids"]
    ]
    with store.write() as db:
        for permission in made:
            store.insert(db, "permission", permission["id"], caller.owner, permission, parent=checkpoint)
    return [model_dump(PermissionCreateResponse, permission) for permission in made]


def list_all(
    store: Store, caller: Caller, checkpoint: str, *, project, after, limit: int, newest_first: bool
):
    """GET .../permissions: rows, whether there are more."""
    _require(store, caller, checkpoint)
    return store.page(
        "permission",
        caller.owner,
        after=after,
        limit=limit,
        newest_first=newest_first,
        parent=checkpoint,
        having={"project_id": project} if project else None,
        keep=(lambda row: row.body["project_id"] == project) if project else None,
    )


def view(row: Row) -> dict:
    """One permission."""
    return model_dump(PermissionCreateResponse, row.body)


def delete(store: Store, caller: Caller, checkpoint: str, permission_id: str) -> dict:
    """DELETE .../permissions/{id}."""
    row = store.get("permission", permission_id, caller.owner)
    if row is None or row.parent != checkpoint:
        raise not_found("permission", permission_id, "permission_id")
    store.remove("permission", permission_id, caller.owner)
    return {"id": permission_id, "object": "checkpoint.permission", "deleted": True}


def _require(store: Store, caller: Caller, checkpoint: str) -> None:
    """A checkpoint is named by its model, or by the job that made it."""
    if not (store.get("model", checkpoint, caller.owner) or store.get("job", checkpoint, caller.owner)):
        raise model_not_found(checkpoint)
