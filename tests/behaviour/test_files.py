"""Files: upload, list, look inside, delete."""

import pytest
from openai import NotFoundError

from .conftest import rows


def test_an_uploaded_file_comes_back_byte_for_byte(api):
    data = '{"text": "żółw 龟 🐢"}\r\n\x00'.encode() * 1000
    file = api.client.files.create(file=("Übung 1.jsonl", data), purpose="fine-tune")
    assert (file.bytes, file.filename, file.status, file.purpose) == (
        len(data),
        "Übung 1.jsonl",
        "processed",
        "fine-tune",
    )
    assert file.id.startswith("file-") and file.object == "file" and file.expires_at is None
    assert api.client.files.retrieve(file.id) == file
    assert api.client.files.content(file.id).read() == data


def test_a_deleted_file_is_gone(api):
    file = api.upload(rows())
    assert api.client.files.delete(file.id).model_dump() == {"id": file.id, "object": "file", "deleted": True}
    for call in (api.client.files.retrieve, api.client.files.content, api.client.files.delete):
        with pytest.raises(NotFoundError):
            call(file.id)
    assert api.client.files.list().data == []


def test_a_list_is_newest_first_and_can_be_turned_and_filtered(api):
    ids = [api.upload(rows(1), f"{number}.jsonl").id for number in range(3)]
    ids.append(api.client.files.create(file=b"x", purpose="user_data").id)
    files = api.client.files
    assert [file.id for file in files.list()] == ids[::-1]
    assert [file.id for file in files.list(order="asc")] == ids
    assert [file.id for file in files.list(purpose="user_data")] == ids[3:]
    assert [file.id for file in files.list(purpose="batch")] == []


def test_pages_follow_each_other_without_gap_or_repetition(api):
    ids = [api.upload(rows(1)).id for _ in range(5)]
    page = api.client.files.list(limit=2)
    assert [file.id for file in page.data] == ids[:2:-1] and page.has_more
    assert (page.to_dict()["first_id"], page.to_dict()["last_id"]) == (ids[4], ids[3])
    assert [file.id for file in page] == ids[::-1]
    assert not api.client.files.list(limit=5).has_more


def test_an_expired_file_is_gone(api):
    api.clock.stop()
    file = api.upload(rows(), expires_after={"anchor": "created_at", "seconds": 3600})
    assert file.expires_at == file.created_at + 3600
    api.clock.move(3599)
    assert api.client.files.retrieve(file.id).id == file.id
    api.clock.move(2)
    assert api.refusal(api.client.files.retrieve, file.id).status_code == 404
    assert api.client.files.list().data == []


@pytest.mark.parametrize(
    ("options", "param", "code"),
    [
        ({"file": b"x", "purpose": "training"}, "purpose", None),
        ({"file": b"", "purpose": "fine-tune"}, "file", None),
        (
            {"file": b"x", "purpose": "batch", "expires_after": {"anchor": "created_at", "seconds": 3}},
            "expires_after",
            None,
        ),
        (
            {"file": b"x", "purpose": "batch", "expires_after": {"anchor": "now", "seconds": 3600}},
            "expires_after",
            None,
        ),
        ({"file": b"x", "purpose": None}, "purpose", "missing_required_parameter"),
    ],
)
def test_a_wrong_upload_is_refused_and_leaves_nothing(api, options, param, code):
    error = api.refusal(api.client.files.create, **options)
    assert (error.status_code, error.param, error.code) == (400, param, code)
    assert api.client.files.list().data == []


@pytest.mark.parametrize("name", ["../../escaped.jsonl", "/etc/passwd", "a" * 500 + ".jsonl", "..", "CON"])
def test_a_files_name_never_becomes_a_path(api, name):
    file = api.client.files.create(file=(name, b"harmless"), purpose="fine-tune")
    assert file.filename == name
    folder = api.app.state.service.store.folder
    assert (folder / "files" / file.id).read_bytes() == b"harmless"
    assert not list(folder.rglob("*escaped*"))


def test_a_file_over_the_limit_is_refused(api, monkeypatch):
    monkeypatch.setattr("helpers.local_api.files.MAX_BYTES", 100_000)
    assert api.client.files.create(file=b"x" * 100_000, purpose="fine-tune").bytes == 100_000
    for size in (100_001, 3_000_000):
        error = api.refusal(api.client.files.create, file=b"x" * size, purpose="fine-tune")
        assert (error.status_code, error.param) == (413, "file")
    assert len(api.client.files.list().data) == 1
