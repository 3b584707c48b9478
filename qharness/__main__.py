"""`python -m qharness`."""

from qharness.cli import main

main()
