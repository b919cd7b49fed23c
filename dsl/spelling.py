"""How names are spelt: patterns for pydantic, and the same in words for people."""

NAME, WORD = r"^[A-Za-z_][A-Za-z0-9_-]*$", r"^[a-z][a-z0-9_]*$"
"""Of models, views and nodes; of request parameters."""
SPELLING = {NAME: "use letters, digits, _ and -, no digit first", WORD: "use small letters, digits and _, a letter first"}
