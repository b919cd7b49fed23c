"""Taps: they read what a step decided, and change nothing."""
