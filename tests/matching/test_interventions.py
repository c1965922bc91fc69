"""Fields of intervention: what is read off a vector, how it is kept, found and said."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from app.matching.beside import read_beside
from app.matching.engine import explain, judge, propose, stand
from app.matching.interventions import FILE, InterventionFields
from app.matching.kinds import MATCH_KINDS, ProfileKind, reads_fields
from app.matching.nearness import nearness
from app.matching.types import Side
from app.taxonomy.interventions import field_name
from app.taxonomy.names import name_of
from tests.matching.contracts import DIM, sphere
from tests.matching.worlds import document, fields, query, shelf_of, uncapped

KIND = MATCH_KINDS["cluster-region"]
AXES = np.eye(DIM, dtype=np.float32)
PLAIN = InterventionFields(("013", "091"), 20 * np.eye(DIM)[:, :3], np.zeros(3))
"""The first axis is about the first field, the second about the second, the third about none, the others about all."""


def test_a_text_is_about_its_field_and_one_about_something_else_about_none() -> None:
    np.testing.assert_allclose(PLAIN.roots(AXES[:3]), [[1, 0], [0, 1], [0, 0]], atol=1e-4)
    np.testing.assert_allclose(PLAIN.roots(AXES[3:4]), [[3**-0.5, 3**-0.5]])


@given(seed=st.integers(0, 1000))
def test_shares_are_positive_and_at_most_all(seed: int) -> None:
    roots = fields(DIM, seed).roots(sphere(np.random.default_rng(seed), 20))
    assert (roots >= 0).all()
    assert ((roots**2).sum(axis=1) <= 1).all()


def test_texts_of_one_field_score_higher_and_say_which() -> None:
    mine = (AXES[0] + AXES[3]) / np.float32(2**0.5)
    same, other = (AXES[0] + AXES[4]) / np.float32(2**0.5), (AXES[1] + AXES[3]) / np.float32(2**0.5)
    question = query(mine, fields=PLAIN, language="es", name=name_of)
    found = judge(KIND, question, [document(1, other), document(2, same)], 10).candidates
    assert [candidate.document.pk for candidate in found] == [2, 1]
    of_fields = [next(part for part in one.contributions if part.feature == "shared_fields") for one in found]
    assert of_fields[0].value > 0.99
    assert of_fields[0].words == "Ambos hablan de: renovación energética de edificios públicos."
    assert of_fields[1].value < 0.01
    assert of_fields[1].words == "Los textos hablan de ámbitos distintos."
    for candidate in found:
        assert explain(KIND, question, candidate.document) == candidate


def test_what_is_read_by_no_encoder_is_worth_nothing_and_said_to_be_unknown() -> None:
    (candidate,) = judge(KIND, query(AXES[0]), [document(1, AXES[0])], 1).candidates
    (part,) = [part for part in candidate.contributions if part.feature == "shared_fields"]
    assert (part.value, part.words) == (0, "Not known: the encoder in use reads no fields.")


@pytest.mark.parametrize("side", list(Side))
def test_what_is_nearest_by_cosine_and_fields_is_found_and_stands_where_it_is_shown(side: Side) -> None:
    rng = np.random.default_rng(3)
    documents = [document(pk, vector, {"country": "ES"}) for pk, vector in enumerate(sphere(rng, 400), start=1)]
    reader, kind = fields(DIM), uncapped(KIND)
    question, shelf = query(sphere(rng, 1)[0], side=side, fields=reader), shelf_of(documents, reader)
    proposal = propose(shelf, kind, question, 20)
    best = judge(kind, question, documents, 20).candidates
    assert list(proposal.pks) == [candidate.document.pk for candidate in best]
    for rank, candidate in enumerate(best, start=1):
        assert stand(shelf, kind, question, candidate.document.pk) == (rank, 400, None)
    vectors = np.stack([found.passages.vector for found in documents])
    found, near = shelf.search(question.passages.vector, shelf.rows(), 400)
    np.testing.assert_allclose(near, vectors[found] @ question.passages.vector, atol=1e-6)
    np.testing.assert_allclose(shelf.vectors(found), vectors[found], rtol=0)
    by_both = nearness(kind, question)(vectors, question.passages.vector)
    assert np.argmax(by_both) == proposal.pks[0] - 1


def test_a_shelf_that_reads_no_fields_refuses_to_be_asked_for_them() -> None:
    shelf = shelf_of([document(1, AXES[0])])
    with pytest.raises(ValueError, match="reads no fields"):
        propose(shelf, KIND, query(AXES[0], fields=PLAIN), 1)
    with pytest.raises(ValueError, match="reads no fields"):
        shelf.affinities(shelf.rows(), np.ones(2))


def test_the_fields_of_people_are_not_read() -> None:
    assert [kind.value for kind in ProfileKind if reads_fields(kind)] == ["pitch", "priority"]


class TestFile:
    def write(self, folder: Path, weights: np.ndarray, codes: str = "013 091") -> None:
        bias = np.zeros(weights.shape[1], dtype=np.float16)
        save_file({"weights": weights.astype(np.float16), "bias": bias}, folder / FILE, metadata={"codes": codes})

    def test_is_read_as_it_was_written(self, tmp_path: Path) -> None:
        assert read_beside(tmp_path, DIM) == (None, None, None)
        self.write(tmp_path, 20 * np.eye(DIM)[:, :3])
        found = read_beside(tmp_path, DIM).fields
        assert found is not None
        assert found.codes == ("013", "091")
        np.testing.assert_allclose(found.roots(AXES), PLAIN.roots(AXES))

    def test_of_another_width_or_damaged_is_refused(self, tmp_path: Path) -> None:
        self.write(tmp_path, np.eye(DIM)[:, :3])
        with pytest.raises(ValueError, match="8 columns, not 9"):
            read_beside(tmp_path, DIM + 1)
        self.write(tmp_path, np.eye(DIM)[:, :3], codes="013")
        with pytest.raises(ValueError, match="1 fields"):
            read_beside(tmp_path, DIM)
        (tmp_path / FILE).write_bytes(b"no tensors at all")
        with pytest.raises(ValueError, match="cannot be read"):
            read_beside(tmp_path, DIM)


def test_every_field_that_is_read_has_a_name_in_three_languages(real_embedder: object) -> None:
    reader = real_embedder.fields  # type: ignore[attr-defined]
    assert len(reader.codes) == 80
    for code in reader.codes:
        names = {field_name(code, language) for language in ("en", "es", "pt")}
        assert None not in names
        assert len(names) == 3 or code == "044"
    assert field_name("999", "en") is None
