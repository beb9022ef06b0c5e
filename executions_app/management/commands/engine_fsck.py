"""`engine_fsck`: is every record sound?"""

import sys
from collections import Counter
from typing import Any, override

from django.core.management.base import CommandParser

from executions_app.services.soundness import CHECKS, violations
from workflows_app.dag import jsontext
from workflows_app.management.base import WorkflowCommand

EXIT_UNSOUND = 1


class Command(WorkflowCommand):
    help = (
        "Check the invariants of all executions; changes nothing. I1 no running one without an engine, I2 ended if and "
        "only if terminal, I3 no open node after the end, I4 no attempt of an engine that is gone, I5 no second "
        "success of a node, I6 the journal gives the rows, I7 its numbers have no gap, I8 no open call of an "
        "engine that is gone, I9 no job of an attempt that has ended. Exit code 1 for a violation."
    )

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        _ = parser.add_argument("--json", action="store_true")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        found = list(violations())
        counts = Counter(violation.code for violation in found)
        if options["json"]:
            items = [{"code": one.code, "execution": str(one.execution_id), "message": one.sentence} for one in found]
            self.stdout.write(jsontext.pretty({"violations": items, "counts": {code: counts[code] for code in CHECKS}}))
        else:
            for one in found:
                self.stdout.write(f"{one.code} {one.execution_id}: {one.sentence}")
            self.stdout.write("fsck " + " ".join(f"{code}={counts[code]}" for code in CHECKS))
        if found:
            sys.exit(EXIT_UNSOUND)
