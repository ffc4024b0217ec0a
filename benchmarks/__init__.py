"""The races: heroku_magic beside what its users would pick instead, measured in one run; nothing here is shipped."""
