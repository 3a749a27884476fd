"""Writes token lists as strings of one character per token, for diff-match-patch to compare."""

from collections.abc import Callable, Iterator, Sequence

# Letters for words and private-use characters for the rest: the clean-up of diff-match-patch asks
# isalnum() and isspace() of the code to find the place where a reader expects a change.
_LETTERS = (
    range(0x4E00, 0xA000),
    range(0xAC00, 0xD7A4),
    range(0x3400, 0x4DC0),
    range(0x20000, 0x2A6DE),
    range(0x2A700, 0x2EBE1),
)
_OTHERS = (range(0xE000, 0xF900), range(0xF0000, 0xFFFFE), range(0x100000, 0x10FFFE))


class TooManyTokensError(ValueError):
    """The texts hold more different words than there are codes (about 95,000)."""


def encode(old: Sequence[str], new: Sequence[str]) -> tuple[str, str, Callable[[str], str]]:
    """Both token lists as codes, and the function that gives a run of codes its text back.

    A token of one character stands for itself. Raises TooManyTokensError.
    """
    distinct = dict.fromkeys(old) | dict.fromkeys(new)
    taken = {token for token in distinct if len(token) == 1}
    letters, others = _codes(_LETTERS, taken), _codes(_OTHERS, taken)
    code_of: dict[str, str] = {}
    for token in distinct:
        if len(token) == 1:
            code_of[token] = token
            continue
        code = next(letters if token[0].isalnum() else others, None)
        if code is None:
            raise TooManyTokensError
        code_of[token] = code
    text_of = {code: token for token, code in code_of.items()}

    def decode(codes: str) -> str:
        return "".join(text_of[code] for code in codes)

    return "".join(map(code_of.__getitem__, old)), "".join(map(code_of.__getitem__, new)), decode


def _codes(ranges: Sequence[range], taken: set[str]) -> Iterator[str]:
    return (chr(code) for codes in ranges for code in codes if chr(code) not in taken)
