"""Verifiers: a scorer and an acceptor."""
