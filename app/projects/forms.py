"""The form of a project's settings: as it is shown, and as it is sent."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Form

from app.models import Project
from app.projects.generation import SHOWN
from app.projects.service import AUTOMATIC, ProjectSettings
from app.projects.views import FormView
from app.refusals import Invalid

_GENERATION = ("system", "max_tokens", "temperature", "top_p", "look_ahead", "candidates")


@dataclass(frozen=True, slots=True)
class ProjectForm:
    """What was typed. name: only for a new project."""

    name: str
    settings: ProjectSettings

    def view(self, fault: Invalid | None = None) -> FormView:
        """The form again, with what was wrong beside its field."""
        errors = {fault.field or "": fault.message} if fault else {}
        return FormView(_values(self.name, self.settings), errors)


def project_form(
    name: Annotated[str, Form()] = "",
    title: Annotated[str, Form()] = "",
    guidelines: Annotated[str, Form()] = "",
    rule: Annotated[str, Form()] = "",
    rule_words: Annotated[str, Form()] = "120",
    annotators_per_sample: Annotated[str, Form()] = "1",
    system: Annotated[str, Form()] = "",
    max_tokens: Annotated[str, Form()] = "",
    temperature: Annotated[str, Form()] = "",
    top_p: Annotated[str, Form()] = "",
    look_ahead: Annotated[str, Form()] = "",
    candidates: Annotated[str, Form()] = "",
) -> ProjectForm:
    """A dependency: the form that a request carries."""
    generation = (system, max_tokens, temperature, top_p, look_ahead, candidates)
    return ProjectForm(
        name,
        ProjectSettings(
            title=title,
            guidelines=guidelines,
            rule=rule,
            rule_words=rule_words,
            annotators_per_sample=annotators_per_sample,
            generation=dict(zip(_GENERATION, generation, strict=True)),
        ),
    )


def empty_form() -> FormView:
    """The form of a project that does not exist yet."""
    return FormView(_values("", ProjectSettings()))


def form_of(project: Project) -> FormView:
    """The form with the project's settings."""
    settings = ProjectSettings(
        title=project.title,
        guidelines=project.guidelines,
        rule=project.rule or AUTOMATIC,
        rule_words=str(project.rule_words),
        annotators_per_sample=str(project.annotators_per_sample),
        generation={
            name: str(value) for name, value in project.generation.items() if name in SHOWN
        },
    )
    return FormView(_values(project.name, settings))


def _values(name: str, settings: ProjectSettings) -> dict[str, str]:
    return {
        "name": name,
        "title": settings.title,
        "guidelines": settings.guidelines,
        "rule": settings.rule,
        "rule_words": settings.rule_words,
        "annotators_per_sample": settings.annotators_per_sample,
        **{field: settings.generation.get(field, "") for field in _GENERATION},
    }
