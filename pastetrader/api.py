"""The API of this site, composed of the apps' operations."""

from ninja import NinjaAPI
from ninja.openapi.docs import ABS_TPL_PATH, Swagger

from executions_app.web import for_users, install
from workflows_app.rest.auth import READ


class _LocalSwagger(Swagger):
    """Where ninja is no app, its page would fetch its scripts from other sites: this one names those of this site."""

    template_cdn = str(ABS_TPL_PATH / "swagger.html")


api = NinjaAPI(
    title="PasteTrader",
    version="1",
    description="Workflows and their executions. Log in, or send `Authorization: Bearer TOKEN`.",
    urls_namespace="api",
    auth=READ,
    docs=_LocalSwagger(),
    docs_decorator=for_users,
)
install(api)
