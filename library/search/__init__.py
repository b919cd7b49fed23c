"""Searches: host programs that spend forks of a pipeline on finding a better text than one run would."""
