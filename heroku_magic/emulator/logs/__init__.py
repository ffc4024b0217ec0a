"""Logplex: an app's log lines, its log sessions and their tails; HTTP and processes do not belong here."""
