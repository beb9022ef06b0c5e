"""The migrations say what the models say."""

import pytest
from django.apps import apps
from django.db import models
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ModelState, ProjectState

OURS = {"workflows_app", "executions_app"}


def missing_migrations(wanted: ProjectState) -> dict[str, list[str]]:
    """By app, what a new migration would have to do to reach this state."""
    loader = MigrationLoader(None)
    changes = MigrationAutodetector(loader.project_state(), wanted).changes(graph=loader.graph, trim_to_apps=OURS)
    return {
        app: [operation.describe() for migration in migrations for operation in migration.operations]
        for app, migrations in changes.items()
    }


def test_no_model_has_changed_since_the_last_migration() -> None:
    assert missing_migrations(ProjectState.from_apps(apps)) == {}


@pytest.mark.parametrize("app", sorted(OURS))
def test_a_model_without_a_migration_is_found(app: str) -> None:
    state = ProjectState.from_apps(apps)
    state.add_model(ModelState(app, "Planted", [("id", models.BigAutoField(primary_key=True))]))
    assert missing_migrations(state) == {app: ["Create model Planted"]}
