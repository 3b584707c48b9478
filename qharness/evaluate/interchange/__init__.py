"""Samples in other harnesses' formats: read, scored, exported."""
