"""The two kinds of schemas: what a request may say, and what an answer says."""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, WithJsonSchema


class Given(BaseModel):
    """A request's body: what it does not know it refuses."""

    model_config = ConfigDict(extra="forbid")


class Shown(BaseModel):
    """A part of an answer, as the documentation tells it; an answer may say more."""

    model_config = ConfigDict(extra="allow")


# Written with all its digits, as a JSON number.
Number = Annotated[Decimal, WithJsonSchema({"type": "number"}, mode="serialization")]


class Refusal(Shown):
    """Why nothing was done (RFC 9457): `code` for programs, `detail` for people, `errors` say what is wrong where."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[dict[str, Any]]
