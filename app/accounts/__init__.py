"""People: log-in, invitations, passwords, preferences, API tokens."""
