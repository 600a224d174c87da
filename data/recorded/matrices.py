"""Makes matrices.csv: the matrices of the small model, and the rank of what was trained beside each.

``python -m data.recorded.matrices``, started in the project's folder after ``python start.py local``, reads the
model's own config.json. Without torch installed, lesson 09 reads the table.
"""

import json

from . import make

COLUMNS = ("matrix", "what", "rows", "columns", "count", "rank")


def matrices(config: dict, rank: int) -> list[dict]:
    """A row a kind of matrix: its name, what it is for, numbers down and across, how many there are, LoRA's rank.

    ``config`` is that of a Llama model whose output matrix is its embedding. Rank 0: nothing is trained there.
    """
    width, inner, layers = (config[key] for key in ("hidden_size", "intermediate_size", "num_hidden_layers"))
    head = config.get("head_dim") or width // config["num_attention_heads"]
    queries, keys = (head * config[f"num_{name}_heads"] for name in ("attention", "key_value"))
    found = [
        ("embedding", "a row of numbers for each token, read in and out", config["vocab_size"], width, 1, 0),
        ("query", "attention: what this token looks for", queries, width, layers, rank),
        ("key", "attention: what this token offers", keys, width, layers, rank),
        ("value", "attention: what this token passes on", keys, width, layers, rank),
        ("output", "attention: brings the parts together", width, queries, layers, rank),
        ("gate", "feed-forward: what may pass", inner, width, layers, rank),
        ("up", "feed-forward: to more numbers", inner, width, layers, rank),
        ("down", "feed-forward: back to fewer", width, inner, layers, rank),
        ("norm", "scales the numbers, two a layer and one at the end", width, 1, 2 * layers + 1, 0),
    ]
    return [dict(zip(COLUMNS, row, strict=True)) for row in found]


def main() -> None:
    """Writes matrices.csv."""
    from helpers.local_api.engines.trained import training, weights

    config = json.loads((weights.folder() / "config.json").read_text(encoding="utf-8"))
    make.write_csv("matrices.csv", matrices(config, training.RANK), COLUMNS)


if __name__ == "__main__":
    main()
