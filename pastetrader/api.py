"""The API of this site, composed of the apps' operations."""

from ninja import NinjaAPI

from executions_app.web import for_users, install
from workflows_app.rest.auth import READ

api = NinjaAPI(
    title="PasteTrader",
    version="1",
    description="Workflows and their executions. Log in, or send `Authorization: Bearer TOKEN`.",
    urls_namespace="api",
    auth=READ,
    docs_decorator=for_users,
)
install(api)
