"""Constraints: automata that allow some tokens and forbid the others."""
