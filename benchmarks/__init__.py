"""Benchmarks of heroku_magic against the alternatives, measured side by side. They are not part of the package."""
