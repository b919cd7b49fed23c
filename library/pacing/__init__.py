"""How far drafts go: acceptance as it was seen, time as it was measured, and the length that is worth most."""
