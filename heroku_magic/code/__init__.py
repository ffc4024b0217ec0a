"""A cell's own code, or a function, on its way to a dyno: bundling.py is the way in, shipped/ runs it there."""
