"""The database as the migrations leave it: what the models state is there."""

import pytest
from django.apps import apps
from django.db import connection

pytestmark = pytest.mark.django_db


def missing(model, found):
    """Indexes and constraints that a model states and its table does not have."""
    stated = {one.name for one in (*model._meta.indexes, *model._meta.constraints)}
    return stated - set(found)


MODELS = [model for app in ("workflows_app", "executions_app") for model in apps.get_app_config(app).get_models()]


def constraints(model):
    with connection.cursor() as cursor:
        return connection.introspection.get_constraints(cursor, model._meta.db_table)


@pytest.mark.parametrize("model", MODELS, ids=[model.__name__ for model in MODELS])
def test_every_index_and_constraint_is_in_the_database(model):
    """A migration can lose one in passing: a field that loses its index takes others on its column along."""
    assert missing(model, constraints(model)) == set()


def test_what_is_not_there_is_found():
    model = apps.get_model("executions_app", "WorkflowExecution")
    found = constraints(model)
    del found["execution_one_at_a_time"]
    assert missing(model, found) == {"execution_one_at_a_time"}
