"""The eager backend: a step graph as generated Python, its hot regions and ops replaced by kernels for the host."""
