"""Samples: import, lists and the page of one."""
