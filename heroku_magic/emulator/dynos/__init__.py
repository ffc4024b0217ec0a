"""Dynos as real processes: start, output, stop, end; which dynos an app runs does not belong here."""
