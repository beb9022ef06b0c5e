"""Workflows as tools of a model: the Model Context Protocol over the same services and queries as the API.

The protocol's own package is an extra. Only `server`, `http` and `stdio` import it, and nothing imports these before
somebody connects.
"""
