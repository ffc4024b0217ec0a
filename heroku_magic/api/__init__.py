"""The Platform API and its log streams. What a run or an app means does not belong here."""
