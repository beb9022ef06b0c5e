"""Secrets: their names are listed; their values go in and never come out."""

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Router, Status
from pydantic import PlainValidator, ValidationInfo, WithJsonSchema

from workflows_app.api.parameters import Cursor, Limit
from workflows_app.models import Credential
from workflows_app.queries import credential_for, credential_json, credentials_page
from workflows_app.rest.auth import READ, WRITE, caller
from workflows_app.rest.shapes import Refusal
from workflows_app.schemas import CredentialGiven, CredentialPage, CredentialShown, CredentialValue
from workflows_app.services.secrets import NewSecret, create_secret, delete_secret, replace_secret

router = Router(tags=["credentials"])


def _credential(value: Any, info: ValidationInfo) -> Credential:
    assert info.context is not None
    return credential_for(caller(info.context["request"]).user, str(value))


# The secret with the name in the path, if it exists for who calls.
CredentialInPath = Annotated[Any, PlainValidator(_credential), WithJsonSchema({"type": "string"})]


@router.get("/credentials", auth=READ, response=CredentialPage)
def list_credentials(request: HttpRequest, limit: Limit, cursor: Cursor) -> Any:
    """Your secrets by name, without their values."""
    page = credentials_page(caller(request).user, limit, cursor)
    return {"items": [credential_json(found) for found in page.items], "next": page.next}


@router.post("/credentials", auth=WRITE, response={201: CredentialShown, 409: Refusal})
def create_credential(request: HttpRequest, body: CredentialGiven) -> Any:
    """Keep a secret of yours: `${{ secrets.NAME }}` in your workflows. Nothing gives its value out again."""
    user = caller(request).user
    new = NewSecret(name=body.name, value=body.value.get_secret_value(), description=body.description)
    return Status(201, credential_json(create_secret(new, user, user)))


@router.put("/credentials/{credential}", auth=WRITE, response=CredentialShown)
def replace_credential(request: HttpRequest, credential: CredentialInPath, body: CredentialValue) -> Any:
    """Another value of a secret. Executions use it from their next node on."""
    new = NewSecret(name=credential.name, value=body.value.get_secret_value(), description=body.description)
    return credential_json(replace_secret(credential, new, caller(request).user))


@router.delete("/credentials/{credential}", auth=WRITE, response={204: None})
def delete_credential(request: HttpRequest, credential: CredentialInPath) -> Any:
    """Delete a secret. Workflows that name it fail where they use it."""
    delete_secret(credential, caller(request).user)
    return Status(204, None)
