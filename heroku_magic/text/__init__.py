"""Text that is safe to show: sanitized, redacted, excerpted. What the text is about does not belong here."""
