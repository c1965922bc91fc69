"""The house's rules that no linter knows."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from sqlalchemy import create_engine

import app
from app.accounts.principal import SCOPES, Role
from app.db.base import Base
from app.http import JsonRoute
from app.main import API, create_app
from app.settings import ROOT, Settings

LONGEST = 400
PACKAGES = sorted(path.parent.name for path in Path(app.__file__).parent.glob("*/tables.py"))
WITHOUT_SCOPE = {"/live", "/ready", "/metrics", "/docs", "/docs/oauth2-redirect"}


def modules(*folders: str) -> Iterator[Path]:
    """Yield our Python files; migrations are generated and stay as they were released."""
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def test_no_module_is_longer_than_it_may_be() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in modules("app", "scripts", "tests")
    }
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_every_package_says_what_it_is_for() -> None:
    silent = [str(path) for path in modules("app") if ast.get_docstring(ast.parse(path.read_text())) is None]
    assert silent == []


def routes() -> list[tuple[str, APIRoute]]:
    """Return every route of the application with its whole path."""
    application: FastAPI = create_app(Settings(database=":memory:"))
    found = []
    for context in iter_route_contexts(application.routes):
        route = context.original_route
        if isinstance(route, APIRoute):
            found.append((context.path, route))
    return found


def scopes(dependant: Dependant) -> set[str]:
    """Return the scopes that a route, or what it depends on, requires."""
    name = getattr(dependant.call, "__name__", "")
    found = {name.removeprefix("require ")} if name.startswith("require ") else set()
    return found.union(*(scopes(part) for part in dependant.dependencies))


def test_every_route_of_the_api_requires_a_scope() -> None:
    listed = routes()
    assert {path for path, route in listed if not scopes(route.dependant)} == WITHOUT_SCOPE
    needed = set().union(*(scopes(route.dependant) for _, route in listed))
    assert needed == SCOPES[Role.WRITER]
    for path, route in listed:
        if path.startswith(API):
            assert len(scopes(route.dependant)) == 1, path


def test_what_a_reader_may_do_changes_nothing() -> None:
    for path, route in routes():
        writes = bool((route.methods or set()) - {"GET", "HEAD"}) and not path.startswith(f"{API}/suggestions/{{match")
        assert writes != (scopes(route.dependant) <= SCOPES[Role.READER]), path


def test_every_route_with_a_json_body_reads_it_strictly() -> None:
    bodies = [route for _, route in routes() if route.body_field is not None]
    lenient = {route.name for route in bodies if not isinstance(route, JsonRoute)}
    assert lenient == {"import_file"}
    assert len(bodies) >= 6


def test_the_migrations_make_exactly_the_tables_that_the_packages_declare(database_file: Path) -> None:
    engine = create_engine(f"sqlite:///{database_file}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "render_as_batch": True})
        difference = compare_metadata(context, Base.metadata)
    engine.dispose()
    assert difference == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_with_tables_is_known_to_the_migrations(package: str) -> None:
    imported = {
        name.name
        for node in ast.walk(ast.parse((ROOT / "migrations" / "env.py").read_text()))
        if isinstance(node, ast.Import)
        for name in node.names
    }
    assert f"app.{package}.tables" in imported


def test_every_child_of_a_profile_or_organisation_goes_or_holds_with_it() -> None:
    loose = [
        f"{table.name}.{key.parent.name}"
        for table in Base.metadata.sorted_tables
        for key in table.foreign_keys
        if key.ondelete not in ("CASCADE", "RESTRICT")
    ]
    assert loose == []


def test_sql_stands_in_repositories_only() -> None:
    """Services and routes write none: import-linter holds it for services, this for routes and cores."""
    guilty = []
    for path in modules("app"):
        if path.name not in ("routes.py", "import_routes.py", "taxonomy_routes.py", "service.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy"):
                names = {name.name for name in node.names}
                if names != {"Session"}:
                    guilty.append(f"{path}: {names}")
    assert guilty == []
