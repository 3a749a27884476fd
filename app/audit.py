"""The record of who did what to which object: log-ins, people, tokens, imports, exports."""

from sqlalchemy.orm import Session

from app.models import AuditEvent

Detail = str | int | bool | None


def record(db: Session, actor_id: int | None, action: str, subject: str, **details: Detail) -> None:
    """Keep an event, with the transaction it belongs to.

    actor_id: None for the command line or nobody. action: a past participle ("logged_in").
    subject: what it was done to ("user:4"). details: facts, never texts of samples or secrets.
    """
    db.add(AuditEvent(actor_id=actor_id, action=action, object=subject, details=details))
