"""`python -m benchmarks [--database postgresql] [--only W1b,W2] [--rounds N] [--json FILE]`: measure, print a table."""

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks import api, calls, live, product, report, steps
from benchmarks.database import Database, PostgresDatabase, SqliteDatabase
from benchmarks.measuring import NAMES as WORKLOADS
from benchmarks.measuring import measure
from tests.postgresql import server

NAMES = (*WORKLOADS, *api.NAMES, *live.NAMES, *calls.NAMES, steps.NAME)
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    options = _options()
    results = options.json or RESULTS / f"{options.database}.json"
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="pastetrader-bench-"))
        if options.database == "postgresql":
            # As it would be in use: a commit is on the disk.
            database: Database = PostgresDatabase(stack.enter_context(server(durable=True)).url)
        else:
            database = SqliteDatabase(Path(folder))
        product.set_up(database)
        found = report.Found()
        for name in options.only:
            print(f"measuring {name}", flush=True)
            if name in api.NAMES:
                found.answers += api.measure(name, options.rounds, database)
            elif name in live.NAMES:
                found.latencies += live.measure(name, options.rounds, database)
            elif name in calls.NAMES:
                found.calls += calls.measure(name, options.rounds, database)
            elif name == steps.NAME:
                found.costs.append(steps.measure(options.rounds))
            else:
                found.measurements.append(measure(name, options.rounds, database, Path(folder)))
        product.tear_down()
    report.write(results, options.database, found)
    print("", *report.tables(found), "", sep="\n")
    print(
        f"{options.database}: medians of {options.rounds} interleaved rounds on one machine: read the ratios. "
        f"Samples: {results}"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    _ = parser.add_argument(
        "--only", type=_chosen, default=NAMES, metavar="NAMES", help=f"by commas, of: {', '.join(NAMES)}; W4 is both"
    )
    _ = parser.add_argument("--rounds", type=_positive, default=9, help="that count; one more warms up")
    _ = parser.add_argument("--json", type=Path, metavar="FILE", help="where all samples go")
    _ = parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    return parser.parse_args()


def _chosen(text: str) -> list[str]:
    wanted = [name.strip() for name in text.split(",")]
    unknown = [name for name in wanted if not any(name in (known, known.split(" ")[0]) for known in NAMES)]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no workload {', '.join(unknown)}: choose from {', '.join(NAMES)}")
    return [name for name in NAMES if name in wanted or name.split(" ")[0] in wanted]


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least one round must count")
    return number


if __name__ == "__main__":
    main()
