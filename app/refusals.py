"""Domain exceptions: each has a sentence for the user and knows nothing of HTTP."""

from app.domain.messages import Message

_LOG_IN = Message("Log in to continue.")
_NOTHING = Message("This page does not exist, or you are not allowed to see it.")
_NOT_ALLOWED = Message("Your account is not allowed to do this.")


class Refusal(Exception):  # noqa: N818 - the words of the product: it refuses, it does not break
    """A request that cannot be served, with a sentence fit for the user."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = Message.of(message)


class LoginRequired(Refusal):
    """Nobody is logged in, or the log-in or token is no longer good."""

    def __init__(self, message: str = _LOG_IN) -> None:
        super().__init__(message)


class NotFound(Refusal):
    """It does not exist, or not for this user: a stranger learns nothing about what exists."""

    def __init__(self, message: str = _NOTHING) -> None:
        super().__init__(message)


class Forbidden(Refusal):
    """The user may see it but not do this with it."""

    def __init__(self, message: str = _NOT_ALLOWED) -> None:
        super().__init__(message)


class Conflict(Refusal):
    """The present state does not allow it."""


class Outdated(Conflict):
    """The state has moved on since the user looked; trying again with a fresh look may work."""


class Invalid(Refusal):
    """The form, file or payload is wrong. field: the name of the input to blame, None for all."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field
