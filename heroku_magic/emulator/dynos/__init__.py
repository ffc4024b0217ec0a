"""Dynos as real processes: start, output, stop, end."""
