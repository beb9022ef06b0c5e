"""The calls of processors, for the nodes that ask models."""

from tests.unit.processors.conftest import _forgetful, call_of, lines, run

__all__ = ["_forgetful", "call_of", "lines", "run"]
