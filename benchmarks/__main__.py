"""`python -m benchmarks [--only W1b,W2] [--rounds N] [--json FILE]`: measure, interleaved, and print a table."""

import argparse
import tempfile
from pathlib import Path

from benchmarks import product, report
from benchmarks.measuring import NAMES, measure

RESULTS = Path(__file__).parent / "results" / "latest.json"


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="pastetrader-bench-") as folder:
        database = product.set_up(Path(folder))
        measurements = []
        for name in options.only:
            print(f"measuring {name}", flush=True)
            measurements.append(measure(name, options.rounds, database, Path(folder)))
    report.write(options.json, measurements)
    print(f"\n{report.table(measurements)}\n")
    print(f"Medians of {options.rounds} interleaved rounds on one machine: read the ratios. Samples: {options.json}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    _ = parser.add_argument(
        "--only", type=_chosen, default=NAMES, metavar="NAMES", help=f"by commas, of: {', '.join(NAMES)}; W4 is both"
    )
    _ = parser.add_argument("--rounds", type=_positive, default=9, help="that count; one more warms up")
    _ = parser.add_argument("--json", type=Path, default=RESULTS, metavar="FILE", help="where all samples go")
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
