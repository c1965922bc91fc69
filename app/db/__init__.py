"""Base, sessions, change log, migrations."""
