"""Drafters: they propose, and say what law their proposals follow."""
