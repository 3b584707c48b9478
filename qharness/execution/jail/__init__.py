"""The code that runs inside the sandbox: the spawner, its namespaces, and its watch over a program. Stdlib only."""
