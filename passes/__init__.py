"""Graph to graph and plan to plan: one pass a file, the order in `passes.order`."""
