"""What was fitted to an encoder's vectors and lies in its folder: read with it, and part of its id."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from app.matching import interventions, occupations, skill_phrases
from app.matching.interventions import InterventionFields
from app.matching.occupations import OccupationGroups
from app.matching.skill_phrases import SkillPhrases

_Made = TypeVar("_Made")

FILES: Final = (interventions.FILE, occupations.FILE, skill_phrases.FILE)


class Beside(NamedTuple):
    """What lies beside an encoder; None for what does not."""

    fields: InterventionFields | None
    groups: OccupationGroups | None
    phrases: SkillPhrases | None


def read_beside(folder: Path, dim: int) -> Beside:
    """Read what lies beside the encoder in `folder`, of `dim` columns.

    ValueError when something that lies there is damaged or of another width.
    """
    return Beside(
        _read(folder / interventions.FILE, dim, lambda t, said: InterventionFields(
            tuple(said["codes"].split()), t["weights"], t["bias"])),
        _read(folder / occupations.FILE, dim, lambda t, _: OccupationGroups(
            t["weights"], t["bias"], t["directions"])),
        _read(folder / skill_phrases.FILE, dim, lambda t, _: SkillPhrases(t["weights"])),
    )  # fmt: skip


def _read(
    path: Path, dim: int, made: Callable[[dict[str, NDArray[np.floating]], dict[str, str]], _Made]
) -> _Made | None:
    """Return what is made of a file's tensors and of what it says of them; None where there is no file."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no mapping
            found = made(tensors, file.metadata() or {})
    except (SafetensorError, OSError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    width = tensors["weights"].shape[0]
    if width != dim:
        raise ValueError(f"{path} is of an encoder of {width} columns, not {dim}")
    return found
