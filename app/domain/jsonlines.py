"""JSON on a line of its own, whatever its reader takes for the end of a line."""

import orjson

# Beside those that JSON escapes anyway: next line, line separator, paragraph separator.
_ESCAPES = str.maketrans({end: f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"})


def json_of(value: object) -> bytes:
    """The value as JSON in UTF-8, without a character that ends a line.

    JSON allows Unicode's line ends in a string as they are. But str.splitlines, and with it
    iter_lines of httpx, ends a line there: a row that holds one would come apart.
    """
    json = orjson.dumps(value)
    if json.isascii():
        return json
    # Looked for in text: in bytes that takes thirty times as long, and an export does it often.
    text = value if isinstance(value, str) else json.decode()
    if "\u2028" in text or "\u2029" in text or "\x85" in text:
        return json.decode().translate(_ESCAPES).encode()
    return json
