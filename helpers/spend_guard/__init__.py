"""Stands between the learner's client and a paid API, on this computer. No job is made without a yes.

guard    takes a call, passes it on or refuses it, and holds each order for a job
calls    which calls may pass, and how they must be spelled
orders   what an order asks for, and what it will cost
"""

from .guard import DEFAULT_LIMIT_USD, Key, SpendGuard
from .orders import Estimate, Target, price_in

__all__ = ["DEFAULT_LIMIT_USD", "Estimate", "Key", "SpendGuard", "Target", "price_in"]
