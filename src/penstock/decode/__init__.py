"""Decoding with a pipeline: models bound to it, prompts asked of it, what it made of them."""
