"""The engine: imports nothing of app, knows no web and no database."""
