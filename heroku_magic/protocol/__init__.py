"""The contract with `worker/heroku_task.py`, in both directions. No I/O belongs here."""
