"""The engines behind the local API: `simulated` (a tiny network in numpy) and `trained` (a small open model)."""

COLDEST = 1e-5  # a temperature below it counts as 0: dividing by it overflows
