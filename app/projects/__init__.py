"""Projects, their members and settings, and everyone's queue of samples."""
