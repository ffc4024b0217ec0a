"""The user's own code on its way to a dyno. Only `remote/` runs there, and nothing else of this package does."""
