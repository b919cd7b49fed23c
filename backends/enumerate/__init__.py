"""The enumerating interpreter: every world of a small pipeline, exactly, and what its claims are worth."""
