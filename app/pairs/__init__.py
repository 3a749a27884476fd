"""Preference pairs: the feed for scripts, exports for trainers, pages for people."""
