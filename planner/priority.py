"""What a constraint is worth beside the others, by the operator's order."""

from graph.intent import Intent

PRIORITY_RATIO = 4.0  # price of a constraint over the next one in the operator's order


def rank(intent: Intent, index: int) -> float:
    """Price factor of a constraint: the last in the operator's order, or unlisted, has 1."""
    order = intent.priority
    return PRIORITY_RATIO ** (len(order) - order.index(index)) if index in order else 1.0
