"""Unmaskers: which predictions of a denoiser a step commits."""
