"""Reads and writes files, makes folders whole, holds locks, and owns the cache folder."""
