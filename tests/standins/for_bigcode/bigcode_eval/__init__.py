"""Stands in for bigcode-evaluation-harness, which is on no package index: its `Task` interface and four small tasks."""
