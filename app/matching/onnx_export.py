"""Make the quick encoder: a sentence-transformers folder becomes one int8 ONNX file, once.

`python -m app.matching.onnx_export SOURCE DESTINATION` traces encoder, mean pooling and normalisation into
one graph, evens it out (`smoothing`), rounds its weights to int8, compares it with sentence-transformers in
fp32 and moves the finished folder into place. `ensure` runs that command in a process of its own, so that the
caller never loads torch.

The graph takes one text at a time (or several of exactly equal token count) and therefore no attention mask.
That is deliberate. Dynamic int8 takes the range of an activation over the whole batch, so batch mates and
padding would change a text's vector: down to a cosine of .957 with itself, measured on 1,024 project texts.
One at a time a text has one vector, bit for bit, and on short texts that costs little: nothing is padded, and
small products stay in the processor's cache.
"""

import argparse
import fcntl
import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from app.matching.beside import FILES as BESIDE
from app.matching.smoothing import smooth

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

RECIPE: Final = "onnx-int8/2"
"""What is done to the source. A change that changes vectors raises the number, and so the encoder's id."""

MODEL_FILE: Final = "model.onnx"
TOKENIZER_FILE: Final = "tokenizer.json"
MANIFEST_FILE: Final = "manifest.json"

MEAN_COSINE: Final = 0.99
"""The least mean cosine of an export with sentence-transformers over `SENTENCES` (the default's: .9975)."""

MIN_COSINE: Final = 0.97
"""The least cosine of any one sentence (the default's: .9866)."""

_SOURCE_SUFFIXES: Final = frozenset({".json", ".safetensors", ".bin", ".model", ".txt"})
_MAKERS: Final = ("torch", "transformers", "sentence-transformers", "onnx", "onnxruntime", "tokenizers")
_EXPORT_SECONDS: Final = 900
_PROJECT = Path(__file__).resolve().parents[2]

SENTENCES: Final = (
    "Cooperation between automotive clusters on lightweight parts made of recycled aluminium.",
    "We look for a partner region to test hydrogen buses on hilly routes.",
    "Training in welding and boiler making, 2,000 hours, half of them in the company.",
    "Two apprentices for CNC machining wanted from September; English B1 is enough.",
    "Digital twins for water supply networks",
    "The priority covers circular economy, bio-based packaging and industrial symbiosis.",
    "Short course on cybersecurity for small manufacturers",
    "Nurse assistants for a rural care home, with lodging.",
    "Offshore wind: blades, moorings, maintenance by drone and the harbour's logistics.",
    "Photonics sensors that see defects on a production line in real time",
    "Buscamos socios para un proyecto piloto de hidrógeno verde en el puerto.",
    "Ciclo formativo de grado superior en automatización y robótica industrial.",
    "El clúster agroalimentario ofrece ensayos de conservación de fruta fresca.",
    "Se necesitan tres alumnos en prácticas para montaje de cuadros eléctricos.",
    "Prioridad: movilidad sostenible e industria de la automoción conectada.",
    "Rehabilitación energética de viviendas y construcción con madera.",
    "Curso de 60 horas sobre inteligencia artificial aplicada al comercio.",
    "La región quiere atraer empresas aeronáuticas y fabricar piezas de composite.",
    "Técnico en cuidados auxiliares de enfermería, formación dual intensiva.",
    "Turismo gastronómico, patrimonio y experiencias en el medio rural",
    "Procuramos empresas que reciclem têxteis e produzam fios novos.",
    "Formação de técnicos de soldadura para a indústria naval.",
    "A região aposta na economia do mar, na aquacultura e na biotecnologia azul.",
    "Precisamos de dois estagiários para manutenção de moldes de injeção.",
    "Curso profissional de programação e gestão de sistemas informáticos.",
    "Cortiça, madeira e mobiliário: novos materiais e desenho",
    "Agricultura de precisão com sensores de solo e rega inteligente.",
    "O agrupamento de empresas procura parceiros para exportar calçado.",
    "Nous cherchons des partenaires pour valoriser la chaleur perdue des usines.",
    "Formation en apprentissage : technicien de maintenance aéronautique.",
    "La filière bois veut automatiser la scierie et sécher à basse énergie.",
    "Pôle de santé numérique, imagerie médicale et données de patients",
    "Une entreprise de chaudronnerie recrute deux alternants dès octobre.",
    "Viticulture durable, étiquetage et lutte contre le gel",
    "Wir suchen Partner für den Leichtbau mit Faserverbundstoffen.",
    "Ausbildung zum Mechatroniker, drei Jahre, mit Berufsschule.",
    "Die Region setzt auf Wasserstoff, Stahl ohne Kohle und neue Stromnetze.",
    "Weiterbildung in der Pflege älterer Menschen",
    "Beratung bei der Einführung einer neuen Software im Lager",
    "Der Maschinenbau braucht Fachkräfte für Steuerungen und Antriebe.",
    "Cerchiamo partner per la moda circolare e la tintura senza acqua.",
    "Corso di tecnico superiore per la meccatronica, quarto livello.",
    "Il distretto della ceramica riduce i consumi dei forni.",
    "Recupero dei borghi, artigianato e turismo lento",
    "Samenwerking rond slimme landbouw en het hergebruik van reststromen.",
    "Opleiding tot procesoperator in de chemische industrie",
    "Havens, waterbouw en schone scheepvaart",
    "Szukamy partnerów do recyklingu baterii samochodowych.",
    "Kształcenie zawodowe: technik elektronik, poziom czwarty.",
    "Region rozwija lotnictwo i obróbkę metali.",
    "Căutăm parteneri pentru eficiența energetică a clădirilor publice.",
    "Formare profesională pentru operatori de mașini cu comandă numerică.",
    "Hledáme partnery pro chytré textilie a zdravotnické pomůcky.",
    "Járműipari beszállítók keresnek partnert könnyű alkatrészekhez.",
    "Etsimme kumppaneita kiertotalouteen ja metsäteollisuuden sivuvirtoihin.",
    "Konetekniikan koulutus ja työssäoppiminen pienissä yrityksissä",
    "Vi söker samarbete om batterier, gruvor och grönt stål.",
    "Uddannelse i vindenergi og vedligehold af møller på havet.",
    "Αναζητούμε εταίρους για έξυπνη γεωργία και εξοικονόμηση νερού.",
    "Търсим партньори за роботизация на складове.",
    "Iščemo partnerje za pametne tovarne in nove materiale.",
    "Busquem socis per a envasos compostables i logística urbana.",
    "ISO 9001; PLC S7-1500; 3D-CAD; MIG/MAG",
    "Robotics",
)
"""What an export is judged on: 64 sentences of our own in the languages and the trades that Puente meets."""


class EmbedderError(Exception):
    """An encoder cannot be loaded or exported, or gave what is no vector; the message says why."""


@dataclass(frozen=True, slots=True)
class Export:
    """What an export's manifest says of it: whose vectors, how many columns, how many tokens they see."""

    encoder_id: str
    dim: int
    max_tokens: int


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal (90 MB take about 60 ms)."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def source_files(source: Path) -> dict[str, str]:
    """Relative path → SHA-256 of every file of a sentence-transformers folder that can change a vector.

    Those are the configurations, tokenizers and weights beside `modules.json` and in the folder of each
    module; exports to other formats and read-me files do not count. EmbedderError when the folder has no
    `modules.json`, or an encoder in it no `config.json`: sentence-transformers would make something up.
    """
    try:
        modules = json.loads((source / "modules.json").read_text("utf-8"))
        folders = {source, *(source / module["path"] for module in modules)}
        encoders = [source / module["path"] for module in modules if module["type"].endswith(".Transformer")]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise EmbedderError(f"{source} is no sentence-transformers model: no sound modules.json") from error
    for folder in encoders:
        if not (folder / "config.json").is_file():
            raise EmbedderError(f"{source} is no sentence-transformers model: no config.json in {folder}")
    files = (
        file
        for folder in folders
        if folder.is_dir()
        for file in folder.iterdir()
        if file.suffix in _SOURCE_SUFFIXES and file.is_file()
    )
    return {file.relative_to(source).as_posix(): file_sha256(file) for file in sorted(files)}


def encoder_id(name: str, files: Mapping[str, str], recipe: str) -> str:
    """Name who makes a vector: `<name>@<hash8>/<recipe's family>`. Different ids are never compared.

    The hash covers the source's files and the recipe, not the exported bytes: these may differ between
    versions of the exporter, while the vectors agree but for the last bits.
    """
    lines = [recipe, *(f"{sha} {path}" for path, sha in sorted(files.items()))]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return f"{name}@{digest[:8]}/{recipe.partition('/')[0]}"


def read_manifest(folder: Path) -> Export:
    """Read an exported folder's manifest and compare its files with it; EmbedderError names what is wrong."""
    try:
        manifest = json.loads((folder / MANIFEST_FILE).read_text("utf-8"))
        pinned = manifest["files"]
        found = {name: file_sha256(folder / name) for name in sorted({MODEL_FILE, TOKENIZER_FILE, *pinned})}
        export = Export(manifest["encoder_id"], int(manifest["dim"]), int(manifest["max_tokens"]))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise EmbedderError(f"{folder} is not a complete export: {error}") from error
    for name, sha256 in found.items():
        if pinned.get(name) != sha256:
            raise EmbedderError(f"{folder / name} is not the file that its manifest names (sha256 differs)")
    return export


def ensure(source: Path, destination: Path, name: str) -> None:
    """Export `source` to `destination` in a process of its own, unless a sound export stands there already.

    Takes about ten seconds, once. Safe to interrupt, and to call from several processes at once: one of
    them works, the others wait for it. EmbedderError with the process's last lines when it fails.
    """
    places = [str(source.resolve()), str(destination.resolve())]
    command = [sys.executable, "-m", __name__, *places, "--name", name]
    logger.info("exporting the encoder %s to %s (once)", name, destination)
    try:
        done = subprocess.run(  # noqa: S603  our own module, arguments passed as a list
            command, cwd=_PROJECT, capture_output=True, text=True, timeout=_EXPORT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise EmbedderError(f"the export of {source} took more than {_EXPORT_SECONDS} s") from error
    if done.returncode:
        raise EmbedderError(f"the export of {source} failed: {done.stderr.strip()[-800:]}")


def export(source: Path, destination: Path, name: str) -> None:
    """Do what `ensure` promises, in this process: loads torch. `name` begins the encoder's id."""
    wanted = encoder_id(name, source_files(source), RECIPE)
    destination.parent.mkdir(parents=True, exist_ok=True)
    with _alone(destination):
        with suppress(EmbedderError):
            if read_manifest(destination).encoder_id == wanted:
                return
        prefix = f".{destination.name}.tmp-"
        for leftover in destination.parent.glob(f"{prefix}*"):  # a killed process cannot clean up
            shutil.rmtree(leftover)
        work = Path(tempfile.mkdtemp(prefix=prefix, dir=destination.parent))
        try:
            fresh = work / "fresh"
            fresh.mkdir()
            _build(source, fresh, name)
            if destination.exists():
                destination.replace(work / "unsound")
            fresh.replace(destination)
            _flush(destination.parent)
        finally:
            shutil.rmtree(work)


@contextmanager
def _alone(destination: Path) -> Iterator[None]:
    """Hold the lock of one destination; the kernel releases it when the process ends, however it ends."""
    with destination.with_name(f".{destination.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(source: Path, folder: Path, name: str) -> None:
    """Fill `folder` with a checked export of `source`."""
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415  loads torch
    from tokenizers import Tokenizer  # noqa: PLC0415  idem

    files = source_files(source)
    # Attention is traced in its plain form: the fused one brings a guard against NaN into each layer.
    model: Any = SentenceTransformer(
        str(source), device="cpu", local_files_only=True, model_kwargs={"attn_implementation": "eager"}
    ).eval()
    _refuse_unless_plain(model)
    tokenizer = Tokenizer.from_str(model.tokenizer.backend_tokenizer.to_str())
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.save(str(folder / TOKENIZER_FILE))
    full = folder / "fp32.onnx"
    _trace(model, full)
    samples = [np.array([tokenizer.encode(text).ids], dtype=np.int64) for text in SENTENCES]
    smooth(full, samples)
    _round(full, folder / MODEL_FILE)
    full.unlink()
    for fitted in BESIDE:
        if (source / fitted).is_file():
            shutil.copy(source / fitted, folder)
    longest = int(model.max_seq_length or 512)
    cosines = _compare(model, samples, folder / MODEL_FILE)
    mean, least = float(cosines.mean()), float(cosines.min())
    if not (mean >= MEAN_COSINE and least >= MIN_COSINE):
        raise EmbedderError(f"the export strays from its source: cosine {mean:.4f} on average, {least:.4f} at least")
    manifest = {
        "encoder_id": encoder_id(name, files, RECIPE),
        "recipe": RECIPE,
        "dim": int(model.get_embedding_dimension()),
        "max_seq_length": longest,
        "max_tokens": longest - tokenizer.num_special_tokens_to_add(is_pair=False),
        "files": {file.name: file_sha256(file) for file in sorted(folder.iterdir())},
        "source": files,
        "against_fp32": {
            "texts": len(SENTENCES),
            "mean_cosine": round(mean, 5),
            "min_cosine": round(least, 5),
        },
        "made_with": {package: version(package) for package in _MAKERS},
    }
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")
    folder.chmod(0o755)
    for file in (*folder.iterdir(), folder):
        _flush(file)


def _refuse_unless_plain(model: Any) -> None:
    """EmbedderError unless the model is encoder, mean pooling and perhaps normalisation, without prompts."""
    kinds = [type(module).__name__ for module in model]
    if kinds not in (["Transformer", "Pooling", "Normalize"], ["Transformer", "Pooling"]):
        raise EmbedderError(f"only Transformer, Pooling, Normalize can be exported, not {', '.join(kinds)}")
    if model[1].get_config_dict().get("pooling_mode") != "mean":
        raise EmbedderError("only mean pooling can be exported")
    if any(model.prompts.values()):
        raise EmbedderError("a model that puts a prompt before its texts cannot be exported")


def _trace(model: Any, path: Path) -> None:
    """Write the fp32 graph: token ids (texts, tokens) → embeddings (texts, d) of length 1."""
    import torch  # noqa: PLC0415  only the exporting process

    class Pooled(torch.nn.Module):
        """The encoder with mean pooling and normalisation; all texts of equal length, hence no mask."""

        def __init__(self, encoder: torch.nn.Module) -> None:
            super().__init__()
            self.encoder = encoder

        def forward(self, input_ids: "torch.Tensor") -> "torch.Tensor":
            states = self.encoder(input_ids=input_ids, attention_mask=None).last_hidden_state
            return torch.nn.functional.normalize(states.mean(dim=1), p=2.0, dim=1)

    with warnings.catch_warnings():
        # The tracing exporter is deprecated; its successor needs onnxscript and writes the same graph.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Pooled(model[0].model).eval(),
            (torch.randint(1000, 2000, (2, 9)),),
            str(path),
            input_names=["input_ids"],
            output_names=["embedding"],
            dynamic_axes={"input_ids": {0: "texts", 1: "tokens"}, "embedding": {0: "texts"}},
            opset_version=17,
            dynamo=False,
        )


def _round(full: Path, path: Path) -> None:
    """Round the weights of every product and embedding table to int8, per channel."""
    from onnxruntime.quantization import QuantType, quantize_dynamic  # noqa: PLC0415  needs onnx, 0.3 s

    quantize_dynamic(full, path, weight_type=QuantType.QInt8, per_channel=True)


def _compare(model: Any, samples: Sequence[NDArray[np.int64]], path: Path) -> NDArray[np.float32]:
    """Cosine of each of `SENTENCES` between sentence-transformers in fp32 and the graph at `path`."""
    import onnxruntime as ort  # noqa: PLC0415  with its companions above

    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    theirs = model.encode(list(SENTENCES), normalize_embeddings=True, show_progress_bar=False)
    ours = np.concatenate([session.run(["embedding"], {"input_ids": ids})[0] for ids in samples])
    cosines: NDArray[np.float32] = (theirs * ours).sum(axis=1)
    return cosines


def _flush(path: Path) -> None:
    """Have a file's or a folder's content on the disk before what follows."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line: `python -m app.matching.onnx_export SOURCE DESTINATION [--name NAME]`."""
    parser = argparse.ArgumentParser(prog="onnx_export", description="Export an encoder to int8 ONNX.")
    parser.add_argument("source", type=Path, help="a sentence-transformers folder")
    parser.add_argument("destination", type=Path, help="the folder to make")
    parser.add_argument("--name", help="first part of the encoder's id; the source folder's name by default")
    options = parser.parse_args(arguments)
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        export(options.source, options.destination, options.name or options.source.resolve().name)
    except EmbedderError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
