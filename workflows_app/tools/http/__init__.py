"""Calls over HTTP: the tool `http.request` and the guard in front of the network."""

from workflows_app.tools.http import request

__all__ = ["request"]
