"""One run on one dyno, from its spec to its result. Drawing it and choosing the app do not belong here."""
