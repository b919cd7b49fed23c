"""Training data the repository makes from a seed: word problems, records, functions and puzzles."""
