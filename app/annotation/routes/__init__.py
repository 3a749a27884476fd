"""The HTTP routes of the workspace."""
