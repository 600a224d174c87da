"""The engines behind the local API: `simulated` (a tiny network in numpy) and `trained` (a small open model)."""
