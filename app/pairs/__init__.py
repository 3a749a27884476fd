"""Preference pairs, the product's yield: as a feed, as files for trainers, as pages to look at."""
