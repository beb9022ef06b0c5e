"""The two kinds of schemas: what a request may say, and what an answer says."""

from pydantic import BaseModel, ConfigDict


class Given(BaseModel):
    """A request's body: what it does not know it refuses."""

    model_config = ConfigDict(extra="forbid")


class Shown(BaseModel):
    """A part of an answer, as the documentation tells it; an answer may say more."""

    model_config = ConfigDict(extra="allow")
