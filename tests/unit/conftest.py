"""Unit tests are of the pure packages: one that reaches for a database is in the wrong folder."""

import pytest

DATABASE_FIXTURES = frozenset(
    {"db", "transactional_db", "django_db_setup", "django_db_reset_sequences", "django_db_serialized_rollback"}
)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail before a database is set up."""
    asked = DATABASE_FIXTURES.intersection(getattr(item, "fixturenames", ()))
    if asked or item.get_closest_marker("django_db"):
        pytest.fail(f"{item.name} may not touch a database here: move it to tests/integration.", pytrace=False)
