"""The app of the definitions; it also finds the tools of every installed app."""

from pathlib import Path
from typing import override

from django.apps import AppConfig
from django.db import close_old_connections, connections
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy


class WorkflowsConfig(AppConfig):
    name = "workflows_app"
    verbose_name = gettext_lazy("Workflows")
    default_auto_field = "django.db.models.BigAutoField"

    @override
    def ready(self) -> None:
        from workflows_app.checks import register_checks  # noqa: PLC0415 - apps must be loaded first
        from workflows_app.conf import workflow_settings  # noqa: PLC0415
        from workflows_app.services.logins import watch_logins  # noqa: PLC0415
        from workflows_app.tools import market, threads  # noqa: PLC0415

        register_checks()
        watch_logins()
        bundled = market.data_path

        def data_path() -> Path:
            configured = workflow_settings().market_data
            return bundled() if configured is None else configured

        market.data_path = data_path
        # A synchronous tool may use the ORM: its thread's connection is given back like a request's.
        threads.pool.after_call = close_old_connections
        threads.pool.at_end = connections.close_all
        autodiscover_modules("tools")
