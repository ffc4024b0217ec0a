"""Check, pack, build and release a folder. Choosing or creating the app does not belong here."""
