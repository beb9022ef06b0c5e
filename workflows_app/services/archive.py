"""Several workflows in one file to take away."""

import io
import zipfile
from collections.abc import Iterable

from workflows_app.models import Workflow
from workflows_app.services.documents import Format, export


def archive_of(workflows: Iterable[Workflow]) -> bytes:
    """A zip with a YAML document for each; those that share a name are numbered."""
    buffer = io.BytesIO()
    taken: set[str] = set()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for workflow in workflows:
            # Of names alone: whatever an owner is called, nothing is unpacked elsewhere.
            name, number = f"{workflow.name}.yaml", 2
            while name in taken:
                name, number = f"{workflow.name}-{number}.yaml", number + 1
            taken.add(name)
            archive.writestr(name, export(workflow, Format.YAML))
    return buffer.getvalue()
