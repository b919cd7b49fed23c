"""What a step graph is: typed ops, linear state, addressed noise, and how a step is traced and printed."""
