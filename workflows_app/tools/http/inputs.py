"""What a node says to `http.request`, as one value. Its shapes become the tool's JSON Schema."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, TypedDict

from workflows_app.dag.types import JsonValue

type Scalar = str | bool | int | Decimal | None
type Fields = dict[str, Scalar | list[Scalar]]
type Form = Literal["auto", "json", "text", "bytes"]


class Basic(TypedDict):
    username: str
    password: str


class Header(TypedDict):
    name: str
    value: str


class Auth(TypedDict, total=False):
    """One of them."""

    bearer: str
    basic: Basic
    header: Header


# `from` is a word of Python.
Cursor = TypedDict("Cursor", {"from": str, "param": str})


class Pagination(TypedDict, total=False):
    """`link` or `cursor`."""

    link: bool
    cursor: Cursor
    items: str
    max_pages: int


# For Pydantic: what they do not know is an error.
for shape in (Basic, Header, Auth, Cursor, Pagination):
    shape.__pydantic_config__ = {"extra": "forbid"}  # pyright: ignore[reportAttributeAccessIssue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The inputs of one call; what may be secret is not in its repr."""

    url: str = field(repr=False)
    method: str
    headers: Mapping[str, str | int] = field(repr=False)
    query: Fields = field(repr=False)
    json: JsonValue = field(repr=False)
    form: Fields | None = field(repr=False)
    body: str | None = field(repr=False)
    auth: Auth | None = field(repr=False)
    expect: Sequence[int] | None
    response: Form
    follow_redirects: int
    timeout_seconds: int | Decimal | None
    pagination: Pagination | None
    # The key that is sent; None: none is.
    idempotency_key: str | None
