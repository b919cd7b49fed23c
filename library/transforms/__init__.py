"""Transforms: they shape the logits of single sites."""
