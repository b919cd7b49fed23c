"""The trainer: seeded, resumable after a kill, one recipe per way of learning."""
