"""The rows and files in which trainers read what annotators said: by name, in FORMATS.

An export is right when the unmodified trainer puts its loss on exactly the segment: the prefix is
context in the same assistant turn, and only the end of an output is followed by end-of-turn.
"""

from app.domain.formats.registry import FORMATS, Format, Stream
from app.domain.formats.rows import Reader, Row, Target, Unheld
from app.domain.formats.summary import README_MARK, UNHELD, Summary
from app.domain.formats.trl import trl_row
from app.domain.formats.values import Judgement, OutputSegment, Pair, WholeOutput

__all__ = [
    "FORMATS",
    "README_MARK",
    "UNHELD",
    "Format",
    "Judgement",
    "OutputSegment",
    "Pair",
    "Reader",
    "Row",
    "Stream",
    "Summary",
    "Target",
    "Unheld",
    "WholeOutput",
    "trl_row",
]
