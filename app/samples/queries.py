"""Samples for their pages: a project's list, and one sample in full."""

from collections import defaultdict
from collections.abc import Collection

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session, aliased

from app.domain.conversation import Context
from app.domain.segments import words
from app.models import Draft, Image, Policy, Project, Sample, SampleImage, Segment, User
from app.models.progress import draft_progress
from app.samples.views import (
    DraftView,
    ImageView,
    SampleList,
    SampleRow,
    SampleState,
    SampleView,
    SegmentText,
)

PAGE = 50


def sample_list(
    db: Session,
    *,
    project: Project,
    search: str = "",
    state: SampleState | None = None,
    after: int = 0,
) -> SampleList:
    """Samples of a project in the order of their import, PAGE at a time.

    search: part of a title or an id, in any case. after: the id of the last sample seen.
    """
    found = (
        select(Sample.id, Sample.source_id, Sample.title, Sample.language, _image_count())
        .add_columns(Segment.depth)
        .add_columns((_finished() >= project.annotators_per_sample).label("is_done"))
        .join(Segment, Segment.id == Sample.head_id)
        .where(Sample.project_id == project.id, Sample.id > after)
        .order_by(Sample.id)
        .limit(PAGE + 1)
    )
    if search:
        found = found.where(
            or_(
                Sample.title.icontains(search, autoescape=True),
                Sample.source_id.icontains(search, autoescape=True),
            )
        )
    if state is not None:
        found = found.where(_in_state(state, project.annotators_per_sample))
    rows = db.execute(found).all()
    shown = rows[:PAGE]
    drafts = _drafts(db, Draft.sample_id.in_([row.id for row in shown]))
    return SampleList(
        rows=tuple(
            SampleRow(
                id=row.id,
                source_id=row.source_id,
                title=row.title,
                language=row.language,
                images=row.images,
                segments=row.depth,
                state=_state(is_done=row.is_done, drafts=drafts[row.id]),
                drafts=tuple(drafts[row.id]),
            )
            for row in shown
        ),
        after=shown[-1].id if len(rows) > PAGE else None,
    )


def sample_page(db: Session, *, sample: Sample, user_id: int, with_drafts: bool) -> SampleView:
    """A sample with its images and its imported output; with_drafts: also who works on it."""
    project = db.get_one(Project, sample.project_id)
    images = db.execute(
        select(SampleImage.position, Image.sha256, Image.width, Image.height)
        .join(Image, Image.sha256 == SampleImage.sha256)
        .where(SampleImage.sample_id == sample.id)
        .order_by(SampleImage.position)
    )
    segments = _output(db, sample)
    policy = db.scalar(
        select(Policy.name)
        .join(Segment, Segment.policy_id == Policy.id)
        .where(Segment.id == sample.head_id)
    )
    own = db.scalar(select(Draft.id).where(Draft.sample_id == sample.id, Draft.user_id == user_id))
    drafts = _drafts(db, Draft.sample_id == sample.id)[sample.id] if with_drafts else []
    return SampleView(
        id=sample.id,
        project_id=project.id,
        project_title=project.title,
        source_id=sample.source_id,
        title=sample.title,
        context=Context.from_json(sample.system, sample.turns, sample.image_places),
        instruction=sample.instruction,
        language=sample.language,
        target_words=sample.target_words,
        words=sum(words(segment.text) for segment in segments),
        policy=policy,
        rule=sample.rule,
        metadata=sample.extra,
        created_at=sample.created_at,
        images=tuple(ImageView(*row) for row in images),
        segments=segments,
        drafts=tuple(drafts),
        own_draft_id=own,
        annotators_wanted=project.annotators_per_sample,
    )


def _output(db: Session, sample: Sample) -> tuple[SegmentText, ...]:
    """The segments of the imported output, from the first to the last."""
    step = select(Segment).where(Segment.id == sample.head_id).cte("step", recursive=True)
    up = aliased(Segment)
    step = step.union_all(select(up).join(step, up.id == step.c.parent_id))
    rows = db.execute(
        select(step.c.text, step.c.image_index).where(step.c.depth > 0).order_by(step.c.depth)
    )
    return tuple(SegmentText(*row) for row in rows)


def _drafts(db: Session, which: ColumnElement[bool]) -> defaultdict[int, list[DraftView]]:
    """Drafts by sample, the oldest first."""
    found: defaultdict[int, list[DraftView]] = defaultdict(list)
    ids = db.scalars(select(Draft.id).where(which)).all()
    if not ids:
        return found
    progress = draft_progress(ids)
    rows = db.execute(
        select(
            Draft.sample_id,
            Draft.id,
            User.display_name,
            progress.c.reviewed,
            progress.c.segments,
            progress.c.expected,
            Draft.updated_at,
            Draft.finished_at,
        )
        .join(User, User.id == Draft.user_id)
        .join(progress, progress.c.draft_id == Draft.id)
        .order_by(Draft.id)
    )
    for sample_id, *draft in rows:
        found[sample_id].append(DraftView(*draft))
    return found


def _state(*, is_done: bool, drafts: Collection[DraftView]) -> SampleState:
    if is_done:
        return SampleState.DONE
    return SampleState.IN_PROGRESS if drafts else SampleState.OPEN


def _in_state(state: SampleState, wanted: int) -> ColumnElement[bool]:
    # The column says without a look at the drafts who cannot be done yet: most of a new project.
    match state:
        case SampleState.OPEN:
            return Sample.taken == 0
        case SampleState.IN_PROGRESS:
            return and_(Sample.taken > 0, or_(Sample.taken < wanted, _finished() < wanted))
        case SampleState.DONE:
            return and_(Sample.taken >= wanted, _finished() >= wanted)


def _finished() -> ColumnElement[int]:
    return (
        select(func.count(Draft.finished_at))
        .where(Draft.sample_id == Sample.id)
        .correlate(Sample)
        .scalar_subquery()
    )


def _image_count() -> ColumnElement[int]:
    return (
        select(func.count())
        .select_from(SampleImage)
        .where(SampleImage.sample_id == Sample.id)
        .correlate(Sample)
        .scalar_subquery()
        .label("images")
    )
