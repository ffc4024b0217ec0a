"""The user's own code and values, packed for a dyno."""
