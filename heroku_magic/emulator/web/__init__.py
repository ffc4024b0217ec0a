"""The Platform API over HTTP: requests in, answers out; it decides nothing about apps and dynos."""
