"""The code of an app: its files, its Procfile and its Python environment; starting processes does not belong here."""
