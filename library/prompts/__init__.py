"""Prompts: they turn a request's text into what a view reads."""
