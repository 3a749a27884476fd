"""How a sample's regenerated text is cut: by the rule that cut its import."""

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.domain.segments import Cutting, Rule, RuleKind


def cutting_of(db: Session, *, sample_id: int, behind_id: int) -> Cutting:
    """How the text after a segment of the sample is cut.

    By the sample's own rule, otherwise the project's, or by slide headings while the project has
    none. A sample with one part per image continues from the segment's own image, or from the image
    of the nearest earlier segment that has one.
    """
    row = db.execute(_CUTTING, {"sample": sample_id, "behind": behind_id}).one()
    rule = Rule(RuleKind(row.rule), row.rule_words)
    part_images = None if row.part_images is None else tuple(row.part_images)
    return Cutting(rule, row.images, part_images, row.image_index)


_CUTTING = text(
    """
    WITH RECURSIVE walk AS (
        SELECT parent_id, image_index FROM segments WHERE id = :behind
        UNION ALL
        SELECT up.parent_id, up.image_index
        FROM walk JOIN segments AS up ON up.id = walk.parent_id
        WHERE walk.image_index IS NULL
    )
    SELECT coalesce(sample.rule, project.rule, 'slides') AS rule,
        coalesce(sample.rule_words, project.rule_words) AS rule_words, sample.part_images,
        (SELECT count(*) FROM sample_images WHERE sample_id = sample.id) AS images,
        CASE WHEN sample.part_images IS NOT NULL
            THEN (SELECT max(image_index) FROM walk) END AS image_index
    FROM samples AS sample JOIN projects AS project ON project.id = sample.project_id
    WHERE sample.id = :sample
    """
)
