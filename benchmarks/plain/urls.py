"""One row by its key, and one insert; a token costs one query."""

from datetime import datetime
from typing import Any, override

from django.http import HttpRequest
from django.urls import path
from ninja import NinjaAPI, Schema, Status
from ninja.security import HttpBearer

from benchmarks.plain.models import Item, Token, hashed


class TokenAuth(HttpBearer):
    @override
    def authenticate(self, request: HttpRequest, token: str) -> Any:
        found = Token.objects.select_related("user").filter(secret_hash=hashed(token)).first()
        return found and found.user


class ItemIn(Schema):
    name: str
    data: str


class ItemOut(ItemIn):
    id: int
    created_at: datetime


api = NinjaAPI(auth=TokenAuth(), docs_url=None)


@api.get("/items/{item_id}", response=ItemOut)
def get_item(request: HttpRequest, item_id: int) -> Any:
    return Item.objects.get(pk=item_id)


@api.post("/items", response={202: ItemOut})
def post_item(request: HttpRequest, body: ItemIn) -> Any:
    return Status(202, Item.objects.create(**body.dict()))


urlpatterns = [path("api/", api.urls)]
