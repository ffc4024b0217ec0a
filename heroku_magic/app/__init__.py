"""One Heroku app in Python: plan, run, sweep, deploy, inspect. Parsing magics and drawing do not belong here."""
