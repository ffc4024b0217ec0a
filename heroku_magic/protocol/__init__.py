"""The protocol spoken with `worker/heroku_task.py`: parameters in, records and tables out. No I/O belongs here."""
