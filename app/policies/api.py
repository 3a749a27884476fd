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
    """A trained adapter to add as a policy."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(
        description="Name of the policy. It cannot be changed later.", examples=["lectures-round1"]
    )
    project: str = Field(
        description="Project whose pairs the adapter was trained on. You must be a member.",
        examples=["lectures"],
    )
    base_model: str = Field(
        description="Base model, as the workers or model servers name it.",
        examples=["Qwen/Qwen2.5-VL-7B-Instruct"],
    )
    revision: str = Field("", description="Revision of the base model.", examples=["main"])
    adapter: str = Field(
        description="Directory of the adapter, as the model server sees it.",
        examples=["/srv/adapters/lectures-round1"],
    )
    adapter_hash: str = Field(
        description="SHA-256 over `NAME SIZE SHA256` lines of `adapter_config.json` and the "
        "weights, as `iterdpo train` computes it.",
        pattern="^[0-9a-f]{64}$",
    )
    round: int | None = Field(
        None,
        ge=0,
        lt=2**31,
        description="Round of training. Default: one more than the latest of the base model.",
    )


class PolicyOut(BaseModel):
    """A policy: a model, or a model with an adapter, that writes texts."""

    name: str
    engine: str = Field(description="import, replay or openai.")
    base_model: str
    revision: str
    adapter: str = Field(description="Empty for a base model.")
    adapter_hash: str = Field(description="SHA-256 of the adapter's files; empty for a base model.")
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
    """All policies, newest first."""

    policies: list[PolicyOut]


@router.get("/policies", summary="List the policies", responses=refusals())
def policies(
    db: SessionDep, _actor: Annotated[Actor, Depends(token_user("policies:read"))]
) -> PoliciesOut:
    """List all policies, newest first. They belong to no project: every trainer sees them."""
    rows = db.scalars(select(Policy).order_by(Policy.id.desc())).all()
    return PoliciesOut(policies=[PolicyOut.of(row) for row in rows])


@router.post(
    "/policies",
    summary="Add a trained adapter as a policy",
    status_code=201,
    responses={
        200: {"model": PolicyOut, "description": "The same policy existed already."},
        **refusals(
            {
                404: "The project does not exist or you are not a member.",
                409: "Another adapter has this name.",
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
    """Add an adapter. Adding it again changes nothing. It is used once an admin activates it."""
    project = access.project_named(db, actor, policy.project)
    newest = db.scalar(select(Policy.id).where(Policy.name == policy.name))
    added = service.register(db, actor_id=actor.id, **policy.model_dump(exclude={"project"}))
    if newest is None:
        subject = f"policy:{added.id}"
        audit.record(db, actor.id, "trained_policy", subject, project=project.name)
    else:
        response.status_code = 200
    return PolicyOut.of(added)
