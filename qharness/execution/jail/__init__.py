"""Runs inside the sandbox: the spawner, the namespaces it makes, and its watch over a program. Stdlib only."""
