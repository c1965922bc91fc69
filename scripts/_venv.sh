# shellcheck shell=bash
# Sourced by the scripts beside it: finds Python, and keeps one virtual environment in step with the project.
#
#   puente_ensure_venv base|dev   makes or completes the environment; `dev` holds all that `base` holds, and more
#
# Sets PUENTE_ROOT (the project's folder) and VENV (the environment's: PUENTE_VENV, else .venv in the project).
#
# What keeps it right:
# - $VENV/.puente-stamp, written last, says for which files and which extras everything was installed; while it
#   still says so, nothing is started and nothing is installed.
# - $VENV-state/installing stands while the environment is being changed. Who finds it there checks every installed
#   file against the list that its package left, and makes the environment anew when one is amiss.
# - $VENV-state/lock lets one at a time do so; the others wait.
# - $VENV-state/install.log is all that pip said.
# A folder is emptied only when it carries one of the first two marks: never one that somebody else filled.

PUENTE_ROOT="$(CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.." && pwd -P)"
VENV="${PUENTE_VENV:-$PUENTE_ROOT/.venv}"
case "$VENV" in
/*) ;;
*) VENV="$PWD/$VENV" ;;
esac
VENV="${VENV%/}"

# The engine runs one session per core with one thread each: pools that OpenMP and OpenBLAS would start beside them
# spin and take the encoder's core. The tokenizers' own pool warns and deadlocks in processes that fork.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
export OPENBLAS_NUM_THREADS="${OPENBLAS_NUM_THREADS:-1}"
export TOKENIZERS_PARALLELISM="${TOKENIZERS_PARALLELISM:-false}"
# onnxruntime's Linux builds report their use to their maker unless told before they load. Puente tells nobody.
export ORT_DISABLE_TELEMETRY=1

puente_say() { printf 'puente: %s\n' "$*" >&2; }

# Prints a Python that can make the environment: PUENTE_PYTHON, or the first that does. 3.11 comes first because the
# pinned versions were tried with it.
puente_find_python() {
    local candidate candidates=(python3.11 python3.12 python3.13 python3.14 python3 python)
    [ -z "${PUENTE_PYTHON:-}" ] || candidates=("$PUENTE_PYTHON")
    for candidate in "${candidates[@]}"; do
        # Version managers put stand-ins on the PATH for versions that they do not have, so each one is tried.
        if "$candidate" -c 'import sys, venv, ensurepip, fcntl; sys.exit(sys.version_info < (3, 11))' \
            >/dev/null 2>&1 </dev/null; then
            command -v -- "$candidate"
            return 0
        fi
    done
    if [ -n "${PUENTE_PYTHON:-}" ]; then
        puente_say "PUENTE_PYTHON=$PUENTE_PYTHON is no Python 3.11 or newer with the venv module."
    else
        puente_say "Python 3.11 or newer with its venv module is needed, and none was found on the PATH."
        puente_say "Install it (Debian, Ubuntu: python3 and python3-venv; macOS: brew install python@3.11)," \
            "or name one: PUENTE_PYTHON=/path/to/python3.11"
    fi
    return 1
}

puente_sha256() {
    if command -v sha256sum >/dev/null 2>&1; then sha256sum; else shasum -a 256; fi | cut -d ' ' -f 1
}

# One line for the files and the folders that an installation depends on; an environment cannot be moved or copied.
puente_key() {
    { cat -- "$PUENTE_ROOT/pyproject.toml" "$PUENTE_ROOT/constraints.txt" && printf '%s\n' "$PUENTE_ROOT" "$VENV"; } |
        puente_sha256
}

# Whether the environment is finished, for this key ($1) and level ($2).
puente_is_current() {
    local key='' level=''
    [ ! -e "$VENV-state/installing" ] && [ -x "$VENV/bin/python" ] && [ -x "$VENV/bin/puente" ] || return 1
    { read -r key level <"$VENV/.puente-stamp"; } 2>/dev/null || return 1
    [ "$key" = "$1" ] && { [ "$level" = dev ] || [ "$level" = "$2" ]; }
}

# Whether what stands in $VENV starts, was made for this folder, and has pip.
puente_venv_starts() {
    case "$(grep '^command = ' "$VENV/pyvenv.cfg" 2>/dev/null)" in
    *" $VENV") ;;
    *) return 1 ;;
    esac
    "$VENV/bin/python" -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 </dev/null
}

# Whether every installed package is whole: its list of files is there, and so is each file, in its length.
puente_venv_is_whole() {
    "$VENV/bin/python" - "$VENV" <<'PYTHON'
import csv, pathlib, sys

for site in pathlib.Path(sys.argv[1]).glob("lib/python*/site-packages"):
    if any(site.glob("~*")):
        sys.exit("an upgrade was cut short")
    for info in site.glob("*.dist-info"):
        record = info / "RECORD"
        if not record.is_file():
            sys.exit(f"{info.name} was cut short")
        for row in csv.reader(record.read_text(encoding="utf-8").splitlines()):
            file = site / row[0]
            if not file.exists() or (row[2] and file.stat().st_size != int(row[2])):
                # What Python compiles for itself may come and go.
                if file.suffix != ".pyc":
                    sys.exit(f"{info.name} lacks {row[0]}")
PYTHON
}

# What pip is at: its last word on a package, and how many are in place once it only copies files.
puente_pip_progress() {
    local line
    line="$(tail -n 400 -- "$VENV-state/install.log" |
        sed -n -e 's/ (from .*//' -e 's/^ *\(Collecting\|Downloading\|Building\|Installing\) /\1 /p' | tail -n 1)"
    case "$line" in
    'Installing collected packages: '*)
        printf 'Installing: %d of %d packages are in place' \
            "$(find "$VENV"/lib/python*/site-packages -name RECORD -newer "$VENV-state/installing" | wc -l)" \
            "$(printf '%s\n' "$line" | tr ',' '\n' | wc -l)"
        ;;
    *) printf '%s' "$line" | cut -c 1-90 ;;
    esac
}

# Runs pip with the given arguments: all it says goes to the log, one line of progress to the terminal.
puente_pip() {
    local pid started=$SECONDS said=0 code=0
    : >"$VENV-state/installing"
    "$VENV/bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off \
        -c "$PUENTE_ROOT/constraints.txt" "$@" >>"$VENV-state/install.log" 2>&1 </dev/null &
    pid=$!
    # pip in the background does not hear Ctrl-C; it is told, and what it leaves is checked at the next start.
    trap 'kill "$pid" 2>/dev/null || :; wait "$pid" || :; puente_say "interrupted; the next start takes it up."; exit 130' INT
    trap 'kill "$pid" 2>/dev/null || :; wait "$pid" || :; exit 143' TERM HUP
    while kill -0 "$pid" 2>/dev/null; do
        sleep 0.2
        if [ -t 2 ]; then
            printf '\r\033[K  %3d s  %s' "$((SECONDS - started))" "$(puente_pip_progress)" >&2
        elif [ $((SECONDS - started - said)) -ge 10 ]; then
            said=$((SECONDS - started))
            printf '  %3d s  %s\n' "$said" "$(puente_pip_progress)" >&2
        fi
    done
    wait "$pid" || code=$?
    trap - INT TERM HUP
    [ ! -t 2 ] || printf '\r\033[K' >&2
    if [ "$code" -ne 0 ]; then
        puente_say "pip stopped with an error (code $code). Its last words:"
        grep -v 'WARNING: Location ' "$VENV-state/install.log" | tail -n 15 | cut -c 1-500 | sed 's/^/  /' >&2
        puente_say "All of them: $VENV-state/install.log"
    fi
    return "$code"
}

puente_ensure_venv() {
    local level="$1" key python what="$PUENTE_ROOT" anew='' old='' why='' started=$SECONDS
    key="$(puente_key)" || return 1
    if puente_is_current "$key" "$level"; then return 0; fi

    python="$(puente_find_python)" || return 1
    mkdir -p -- "$VENV-state" || return 1
    # The lock belongs to the open file, which pip inherits: should this script be killed, the next one waits for the
    # pip that it left. Python takes it because not every system has the flock command.
    exec 9>"$VENV-state/lock"
    if ! "$python" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)' 2>/dev/null; then
        puente_say "another start is preparing $VENV; waiting for it."
        "$python" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)' || return 1
    fi
    if puente_is_current "$key" "$level"; then
        exec 9>&-
        return 0
    fi

    : >"$VENV-state/install.log"
    if ! puente_venv_starts; then
        anew=yes
    elif [ -e "$VENV-state/installing" ] && ! puente_venv_is_whole 2>>"$VENV-state/install.log"; then
        anew=yes
    fi
    if [ -n "$anew" ] && [ -n "$(ls -A -- "$VENV" 2>/dev/null)" ]; then
        if [ ! -e "$VENV/.puente-stamp" ] && [ ! -e "$VENV-state/installing" ]; then
            puente_say "$VENV is not of this script's making and cannot be used as it is:" \
                "remove it, or name another folder with PUENTE_VENV."
            return 1
        fi
        why='what stood there is incomplete or was moved: '
    fi
    # Extras that are there stay there: what a newer constraints file changes, it changes for them too.
    { read -r _ old <"$VENV/.puente-stamp"; } 2>/dev/null || true
    if [ -z "$anew" ] && [ "$old" = dev ]; then level=dev; fi
    [ "$level" = base ] || what="${PUENTE_ROOT}[dev]"

    : >"$VENV-state/installing"
    if [ -n "$anew" ]; then
        puente_say "${why}making $VENV with $("$python" --version 2>&1) and installing the pinned packages:" \
            "one to two minutes, plus the time to download some 360 MB (gigabytes with torch for NVIDIA cards)."
        "$python" -m venv --clear "$VENV" || return 1
    else
        puente_say "bringing $VENV in step with pyproject.toml and constraints.txt:" \
            "seconds if little changed, at most two minutes plus downloads."
    fi
    # The build tool is pinned too, so it is installed first and used as it is, instead of the newest in a build
    # environment of its own.
    if ! puente_pip setuptools || ! puente_pip --no-build-isolation -e "$what"; then
        # pip leaves things as they were when it fails by itself, so an environment that worked goes on working.
        if puente_venv_is_whole 2>/dev/null; then rm -f -- "$VENV-state/installing"; fi
        return 1
    fi
    printf '%s %s\n' "$key" "$level" >"$VENV/.puente-stamp.new"
    mv -f -- "$VENV/.puente-stamp.new" "$VENV/.puente-stamp"
    rm -f -- "$VENV-state/installing"
    exec 9>&-
    puente_say "$VENV is ready ($((SECONDS - started)) s)."
}
