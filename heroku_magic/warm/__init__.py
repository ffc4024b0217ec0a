"""Dynos that stay attached and take call after call. What one call is, and what its records mean, is in `runs/`."""
