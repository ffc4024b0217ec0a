"""The protocol between this package and `worker/heroku_task.py`. No I/O belongs here."""
