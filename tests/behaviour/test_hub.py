"""A real JupyterHub with people of the system: each runs lesson 00, and nobody sees what is another's.

Two people, and five in the soak tier.
"""

import asyncio
import json
import re

import pytest

from tests import room
from tests.environment import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not room.is_possible(), reason="needs Linux, and root to make users of its own"),
]

# What a learner finds of their own and of another's; run in their kernels.
OWN = """
import json, os
from pathlib import Path
print(json.dumps({
    "user": os.getuid(), "home": str(Path.home()), "address": os.environ["OPENAI_BASE_URL"], "job": job.id,
    "key": os.environ["OPENAI_API_KEY"], "jobs": [one.id for one in client.fine_tuning.jobs.list()],
    "files": [one.id for one in client.files.list()], "file": training_file.id, "pid": os.getpid(),
    "hubs_environment": sorted(name for name in os.environ if "KEY" in name and not name.startswith("OPENAI_")),
}))
"""
OTHERS = """
from openai import NotFoundError
found = {}
def attempt(name, what):
    try:
        found[name] = str(what())
    except Exception as error:
        found[name] = type(error).__name__
attempt("home", lambda: os.listdir(other["home"]))
attempt("state", lambda: os.listdir(other["home"] + "/.local/share/fine-tuning-course"))
attempt("environment", lambda: open("/proc/%d/environ" % other["pid"]).read())
attempt("kill", lambda: os.kill(other["pid"], 9))
attempt("server", lambda: OpenAI(base_url=other["address"], max_retries=0).models.list())
attempt("job", lambda: client.fine_tuning.jobs.retrieve(other["job"]))
attempt("file", lambda: client.files.content(other["file"]))
attempt("course", lambda: open(SHARED + "/helpers/__init__.py", "a"))
attempt("environment of all", lambda: open(SHARED + "/.venv/spoilt", "w"))
attempt("hub", lambda: os.listdir("/srv/hub/hub"))
attempt("memory", lambda: bytearray(4 * 2**30))
print(json.dumps(found))
"""
LOOK = """
course = Path.home() / "fine-tuning-course"
(old,) = Path.home().glob("fine-tuning-course until *")
print((old / "notebooks/00_start_here.ipynb").read_text(), (course / "my/decision.md").read_text())
print(len((course / "notebooks/00_start_here.ipynb").read_text()) > 1000)
"""
REFUSED = {
    "home": "PermissionError",
    "state": "PermissionError",
    "environment": "PermissionError",
    "kill": "PermissionError",
    "server": "AuthenticationError",
    "job": "NotFoundError",
    "file": "NotFoundError",
    "course": "PermissionError",
    "environment of all": "PermissionError",
    "hub": "PermissionError",
    "memory": "MemoryError",
}
SPOIL = """
import subprocess
from pathlib import Path
Path("../notebooks/00_start_here.ipynb").write_text("spoilt")
Path("../my").mkdir(exist_ok=True)
Path("../my/decision.md").write_text("tune")
print(subprocess.run(["fresh-copy"], cwd=Path.home(), capture_output=True, text=True, check=True).stdout)
"""


async def work(place: room.Room, name: str) -> tuple[room.Learner, room.Kernel, list[str]]:
    """Logs in and runs lesson 00; the learner, their kernel, and what each cell has shown."""
    learner = room.Learner(place, name)
    await learner.log_in(place.people[name])
    await learner.open_server()
    kernel = await learner.open_notebook()
    return learner, kernel, [await kernel.run(source) for source in await learner.notebook()]


@pytest.mark.endurance(sample=2, soak=5)
async def test_learners_run_lesson_00_and_nobody_sees_what_is_anothers(count, figures, tmp_path):
    with room.Room(tmp_path / "room", count) as place:
        await place.ready()
        await wrong_passwords_are_refused(place)
        found = await asyncio.gather(*[work(place, name) for name in place.people])
        learners, kernels, shown = zip(*found, strict=True)
        everybody_has_seen_the_same(shown)
        await nobody_sees_what_is_anothers(learners, kernels)
        await a_fresh_copy_keeps_what_was_there(kernels[0])
        for learner in learners:
            await learner.__aexit__()
    figures(f"{count} learners at once: each saw the same, and nothing of another")


def everybody_has_seen_the_same(shown: tuple[list[str], ...]) -> None:
    texts = [re.sub(r"ft:\S+", "ft:NAME", "\n".join(cells)) for cells in shown]
    assert len(set(texts)) == 1
    assert "succeeded\nft:NAME" in texts[0] and "Desk: Quarantine" in texts[0]


async def nobody_sees_what_is_anothers(learners, kernels) -> None:
    own = [json.loads(await kernel.run(OWN)) for kernel in kernels]
    for name in ("user", "home", "address", "key", "job", "file"):
        assert len({one[name] for one in own}) == len(own), name
    for one in own:
        assert (one["jobs"], one["files"].count(one["file"])) == ([one["job"]], 1)
        assert one["hubs_environment"] == []
    for number, (learner, kernel) in enumerate(zip(learners, kernels, strict=True)):
        await kernel.run(
            f"other = json.loads({json.dumps(json.dumps(own[number - 1]))}); SHARED = {str(ROOT)!r}"
        )
        assert json.loads(await kernel.run(OTHERS)) == REFUSED
        status, _ = await learner.get(f"/user/{learners[number - 1].name}/api/status")
        assert status in (403, 404)


async def wrong_passwords_are_refused(place):
    name, other = list(place.people)[:2]
    for who, password in ((name, place.people[other]), (name, ""), ("root", "root")):
        async with room.Learner(place, who) as stranger:
            with pytest.raises(room.Refused):
                await stranger.log_in(password)
            status, text = await stranger.get("/hub/home")
            assert 'type="password"' in text and status == 200


async def a_fresh_copy_keeps_what_was_there(kernel):
    said = await kernel.run(SPOIL)
    assert "is fresh. What you had is in the folder 'fine-tuning-course until " in said
    assert await kernel.run(LOOK) == "spoilt tune\nTrue\n"
