"""Steering: transforms that read more than one context."""
