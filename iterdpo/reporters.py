"""Whether the services that a run is to report to can be reported to."""

from collections.abc import Sequence

from transformers.integrations import INTEGRATION_TO_CALLBACK

from iterdpo.refusals import ConfigRefusal


def require_reporters(names: Sequence[str]) -> None:
    """Make of each what the trainer would make of it, before hours of work. Raises ConfigRefusal
    for a name that transformers does not know, and for one whose package is not installed."""
    for name in names:
        if name not in INTEGRATION_TO_CALLBACK:
            known = ", ".join(sorted(INTEGRATION_TO_CALLBACK))
            raise ConfigRefusal(
                f"training.report_to: transformers does not report to {name!r}, only to {known}."
            )
        try:
            INTEGRATION_TO_CALLBACK[name]()
        except (ImportError, RuntimeError) as error:
            raise ConfigRefusal(f"training.report_to: {name} cannot be used: {error}") from error
