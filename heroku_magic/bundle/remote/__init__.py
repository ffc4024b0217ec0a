"""The modules that travel to a dyno beside the worker's helper: they are read as text here and run there."""
