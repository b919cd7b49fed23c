"""Controls: what decides how a text goes on, and when it stops or waits."""
