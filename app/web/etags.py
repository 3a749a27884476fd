"""ETag matching for conditional requests."""


def matches(if_none_match: str | None, etag: str) -> bool:
    """Whether If-None-Match names the tag, by the weak comparison (RFC 9110, 13.1.2)."""
    if not if_none_match:
        return False
    known = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return "*" in known or etag.removeprefix("W/") in known
