"""The inductor backend: what is drawn from logits, from the logits to a few integers, compiled; all else as on the host."""
