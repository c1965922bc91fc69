"""From the student to what is shipped: a sentence-transformers folder of few bits a number, and its manifest."""

import json
import os
import shutil
from pathlib import Path
from typing import Any, Final

from training.network import write_json
from training.student import SHIPPED

NAME: Final = "puente-multilingual-1"
MOST_BYTES: Final = 60_000_000
WINDOW: Final = 256


def publish(student: Path, models: Path) -> dict[str, object]:
    """Write `models/<NAME>` and `models/manifest.json`; ValueError when the folder is larger than may be shipped."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415  after the variable

    from app.matching import beside, onnx_export  # noqa: PLC0415  idem

    folder = models / NAME
    shutil.rmtree(folder, ignore_errors=True)
    model: Any = SentenceTransformer(str(student), device="cpu", local_files_only=True)
    model.max_seq_length = WINDOW
    for weight in model[0].model.pooler.parameters():  # part of the architecture, used by nobody
        weight.data.zero_()
    model.half()
    model.save(str(folder), create_model_card=False)
    _narrow(folder / "model.safetensors")
    # Few bits are for the disk alone: all is read into single precision.
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config.pop("_name_or_path", None)
    write_json(folder / "config.json", config | {"dtype": "float32", "max_position_embeddings": WINDOW})
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    tokenizer.pop("name_or_path", None)
    write_json(folder / "tokenizer_config.json", tokenizer)
    (folder / "vocab.txt").unlink(missing_ok=True)  # stands in tokenizer.json
    pieces = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    (folder / "tokenizer.json").write_text(json.dumps(pieces, ensure_ascii=False, separators=(",", ":")), "utf-8")
    for name in beside.FILES:
        shutil.copy(student / name, folder)
    files = onnx_export.source_files(folder)
    size = sum((folder / file).stat().st_size for file in files)
    if size > MOST_BYTES:
        msg = f"{folder} has {size} bytes, more than {MOST_BYTES}"
        raise ValueError(msg)
    manifest = {
        "name": NAME,
        "folder": NAME,
        "licence": "Apache-2.0",
        "dim": model.get_embedding_dimension(),
        "max_seq_length": WINDOW,
        "max_tokens": WINDOW - 2,
        "pooling": "mean, then length 1",
        "files": files,
    }
    write_json(models / "manifest.json", manifest)
    return {"bytes": size, "encoder_id": onnx_export.encoder_id(NAME, files, onnx_export.RECIPE)}


def _narrow(path: Path) -> None:
    """Keep the pieces' vectors in a byte a number, as the student was finished, and no position beyond the window."""
    from safetensors.torch import load_file, save_file  # noqa: PLC0415  only here

    state = load_file(path)
    for name in ("embeddings.word_embeddings.weight", "pooler.dense.weight"):  # the latter are zeros
        state[name] = state[name].to(SHIPPED)
    places = "embeddings.position_embeddings.weight"
    state[places] = state[places][:WINDOW].contiguous()
    save_file(state, path, metadata={"format": "pt"})
