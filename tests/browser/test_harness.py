"""The browser harness itself: it must notice what it is there to notice."""

import nbformat
import pytest

from tests.browser.conftest import Windows
from tests.browser.contrast import contrast, measure

KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
KERNELS = """async () => {
    const {kernels} = window.jupyterapp.serviceManager;
    await kernels.refreshRunning();
    return [...kernels.running()].map(({id}) => id);
}"""


@pytest.fixture
def open_cells(lab):
    """A function: opens a notebook with these code cells."""

    def write_and_open(*sources: str):
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        nbformat.write(
            nbformat.v4.new_notebook(cells=cells, metadata=KERNEL), lab.server.folder / "small.ipynb"
        )
        return lab.open_notebook("small.ipynb")

    return write_and_open


@pytest.mark.slow
def test_request_to_another_machine_is_recorded(lab, open_cells):
    page = open_cells("1").page
    with page.expect_request("http://example.invalid/a"), page.expect_websocket():
        page.evaluate(
            "() => { fetch('http://example.invalid/a').catch(() => 0); new WebSocket('ws://example.invalid/b'); }"
        )
    assert sorted(lab.foreign) == ["http://example.invalid/a", "ws://example.invalid/b"]
    lab.foreign.clear()


@pytest.mark.slow
def test_cell_with_an_error_fails_the_run(open_cells):
    with pytest.raises(AssertionError, match="code cell 2: ZeroDivisionError"):
        open_cells("1", "1 / 0").run_all()


@pytest.mark.slow
def test_cells_and_outputs_are_read(open_cells):
    notebook = open_cells("6 * 7")
    notebook.run_all()
    assert notebook.cells()[0]["outputs"][0]["data"]["text/plain"] == "42"
    assert "42" in notebook.output(1).inner_text()


@pytest.mark.slow
def test_one_window_serves_test_after_test_with_a_new_kernel_each_time(windows):
    kernels = []
    for _ in range(2):
        lab = windows.lend()
        notebook = lab.run("'left_over' in globals()", "left_over = 1")
        assert [cell["execution_count"] for cell in notebook.cells()] == [1, 2]
        assert notebook.cells()[0]["outputs"][0]["data"]["text/plain"] == "False"
        kernels += lab.page.evaluate(KERNELS)
        lab.foreign.append("http://example.invalid/of-this-test-only")
        windows.take_back(lab, in_doubt=False)
        assert lab.page.evaluate(KERNELS) == []
        assert lab.page.locator(".jp-Notebook").count() == 0
    assert len({*kernels}) == len(kernels) == 2
    again = windows.lend()
    assert again is lab and again.foreign == []
    windows.take_back(again, in_doubt=False)


@pytest.mark.slow
@pytest.mark.parametrize("leave", [lambda lab: None, lambda lab: lab.page.close()], ids=["failed", "closed"])
def test_after_a_failure_or_with_its_page_closed_a_window_is_not_lent_again(server, browser, leave):
    windows = Windows(server, browser)
    lab = windows.lend()
    leave(lab)
    windows.take_back(lab, in_doubt=not lab.page.is_closed())
    assert lab.page.is_closed()
    again = windows.lend()
    assert again is not lab
    again.page.context.close()


@pytest.mark.slow
def test_a_window_with_an_open_question_is_not_lent_again(windows):
    lab = windows.lend()
    lab.run("1").page.evaluate("() => { window.jupyterapp.commands.execute('help:about'); }")
    lab.page.locator(".jp-Dialog").wait_for()
    windows.take_back(lab, in_doubt=False)
    assert lab.page.is_closed()


SVG = '<svg width="99" height="30"><rect width="99" height="30" fill="#000"/>{}</svg>'


@pytest.mark.slow
def test_contrast_is_that_to_what_is_painted_beneath(server, browser):
    """#777 on white has 4.48, #767676 has 4.54, and half of a black 3.98."""
    contrasts = {
        '<p style="color: #777">a</p>': 4.48,
        '<p style="color: #767676">a</p>': 4.54,
        '<p style="color: rgb(0 0 0 / 50%)">a</p>': 3.98,
        '<p style="color: black; opacity: 0.5">a</p>': 3.98,
        '<div style="background: black"><p style="color: white">a</p></div>': 21,
        '<p style="color: white; background: rgb(0 0 0 / 50%)">a</p>': 3.98,
        SVG.format('<text y="20" fill="#fff">a</text>'): 21,
        SVG.format('<text y="20" fill="#fff" fill-opacity="0.5">a</text>'): 5.28,
        SVG.format('<text y="20" pointer-events="none">a</text>'): 1,
    }
    page = Windows(server, browser).lend().page
    for html, wanted in contrasts.items():
        page.set_content(f"<main>{html}</main>")
        assert contrast(page.locator("main")) == pytest.approx(wanted, abs=0.05), html
    page.context.close()


@pytest.mark.slow
def test_large_text_needs_less_contrast_and_what_cannot_be_measured_is_a_fault(server, browser):
    faults = {
        '<p style="color: #888; font-size: 24px">a</p>': "",
        '<p style="color: #888; font: bold 19px sans-serif">a</p>': "",
        '<p style="color: #888; font-size: 19px">a</p>': "contrast of 3.54, less than 4.5",
        '<p style="color: #aaa; font-size: 24px">a</p>': "contrast of 2.32, less than 3.0",
        '<p style="display: none">a</p>': "it takes no place",
        '<p style="clip-path: inset(50%)">a</p>': "cut off or out of sight",
        '<p style="filter: invert(1)">a</p>': "a filter changes its colours",
        '<p style="background: url(data:,)">a</p>': "a background image or gradient lies there",
        "<p>.</p>": "it has no text",
    }
    page = Windows(server, browser).lend().page
    for html, wanted in faults.items():
        page.set_content(html)
        (found,) = measure(page, [page.query_selector("p")])
        assert wanted in found.fault() and bool(wanted) is bool(found.fault()), found
    page.context.close()
