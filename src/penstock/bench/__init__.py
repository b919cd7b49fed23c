"""Measuring pipelines: contenders in turn, round after round, on one machine under one setting."""
