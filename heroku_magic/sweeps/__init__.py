"""Many runs of one task as one unit. How a single run works does not belong here."""
