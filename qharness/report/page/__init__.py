"""The report's page and files."""
