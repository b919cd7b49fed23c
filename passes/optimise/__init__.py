"""Passes that keep every token: one a file, each of which can be switched off."""
