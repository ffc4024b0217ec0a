"""Whose account and which app: tokens, login, apps, config vars. Running tasks does not belong here."""
