"""Whose account and which app: settings, tokens, login, apps, config vars. Running tasks does not belong here."""
