"""What a report is made of: finished runs, their labels and comparisons."""
