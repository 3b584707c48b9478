"""A running study in the browser: the state of its jobs, and the report of the runs that have finished."""
