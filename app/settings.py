"""Configuration, from the environment (`PUENTE_*`) and the command line; read by main, worker and cli only."""

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

ROOT = Path(__file__).resolve().parent.parent
"""The project's folder: migrations, models and the demonstration territory lie below it."""


class Settings(BaseSettings):
    """What an operator may set; the README's configuration table is generated from these lines."""

    model_config = SettingsConfigDict(env_prefix="PUENTE_", env_ignore_empty=True, extra="ignore")

    database: str = str(ROOT / "var" / "puente.db")
    """Path of the SQLite file, or a `sqlite:///` address."""

    model: str | None = None
    """Any sentence-transformers path or name; empty means the offline model that the project installs."""

    calibrations: Path = ROOT / "models" / "calibration"
    """Folder of calibration files, one per match kind."""

    uploads: Path | None = None
    """Folder where files to import wait; by default `uploads` beside the database."""

    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""

    encoder_sessions: int = 2
    """Encoder sessions of one thread each; as many as the machine has cores."""

    body_limit: int = 1_000_000
    """Longest request body in bytes, files apart."""

    upload_limit: int = 50_000_000
    """Largest file to import, in bytes."""

    docs: bool = True
    """Serve the interactive API documentation at /docs."""

    def uploads_folder(self) -> Path:
        """Return the folder of files that wait for their import."""
        return self.uploads or Path(self.database.removeprefix("sqlite:///")).parent / "uploads"
