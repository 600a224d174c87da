"""Which training format a row has."""

ROLES = ("system", "user", "assistant", "tool", "function")  # of a training message, OpenAI's chat format
KNOWN_ROLES = frozenset((*ROLES, "developer"))
MIN_EXAMPLES = 10  # OpenAI supervised fine-tuning guide
METHOD_FORMATS = {
    "supervised": "chat",
    "vision": "chat",
    "dpo": "preference",
    "reinforcement": "reinforcement",
}
OUTPUTS = {  # of a preference row, and how OpenAI's description of April 2025 spells them
    "preferred_output": "preferred_completion",
    "non_preferred_output": "non_preferred_completion",
}
PREFERRED, OTHERS = OUTPUTS.items()
OUTPUT_KEYS = {*PREFERRED, *OTHERS}


def format_of(example, method: str | None = None) -> str | None:
    """Which training format a row has: "chat", "preference" (for DPO), "completion", or None.

    Under the method "reinforcement" a row with messages is of the format "reinforcement": a question, and other
    keys for its grader.
    """
    if not isinstance(example, dict):
        return None
    if "messages" in example:
        return "reinforcement" if method == "reinforcement" else "chat"
    if isinstance(example.get("input"), dict) or OUTPUT_KEYS & example.keys():
        return "preference"
    if {"prompt", "completion"} <= example.keys():
        return "completion"
    return None
