"""Remembers every run: the file that runs are written to as they end, and what can be read from it."""
