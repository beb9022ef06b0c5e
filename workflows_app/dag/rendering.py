"""Provisional."""
from typing import Protocol
class Scope(Protocol): ...
def render(t, s): return t
def evaluate_condition(src, scope): 
    names={}
    class N(dict):
        def __missing__(self, k): return scope.lookup(k)
    return bool(eval(src, {"true":True,"false":False}, N()))
def find_expressions(t): return []
class FoundExpression: ...
