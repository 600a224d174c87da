"""The browser harness itself: it must notice what it is there to notice."""

import nbformat
import pytest

KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


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
