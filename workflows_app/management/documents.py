"""What the commands on documents share: reading a file, refusing with all problems."""

import sys
from pathlib import Path
from typing import NoReturn

from django.core.management.base import CommandError, OutputWrapper

from workflows_app.dag.problems import errors_of
from workflows_app.management.base import EXIT_INVALID
from workflows_app.services.documents import Format, Source, read
from workflows_app.services.errors import InvalidDefinition

_FORMATS = {".yaml": Format.YAML, ".yml": Format.YAML, ".json": Format.JSON}


def is_file(argument: str) -> bool:
    """Whether an argument that may be a name or a file is a file."""
    path = Path(argument)
    return path.suffix.lower() in _FORMATS or path.is_file()


def read_file(argument: str) -> Source:
    """The document in a file. Raises `CommandError` where it cannot be read, `InvalidDefinition` otherwise."""
    path = Path(argument)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise CommandError(f"{argument} cannot be read: {reason}.", returncode=EXIT_INVALID) from error
    return read(text, _FORMATS.get(path.suffix.lower()))


def refuse(error: InvalidDefinition, stderr: OutputWrapper, subject: str) -> NoReturn:
    """One line per problem on stderr, then exit."""
    for problem in error.problems:
        stderr.write(str(problem))
    count = len(errors_of(error.problems))
    stderr.write(f"{subject} has {count} error{'' if count == 1 else 's'}: nothing was done.")
    sys.exit(EXIT_INVALID)
