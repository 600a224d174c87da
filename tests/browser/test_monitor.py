"""The job monitor, driven in a real browser."""

import re

import pytest
from playwright.sync_api import Page, expect

SETUP = """
import json, os
os.environ["LOCAL_API_JOB_SECONDS"] = "{seconds}"
from helpers.connect import connect
connect()
from openai import OpenAI
from helpers.widgets import monitor
client = OpenAI()
rows = [{{"messages": [{{"role": "user", "content": f"Question {{i}}?"}},
                     {{"role": "assistant", "content": f"Answer {{i}}."}}]}} for i in range({rows})]
data = "\\n".join(map(json.dumps, rows)).encode()
file = client.files.create(file=("train.jsonl", data), purpose="fine-tune")
job = client.fine_tuning.jobs.create(
    model="gpt-3.5-turbo", training_file=file.id, validation_file=file.id, suffix="browser", seed=1
)
"""
WATCH = "monitor(client, job.id, every=0.5)"


COUNT_POLLS = """from ipywidgets import HTML
from helpers.widgets.monitor import Monitor
polls, show = HTML("0"), Monitor._show
def show_and_count(self, view):
    show(self, view)
    polls.value = str(int(polls.value) + 1)
Monitor._show = show_and_count
polls.add_class("polls")"""


@pytest.fixture
def watch(lab):
    """A function: runs a notebook with a job and its monitor, returns it."""

    def open_and_run(seconds: float, rows: int = 12, before: tuple = (), more: tuple = ()):
        return lab.run(SETUP.format(seconds=seconds, rows=rows), *before, WATCH, *more)

    return open_and_run


def status(page: Page, value: str):
    """Expects the monitor to show this status."""
    expect(page.get_by_role("status").filter(has_text="Status:")).to_contain_text(f"Status: {value}.")


def button(page: Page, name: str):
    return page.locator(".job-monitor").get_by_role("button", name=name, exact=True)


def await_polls(page: Page, count: int) -> None:
    """Waits until the monitor has asked so many times more, and shows the answers."""
    polls = "Number(document.querySelector('.polls .widget-html-content').textContent)"
    page.wait_for_function(f"until => {polls} >= until", arg=page.evaluate(polls) + count)


def expect_all_buttons_off(page: Page) -> None:
    for name in ("Pause", "Resume", "Cancel"):
        expect(button(page, name)).to_be_disabled()


def test_job_that_succeeds(watch):
    """First tier: the one browser pass."""
    notebook = watch(seconds=3)
    page = notebook.page
    status(page, "succeeded")
    shown = page.locator(".job-monitor")
    expect(shown).to_contain_text(re.compile(r"Its name: ft:gpt-3.5-turbo-0125:simulated:browser:\w{8}"))
    expect(shown).to_contain_text(re.compile(r"Step (\d+) of \1 \(100%\)\."))
    expect(page.get_by_role("progressbar", name="Training progress")).to_have_js_property("value", 1)
    curve = page.get_by_role("img", name=re.compile(r"Line chart: Loss \(simulated\)\. Training loss"))
    expect(curve).to_be_visible()
    expect(shown).to_contain_text("The job has successfully completed")
    expect_all_buttons_off(page)


@pytest.mark.slow
def test_job_that_is_over_already(watch):
    notebook = watch(seconds=0, more=("from helpers import jobs\njobs.wait(client, job.id)", WATCH))
    expect(notebook.page.get_by_role("status").filter(has_text="Status: succeeded.")).to_have_count(2)


@pytest.mark.slow
def test_job_that_fails(watch):
    page = watch(seconds=2, rows=7).page
    status(page, "failed")
    expect(page.locator(".job-monitor [role=status]")).to_contain_text(
        "7 example(s), but must have at least 10 examples"
    )
    shown = page.locator(".job-monitor")
    expect(shown).to_contain_text("No loss has been measured yet.")
    expect(shown).to_contain_text("Error: ")
    expect_all_buttons_off(page)


@pytest.mark.slow
def test_pause_resume_and_cancel(watch):
    page = watch(seconds=60, rows=100, before=(COUNT_POLLS,)).page
    step = page.locator(".job-monitor").get_by_text(re.compile(r"^Step \d+ of 300"))
    expect(step).to_be_visible()
    expect(step).to_contain_text("left.")
    expect(button(page, "Resume")).to_be_disabled()
    button(page, "Pause").click()
    status(page, "paused")
    expect(button(page, "Pause")).to_be_disabled()
    stopped_at = step.inner_text()
    await_polls(page, 3)  # in which a running job would have moved
    assert step.inner_text() == stopped_at
    button(page, "Resume").click()
    status(page, "running")
    expect(step).not_to_have_text(stopped_at)
    button(page, "Cancel").click()
    status(page, "cancelled")
    expect(page.locator(".job-monitor")).to_contain_text("Fine-tuning job cancelled")
    expect_all_buttons_off(page)


@pytest.mark.slow
def test_cancel_with_the_keyboard_only(watch):
    page = watch(seconds=60).page
    expect(button(page, "Cancel")).to_be_enabled()
    for _ in range(100):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.textContent") == "Cancel":
            break
    expect(button(page, "Cancel")).to_be_focused()
    page.keyboard.press("Enter")
    status(page, "cancelled")
