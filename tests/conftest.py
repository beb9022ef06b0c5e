"""What holds for the whole suite."""

import os
from collections import Counter

import pytest
from django.core.management.commands import flush
from hypothesis import HealthCheck, settings

# No deadline for one example: a busy machine would fail tests that are right. `thorough` is for long runs.
settings.register_profile("default", deadline=None)
settings.register_profile("thorough", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


# What migrations made, and no test changes.
KEPT = frozenset({"auth_permission", "django_content_type"})


@pytest.fixture(scope="session", autouse=True)
def _permissions_outlive_tests():
    """The database is emptied after a test, but for permissions: to make them anew took longer than most tests."""

    def swept(style, connection, **options):
        tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
        return connection.ops.sql_flush(style, [table for table in tables if table not in KEPT], **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(flush, "sql_flush", swept)
        patched.setattr(flush, "emit_post_migrate_signal", lambda *_args: None)
        yield


@pytest.fixture
def figure(record_property):
    """Have a figure printed at the end of the suite; with `counted_of`, how many tests came to it, of how many."""

    def note(text, *, counted_of=None):
        record_property("figure", [text, counted_of])

    return note


def pytest_terminal_summary(terminalreporter):
    counts: Counter[tuple[str, int]] = Counter()
    lines = []
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == "figure" and value[1] is None:
                lines.append(value[0])
            elif name == "figure":
                counts[tuple(value)] += 1
    lines += [f"{text} {count}/{of}" for (text, of), count in counts.items()]
    if lines:
        terminalreporter.section("figures")
        for line in sorted(lines):
            terminalreporter.write_line(line)
