"""JSON Schema (draft 7) as far as an engine can enforce it: what is refused by name, what is said in other words."""
