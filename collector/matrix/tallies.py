"""Counters for export: by node, by zone pair, by namespace pair, by service, name server and host, and by word.

In: batches, as they are taken. Out: families of counters that only ever grow, complete once they are settled.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from collector.matrix.batch import LOCAL_FROM, Batch
from collector.matrix.catalogue import Catalogue
from collector.matrix.histograms import CLASSIC_OF, CLASSIC_SECONDS, Ints, Mask, summed
from collector.matrix.places import Place
from collector.matrix.tally import Key, Lookup, Tally
from wire.outcome import Outcome
from wire.path import Layer
from wire.window import Flag

MAX_LOOKUPS: Final = 256
"""Lists of rows by aim that are remembered; a cluster with more pairs of zones and layers finds them again."""
MANY: Final = 8192
MANY_REPORTS: Final = 128
"""Entries and reports that wait before they are counted together."""
_LAYERS: Final = tuple(Layer)
_NAMESPACED: Final = frozenset({Layer.POD, Layer.SERVICE})
_CODES: Final = 256


class Tallies:
    """Every exported counter that reports feed."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self.nodes = Tally(6, labels=3, limit=100_000)
        """(node, direction, layer): sent, lost, late, received, latency sum in ns, windows with NAT."""
        self.zones = Tally(4 + len(CLASSIC_SECONDS) + 1, labels=4, limit=2_000)
        """(from zone, to zone, layer, network; empty for the default one): sent, lost, received, latency sum in ns, then the
        classic histogram."""
        self.namespaces = Tally(2, labels=2, limit=2_000)
        """(from namespace, to namespace): sent, lost, of the pod and service layers."""
        self.services = Tally(2, labels=2, limit=2_000)
        """(namespace, service): sent, lost."""
        self.dns = Tally(2, labels=1, limit=1_000)
        """(name of the server): sent, lost."""
        self.external = Tally(2, labels=1, limit=1_000)
        """(name of the host): sent, lost."""
        self.failures = Tally(1, labels=3, limit=1_000)
        """(layer, kind, word): probes that failed."""
        self.local = Tally(1, labels=2, limit=100)
        """(kind, word): probes that our own side did not send."""
        self.set_aside = Tally(1, labels=1, limit=10)
        """(reason): probes that enter no sum."""
        self._lookups: dict[Key, Lookup] = {}
        self._waiting: list[tuple[Batch, int, Ints, Ints]] = []
        self._entries = 0

    def replan(self, subjects: Mapping[str, frozenset[str]]) -> None:
        """Forget subjects that are gone. `subjects`: names by dimension. What waited must be settled before."""
        nodes, zones, namespaces = subjects["node"], subjects["zone"], subjects["namespace"]
        self.nodes.keep(lambda key: key[0] in nodes)
        self.zones.keep(lambda key: key[0] in zones and key[1] in zones)
        self.namespaces.keep(lambda key: key[0] in namespaces and key[1] in namespaces)
        self.services.keep(lambda key: f"{key[0]}/{key[1]}" in subjects["service"])
        self.dns.keep(lambda key: key[0] in subjects["dns"])
        self.external.keep(lambda key: key[0] in subjects["external"])
        self._lookups = {}

    def expect(self, source: Place, aims: Ints, layers: Ints) -> None:
        """Give every counter of a row of cells its place, so that it is there, and zero, before the first probe."""
        for layer, of in _by_layer(layers):
            if source.node:
                self.nodes.row_of((source.node, "out", layer))
            for lookup in self._lookups_of(source, layer).values():
                lookup.rows(aims[of])

    def add(self, batch: Batch, source: int, aims: Ints, asks: Ints) -> None:
        """Count the windows of a batch of a vantage by its number; `aims` and `asks` are those of its entries.

        Reports wait until there are some: most of what one costs is the same for many together.
        """
        self._waiting.append((batch, source, aims, asks))
        self._entries += len(batch)
        if self._entries >= MANY or len(self._waiting) >= MANY_REPORTS:
            self.settle()

    def settle(self) -> None:
        """Count what waits."""
        waiting, self._waiting, self._entries = self._waiting, [], 0
        waiting = [one for one in waiting if len(one[0])]
        if not waiting:
            return
        together = _Together(waiting, self._catalogue)
        if not together.good.all():
            ill = (together.flags & Flag.ILL) != 0
            for reason, which in (("unconfirmed", ~together.good & ~ill), ("ill", ill)):
                sent = together.received[which].sum() + together.lost[which].sum()
                self.set_aside.add_to(self.set_aside.row_of((reason,)), int(sent))
        zones = np.full(len(together.good), -1)
        for source, of in together.by_place():
            for layer, number in together.layers_in(of):
                self._add_layer(together, source, layer, np.flatnonzero(of & (together.layer == number)), zones)
        self._add_out(together)
        self._add_histograms(together, zones)
        self._add_words(together)

    def _add_layer(self, together: "_Together", source: Place, layer: str, which: Ints, zones: Ints) -> None:
        """Count the entries of sources in one zone and namespace on one layer, and note the row of their zones."""
        received, total, aim = together.received[which], together.sum_ns[which], together.aim[which]
        lossy = np.flatnonzero(together.lost[which])
        lost, late, where = together.lost[which[lossy]], together.late[which[lossy]], aim[lossy]
        nat = together.nat[which]
        for name, lookup in self._lookups_of(source, layer).items():
            rows, some = lookup.rows(aim), lookup.rows(where)
            match name:
                case "in":
                    self.nodes.add(rows, (received, (0, 3)), (total, (4,)))
                    self.nodes.add(some, (lost, (0, 1)), (late, (2,)))
                    if nat.any():
                        self.nodes.add(rows, (nat, (5,)))
                case "zones":
                    self.zones.add(rows, (received, (0, 2)), (total, (3,)))
                    self.zones.add(some, (lost, (0, 1)))
                    zones[which] = rows
                case _:
                    getattr(self, name).add(rows, (received, (0,)))
                    getattr(self, name).add(some, (lost, (0, 1)))

    def _add_out(self, together: "_Together") -> None:
        """Count by where probes leave from."""
        keys = together.source * len(_LAYERS) + together.layer
        found, of = np.unique(keys[together.good], return_inverse=True)
        rows = self.nodes.rows_of(
            (node, "out", _LAYERS[key % len(_LAYERS)].value) if (node := sources[key // len(_LAYERS)].node) else None
            for sources in [self._catalogue.sources]
            for key in found.tolist()
        )[of]
        received, lost, late, total, nat = (
            column[together.good] for column in (together.received, together.lost, together.late, together.sum_ns, together.nat)
        )
        self.nodes.add(rows, (received, (0, 3)), (lost, (0, 1)), (late, (2,)), (total, (4,)), (nat, (5,)))

    def _lookups_of(self, source: Place, layer: str) -> dict[str, Lookup]:
        """Which counters the cells of a source on a layer have, each with the rows by aim."""
        targets, whom = self._catalogue.targets, self._catalogue.aims
        zone, namespace = source.zone, source.namespace
        wanted: dict[str, tuple[Key, Tally, Callable[[int], Key | None]]] = {
            "in": (("in", layer), self.nodes, lambda aim: (node, "in", layer) if (node := targets[aim].node) else None)
        }
        if zone is not None:
            wanted["zones"] = (
                ("zones", zone, layer),
                self.zones,
                lambda aim: None if (other := targets[aim].zone) is None else (zone, other, layer, whom[aim].network),
            )
        if namespace and layer in _NAMESPACED:
            wanted["namespaces"] = (
                ("namespaces", namespace),
                self.namespaces,
                lambda aim: (namespace, other) if (other := targets[aim].namespace) else None,
            )
        if layer == Layer.SERVICE:
            wanted["services"] = (("services",), self.services, lambda aim: _service(targets[aim]))
        if layer == Layer.DNS:
            wanted["dns"] = (("dns",), self.dns, lambda aim: _named(whom[aim].name, "dns/"))
        if layer == Layer.EXTERNAL:
            wanted["external"] = (("external",), self.external, lambda aim: _named(whom[aim].name, "external/"))
        if len(self._lookups) > MAX_LOOKUPS:
            self._lookups = {}
        found: dict[str, Lookup] = {}
        for name, (key, tally, labels) in wanted.items():
            if key not in self._lookups:
                self._lookups[key] = Lookup(tally, labels)
            found[name] = self._lookups[key]
        return found

    def _add_histograms(self, together: "_Together", zones: Ints) -> None:
        """Latencies by pair of zones, of which few are distinct, however many cells; `zones` is the row of each entry."""
        width = len(CLASSIC_SECONDS) + 1
        keys = zones[together.latency_entry] * width + CLASSIC_OF[together.latency_place]
        there = keys >= 0
        # Weights of bincount are floats; counts of some reports stay far below 2^53, where they are exact.
        counts = np.bincount(keys[there], weights=together.latency_count[there])
        for key in np.flatnonzero(counts).tolist():
            self.zones.add_at(key // width, 4 + key % width, int(counts[key]))

    def _add_words(self, together: "_Together") -> None:
        """Failures by word: few distinct ones, however many cells fail."""
        wanted = together.good[together.outcome_entry]
        asked = together.ask[together.outcome_entry[wanted]]
        keys, counts = summed(asked * _CODES + together.outcome_code[wanted], together.outcome_count[wanted])
        for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
            ask = self._catalogue.asks[key // _CODES]
            word = Outcome(key % _CODES).word
            if key % _CODES >= LOCAL_FROM:
                self.local.add_to(self.local.row_of((ask.kind.value, word)), count)
            else:
                self.failures.add_to(self.failures.row_of((ask.layer.value, ask.kind.value, word)), count)


class _Together:
    """Batches one after the other; what was set aside is not good."""

    def __init__(self, waiting: Sequence[tuple[Batch, int, Ints, Ints]], catalogue: Catalogue) -> None:
        batches = [batch for batch, _, _, _ in waiting]
        sizes = [len(batch) for batch in batches]
        starts = np.cumsum(sizes) - sizes
        self._catalogue = catalogue

        def joined(name: str) -> Ints:
            column: Ints = np.concatenate([getattr(batch, name) for batch in batches])
            return column

        def entries(name: str) -> Ints:
            return joined(name) + np.repeat(starts, [len(getattr(batch, name)) for batch in batches])

        self.received, self.late, self.sum_ns, self.flags = (joined(name) for name in ("received", "late", "sum_ns", "flags"))
        self.lost = self.late + joined("failed")
        self.nat = ((self.flags & Flag.NAT) != 0).astype(np.int64)
        self.good = (self.flags & int(Flag.UNCONFIRMED | Flag.ILL)) == 0
        self.aim = np.concatenate([aims for _, _, aims, _ in waiting])
        self.ask = np.concatenate([asks for _, _, _, asks in waiting])
        self.layer = catalogue.layers[self.ask]
        self._sources = [source for _, source, _, _ in waiting]
        self._sizes = sizes
        self.source = np.repeat(self._sources, sizes)
        self.latency_entry, self.outcome_entry = entries("latency_entry"), entries("outcome_entry")
        self.latency_place, self.latency_count = joined("latency_place"), joined("latency_count")
        self.outcome_code, self.outcome_count = joined("outcome_code"), joined("outcome_count")

    def by_place(self) -> Iterator[tuple[Place, Mask]]:
        """The good entries by zone and namespace of where they leave from: one place of each, and which they are."""
        places = [self._catalogue.sources[source] for source in self._sources]
        known: dict[tuple[str | None, str | None], int] = {}
        number = np.repeat([known.setdefault((one.zone, one.namespace), len(known)) for one in places], self._sizes)
        for zone, namespace in list(known):
            yield Place(zone=zone, namespace=namespace), (number == known[zone, namespace]) & self.good

    def layers_in(self, which: Mask) -> Iterator[tuple[str, int]]:
        """The layers that occur among some entries, by name and number."""
        for number in np.flatnonzero(np.bincount(self.layer[which], minlength=len(_LAYERS))).tolist():
            yield _LAYERS[number].value, number


def _by_layer(layers: Ints) -> Iterator[tuple[str, Mask]]:
    """Each layer that occurs, and where."""
    for number, count in enumerate(np.bincount(layers, minlength=len(_LAYERS)).tolist()):
        if count:
            yield _LAYERS[number].value, layers == number


def _service(place: Place) -> Key | None:
    return (place.namespace, place.service) if place.namespace and place.service else None


def _named(target: str, prefix: str) -> Key | None:
    return (target.removeprefix(prefix),) if target.startswith(prefix) else None
