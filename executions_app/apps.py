"""The app of the runs."""

from typing import override

from django.apps import AppConfig
from django.utils.translation import gettext_lazy


class ExecutionsConfig(AppConfig):
    name = "executions_app"
    verbose_name = gettext_lazy("Executions")
    default_auto_field = "django.db.models.BigAutoField"

    @override
    def ready(self) -> None:
        from executions_app import checks, fleet  # noqa: PLC0415 - apps must be loaded first

        checks.register_checks()
        fleet.register_checks()
