"""The job monitor follows one fine-tuning job inside a notebook. ``job_view`` computes what it shows."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ipywidgets import HTML, Button, HBox, VBox

from .. import jobs
from ..language import said
from . import job_view

if TYPE_CHECKING:
    # To import them takes a second, and lessons without a job import this module too.
    from openai import OpenAI
    from openai.types.fine_tuning import FineTuningJob

ANSWER_SECONDS = 20.0  # the client's own 10 minutes would let the monitor stand still without a word
STYLE = """<style>
.job-monitor { color: var(--jp-ui-font-color1, inherit); max-width: 62em; padding: 4px 0; }
.job-monitor .widget-html, .job-monitor .widget-html-content { height: auto; line-height: 1.4; }
.job-monitor p { margin: 2px 0; overflow-wrap: anywhere; }
.job-monitor code { color: inherit; background: var(--jp-layout-color2, transparent); }
.job-monitor p[role=alert] { border-left: 4px solid #d55e00; padding-left: 8px; }
.job-monitor progress { width: 16em; height: 1em; accent-color: #0072b2; vertical-align: middle; }
.job-monitor table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.job-monitor caption { text-align: left; font-weight: bold; padding-bottom: 4px; }
.job-monitor th, .job-monitor td { text-align: right; padding: 2px 10px;
  border-bottom: 1px solid var(--jp-border-color2, #bbb); }
.job-monitor ul { list-style: none; margin: 0; padding: 0; overflow-wrap: anywhere; }
.job-monitor time { font-variant-numeric: tabular-nums; margin-right: 8px; }
</style>"""


def monitor(client: OpenAI, job_id: str, every: float = 1.0) -> Monitor:
    """A widget that follows a job until it is over: status, time left, loss curve, events, and three buttons.

    It asks the API every ``every`` seconds, but an API that is not on this computer at most every 5. It
    stands still while another cell runs. An error of the API is shown, and the monitor goes on; it gives up
    only if there is no such job or the key is refused. Raises RuntimeError outside a notebook.
    """
    # Drawing needs pandas, and it is imported here, in the cell. It looks once whether it is in a notebook, and between
    # two cells, when the monitor draws, it would think that it is not and show tables in another way.
    import pandas  # noqa: F401

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError("The monitor needs a notebook. In a script, use helpers.jobs.wait().") from None
    shown = Monitor(client, job_id, jobs.pace(client, every), loop)
    shown.task = asyncio.ensure_future(shown.follow())
    return shown


class Monitor(VBox):
    """The widget. ``task`` ends when the job is over."""

    def __init__(self, client: OpenAI, job_id: str, every: float, loop: asyncio.AbstractEventLoop):
        self._client = client.with_options(timeout=ANSWER_SECONDS)
        self._job_id, self._every, self._loop = job_id, every, loop
        self._events, self._wake, self.task = [], asyncio.Event(), None
        self._status, self._trouble, self._refusal = HTML("<p>Asking for the job.</p>"), HTML(), HTML()
        self._progress, self._table, self._log = HTML(), HTML(), HTML()
        self._chart = HTML(layout={"flex": "1 1 360px", "max_width": "560px"})
        once = self._client.with_options(
            max_retries=0
        )  # a repeated cancel is refused, though the first worked
        self._pause = self._button("Pause", once.fine_tuning.jobs.pause)
        self._resume = self._button("Resume", once.fine_tuning.jobs.resume)
        self._cancel = self._button("Cancel", once.fine_tuning.jobs.cancel)
        super().__init__(
            [
                HTML(STYLE),
                self._status,
                self._trouble,
                self._progress,
                HBox([self._pause, self._resume, self._cancel]),
                self._refusal,
                HBox([self._chart, self._table], layout={"flex_flow": "row wrap", "align_items": "center"}),
                self._log,
            ]
        )
        self.add_class("job-monitor")

    def __repr__(self) -> str:
        """The same for every job: it is what a notebook stores and what is shown where widgets are not."""
        return said("Job monitor (live while the notebook runs)")

    def _button(self, name: str, action: Callable[[str], FineTuningJob]) -> Button:
        button = Button(description=name, tooltip=f"{name} this job", disabled=True)
        # JupyterLab may deliver a click in a thread of its own (a subshell): only the loop touches widgets
        button.on_click(lambda _: asyncio.run_coroutine_threadsafe(self._press(action), self._loop))
        return button

    async def _press(self, action: Callable[[str], FineTuningJob]) -> None:
        import openai

        try:
            await asyncio.to_thread(action, self._job_id)
            self._refusal.value = ""
        except openai.APIError as error:
            self._refusal.value = job_view.notice(job_view.explain(error))
        self._wake.set()

    async def follow(self) -> None:
        """Shows the job again and again until it is over."""
        try:
            while not await self._shown_to_the_end():
                await self._rest()
        except Exception as error:
            self._trouble.value = job_view.notice(f"The monitor stopped. The job goes on. {error}")
            raise
        finally:
            self._enable(False, False, False)

    async def _rest(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), self._every)
        self._wake.clear()

    async def _shown_to_the_end(self) -> bool:
        """Asks once and shows the answer. Whether there is nothing more to ask for."""
        import openai

        try:
            job = await asyncio.to_thread(self._ask)
        except openai.APIError as error:
            final = job_view.is_final(error)
            what_next = "The monitor has stopped." if final else "Trying again."
            self._trouble.value = job_view.notice(f"{job_view.explain(error)} {what_next}")
            return final
        self._trouble.value = ""
        self._show(job_view.view(job, self._events, time.time()))
        return jobs.is_over(job)

    def _ask(self) -> FineTuningJob:
        """The job, and its new events. The job comes first, so that its last events are never missed."""
        job = self._client.fine_tuning.jobs.retrieve(self._job_id)
        last_id = self._events[-1].id if self._events else None
        self._events += jobs.new_events(self._client, self._job_id, last_id)
        return job

    def _show(self, view: job_view.View) -> None:
        self._status.value, self._progress.value = view.status, view.progress
        self._chart.value, self._table.value, self._log.value = view.chart, view.table, view.log
        self._enable(view.can_pause, view.can_resume, view.can_cancel)

    def _enable(self, pause: bool, resume: bool, cancel: bool) -> None:
        self._pause.disabled, self._resume.disabled, self._cancel.disabled = not pause, not resume, not cancel
