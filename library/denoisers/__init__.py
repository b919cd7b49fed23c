"""Denoisers: models that predict every position of a canvas at once."""
