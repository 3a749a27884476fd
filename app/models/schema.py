"""What all tables share: identity keys, aware UTC times, named constraints, text enums."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, DateTime, Enum, Identity, MetaData, Table, Text, func
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Common rules: bigint identity keys, aware UTC times, named constraints."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        int: BigInteger,
        str: Text,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[str]: ARRAY(Text),
        list[int]: ARRAY(BigInteger),
        list[dict[str, Any]]: JSONB,
        list[list[float]]: JSONB(none_as_null=True),
        list[list[Any]]: JSONB(none_as_null=True),
    }


def now() -> datetime:
    """The present, aware, in UTC."""
    return datetime.now(UTC)


def text_enum(kind: type[StrEnum], name: str) -> Enum:
    """A StrEnum as text with a named CHECK: adding a value is one small migration."""
    return Enum(
        kind,
        name=name,
        native_enum=False,
        length=20,
        create_constraint=True,
        values_callable=lambda members: [member.value for member in members],
    )


def table_of(model: type[Base]) -> Table:
    """The table itself, for statements that need nothing of the ORM and cost less without it."""
    return Base.metadata.tables[model.__tablename__]


class Row(Base):
    __abstract__ = True

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
