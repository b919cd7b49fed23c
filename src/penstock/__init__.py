"""Penstock: declare LLM decoding pipelines, have them checked, proven, compiled and drawn."""

__version__ = "0.1.0"
