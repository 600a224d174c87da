"""A JupyterHub for one class on one Linux machine. README.md, beside this file, says how to set it up and start it.

People are users of the system: each logs in with their own password, and works under their own user number.
"""

import os
import resource
import sys
from pathlib import Path

from jupyterhub.spawner import LocalProcessSpawner

COURSE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(COURSE))

from helpers.local_api.engines.trained import turns  # noqa: E402

# --- what you may want to change ---------------------------------------------------------------------------

GROUP = "course"  # only members of this group of the system may log in
ADDRESS = "http://127.0.0.1:8000"  # where the server with the certificate passes requests on to
MEMORY_GB = 4.0  # that one process of a learner may take; a kernel that wants more gets a MemoryError
PROCESSES = 500  # processes and threads of one learner
FILE_GB = 4.0  # the largest file of a learner
IDLE_MINUTES = 120  # without a sign of life until a learner's server is stopped; longer than the lunch break
TRAININGS = 0  # real trainings at a time, over all learners; 0: chosen by the processor
# Where the hub keeps who is logged in, and where trainings wait for their turn.
DATA = Path(os.environ.get("COURSE_HUB_DATA", "/var/lib/fine-tuning-hub"))

# -----------------------------------------------------------------------------------------------------------

c = get_config()  # noqa: F821  JupyterHub gives it


def share(cores: int) -> tuple[int, int]:
    """How many trainings run at a time, and cores for each; two cores are left for the notebooks."""
    left = max(1, cores - 2)
    at_once = TRAININGS or max(1, left // 3)
    return at_once, max(1, left // at_once)


class LimitedSpawner(LocalProcessSpawner):
    """Starts a learner's server as the learner, within the limits above. The system enforces them."""

    def make_preexec_fn(self, name):
        become_the_learner = super().make_preexec_fn(name)
        limits = {
            resource.RLIMIT_DATA: int(MEMORY_GB * 2**30),
            resource.RLIMIT_NPROC: PROCESSES,
            resource.RLIMIT_FSIZE: int(FILE_GB * 2**30),
            resource.RLIMIT_CORE: 0,
        }

        def before_start():
            for kind, most in limits.items():
                hard = resource.getrlimit(kind)[1]
                most = most if hard == resource.RLIM_INFINITY else min(most, hard)
                resource.setrlimit(kind, (most, most))
            # If the memory of the machine ends all the same, a learner's process goes, and not the hub.
            Path("/proc/self/oom_score_adj").write_text("500")
            become_the_learner()

        return before_start


# Who may log in. Without an HTTPS server before it, passwords would travel in the open: see README.md.
c.JupyterHub.authenticator_class = "pam"
c.PAMAuthenticator.allowed_groups = {GROUP}
c.JupyterHub.bind_url = ADDRESS

secret = DATA / "hub"
secret.mkdir(mode=0o700, parents=True, exist_ok=True)
c.JupyterHub.db_url = f"sqlite:///{secret / 'hub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(secret / "cookie_secret")
c.ConfigurableHTTPProxy.pid_file = str(secret / "proxy.pid")
c.ConfigurableHTTPProxy.command = str(Path(sys.executable).with_name("configurable-http-proxy"))
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])

# The learner's server. homes.py gives the course to who has none yet.
c.JupyterHub.spawner_class = LimitedSpawner
homes = str(COURSE / "workshop" / "jupyterhub" / "homes.py")
c.Spawner.cmd = [sys.executable, homes, "start", sys.executable, "-m", "jupyterhub.singleuser"]
c.Spawner.notebook_dir = "~"
c.Spawner.default_url = "/lab/tree/fine-tuning-course/notebooks/00_start_here.ipynb"
c.Spawner.start_timeout = 300  # thirty start at once
c.Spawner.http_timeout = 300
c.Spawner.env_keep = ["LANG", "LC_ALL"]  # nothing else of the hub's environment; above all no key

# Real trainings: one at a time for each learner, a fair queue over all.
at_once, threads = share(os.cpu_count() or 1)
turns.make(DATA / "queue", at_once)
c.Spawner.environment = {
    "PATH": os.defpath,
    "LOCAL_API_QUEUE": str(DATA / "queue"),
    "LOCAL_API_THREADS": str(threads),
    "OMP_NUM_THREADS": str(threads),
    "LOCAL_API_WEIGHTS": os.environ.get("LOCAL_API_WEIGHTS", str(COURSE / ".weights")),
}

# Servers that nobody uses are stopped. Files, jobs and models stay; so does a training that runs.
culler = "idle-culler"
c.JupyterHub.services = [
    {
        "name": culler,
        "command": [sys.executable, "-m", "jupyterhub_idle_culler", f"--timeout={IDLE_MINUTES * 60}"],
    }
]
c.JupyterHub.load_roles = [
    {
        "name": culler,
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
        "services": [culler],
    }
]
