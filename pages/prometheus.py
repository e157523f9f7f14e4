"""Metrics of the live version and of the ingest for Prometheus."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from pages.queries import rows

HELP = {
    "live_version_age_hours": "Hours since the live version became live.",
    "live_night_ended_hours": "Hours since the last day of clicks of the live version ended.",
    "live_rows": "Recommendations of the live version.",
    "live_products": "Products with recommendations in the live version.",
    "live_listed": "Share of the catalogue that has a list, as the gate measured it.",
    "live_warnings": "Rules of the gate that warn of the live version.",
    "rejected_versions": "Versions of the last seven days that the gate rejected and that were not approved.",
    "ingested_day_age_days": "Days since the newest day of clicks that was loaded.",
    "refused_share": "Share of the rows of that day that were quarantined.",
}


class _Metrics(Collector):
    def collect(self) -> Iterator[GaugeMetricFamily]:
        (metrics,) = rows("prometheus_metrics")
        for name, described in HELP.items():
            if metrics[name] is not None:
                yield GaugeMetricFamily(f"recommendations_{name}", described, value=float(metrics[name]))


def prometheus_metrics() -> str:
    """Every metric that has a value, in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Metrics())
    return generate_latest(registry).decode()
