"""Workers as they are now: what each writes with, and what it could not load."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from app.models.schema import Base


class Worker(Base):
    """A worker process, as it last said of itself; nobody else writes its row.

    base_model, served_name: of its server's model. policy_id: what its new regenerations are
    written with; None while its engine is not usable. refused_id: the active policy that it could
    not load. problem: why, or what else is not well.
    """

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(primary_key=True)
    engine: Mapped[str]
    base_model: Mapped[str] = mapped_column(server_default="")
    served_name: Mapped[str] = mapped_column(server_default="")
    policy_id: Mapped[int | None] = mapped_column(ForeignKey("policies.id"))
    refused_id: Mapped[int | None] = mapped_column(ForeignKey("policies.id"))
    problem: Mapped[str | None]
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        CheckConstraint("refused_id IS NULL OR problem IS NOT NULL", name="refusal_says_why"),
    )
