"""The app of the definitions; it also finds the tools of every installed app and of plug-ins."""

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
        from workflows_app import plugins  # noqa: PLC0415 - apps must be loaded first
        from workflows_app.agents import prices, providers  # noqa: PLC0415
        from workflows_app.checks import register_checks  # noqa: PLC0415
        from workflows_app.conf import (  # noqa: PLC0415
            current_prices,
            current_providers,
            current_rates,
            current_servers,
            workflow_settings,
        )
        from workflows_app.services.logins import watch_logins  # noqa: PLC0415
        from workflows_app.tools import rates, threads  # noqa: PLC0415
        from workflows_app.tools.market import sources  # noqa: PLC0415
        from workflows_app.tools.mcp import servers  # noqa: PLC0415

        register_checks()
        watch_logins()
        sources.current = lambda: sources.source_of(workflow_settings().market_source)
        providers.current = current_providers
        servers.current = current_servers
        rates.current = current_rates
        providers.current, prices.current = current_providers, current_prices
        # A synchronous tool may use the ORM: its thread's connection is given back like a request's.
        threads.pool.after_call = close_old_connections
        threads.pool.at_end = connections.close_all
        autodiscover_modules("tools")
        plugins.load()
