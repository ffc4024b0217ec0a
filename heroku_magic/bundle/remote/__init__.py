"""Shipped: what travels to a dyno beside the worker's helper; it is read as text and runs there, never here."""
