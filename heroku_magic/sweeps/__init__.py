"""Many runs of one task as one unit: sweep.py is its face, desk.py says what is next, launcher.py starts it."""
