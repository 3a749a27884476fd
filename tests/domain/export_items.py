"""What the golden files are made of: every case that an export must get right."""

from dataclasses import replace
from datetime import UTC, datetime

from app.domain.corrections import Verdict
from app.domain.formats import Judgement, OutputSegment, Pair, WholeOutput
from app.domain.tree import Origin

WHEN = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
CHART, TABLE, ZEICHEN = ("3f9ac1" + "0" * 58, "77b0e2" + "0" * 58, "c0ffee" + "0" * 58)
FILES = {
    CHART: f"images/{CHART}.png",
    TABLE: f"images/{TABLE}.jpg",
    ZEICHEN: f"images/{ZEICHEN}.webp",
}

_FIRST = Pair(
    pair_id=1,
    project="lectures",
    sample="sorting",
    images=(CHART, TABLE),
    image_files=(FILES[CHART], FILES[TABLE]),
    instruction="Write a lecture script for these slides.",
    prefix="",
    chosen="## Slide 1\n\nWelcome. This section shows the revenue chart.\n\n",
    rejected="## Slide 1\n\nHello.\n\n",
    ends_output=False,
    on_policy=True,
    position=0,
    annotator="lin",
    policy="qwen2.5-vl-7b@main",
    kind="rewrite",
    created_at=WHEN,
)
# A chain: each prefix is the one before it and what was chosen there.
_MIDDLE = replace(
    _FIRST,
    pair_id=2,
    prefix=_FIRST.prefix + _FIRST.chosen,
    chosen="## Slide 2\n\nThe figure compares the model with a baseline.\n\n",
    rejected="## Slide 2\n\nThe figure is blank.\n\n",
    position=1,
)
_LAST = replace(
    _MIDDLE,
    pair_id=3,
    prefix=_MIDDLE.prefix + _MIDDLE.chosen,
    chosen="## Slide 3\n\nIn conclusion, growth was 12 percent.",
    rejected="## Slide 3\n\nIn conclusion, growth was 90 percent.",
    ends_output=True,
    position=2,
)
_CHINESE = replace(
    _FIRST,
    pair_id=4,
    sample="讲座-07",
    images=(ZEICHEN,),
    image_files=(FILES[ZEICHEN],),
    instruction="请为这张幻灯片写一份讲稿。",
    prefix="第1页：大家好，欢迎。\n",
    chosen="第2页：增长率为百分之十二 📈。\n",
    rejected="第2页：没有图表。\n",
    position=1,
    annotator="王芳",
    policy=None,
    on_policy=False,
)
# No image, and text that a careless writer would change: quotes, a backslash, braces, CRLF, emoji
# of several code points, letters in decomposed form, blanks where a template might trim.
_TEXTUAL = replace(
    _FIRST,
    pair_id=5,
    sample="notes",
    images=(),
    image_files=(),
    instruction='  Say "no" in C:\\temp, {{ twice }}.\n',
    prefix="Windows line.\r\n\r\n",
    chosen="  👩🏽‍🏫 Cafe\u0301 {% raw %} </s>\r\n",
    rejected="  Café\r\n",
    position=1,
    kind="insert",
)
PAIRS = (_FIRST, _MIDDLE, _LAST, _CHINESE, _TEXTUAL)


def _judged(pair: Pair, segment_id: int, *, accepted: bool, ends_output: bool) -> Judgement:
    return Judgement(
        draft_id=7,
        segment_id=segment_id,
        project=pair.project,
        sample=pair.sample,
        images=pair.images,
        image_files=pair.image_files,
        instruction=pair.instruction,
        prefix=pair.prefix,
        text=pair.chosen if accepted else pair.rejected,
        accepted=accepted,
        ends_output=ends_output,
        on_policy=pair.on_policy,
        paired=not accepted,
        position=pair.position,
        annotator=pair.annotator,
        policy=pair.policy,
        created_at=pair.created_at,
    )


JUDGEMENTS = (
    _judged(_FIRST, 11, accepted=True, ends_output=False),
    _judged(_MIDDLE, 12, accepted=False, ends_output=False),
    _judged(_LAST, 13, accepted=True, ends_output=True),
    _judged(_LAST, 14, accepted=False, ends_output=False),
    _judged(_CHINESE, 15, accepted=True, ends_output=False),
    _judged(_TEXTUAL, 16, accepted=True, ends_output=False),
)

_WHOLE = WholeOutput(
    draft_id=7,
    project="lectures",
    sample="sorting",
    images=_FIRST.images,
    image_files=_FIRST.image_files,
    instruction=_FIRST.instruction,
    segments=(
        OutputSegment(_FIRST.chosen, Origin.HUMAN, Verdict.CORRECTED),
        OutputSegment(_MIDDLE.rejected, Origin.MODEL, None),
        OutputSegment(_LAST.chosen, Origin.MODEL, Verdict.ACCEPTED),
    ),
    ends_output=True,
    annotator="lin",
    finished_at=WHEN,
)
_CUT_OFF = replace(
    _WHOLE,
    draft_id=8,
    sample="讲座-07",
    images=_CHINESE.images,
    image_files=_CHINESE.image_files,
    instruction=_CHINESE.instruction,
    segments=(
        OutputSegment(_CHINESE.prefix, Origin.MODEL, Verdict.ACCEPTED),
        OutputSegment(_CHINESE.chosen, Origin.HUMAN, Verdict.CORRECTED),
    ),
    ends_output=False,
    annotator="王芳",
)
_PLAIN = replace(
    _WHOLE,
    draft_id=9,
    sample="notes",
    images=(),
    image_files=(),
    instruction=_TEXTUAL.instruction,
    segments=(OutputSegment(_TEXTUAL.chosen, Origin.HUMAN, Verdict.CORRECTED),),
)
OUTPUTS = (_WHOLE, _CUT_OFF, _PLAIN)
