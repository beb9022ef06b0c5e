"""`python -m benchmarks.fleet`: measure workers on one PostgreSQL, for docs/figures/fleet.json and docs/scaling.md."""

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from benchmarks import product
from benchmarks.database import PostgresDatabase
from benchmarks.fleet import page, rounds
from benchmarks.fleet.rounds import Cell, Stage
from benchmarks.fleet.usage import Meter
from benchmarks.fleet.workers import Prepared, clear, prepare, working
from benchmarks.product import ROOT
from tests import valkey
from tests.postgresql import server

DISPATCHERS = ("inline", "procrastinate", "celery")
WORKERS = (1, 2, 4)
# Enough of them to take seconds.
EXECUTIONS = {"W5": 1000, "IO": 300}
FIGURES = ROOT / "docs" / "figures" / "fleet.json"


def main() -> None:
    options = _options()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pastetrader-fleet-")))
        # As it would be in use: a commit is on the disk.
        running = stack.enter_context(server(durable=True))
        if "celery" in options.dispatch:
            os.environ["CELERY_BROKER_URL"] = stack.enter_context(valkey.serving())
        os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.site.settings"
        # Its tables are made, whichever is measured.
        os.environ["DISPATCH"] = "procrastinate" if "procrastinate" in options.dispatch else "inline"
        product.set_up(PostgresDatabase(running.url))
        connection = stack.enter_context(psycopg.connect(running.url, autocommit=True))
        postmaster = int((running.folder / "postmaster.pid").read_text().split()[0])
        stage = Stage(connection=connection, meter=Meter(connection, postmaster), url=running.url)
        figures = _measure(stage, folder, options)
        product.tear_down()
    options.json.parent.mkdir(parents=True, exist_ok=True)
    _ = options.json.write_text(json.dumps(figures, indent=1) + "\n")
    if options.json == FIGURES:
        page.write(figures)
    print(*page.parts(figures).values(), sep="\n\n")


def _measure(stage: Stage, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    prepared = {name: prepare(stage.connection, name) for name in ("W5", "IO")}
    figures: dict[str, Any] = {
        "at": f"{datetime.now(UTC):%Y-%m-%d}",
        "python": platform.python_version(),
        "postgresql": stage.connection.info.server_version // 10000,
        "cpus": os.cpu_count(),
        "load_average": os.getloadavg(),
        "commits": rounds.commits(stage, folder),
        "cells": [],
        "pick_ups": [],
    }
    for dispatch in options.dispatch:
        _choose(dispatch)
        if dispatch == "inline":
            figures["acceptance"] = rounds.acceptance(stage, prepared["W5"])
            figures["claims"] = rounds.claims(stage, prepared["W5"])
            with working(1, dispatch=dispatch, concurrency=1) as workers:
                rounds.warm_up(stage, prepared["W5"], workers, dispatch)
                cell = Cell(dispatch=dispatch, workload="W5", workers=1, executions=100, nodes=prepared["W5"].nodes)
                rounds.one_round(stage, prepared["W5"], workers, cell)
                clear(stage.connection)
                figures["alone"] = asdict(cell)
        for count in WORKERS:
            print(f"measuring {dispatch}, {count} workers", flush=True)
            _fleet(stage, prepared, figures, dispatch, count, options.rounds)
    return figures


def _fleet(
    stage: Stage, prepared: Mapping[str, Prepared], figures: dict[str, Any], dispatch: str, count: int, number: int
) -> None:
    others = rounds.connections(stage)
    with working(count, dispatch=dispatch) as workers:
        rounds.warm_up(stage, prepared["W5"], workers, dispatch)
        for name, executions in EXECUTIONS.items():
            nodes = prepared[name].nodes
            cell = Cell(dispatch=dispatch, workload=name, workers=count, executions=executions, nodes=nodes)
            for _ in range(number):
                clear(stage.connection)
                rounds.one_round(stage, prepared[name], workers, cell)
            figures["cells"].append(asdict(cell))
            if dispatch == "inline" and count == 1:
                figures.setdefault("stored", {})[name] = rounds.sizes(stage)
            clear(stage.connection)
        if count > 1:
            found = rounds.pick_ups(stage, prepared["W5"], workers)
            figures["pick_ups"].append({"dispatch": dispatch, "workers": count, **found})
            clear(stage.connection)
        if count == max(WORKERS):
            figures.setdefault("idle", {})[dispatch] = rounds.idle(stage, workers, others)


def _choose(dispatch: str) -> None:
    from django.conf import settings

    settings.PASTETRADER["DISPATCH"] = dispatch


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    _ = parser.add_argument("--dispatch", type=lambda text: text.split(","), default=DISPATCHERS, metavar="NAMES")
    _ = parser.add_argument("--rounds", type=int, default=1, help="of each workload; their median counts")
    _ = parser.add_argument("--json", type=Path, default=FIGURES)
    return parser.parse_args()


if __name__ == "__main__":
    main()
