"""The measures of this process and the open work of the database, as Prometheus reads them."""

import time
from collections.abc import Iterable
from datetime import datetime
from itertools import accumulate
from typing import override

from django.db import DatabaseError, InterfaceError
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from executions_app import measures
from executions_app.live.audience import audience
from executions_app.models import querysets
from executions_app.services.health import backlog, work_under_way


class EngineCollector(Collector):
    """Asked anew at every scrape."""

    @override
    def collect(self) -> Iterable[Metric]:
        for count in measures.COUNTS:
            family = CounterMetricFamily(_name(count), count.text, labels=count.labels)
            for labels, number in sorted(count.values.items()) or ([((), 0)] if not count.labels else []):
                family.add_metric(labels, number / count.parts)
            yield family
        for histogram in measures.HISTOGRAMS:
            yield _histogram(histogram)
        work = work_under_way()
        yield _gauge("executions_under_way", "Executions that run in this process", work.executions)
        yield _gauge("tool_threads", "Threads of synchronous tools", work.tool_threads)
        yield _gauge("tool_threads_abandoned", "Those of them whose node has ended", work.abandoned_threads)
        yield _gauge("live_subscribers", "Open WebSockets", audience.sockets)
        yield from _open_work()


def _open_work() -> Iterable[Metric]:
    began = time.perf_counter()
    try:
        found = backlog()
    except (DatabaseError, InterfaceError):
        yield _gauge("database_up", "Whether the database answers", 0)
        return
    yield _gauge("database_up", "Whether the database answers", 1)
    yield _gauge("database_seconds", "What the question for open executions took", time.perf_counter() - began)
    executions = GaugeMetricFamily("pastetrader_executions", "Executions that have not ended", labels=["status"])
    executions.add_metric(["pending"], found.pending)
    executions.add_metric(["running"], found.running)
    yield executions
    yield _gauge("queue_depth", "Executions that are due and wait for an engine", found.due)
    yield _gauge("queue_oldest_seconds", "For how long the first of them has waited", _age(found.oldest))
    yield _gauge("node_jobs", "Nodes that wait for a worker of their queue", found.jobs)
    yield _gauge("node_jobs_oldest_seconds", "For how long the first of them has waited", _age(found.oldest_job))
    yield _gauge("executions_stuck", "Running executions that no engine has; 0 while any engine works", found.stuck)


def _age(since: datetime | None) -> float:
    return 0.0 if since is None else max(0.0, (querysets.now() - since).total_seconds())


def _histogram(histogram: measures.Histogram) -> HistogramMetricFamily:
    family = HistogramMetricFamily(_name(histogram), histogram.text, labels=histogram.labels)
    bounds = [*(str(float(bound)) for bound in histogram.bounds), "+Inf"]
    for labels, spread in sorted(histogram.values.items()):
        family.add_metric(labels, list(zip(bounds, accumulate(spread.counts), strict=True)), spread.sum)
    return family


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"pastetrader_{name}", text, value=value)


def _name(measure: measures.Measure) -> str:
    return f"pastetrader_{measure.name}"
