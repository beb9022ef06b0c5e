"""`simulate`: the engine under virtual time, against random workflows and faults; no database is touched."""

import sys
from typing import Any, override

from django.core.management.base import CommandParser

from executions_app.simulation.campaign import simulate, trace
from executions_app.simulation.play import play
from executions_app.simulation.scenario import scenario
from workflows_app.dag import jsontext
from workflows_app.management.base import WorkflowCommand

EXIT_VIOLATED = 1


class Command(WorkflowCommand):
    help = "Run random workflows with random faults on virtual time and check every record. A seed replays exactly."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        _ = parser.add_argument("--seeds", type=int, metavar="N", help="how many (default 1000)")
        _ = parser.add_argument("--seed", type=int, metavar="S", help="the first seed; without --seeds the only one")
        _ = parser.add_argument("--trace", action="store_true", help="the workflow and the journal of each run")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        # A seed that is named is meant alone.
        count = options["seeds"] or (1000 if options["seed"] is None else 1)
        first = options["seed"] or 0
        seeds = range(first, first + count)
        if options["trace"]:
            for seed in seeds:
                self._trace(seed)
        tally = simulate(seeds)
        for seed, sentence in tally.violations:
            self.stderr.write(f"seed {seed}: {sentence}")
        self.stdout.write(f"seeds {seeds.start} to {seeds.stop - 1}")
        for line in tally.lines():
            self.stdout.write(line)
        if tally.violations:
            seed = tally.violations[0][0]
            self.stderr.write(f"Look at one with: manage.py simulate --seed {seed} --trace")
            sys.exit(EXIT_VIOLATED)

    def _trace(self, seed: int) -> None:
        played = play(scenario(seed))
        one = played.scenario
        self.stdout.write(f"seed {seed}: {one.strike} at {one.strike_at}")
        self.stdout.write(jsontext.pretty(jsontext.loads(one.plan.to_json())))
        for key, deeds in one.deeds.items():
            does = ", then ".join(f"{deed.does} after {deed.seconds} s" for deed in deeds)
            self.stdout.write(f"{key}: {does}")
        for line in trace(played):
            self.stdout.write(line)
        for sentence in played.violations:
            self.stdout.write(f"VIOLATION {sentence}")
