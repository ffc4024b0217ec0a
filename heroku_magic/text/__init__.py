"""Text that is safe to show: sanitized, redacted, excerpted, wrapped. What the text is about does not belong here."""
