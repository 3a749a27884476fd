"""Projects, samples, images, policies and the segment tree."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    UniqueConstraint,
    func,
)
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.domain.segments import RuleKind
from app.domain.tree import Origin
from app.models.schema import Base, Row, text_enum


class Project(Row):
    """Guidelines, segmentation rule, generation settings, members.

    rule: None until the first import chooses it from its texts.
    """

    __tablename__ = "projects"

    name: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str]
    guidelines: Mapped[str] = mapped_column(server_default="")
    rule: Mapped[RuleKind | None] = mapped_column(text_enum(RuleKind, "rule"))
    rule_words: Mapped[int] = mapped_column(server_default="120")
    annotators_per_sample: Mapped[int] = mapped_column(server_default="1")
    generation: Mapped[dict[str, Any]] = mapped_column(server_default=sql("'{}'"))
    archived_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("name ~ '^[a-z0-9][a-z0-9._-]{0,63}$'", name="name_form"),
        CheckConstraint("rule_words BETWEEN 10 AND 2000", name="rule_words"),
        CheckConstraint("annotators_per_sample BETWEEN 1 AND 100", name="annotators_per_sample"),
    )


class Membership(Base):
    """A user may work in (annotator) or pull from (trainer) a project. Admins need none."""

    __tablename__ = "memberships"

    project_id: Mapped[int] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Image(Base):
    """An image as the model saw it, stored once, byte for byte, under its SHA-256 (hex)."""

    __tablename__ = "images"

    sha256: Mapped[str] = mapped_column(primary_key=True)
    format: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    size: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="sha256_form"),)


class Policy(Row):
    """The model that wrote a segment: base model, revision, adapter, template hash, round.

    adapter: a directory as the model server sees it. adapter_hash: of its files, for an adapter
    that was added to be loaded while the server runs; such a policy can be active, one for each
    base model, and then new regenerations are written with it. activated_at: the last time; the
    others of its base model that have one are what a worker falls back to, the latest first.
    """

    __tablename__ = "policies"

    name: Mapped[str] = mapped_column(unique=True)
    engine: Mapped[str]
    base_model: Mapped[str] = mapped_column(server_default="")
    revision: Mapped[str] = mapped_column(server_default="")
    adapter: Mapped[str] = mapped_column(server_default="")
    adapter_hash: Mapped[str] = mapped_column(server_default="")
    served_name: Mapped[str] = mapped_column(server_default="")
    template_hash: Mapped[str] = mapped_column(server_default="")
    round: Mapped[int] = mapped_column(server_default="0")
    active: Mapped[bool] = mapped_column(server_default=sql("false"))
    activated_at: Mapped[datetime | None]
    added_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))

    __table_args__ = (
        CheckConstraint(
            "adapter_hash = '' OR adapter_hash ~ '^[0-9a-f]{64}$'", name="adapter_hash_form"
        ),
        CheckConstraint(
            "adapter_hash = '' OR (adapter <> '' AND base_model <> '' AND served_name <> '')",
            name="added_adapter_is_whole",
        ),
        CheckConstraint(
            "NOT active OR (adapter_hash <> '' AND activated_at IS NOT NULL)",
            name="active_is_an_adapter",
        ),
        CheckConstraint("round >= 0", name="round"),
        Index("uq_policies_active", "base_model", unique=True, postgresql_where=sql("active")),
        Index(
            "uq_policies_served_name",
            "served_name",
            unique=True,
            postgresql_where=sql("adapter_hash <> ''"),
        ),
    )


class Sample(Row):
    """One task: instruction and ordered images, with the segment tree of its outputs.

    rule, rule_words: what its texts are cut by; None for the project's rule. part_images: the
    images that the parts of its output speak of, ascending, when each part speaks of one.
    system, turns, image_places: what a model reads around the instruction
    (app.domain.conversation.Context).
    """

    __tablename__ = "samples"

    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    source_id: Mapped[str]
    title: Mapped[str]
    system: Mapped[str] = mapped_column(server_default="")
    turns: Mapped[list[dict[str, Any]]] = mapped_column(server_default=sql("'[]'"))
    image_places: Mapped[list[int]] = mapped_column(server_default=sql("'{}'"))
    instruction: Mapped[str]
    language: Mapped[str] = mapped_column(server_default="en")
    target_words: Mapped[int | None]
    extra: Mapped[dict[str, Any]] = mapped_column("metadata", server_default=sql("'{}'"))
    content_hash: Mapped[bytes] = mapped_column(LargeBinary)
    rule: Mapped[RuleKind | None] = mapped_column(text_enum(RuleKind, "rule"))
    rule_words: Mapped[int | None]
    part_images: Mapped[list[int] | None]
    # The leaf of the imported output. Null only while the import writes the tree.
    head_id: Mapped[int | None]
    # How many annotators took it: kept beside the drafts so that "the next open one" is one index
    # lookup among 100,000 samples. Written under the sample's row lock only.
    taken: Mapped[int] = mapped_column(server_default="0")
    project: Mapped[Project] = relationship(lazy="raise")

    __table_args__ = (
        UniqueConstraint("project_id", "source_id"),
        CheckConstraint("(rule IS NULL) = (rule_words IS NULL)", name="rule_is_whole"),
        CheckConstraint("rule_words BETWEEN 10 AND 2000", name="rule_words"),
        Index("ix_samples_open", "project_id", "taken", "id"),
        ForeignKeyConstraint(
            ["head_id", "id"], ["segments.id", "segments.sample_id"], use_alter=True
        ),
    )


class SampleImage(Base):
    """The image at a 0-based position of a sample."""

    __tablename__ = "sample_images"

    sample_id: Mapped[int] = mapped_column(ForeignKey("samples.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(ForeignKey("images.sha256"), index=True)


class Segment(Row):
    """A node of a sample's segment tree: immutable text with a parent. The root's text is empty.

    depth: 0 for the root, 1 for the first segment. origin: who wrote the text (a copy keeps the
    origin of its source and names it in copied_from). ends_output: the model stopped after it.
    certainty: the mean log-probability (natural) of its tokens, null where it is not known.
    weak_words: [start, end, log-probability] of the words that the model was least sure of, in code
    points of the text; the words of a part of a segment may be known where its mean is not.
    candidate: which of its regeneration's alternatives for one place it is, 0-based.
    spans: what each part of the text is, and where it was first written (app/domain/spans.py); null
    for a model's text as it is.
    """

    __tablename__ = "segments"

    sample_id: Mapped[int] = mapped_column(ForeignKey("samples.id"))
    parent_id: Mapped[int | None]
    depth: Mapped[int]
    text: Mapped[str]
    origin: Mapped[Origin] = mapped_column(text_enum(Origin, "origin"))
    ends_output: Mapped[bool] = mapped_column(server_default=sql("false"))
    image_index: Mapped[int | None]
    copied_from: Mapped[int | None]
    policy_id: Mapped[int | None] = mapped_column(ForeignKey("policies.id"))
    author_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    # No foreign key: regenerations point at segments, and a cycle of keys would help nobody.
    regeneration_id: Mapped[int | None]
    certainty: Mapped[float | None]
    weak_words: Mapped[list[list[float]] | None]
    candidate: Mapped[int | None]
    spans: Mapped[list[list[Any]] | None]

    __table_args__ = (
        UniqueConstraint("id", "parent_id"),
        UniqueConstraint("id", "sample_id"),
        ForeignKeyConstraint(["parent_id", "sample_id"], ["segments.id", "segments.sample_id"]),
        ForeignKeyConstraint(["copied_from", "sample_id"], ["segments.id", "segments.sample_id"]),
        CheckConstraint("(origin = 'root') = (parent_id IS NULL)", name="root_has_no_parent"),
        CheckConstraint("(origin = 'root') = (depth = 0)", name="root_depth"),
        CheckConstraint("(origin = 'root') = (text = '')", name="only_the_root_is_empty"),
        CheckConstraint(
            "(origin = 'human') = (author_id IS NOT NULL) OR copied_from IS NOT NULL",
            name="human_has_author",
        ),
        CheckConstraint("certainty <= 0", name="certainty_is_a_logarithm"),
        Index("ix_segments_parent_id", "parent_id"),
        Index(
            "uq_segments_root", "sample_id", unique=True, postgresql_where=sql("parent_id IS NULL")
        ),
        Index("ix_segments_regeneration_id", "regeneration_id"),
        Index(
            "uq_segments_candidate",
            "regeneration_id",
            "candidate",
            unique=True,
            postgresql_where=sql("candidate IS NOT NULL"),
        ),
        # How much each policy wrote, and how many pairs: both are read from this index alone.
        Index(
            "ix_segments_policy_id",
            "policy_id",
            "id",
            postgresql_include=["copied_from"],
            postgresql_where=sql("policy_id IS NOT NULL"),
        ),
    )
