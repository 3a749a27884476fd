"""Imports in the background: a file that was sent waits, a worker reads it, its row says all."""
