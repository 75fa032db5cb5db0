"""What `/metrics` says, read as a scraper reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client import Metric

    from tests.support.running import Api


class Scrape(NamedTuple):
    """One answer."""

    text: str

    @property
    def families(self) -> Iterable[Metric]:
        return text_string_to_metric_families(self.text)

    @property
    def names(self) -> set[str]:
        """Of all samples, as expressions name them."""
        return {sample.name for family in self.families for sample in family.samples}

    @property
    def labels(self) -> set[tuple[str, str]]:
        """All that stands in labels: name and value."""
        samples = (sample for family in self.families for sample in family.samples)
        return {label for sample in samples for label in sample.labels.items()}

    def total(self, name: str, **labels: str) -> float:
        """The sum of all samples of `name`, without `minigate_`, with these labels."""
        return sum(
            sample.value
            for family in self.families
            for sample in family.samples
            if sample.name == f"minigate_{name}" and labels.items() <= sample.labels.items()
        )


async def scrape(api: Api) -> Scrape:
    """Ask the service."""
    async with api.http.get(f"{api.url}/metrics") as reply:
        assert reply.status == 200, await reply.text()
        return Scrape(await reply.text())
