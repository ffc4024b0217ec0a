"""The Platform API over HTTP: requests in, responses out; what apps and dynos do does not belong here."""
