"""What the client and the training say no with: a sentence for the person who started them."""


class TrainingRefusal(Exception):  # noqa: N818 - it refuses, as the application does
    """It cannot go on, and the message says why and what would help."""


class ConfigRefusal(TrainingRefusal):
    """The configuration cannot be used; each line of the message begins with the key to blame."""


class StudioRefusal(TrainingRefusal):
    """The studio said no, or did not answer in all attempts. status: None for no answer."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Interrupted(Exception):  # noqa: N818 - nothing went wrong
    """A signal ended the run early; the message says what was kept."""
