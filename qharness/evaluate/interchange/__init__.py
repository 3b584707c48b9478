"""Samples in the formats of other harnesses: read, scored, exported."""
