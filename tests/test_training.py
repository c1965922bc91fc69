"""What the encoder learns from, and how its vocabulary treats genders: the parts that need no training run."""

import json
import random
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from training import genders, occupations, phrases, sources, student, vocabulary
from training.network import Network
from training.plurals import plural
from training.sources import Concept, Sources

from app.matching import pins
from app.matching.embedder import Embedder

TRAINING = Path(sources.__file__).parent
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
needs_data = pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="../shared/data is not here")


def titles(lang: str, *labels: str) -> Sources:
    """Sources that hold nothing but these occupation labels."""
    occupations = {str(n): Concept(defaultdict(list, {lang: [label]})) for n, label in enumerate(labels)}
    return Sources([], {}, occupations, {}, {}, [], [], [])


def own_texts(*names: str) -> set[str]:
    """Everything that stands in tables of ours, without case."""
    return {
        text.casefold()
        for name in names
        for line in (TRAINING / name).read_text("utf-8").splitlines()[1:]
        for text in line.split("\t")
    }


def queries(*packs: str) -> set[str]:
    """What these packs ask, without case."""
    return {
        line.rstrip("\n").rsplit("\t", 1)[-1].strip().casefold()
        for pack in packs
        for line in (SHARED_DATA / "packs" / pack / "queries.tsv").read_text("utf-8").splitlines()[1:]
    }


def cutter(*pieces: str) -> Tokenizer:
    numbers = {piece: n for n, piece in enumerate(("[UNK]", *pieces))}
    found = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))  # noqa: S106  a word piece
    found.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=True)
    found.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return found


class TestGenders:
    @pytest.mark.parametrize(
        ("label", "halves"),
        [
            ("director técnico/directora técnica", ["director técnico", "directora técnica"]),
            ("Koch/Köchin", ["Koch", "Köchin"]),
            ("Fremdsprachenlehrer/in Sekundarstufe", []),
            ("steward/stewardess/purser", []),
            ("soldador", []),
        ],
    )
    def test_halves(self, label: str, halves: list[str]) -> None:
        assert genders.both_genders(label) == [label, *halves]

    def test_pairs_are_words_whose_endings_change_as_others_do(self) -> None:
        found = genders.word_pairs(
            titles(
                "es",
                "director técnico/directora técnica",
                "soldador naval/soldadora naval",
                "operador/operadora",
                "mecánico/mecánica",
                "químico/química",
                "ventas/ventajas",
            )
        )
        assert found["tecnico", "tecnica"] == found["soldador", "soldadora"] == 1
        assert ("naval", "naval") not in found
        assert ("ventas", "ventajas") not in found, "no other pair of this language changes in this way"

    def test_words_that_mean_a_field_are_left_alone(self) -> None:
        labels = ("músico/música", "técnico/técnica", "médico/médica", "mecánico/mecánica")
        assert ("musico", "musica") not in genders.word_pairs(titles("es", *labels))

    def test_endings_of_cut_words_share_a_vector_when_they_are_long(self) -> None:
        pieces = cutter("kaffee", "##bediener", "##o", "maestr")
        pairs = [("kaffeebediener", "kaffeebedienerin"), ("maestro", "maestra")]
        assert genders.end_pieces(pieces, pairs) == [("##bedienerin", "##bediener")]

    def test_usual_endings_are_taken_for_other_long_words(self) -> None:
        stems = ("pesca", "solda", "opera", "monta", "corta", "vende", "gana", "mira", "lava", "cata")
        many = (f"{stem}dor/{stem}dora" for stem in stems)
        pieces = {"embalador", "embaladora", "cador", "cadora", "maquinista"}
        assert genders.usual_pairs(titles("es", *many), pieces) == [("embaladora", "embalador")]

    def test_shared_is_one_vector_for_all_that_are_tied(self) -> None:
        numbers = {piece: n for n, piece in enumerate(("director", "x", "directora", "directrice"))}
        ties = [("directora", "director"), ("directrice", "directora"), ("direktorin", "director")]
        assert genders.shared(ties, numbers) == [0, 1, 0, 0]


def test_align_finds_translations() -> None:
    """Model 1 separates words that only ever stand together with others."""
    casa, roja, verde = 0, 1, 2
    house, red, green = 0, 1, 2
    foreign = [[casa, roja], [casa, verde], [verde], [casa]]
    native = [[red, house], [green, house], [green], [house]]
    own, other, weight = vocabulary.align(foreign, native, 3)
    best = {
        f: max((w, e) for f2, e, w in zip(own, other, weight, strict=True) if f2 == f)[1] for f in set(own.tolist())
    }
    assert best == {casa: house, roja: red, verde: green}


@pytest.mark.parametrize("name", ["everyday.tsv", "trades.tsv"])
def test_our_own_texts_are_complete(name: str) -> None:
    head, *lines = (TRAINING / name).read_text("utf-8").splitlines()
    assert head.split("\t") == ["en", *sources.LANGUAGES]
    fields = [line.split("\t") for line in lines]
    assert all(len(row) == len(sources.LANGUAGES) + 1 and all(text.strip() for text in row) for row in fields)
    english = [row[0].casefold() for row in fields]
    assert len(english) == len(set(english))


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("projects.tsv", ("field", *sources.PROJECT_LANGUAGES)),
        ("competences.tsv", ("skill", *sources.PHRASE_LANGUAGES)),
        ("titles.tsv", ("occupation", *sources.TITLE_LANGUAGES)),
    ],
)
def test_our_own_labelled_texts_are_complete(name: str, head: tuple[str, ...]) -> None:
    first, *lines = (TRAINING / name).read_text("utf-8").splitlines()
    assert tuple(first.split("\t")) == head
    fields = [line.split("\t") for line in lines]
    # A title that a public pack asks for is left out.
    empty = name == "titles.tsv"
    assert all(len(row) == len(head) and (empty or all(text.strip() for text in row)) for row in fields)
    texts = [tuple(row[1:]) for row in fields]
    assert len(texts) == len(set(texts))


@pytest.mark.parametrize(
    ("lang", "one", "several"),
    [
        ("es", "operador técnico de planta", "operadores técnicos de planta"),
        ("es", "peón agrícola", "peones agrícolas"),
        ("pt", "técnico comercial de vendas", "técnicos comerciais de vendas"),
        ("fr", "chef d'équipe", "chefs d'équipe"),
        ("it", "operaio edile", "operai edili"),
        ("ca", "soldador de canonades", "soldadors de canonades"),
        ("es", "de guardia", None),
        ("de", "Schweißer", None),
    ],
)
def test_plural(lang: str, one: str, several: str | None) -> None:
    assert plural(one, lang) == several


@needs_data
def test_nothing_is_learnt_that_the_packs_ask_for() -> None:
    asked = queries(
        *("tatoeba_fra_eng", "tatoeba_cat_eng", "skillsent_house_validation", "skillsent_tech_validation"),
        "eufunds_fr_de_same_field",
    )
    asked |= {
        text.strip().casefold()
        for path in (SHARED_DATA / "sts").glob("dev_*.tsv")
        for line in path.read_text("utf-8").splitlines()[1:]
        for text in line.split("\t")
        if len(text) > 15  # not the scores
    }
    assert not own_texts("everyday.tsv", "job_ads.tsv", "projects.tsv") & asked
    assert not own_texts("competences.tsv") & queries("competent_fr_to_esco_en")
    assert not own_texts("titles.tsv") & queries(
        "talentclef25_val_de", "melo_deu_q_de_c_en", "melo_fra_q_fr_c_en", "melo_esp_q_es_c_es"
    )


def test_everyday_life_is_no_field_of_intervention(real_embedder: Embedder) -> None:
    """What the regression learnt: a project has its field, a sentence about everyday life has none."""
    reader = real_embedder.fields
    assert reader is not None

    def read(text: str) -> tuple[str, float]:
        shares = reader.roots(real_embedder.embed_queries([text]))[0] ** 2
        return reader.codes[int(shares.argmax())], float(shares.sum())

    for text in (
        "Energetische Sanierung des Rathauses: Dämmung und neue Fenster",
        "Aislamiento de la fachada y nuevas ventanas en el ayuntamiento",
        "Isolamento térmico da câmara municipal e substituição de janelas",
    ):
        field, share = read(text)
        assert field == "013"
        assert share > 0.8
    assert read("Cycle path along the river between two villages")[0] == "090"
    assert read("My grandmother kneads the dough before dawn.")[1] < 0.3
    assert read("Dois gatos dormem ao sol em cima do muro.")[1] < 0.3


@needs_data
def test_only_what_may_be_passed_on_is_read() -> None:
    read = sources.read(SHARED_DATA, leave_out="eforms-code:cpv")
    kinds = {pair.source.partition(":")[0] for pair in read.pairs}
    assert "everyday" in kinds
    assert not kinds & {"odoo-14", "decidim", "consul", "decidim-barcelona", "opendatahandbook"}
    assert not any(pair.source.startswith("eforms-code:cpv") for pair in read.pairs)
    held = {
        line.split("\t")[0]
        for name in ("esco_need_en_to_skills_en", "esco_need_de_to_skills_en")
        for line in (SHARED_DATA / "packs" / name / "queries.tsv").read_text("utf-8").splitlines()[1:]
    }
    assert held
    assert not held & read.essential.keys()


def test_both_genders_of_a_title_have_one_vector(real_embedder: Embedder) -> None:
    """What the vocabulary was made for, in the encoder that is shipped."""
    pairs = [
        ("soldador", "soldadora"),
        ("técnico de laboratorio", "técnica de laboratorio"),
        ("cuisinier", "cuisinière"),
        ("Altenpfleger", "Altenpflegerin"),
        ("direttore", "direttrice"),
        ("kierownik magazynu", "kierowniczka magazynu"),
        ("enxeñeiro", "enxeñeira"),
    ]
    men = real_embedder.embed_queries([man for man, _ in pairs])
    women = real_embedder.embed_queries([woman for _, woman in pairs])
    np.testing.assert_array_equal(men, women)


def test_the_pieces_are_shipped_in_a_byte_each() -> None:
    with (pins.shipped().folder / "model.safetensors").open("rb") as file:
        head = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    assert head["embeddings.word_embeddings.weight"]["dtype"] == "F8_E4M3"


def test_who_is_where_the_teacher_is_has_nothing_left_to_learn() -> None:
    """The student's aim is the teacher's own picture: not to push targets further apart than the teacher does."""
    bank = torch.nn.functional.normalize(torch.randn(50, 8, generator=torch.Generator().manual_seed(1)), dim=1)
    task, chance = student.Task("parallel", 1, bank.numpy()), random.Random(1)  # noqa: S311  guards nothing
    vectors = bank[:4].clone().requires_grad_()
    student._loss(task, vectors, range(4), chance).backward()  # type: ignore[no-untyped-call]
    assert vectors.grad is not None
    along = (vectors.grad * bank[:4]).sum(dim=1, keepdim=True) * bank[:4]
    assert float((vectors.grad - along).norm()) < 1e-6, "on the sphere nothing pulls"
    elsewhere = bank[4:8].clone().requires_grad_()
    student._loss(task, elsewhere, range(4), chance).backward()  # type: ignore[no-untyped-call]
    assert elsewhere.grad is not None
    assert float(elsewhere.grad.norm()) > 1


def test_part_of_the_way_leaves_other_vocabularies_alone() -> None:
    def network(value: float, pieces: int) -> Network:
        found = Network.__new__(Network)
        found.model = torch.nn.ModuleDict({"body": torch.nn.Linear(2, 2), "table": torch.nn.Embedding(pieces, 2)})
        for parameter in found.model.parameters():
            torch.nn.init.constant_(parameter, value)
        return found

    student_, teacher = network(1, 7), network(0, 5)
    student_.part_of_the_way(teacher, 0.75)
    assert {float(value) for value in student_.model["body"].weight.detach().flatten()} == {0.75}
    assert {float(value) for value in student_.model["table"].weight.detach().flatten()} == {1.0}


def test_a_project_is_drawn_to_the_centre_of_its_field() -> None:
    """In every language: the centre is that of the teacher's vectors of the English."""

    class Teacher:
        def embed_all(self, texts: list[str]) -> np.ndarray:  # type: ignore[type-arg]
            angles = {"a solar roof": 0.0, "panels": 0.4, "a cycle track": 1.5}
            return np.array([[np.cos(angles[t]), np.sin(angles[t])] for t in texts], dtype=np.float32)

    rows = [("010", ["a solar roof", "un tejado solar"]), ("090", ["a cycle track", "un carril bici"])]
    rows.append(("010", ["panels", "placas"]))
    task = student._fields(Sources([], {}, {}, {}, {}, [], rows, []), Teacher())  # type: ignore[arg-type]
    assert task.texts == [text for _, texts in rows for text in texts]
    assert task.bank == pytest.approx(np.array([[np.cos(0.2), np.sin(0.2)], [np.cos(1.5), np.sin(1.5)]]), abs=1e-6)
    at_home = torch.from_numpy(task.bank[[0, 0, 1, 1, 0, 0]])
    loss = student._needs_loss(task, at_home, task.rows)
    assert loss < student._needs_loss(task, at_home.flip(0) @ torch.tensor([[0.0, 1.0], [1.0, 0.0]]), task.rows)


def test_a_title_is_read_as_of_its_group_and_other_texts_as_of_none() -> None:
    centres = torch.eye(8)[:4]
    classes = torch.arange(400) % 4
    noise = torch.randn(400, 8, generator=torch.Generator().manual_seed(1))
    vectors = torch.nn.functional.normalize(centres[classes] + 0.1 * noise, dim=1)
    weights, bias = occupations._regression(vectors, classes, 4, seed=1)
    assert (centres @ weights + bias).softmax(1).diagonal().min() > 0.8
    again, _ = occupations._regression(vectors, classes, 4, seed=1)
    assert torch.equal(weights, again)


def test_phrases_are_led_to_the_skills_that_they_mean() -> None:
    """Each kind of phrase stands beside its skills by a quarter turn, which a linear map undoes."""
    bank = torch.nn.functional.normalize(torch.randn(60, 8, generator=torch.Generator().manual_seed(2)), dim=1)
    turned = bank.roll(1, dims=1)
    kinds = [phrases.Said(1, [str(place) for place in range(60)], [[place] for place in range(60)])]
    assert (turned @ bank.T).argmax(1).ne(torch.arange(60)).float().mean() > 0.5
    weights, losses = phrases._learn(kinds, [turned], bank, seed=3)
    moved = torch.nn.functional.normalize(turned + turned @ weights, dim=1)
    assert (moved @ bank.T).argmax(1).eq(torch.arange(60)).float().mean() > 0.95
    assert len(losses) == 1


def test_what_is_published_was_made_by_the_stages_before() -> None:
    """`publish` ships what three stages write beside the student: a plain run does all, in that order."""
    script = TRAINING.parent / "train_encoder.py"
    said = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True, check=True).stdout
    stages = "'teacher', 'vocabulary', 'student', 'occupations', 'fields', 'phrases', 'publish'"
    assert stages in " ".join(said.split())
