"""Who is asking and on which app: tokens, login, apps, config vars. Running tasks does not belong here."""
