"""Many runs of a task, a cell or a function as one unit. How a single run works does not belong here."""
