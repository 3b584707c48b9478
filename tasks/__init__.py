"""The built-in benchmarks: lm-eval YAMLs, one folder each, with the loader that fetches and prepares their data."""
