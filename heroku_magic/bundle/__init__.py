"""The user's own code and values, packed into environment variables for a dyno."""
