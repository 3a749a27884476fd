"""Snapshots: pairs frozen under a name, built once in the background, never changed again."""
