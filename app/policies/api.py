"""The REST API's policies: what models there are, and an adapter that a trainer adds."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from app import access, audit
from app.models import Policy
from app.policies import service
from app.security import Actor
from app.web.dependencies import SessionDep, token_user
from app.web.problem_documents import refusals

router = APIRouter(prefix="/api/v1", tags=["policies"])


class PolicyIn(BaseModel):
    """A trained adapter."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="Its name for ever.", examples=["lectures-round1"])
    project: str = Field(
        description="The project whose pairs it learned from; you must be a member.",
        examples=["lectures"],
    )
    base_model: str = Field(
        description="The model that it belongs to, as the workers or their servers name it.",
        examples=["Qwen/Qwen2.5-VL-7B-Instruct"],
    )
    revision: str = Field("", description="The revision of the base model.", examples=["main"])
    adapter: str = Field(
        description="Its directory, as the model server sees it.",
        examples=["/srv/adapters/lectures-round1"],
    )
    adapter_hash: str = Field(
        description="SHA-256 over `NAME SIZE SHA256` lines of `adapter_config.json` and the "
        "weights, as `iterdpo train` computes it.",
        pattern="^[0-9a-f]{64}$",
    )
    round: int | None = Field(
        None, ge=0, lt=2**31, description="By default one more than its base model's latest."
    )


class PolicyOut(BaseModel):
    """A policy: what model texts are written with."""

    name: str
    engine: str = Field(description="import, replay or openai.")
    base_model: str
    revision: str
    adapter: str = Field(description="Empty for a base model.")
    adapter_hash: str = Field(description="Of an adapter that was added; else empty.")
    round: int
    created_at: datetime

    @classmethod
    def of(cls, policy: Policy) -> Self:
        """The policy, as the API shows it."""
        return cls(
            name=policy.name,
            engine=policy.engine,
            base_model=policy.base_model,
            revision=policy.revision,
            adapter=policy.adapter,
            adapter_hash=policy.adapter_hash,
            round=policy.round,
            created_at=policy.created_at,
        )


class PoliciesOut(BaseModel):
    """All policies, the newest first."""

    policies: list[PolicyOut]


@router.get(
    "/policies", summary="The models and adapters that write texts here", responses=refusals()
)
def policies(
    db: SessionDep, _actor: Annotated[Actor, Depends(token_user("policies:read"))]
) -> PoliciesOut:
    """The newest first. They belong to the installation: every trainer sees all of them."""
    rows = db.scalars(select(Policy).order_by(Policy.id.desc())).all()
    return PoliciesOut(policies=[PolicyOut.of(row) for row in rows])


@router.post(
    "/policies",
    summary="Add a trained adapter as a policy",
    status_code=201,
    responses={
        200: {"model": PolicyOut, "description": "It was there already, the same."},
        **refusals(
            {
                404: "There is no such project, or not for you.",
                409: "The name stands for another adapter.",
            }
        ),
    },
)
def add_policy(
    db: SessionDep,
    response: Response,
    actor: Annotated[Actor, Depends(token_user("policies:write"))],
    policy: PolicyIn,
) -> PolicyOut:
    """Sending the same again changes nothing. Nothing is written with it until an admin says so."""
    project = access.project_named(db, actor, policy.project)
    newest = db.scalar(select(Policy.id).where(Policy.name == policy.name))
    added = service.register(db, actor_id=actor.id, **policy.model_dump(exclude={"project"}))
    if newest is None:
        subject = f"policy:{added.id}"
        audit.record(db, actor.id, "trained_policy", subject, project=project.name)
    else:
        response.status_code = 200
    return PolicyOut.of(added)
