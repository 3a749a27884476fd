"""What a word is: one definition for counting, for diffs and for carrying replacements forward."""

from itertools import islice

import regex

# Scripts written without blanks between words: each character is counted and compared by itself,
# so Chinese needs no dictionary. The long-vowel mark belongs to several scripts and is named.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー"
_INNER = r"['’\-](?=[\p{L}\p{N}])"

# The letters of flags. At each of them \X counts all that stand before it, to know the pairs: a run
# of 100,000 takes it half a minute.
_REGIONAL = "\U0001f1e6-\U0001f1ff"

# The first alternative is a shortcut for plain ASCII, three times as fast as the rest.
_WORD = regex.compile(
    rf"(?:[A-Za-z0-9]+(?:['’\-](?=[A-Za-z0-9]))?)++(?!{_INNER})(?=[\x00-\x7f]|\Z)"
    rf"|(?=[\p{{L}}\p{{N}}])[{_UNSPACED}]|(?:(?![{_UNSPACED}])[\p{{L}}\p{{N}}]\p{{M}}*(?:{_INNER})?)+"
)
# Whole graphemes (\X) only: every alternative starts and ends at a grapheme boundary. The second
# and third are shortcuts for plain ASCII, five times as fast as \X, taken only when the next
# character cannot attach to what they matched.
_TOKEN = regex.compile(
    r"\r\n|[\r\n]"
    r"|[ \t]++(?=[\x00-\x7f]|\Z)"
    rf"|(?:[A-Za-z0-9_]+(?:['’\-](?=[A-Za-z0-9]))?)++(?!{_INNER})"
    r"(?=[\x00-\x7f\u2013-\u201f、。，\u4e00-\u9fff]|\Z)"
    r"|(?:(?=[^\S\r\n])\X)+"
    rf"|(?:(?=[\p{{L}}\p{{N}}_])(?![{_UNSPACED}])\X(?:{_INNER})?)+"
    rf"|[{_REGIONAL}]{{1,2}}[\p{{GCB=EX}}\p{{GCB=ZWJ}}\p{{GCB=SM}}]*+"
    r"|\X",
    regex.DOTALL,
)


def words(text: str) -> int:
    """Count words: runs of letters and digits ("don't" is one), one per character of Chinese,
    Japanese, Thai, Lao, Khmer and Burmese."""
    return sum(1 for _ in _WORD.finditer(text))


def has_more_words(text: str, most: int) -> bool:
    """Whether a text has more than `most` words; reads no further than it must."""
    return next(islice(_WORD.finditer(text), most, None), None) is not None


def tokens(text: str) -> list[str]:
    """Cut text into newlines, blank runs, words and single graphemes; "".join gives text back."""
    return [match.group() for match in _TOKEN.finditer(text)]
