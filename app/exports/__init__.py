"""Exports: selection, gate, rows, files. Used by pairs, snapshots and the command line."""
