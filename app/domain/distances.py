"""How much an annotator changed, as a number to filter by."""

from rapidfuzz.distance import Indel


def edited(rejected: str, chosen: str) -> int:
    """The fewest characters that must be deleted and inserted to turn one text into the other.

    Code points; an exchanged character counts twice. (The indel distance, by way of the longest
    common subsequence: 15 µs for a segment of 700 characters, where the word diff of the pages
    takes 0.3 ms for a small edit and 12 ms for a text written anew.)
    """
    return Indel.distance(rejected, chosen)
