"""Logplex: the log of an app, from a pipe's bytes to a reader's stream."""
