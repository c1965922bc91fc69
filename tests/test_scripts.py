"""The scripts, the pinned versions and the image, as far as one can judge without a network or Docker."""

import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = [
    ROOT / "scripts" / "run",
    ROOT / "scripts" / "test",
    ROOT / "scripts" / "lint",
    ROOT / ".ci" / "run",
]
HELPER = ROOT / "scripts" / "_venv.sh"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


# --- the scripts as files -------------------------------------------------------------------------


@pytest.mark.parametrize("script", PROGRAMS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_script_is_executable_bash_that_stops_at_errors(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert os.access(script, os.X_OK)
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in text


@pytest.mark.parametrize("script", [*PROGRAMS, HELPER], ids=lambda path: str(path.relative_to(ROOT)))
def test_bash_can_parse_the_script(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)


@pytest.mark.parametrize("name", ["run", "test", "lint"])
def test_help_explains_and_installs_nothing(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [str(ROOT / "scripts" / name), "--help"],
        cwd=tmp_path,
        env={**os.environ, "PUENTE_VENV": str(tmp_path / "venv")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(f"Usage: scripts/{name} ")
    assert list(tmp_path.iterdir()) == []


def test_run_names_the_options_of_the_server() -> None:
    text = (ROOT / "scripts" / "run").read_text(encoding="utf-8")
    for option in ("--port", "--host", "--database", "--empty"):
        assert f"\n  {option} " in text
    assert 'exec "$VENV/bin/puente" serve "$@"' in text


def test_no_start_reports_to_the_maker_of_onnxruntime() -> None:
    assert "\nexport ORT_DISABLE_TELEMETRY=1\n" in HELPER.read_text(encoding="utf-8")
    stages = "\n".join(rest for word, rest in instructions() if word in {"ENV", "FROM"}).split("python:3.11-slim")
    assert ["ORT_DISABLE_TELEMETRY=1" in stage for stage in stages] == [False, True, True]


def test_no_file_names_a_machine() -> None:
    files = [*PROGRAMS, HELPER, *(ROOT / name for name in ("Dockerfile", ".dockerignore", "constraints.txt"))]
    # Root's home, the work folders of a machine, wheels that lie somewhere, addresses with a password.
    machine = re.compile(r"/root\b|/home/|/work/|/Users/|file://|/wheels\b|://[^/\s]+@")
    assert [(file.name, found) for file in files for found in machine.findall(file.read_text("utf-8"))] == []


# --- the pinned versions --------------------------------------------------------------------------


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()[1:]
    return dict(line.split("==") for line in lines)


def needed() -> Iterator[str]:
    """Yield the canonical name of all that the project and its extras need on this machine, near and far."""
    todo = [Requirement(line) for line in PROJECT["dependencies"]]
    todo += [Requirement(line) for lines in PROJECT["optional-dependencies"].values() for line in lines]
    seen: set[tuple[str, frozenset[str]]] = set()
    while todo:
        wanted = todo.pop()
        name, extras = canonicalize_name(wanted.name), frozenset(wanted.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        yield name
        for line in distribution(name).requires or []:
            further = Requirement(line)
            if not further.marker or any(further.marker.evaluate({"extra": e}) for e in ("", *extras)):
                todo.append(further)


def test_constraints_are_sorted_exact_and_say_how_they_were_made() -> None:
    first, *lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert first.startswith("# ")
    assert "pip freeze" in first
    assert lines == sorted(set(lines))
    # No local build (`+cpu`), no file, no address, no range.
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9.-]+==[a-z0-9.]+", line)] == []
    # What only torch for NVIDIA cards needs would break an installation without one; torch pins it itself.
    assert [name for name in pins() if name.startswith(("nvidia", "triton", "cuda"))] == []


def test_everything_needed_is_pinned_to_the_version_that_is_installed() -> None:
    pinned = pins()
    for_cards = ("nvidia", "triton", "cuda")
    wrong = {
        name: (distribution(name).version, pinned.get(name))
        for name in needed()
        if not name.startswith(for_cards) and distribution(name).version.split("+")[0] != pinned.get(name)
    }
    assert wrong == {}


def test_the_build_tool_is_pinned() -> None:
    assert int(pins()["setuptools"].split(".")[0]) >= 77


# --- the virtual environment: made, completed, repaired, by one at a time -------------------------

STAND_IN = """#!/usr/bin/env bash
# A Python whose venv and pip only leave marks; all else is done by the real one.
if [ "$1 $2" = "-m venv" ]; then
    folder="${!#}"
    [ "$3" != --clear ] || rm -rf "$folder"
    mkdir -p "$folder/bin" "$folder/lib/python3.11/site-packages"
    printf 'command = python -m venv %s\\n' "$folder" >"$folder/pyvenv.cfg"
    cp "$0" "$folder/bin/python"
    echo venv >>"$MARKS"
elif [ "$1 $2" = "-m pip" ]; then
    echo "pip ${!#}" >>"$MARKS"
    echo "Collecting something (from somewhere)"
    [ ! -e "$MARKS.slow" ] || sleep 3
    if [ -e "$MARKS.broken" ]; then echo "ERROR: no such version" >&2; exit 1; fi
    printf '#!/bin/sh\\n' >"${0%/*}/puente"
    chmod +x "${0%/*}/puente"
else
    exec REAL "$@"
fi
"""


class Workshop:
    """A project that is nothing but the helper, and a stand-in for Python that notes what is asked of it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a project"
        self.venv = self.root / ".venv"
        self.marks = folder / "marks"
        (self.root / "scripts").mkdir(parents=True)
        (self.root / "scripts" / "_venv.sh").write_bytes(HELPER.read_bytes())
        (self.root / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
        (self.root / "constraints.txt").write_text("", encoding="utf-8")
        python = folder / "bin" / "python3.11"
        python.parent.mkdir()
        python.write_text(STAND_IN.replace("REAL", sys.executable), encoding="utf-8")
        python.chmod(0o755)
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PUENTE_", "COV"))}
        self.environment = {**kept, "PATH": f"{python.parent}:{kept['PATH']}", "MARKS": str(self.marks)}

    def start(self, level: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [
                "bash",
                "-euo",
                "pipefail",
                "-c",
                f'. "{self.root}/scripts/_venv.sh"; puente_ensure_venv {level}',
            ],
            cwd=self.root.parent,
            env={**self.environment, **environment},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def ensure(self, level: str, code: int = 0, **environment: str) -> str:
        process = self.start(level, **environment)
        _, said = process.communicate(timeout=60)
        assert process.returncode == code, said
        return said

    def done(self) -> list[str]:
        """Return what was asked of Python since the last look."""
        lines = self.marks.read_text(encoding="utf-8").splitlines() if self.marks.exists() else []
        self.marks.write_text("", encoding="utf-8")
        return lines

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.02)


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def test_a_second_start_starts_nothing(workshop: Workshop) -> None:
    assert "one to two minutes" in workshop.ensure("base")
    assert workshop.done() == ["venv", "pip setuptools", f"pip {workshop.root}"]
    assert workshop.ensure("base") == ""
    assert workshop.done() == []


def test_the_extras_are_added_once_and_stay(workshop: Workshop) -> None:
    extras = ["pip setuptools", f"pip {workshop.root}[dev]"]
    workshop.ensure("base")
    workshop.done()
    workshop.ensure("dev")
    assert workshop.done() == extras
    workshop.ensure("base")
    assert workshop.done() == []
    (workshop.root / "constraints.txt").write_text("numpy==2.4.6\n", encoding="utf-8")
    workshop.ensure("base")
    assert workshop.done() == extras


def test_a_moved_project_gets_a_new_environment(workshop: Workshop) -> None:
    workshop.ensure("base")
    workshop.done()
    moved = workshop.root.rename(workshop.root.with_name("moved"))
    workshop.root, workshop.venv = moved, moved / ".venv"
    assert "was moved" in workshop.ensure("base")
    assert workshop.done() == ["venv", "pip setuptools", f"pip {moved}"]


def test_what_was_cut_short_is_made_anew(workshop: Workshop) -> None:
    workshop.ensure("base")
    workshop.done()
    cut = workshop.venv / "lib" / "python3.11" / "site-packages" / "numpy-2.4.6.dist-info"
    cut.mkdir()
    Path(f"{workshop.venv}-state", "installing").touch()
    workshop.ensure("base")
    assert workshop.done()[0] == "venv"
    assert not cut.exists()


def test_what_was_cut_short_without_harm_is_completed(workshop: Workshop) -> None:
    workshop.ensure("base")
    workshop.done()
    Path(f"{workshop.venv}-state", "installing").touch()
    workshop.ensure("base")
    assert workshop.done() == ["pip setuptools", f"pip {workshop.root}"]


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_an_interrupted_installation_is_taken_up(workshop: Workshop, sent: signal.Signals, code: int) -> None:
    slow = Path(f"{workshop.marks}.slow")
    slow.touch()
    process = workshop.start("base")
    workshop.until(lambda: workshop.marks.exists() and "pip" in workshop.marks.read_text(encoding="utf-8"))
    os.killpg(process.pid, sent)
    process.communicate(timeout=30)
    assert process.returncode == code
    assert not (workshop.venv / ".puente-stamp").exists()
    slow.unlink()
    workshop.done()
    workshop.ensure("base")
    assert workshop.done()[-1] == f"pip {workshop.root}"
    assert workshop.ensure("base") == ""


def test_two_at_once_install_once(workshop: Workshop) -> None:
    Path(f"{workshop.marks}.slow").touch()
    first = workshop.start("base")
    workshop.until(lambda: workshop.marks.exists() and "pip" in workshop.marks.read_text(encoding="utf-8"))
    assert "waiting" in workshop.ensure("base")
    assert first.communicate(timeout=30)[1].count("is ready") == 1
    assert workshop.done() == ["venv", "pip setuptools", f"pip {workshop.root}"]


def test_an_error_of_pip_is_shown_and_what_worked_goes_on_working(workshop: Workshop) -> None:
    workshop.ensure("base")
    Path(f"{workshop.marks}.broken").touch()
    assert "ERROR: no such version" in workshop.ensure("dev", code=1)
    workshop.done()
    assert workshop.ensure("base") == ""
    assert workshop.done() == []


def test_a_folder_of_somebody_else_is_never_emptied(workshop: Workshop) -> None:
    theirs = workshop.root / "theirs"
    theirs.mkdir()
    (theirs / "letter").write_text("dear", encoding="utf-8")
    for _ in range(2):
        assert "remove it" in workshop.ensure("base", code=1, PUENTE_VENV=str(theirs))
    assert (theirs / "letter").read_text(encoding="utf-8") == "dear"


def test_a_machine_without_python_is_told_what_to_do(workshop: Workshop) -> None:
    tools = workshop.root / "tools"
    tools.mkdir()
    for tool in ("bash", "cat", "cut", "dirname", "readlink", "sha256sum", "shasum"):
        for folder in os.environ["PATH"].split(":"):
            if (Path(folder) / tool).exists() and not (tools / tool).exists():
                (tools / tool).symlink_to(Path(folder) / tool)
    said = workshop.ensure("base", code=1, PATH=str(tools))
    assert "Python 3.11 or newer" in said
    assert "PUENTE_PYTHON=" in said
    assert "PUENTE_PYTHON=/nowhere" in workshop.ensure("base", code=1, PUENTE_PYTHON="/nowhere")


# --- the image ------------------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions as (word, arguments), comments gone and continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = [line for line in text.replace("\\\n", "").splitlines() if line.strip()]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def final_stage() -> dict[str, list[str]]:
    """Return the arguments of the last stage's instructions by word."""
    stages: list[dict[str, list[str]]] = []
    for word, rest in instructions():
        if word == "FROM":
            stages.append({})
        stages[-1].setdefault(word, []).append(rest)
    return stages[-1]


def test_docker_copies_what_is_there_and_what_the_context_holds() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    copied = {
        source
        for word, rest in instructions()
        if word == "COPY" and not rest.startswith("--from=")
        for source in rest.split()[:-1]
    }
    assert copied == kept
    assert [source for source in copied if not (ROOT / source).exists()] == []


def test_docker_runs_without_privileges_on_one_volume() -> None:
    stage = final_stage()
    assert stage["USER"] == ["10001:10001"]
    assert stage["VOLUME"] == ["/data"]
    assert stage["EXPOSE"] == ["8000"]
    assert stage["CMD"] == ['["puente", "serve", "--host", "0.0.0.0"]']
    assert "PUENTE_DATABASE=/data/puente.db" in " ".join(stage["ENV"]).split()


def test_docker_asks_ready_with_code_that_python_can_read() -> None:
    (check,) = final_stage()["HEALTHCHECK"]
    code = re.search(r'CMD \["python", "-c", "(.*)"\]$', check)
    assert code
    compile(code[1], "healthcheck", "exec")
    assert "http://127.0.0.1:8000/ready" in code[1]


def test_docker_installs_the_pinned_versions_and_torch_from_its_own_index() -> None:
    installs = [rest for word, rest in instructions() if word == "RUN" and "pip install" in rest]
    assert len(installs) == 3
    assert all("-c constraints.txt" in line for line in installs)
    assert [line for line in installs if "TORCH_INDEX" in line and "--no-deps" in line]
    assert ("ARG", 'TORCH_INDEX="https://download.pytorch.org/whl/cpu"') in instructions()


def test_docker_exports_the_encoder_where_the_server_looks_for_it() -> None:
    places = [re.findall(r"PUENTE_MODEL_CACHE=(\S+)", rest) for word, rest in instructions() if word == "ENV"]
    assert [place for found in places for place in found] == ["/opt/encoder", "/opt/encoder"]
    assert any("load_embedder()" in rest for word, rest in instructions() if word == "RUN")
