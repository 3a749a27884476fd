"""The REST API's list of projects."""

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from app.projects.queries import project_cards
from app.security import Actor
from app.web.dependencies import SessionDep, token_user
from app.web.problem_documents import refusals

router = APIRouter(prefix="/api/v1", tags=["projects"])


class ProjectOut(BaseModel):
    """A project and its progress."""

    name: str = Field(examples=["lectures"])
    title: str = Field(examples=["Lecture scripts"])
    samples: int
    done: int = Field(description="Samples that enough annotators have finished.")
    in_progress: int
    pairs: int = Field(description="Pairs that GET /pairs sends now.")


class ProjectsOut(BaseModel):
    """The projects that the token's account belongs to."""

    projects: list[ProjectOut]


@router.get("/projects", summary="List your projects with their progress", responses=refusals())
def projects(
    db: SessionDep, actor: Annotated[Actor, Depends(token_user("projects:read"))]
) -> ProjectsOut:
    """List your projects by title, without archived ones. Admins get all projects."""
    cards = project_cards(db, member_id=None if actor.is_admin else actor.id)
    return ProjectsOut(
        projects=[
            ProjectOut(
                name=card.name,
                title=card.title,
                samples=card.samples.total,
                done=card.samples.done,
                in_progress=card.samples.in_progress,
                pairs=card.pairs,
            )
            for card in cards
        ]
    )
