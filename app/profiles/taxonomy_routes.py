"""/skills: the catalogue that skill ids come from."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from app.accounts.auth import require
from app.http import ApiRoute
from app.taxonomy.skills import default_catalogue, fold
from app.wall import Answer, Line

router = APIRouter(tags=["taxonomy"], route_class=ApiRoute)


class SkillAnswer(Answer):
    """A skill and its labels by language."""

    id: str
    labels: dict[str, str]


@router.get("/skills", dependencies=[Depends(require("taxonomy:read"))])
def list_skills(
    q: Annotated[Line | None, Query(description="Part of a label, in any language.")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> list[SkillAnswer]:
    """List the skills whose label contains `q`, in order of id."""
    wanted = fold(q) if q else ""
    found = [
        SkillAnswer(id=skill.id, labels=dict(skill.labels))
        for skill in default_catalogue().all_skills()
        if any(wanted in fold(label) for label in skill.labels.values())
    ]
    return found[:limit]
