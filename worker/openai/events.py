"""Server-sent events, read from bytes as they arrive."""

import re

from worker.openai.malformed import line_too_long

# vLLM shows the whole prompt in one event; that of a long text with many images is below 1 MB.
MOST_BYTES = 8 * 2**20
_FIELD = re.compile(rb"(?:data|event|id|retry)?:|(?:data|event|id|retry)$")
_BOM = b"\xef\xbb\xbf"


class NoEventsError(Exception):
    """The first line is none of an event stream. beginning: all that has come."""

    def __init__(self, beginning: bytes) -> None:
        super().__init__(beginning)
        self.beginning = beginning


class Events:
    """Takes bytes in any portions and gives the data of each event once it is complete.

    The WHATWG rules as far as a model server uses them: CRLF, LF or CR end a line, lines of data
    are joined by LF, comments and other fields are passed over. UTF-8 is decoded by the reader of
    the JSON, so a character cut in two by the network does no harm.
    Stricter in two things: the first line must be one of an event stream, else NoEventsError is
    raised; an event of more than MOST_BYTES is an EngineError.
    """

    def __init__(self) -> None:
        self._line = bytearray()
        self._data: list[bytes] = []
        self._size = 0
        self._after_cr = False
        self._begun = False

    def feed(self, portion: bytes) -> list[bytes]:
        """The data of the events that this portion completes."""
        if self._after_cr and portion:
            # The CR that ended the last portion was one half of a CRLF, or was not.
            portion = portion.removeprefix(b"\n")
            self._after_cr = False
        if b"\r" in portion:
            self._after_cr = portion.endswith(b"\r")
            portion = portion.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        first, *more = portion.split(b"\n")
        self._line += first
        if self._size + len(self._line) > MOST_BYTES:
            raise line_too_long(MOST_BYTES)
        if not more:
            return []
        lines = [bytes(self._line), *more[:-1]]
        self._line = bytearray(more[-1])
        if not self._begun:
            self._begin(lines)
        found = []
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
                self._size += len(line)
            elif not line and self._data:
                found.append(b"\n".join(self._data))
                self._data = []
                self._size = 0
        return found

    def close(self) -> None:
        """Nothing more comes. Raises NoEventsError where no line of an event stream has come."""
        last, self._line = bytes(self._line), bytearray()
        if not self._begun:
            self._begin([last])

    def _begin(self, lines: list[bytes]) -> None:
        lines[0] = lines[0].removeprefix(_BOM)
        for line in lines:
            if line and not _FIELD.match(line):
                raise NoEventsError(b"\n".join([*lines, bytes(self._line)]))
            if line:
                self._begun = True
                return
