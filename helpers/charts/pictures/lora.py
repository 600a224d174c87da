"""What LoRA adds to one matrix of the recorded model: two thin ones, drawn to scale, with their numbers counted."""

import csv
from pathlib import Path

from ..chart import TRAINING
from . import svg

MATRICES = Path(__file__).resolve().parents[3] / "data" / "recorded" / "matrices.csv"
EXAMPLE = "query"
WIDTH, HEIGHT = 780, 400
SIDE, TOP = 230, 92
TITLE = "What LoRA adds to a matrix"


def picture() -> svg.Picture:
    """W frozen, and beside it B and A, which are trained: sizes and counts from data/recorded/matrices.csv."""
    matrices = _matrices()
    rows, columns, rank = (matrices[EXAMPLE][name] for name in ("rows", "columns", "rank"))
    frozen, trained = rows * columns, rank * (rows + columns)
    body = svg.words(8, 30, f"{TITLE} (here: a query matrix of SmolLM2-135M)", size=17, bold=True)
    body += _matrix(
        8, f"W: {rows} × {columns}", SIDE, SIDE, ["frozen:", f"{frozen:,} numbers,", "not one is changed"]
    )
    body += svg.words(276, 215, "+", size=30, middle=True)
    thin = SIDE * rank / columns  # to scale
    body += _matrix(330, f"B: {rows} × {rank}", thin, SIDE, [], is_trained=True)
    body += svg.words(350, 190, ["trained:", f"{rows * rank:,} numbers.", "All are 0 at the", "start"])
    body += svg.words(486, 215, "×", size=30, middle=True)
    body += _matrix(520, f"A: {rank} × {columns}", SIDE, thin, [], is_trained=True)
    body += svg.words(520, 128, ["trained:", f"{rank * columns:,} numbers.", "Random at the", "start"])
    whole, added = _totals(matrices)
    notes = [
        f"B and A together: {trained:,} numbers, {trained / frozen:.1%} of those of W. Drawn to scale.",
        "B is 0 at the start, so B × A is 0, too: the training begins exactly at the base model.",
        f"In the whole model: {whole:,} numbers frozen, {added:,} trained ({added / whole:.1%}).",
    ]
    return svg.page(WIDTH, HEIGHT, TITLE, _alt(rows, columns, rank, notes), body + svg.words(8, 352, notes))


def _matrix(x: float, name: str, width: float, height: float, inside: list[str], is_trained=False) -> str:
    """A rectangle with its name above it and words in its middle."""
    ground = (
        {"fill": TRAINING, "edge": TRAINING, "stroke": 1, "radius": 1}
        if is_trained
        else {"fill": svg.PALE, "dash": "6 4"}
    )
    drawn = svg.words(x, TOP - 14, name, bold=True) + svg.box(x, TOP, width, height, **ground)
    return drawn + svg.words(x + width / 2, TOP + height / 2 - 14, inside, middle=True)


def _matrices() -> dict[str, dict[str, int]]:
    with open(MATRICES, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    numbers = ("rows", "columns", "count", "rank")
    return {row["matrix"]: {name: int(row[name]) for name in numbers} for row in rows}


def _totals(matrices: dict[str, dict[str, int]]) -> tuple[int, int]:
    """How many numbers the whole model has, and how many LoRA trains beside them."""
    whole = sum(one["rows"] * one["columns"] * one["count"] for one in matrices.values())
    added = sum(one["rank"] * (one["rows"] + one["columns"]) * one["count"] for one in matrices.values())
    return whole, added


def _alt(rows: int, columns: int, rank: int, notes: list[str]) -> str:
    return (
        f"{TITLE}: W, {rows} by {columns}, {rows * columns:,} numbers, is frozen. To it is added B times A, "
        f"which are trained: B, {rows} by {rank}, {rows * rank:,} numbers, and A, {rank} by {columns}, "
        f"{rank * columns:,} numbers. " + " ".join(notes)
    )
