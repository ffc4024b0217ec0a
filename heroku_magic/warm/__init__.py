"""Dynos that stay attached and take call after call. What the lines of a call mean is in `runs/`."""
