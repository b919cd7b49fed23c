"""The most that a spec or a request may ask for; beyond it stands a slip of the finger, not a wish."""

MAX_NEW_TOKENS = 1_000_000
MAX_SEED = MAX_INTEGER = 2**63 - 1
"""What a tensor of integers can hold."""
MAX_NODES = 4096
"""Draft nodes of a step."""
