"""What a foreign Django project mounts: the API, on a `NinjaAPI` of its own.

api = NinjaAPI(urls_namespace="trade", docs_decorator=for_users)
install(api)
urlpatterns = [path("trade/", urls(api))]
"""

from ninja import NinjaAPI

from executions_app.api import router as executions
from executions_app.web.frame import for_users, unknown, urls
from executions_app.web.login import limited_login
from executions_app.web.openapi import describe_refusals
from executions_app.web.probes import probes
from executions_app.web.problems import handle_problems
from workflows_app.api import router as workflows
from workflows_app.rest.codec import JsonParser, JsonRenderer

__all__ = ["for_users", "install", "limited_login", "probes", "unknown", "urls"]


def install(api: NinjaAPI) -> None:
    """Add all operations, the JSON codec and the errors to an API, before its URLs are asked for."""
    api.parser, api.renderer = JsonParser(), JsonRenderer()
    handle_problems(api)
    describe_refusals(api)
    api.add_router("", workflows)
    api.add_router("", executions)
