"""Ways to run or draw a graph, one folder a lowering, and the runtime that they share."""
