"""Server-sent events, read from bytes as they arrive."""


class Events:
    """Takes bytes in any portions and gives the data of each event once it is complete.

    The WHATWG rules as far as a model server uses them: CRLF, LF or CR end a line, lines of data
    are joined by LF, comments and other fields are passed over. UTF-8 is decoded by the reader of
    the JSON, so a character cut in two by the network does no harm.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._after_cr = False

    def feed(self, portion: bytes) -> list[bytes]:
        """The data of the events that this portion completes."""
        if self._after_cr and portion:
            # The CR that ended the last portion was one half of a CRLF, or was not.
            portion = portion.removeprefix(b"\n")
            self._after_cr = False
        text = self._rest + portion
        if b"\r" in text:
            self._after_cr = text.endswith(b"\r")
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, self._rest = text.split(b"\n")
        found = []
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            elif not line and self._data:
                found.append(b"\n".join(self._data))
                self._data = []
        return found
