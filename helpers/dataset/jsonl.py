"""Reading and writing JSONL: one example a line."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path


def read(path: Path | str) -> list[dict]:
    """All examples of a JSONL file. Raises ValueError with the line number if a line is not JSON."""
    return [example for _, example in read_lines(path)]


def read_lines(path: Path | str) -> Iterator[tuple[int, dict]]:
    """Line number (from 1) and example, one after the other: a large file is never held in memory.

    Only a line feed ends a line, as JSON Lines has it and as ``check`` counts.
    """
    with open(path, encoding="utf-8-sig", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, _parse(line, number)


def _parse(line: str, number: int) -> dict:
    try:
        return json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"Line {number} is not valid JSON: {error}") from None


def write(examples: Iterable[dict], path: Path | str) -> None:
    """Writes examples as JSONL, one a line, in UTF-8."""
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(example, ensure_ascii=False) + "\n" for example in examples)
