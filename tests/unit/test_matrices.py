"""The table of the small model's matrices: what lesson 09 counts parameters with."""

import csv
import json

from data.recorded import matrices
from helpers.evaluate import DATA
from tests import tiny_model

SMOLLM2 = {
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "head_dim": 64,
    "vocab_size": 49152,
}


def counted(table: list[dict]) -> tuple[int, int]:
    """(parameters of the model, parameters trained beside it)."""
    whole = sum(row["rows"] * row["columns"] * row["count"] for row in table)
    return whole, sum(row["rank"] * (row["rows"] + row["columns"]) * row["count"] for row in table)


def test_the_table_is_that_of_the_model():
    with open(DATA / "recorded" / "matrices.csv", encoding="utf-8", newline="") as file:
        found = [
            {key: int(value) if value.isdigit() else value for key, value in row.items()}
            for row in csv.DictReader(file)
        ]
    assert found == matrices.matrices(SMOLLM2, rank=8)
    assert counted(found) == (134_515_008, 2_442_240)


class TestOnTheTinyModel:
    pytestmark = tiny_model.TIER

    def test_the_counts_are_those_of_torch(self):
        from helpers.local_api.engines.trained import training

        folder = tiny_model.shared()
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        model = training.load_model(folder)
        whole, trained = counted(matrices.matrices(config, training.RANK))
        assert model.num_parameters() == whole
        assert training.with_lora(model, None, seed=0).get_nb_trainable_parameters()[0] == trained
