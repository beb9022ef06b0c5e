"""Provisional."""
class YamlError(ValueError): line=None
def load(t): raise YamlError("no")
def dump(t): return ""
