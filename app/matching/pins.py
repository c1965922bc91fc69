"""The models whose every file is pinned: our own in `models/`, and the English baseline that a package brings."""

import functools
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from app.matching import onnx_export
from app.matching.onnx_export import EmbedderError

BASELINE: Final = "all-MiniLM-L6-v2"
"""The English model that ours began from and is compared with; its package is a development extra."""

_MODELS: Final = Path(__file__).resolve().parents[2] / "models"


@dataclass(frozen=True, slots=True)
class PinnedModel:
    """A sentence-transformers folder whose files are those that its pins name."""

    name: str
    folder: Path
    files: dict[str, str]
    """Relative path → SHA-256."""


def shipped() -> PinnedModel:
    """Return our own encoder; EmbedderError names a file that is not as `models/manifest.json` pins it."""
    pins = _read("manifest.json")
    return _compared(pins, _MODELS / pins["folder"])


def baseline() -> PinnedModel:
    """Return the English baseline; EmbedderError when its package is not there or not as `models/teacher.json` says."""
    pins = _read("teacher.json")
    spec = importlib.util.find_spec(pins["package"].replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise EmbedderError(f"the package {pins['package']} {pins['version']} is not installed")
    return _compared(pins, Path(spec.submodule_search_locations[0]) / "model")


def _read(name: str) -> dict[str, Any]:
    path = _MODELS / name
    try:
        pins: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise EmbedderError(f"{path} cannot be read: {error}") from error
    return pins


@functools.cache
def _hashed(folder: Path) -> dict[str, str]:
    return onnx_export.source_files(folder)  # 60 ms, once


def _compared(pins: dict[str, Any], folder: Path) -> PinnedModel:
    files = _hashed(folder)
    if different := files.items() ^ pins["files"].items():
        name = min(name for name, _ in different)
        raise EmbedderError(f"{folder / name} is not the file that {_MODELS} pins (sha256 differs)")
    return PinnedModel(pins["name"], folder, files)
