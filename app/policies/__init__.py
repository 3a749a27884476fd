"""Policies: the models that write texts; adapters that are added, activated and loaded."""
