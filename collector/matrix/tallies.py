"""Counters for export: by node, by zone pair, by namespace pair, by service, name server and host, and by word.

In: batches, as they are taken. Out: families of counters that only ever grow, complete once they are settled.
"""

from collections.abc import Iterator, Mapping
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

_LAYERS: Final = tuple(Layer)
_NAMESPACED: Final = frozenset({Layer.POD, Layer.SERVICE})
_CODES: Final = 256
_ALL: Final = slice(None)


class Tallies:
    """Every exported counter that reports feed."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self.nodes = Tally(6, labels=3, limit=100_000)
        """(node, direction, layer): sent, lost, late, received, latency sum in ns, windows with NAT."""
        self.zones = Tally(4 + len(CLASSIC_SECONDS) + 1, labels=5, limit=2_000)
        """(from zone, to zone, layer, network; empty for the default one, `true` within a node, else empty): sent, lost,
        received, latency sum in ns, then the classic histogram."""
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
        self._begin()

    def replan(self, subjects: Mapping[str, frozenset[str]]) -> None:
        """Forget subjects that are gone. `subjects`: names by dimension."""
        nodes, zones, namespaces, networks = (subjects[name] for name in ("node", "zone", "namespace", "network"))
        self.nodes.keep(lambda key: key[0] in nodes)
        self.zones.keep(lambda key: key[0] in zones and key[1] in zones and key[3] in networks)
        self.namespaces.keep(lambda key: key[0] in namespaces and key[1] in namespaces)
        self.services.keep(lambda key: f"{key[0]}/{key[1]}" in subjects["service"])
        self.dns.keep(lambda key: key[0] in subjects["dns"])
        self.external.keep(lambda key: key[0] in subjects["external"])
        self._begin()

    def _begin(self) -> None:
        self._zones: list[str | None] = []
        self._namespaces: list[str | None] = []
        """Of vantages; a scope is a number of these and of a layer."""
        self._lookups = self._made()

    def expect(self, source: int, aims: Ints, layers: Ints) -> None:
        """Give every counter of a row of cells its place, so that it is there, and zero, before the first probe."""
        place = self._catalogue.sources[source]
        if place.node:
            for layer in np.flatnonzero(np.bincount(layers)).tolist():
                self.nodes.row_of((place.node, "out", _LAYERS[layer].value))
        for lookup, which, scopes in self._families(np.full(len(aims), source), aims, layers):
            lookup.rows(scopes[which], aims[which])

    def _families(self, sources: Ints, aims: Ints, layers: Ints) -> Iterator[tuple[Lookup, slice | Ints, Ints]]:
        """What counts by target: where its rows are, which entries it may have, and the scope of each of all entries."""
        yield self._lookups["in"], _ALL, layers
        yield self._lookups["zones"], _ALL, self._zoned(sources, aims, layers)
        yield self._lookups["namespaces"], _ALL, self._scopes(self._namespaces, "namespace", sources) * len(_LAYERS) + layers
        for layer in (Layer.SERVICE, Layer.DNS, Layer.EXTERNAL):
            if len(which := np.flatnonzero(layers == _LAYERS.index(layer))):
                yield self._lookups[layer], which, layers

    def _zoned(self, sources: Ints, aims: Ints, layers: Ints) -> Ints:
        """The scope of each for pairs of zones: a number of a zone, a layer, and whether both ends are on one node."""
        scopes = self._scopes(self._zones, "zone", sources) * len(_LAYERS) + layers
        return scopes * 2 + self._catalogue.same_node(sources, aims)

    def _scopes(self, known: list[str | None], dimension: str, sources: Ints) -> Ints:
        """The number of each source's word in a dimension."""
        numbers = np.zeros(len(self._catalogue.sources), np.int64)
        for source in np.flatnonzero(np.bincount(sources)).tolist():
            numbers[source] = _numbered(known, getattr(self._catalogue.sources[source], dimension))
        result: Ints = numbers[sources]
        return result

    def _made(self) -> dict[str, Lookup]:
        """A place for the rows of every scope and aim, found when they are first needed."""
        targets, whom = self._catalogue.targets, self._catalogue.aims

        def into(scope: int, aim: int) -> Key | None:
            return (node, "in", _LAYERS[scope].value) if (node := targets[aim].node) else None

        def between(scope: int, aim: int) -> Key | None:
            place, same = divmod(scope, 2)
            zone, other = self._zones[place // len(_LAYERS)], targets[aim].zone
            if zone is None or other is None:
                return None
            return zone, other, _LAYERS[place % len(_LAYERS)].value, whom[aim].network, "true" if same else ""

        def among(scope: int, aim: int) -> Key | None:
            namespace, other = self._namespaces[scope // len(_LAYERS)], targets[aim].namespace
            return (namespace, other) if namespace and other and _LAYERS[scope % len(_LAYERS)] in _NAMESPACED else None

        return {
            "in": Lookup(self.nodes, into),
            "zones": Lookup(self.zones, between),
            "namespaces": Lookup(self.namespaces, among),
            Layer.SERVICE: Lookup(self.services, lambda _, aim: _service(targets[aim])),
            Layer.DNS: Lookup(self.dns, lambda _, aim: _named(whom[aim].name, "dns/")),
            Layer.EXTERNAL: Lookup(self.external, lambda _, aim: _named(whom[aim].name, "external/")),
        }

    def tell(self, sources: Ints, aims: Ints, asks: Ints, *, received: Ints, lost: Ints, total_ns: Ints) -> None:
        """Count probes of cells: vantage, aim and ask by number, answers, losses and the sum of latencies of each."""
        layers = self._catalogue.layers[asks]
        answered, nanoseconds = received.astype(np.float64), total_ns.astype(np.float64)
        lossy = np.flatnonzero(lost)

        def count(tally: Tally, rows: Ints, which: slice | Ints = _ALL) -> None:
            columns = {self.nodes: (3, 4), self.zones: (2, 3)}.get(tally)
            tally.add(rows, answered[which], (0,) if columns is None else (0, columns[0]))
            if columns is not None:
                tally.add(rows, nanoseconds[which], columns[1:])
            if len(lossy):
                tally.add(rows, lost[which], (0, 1))

        for lookup, which, scopes in self._families(sources, aims, layers):
            count(lookup.tally, lookup.rows(scopes[which], aims[which]), which)
        count(self.nodes, self._out(sources, layers))

    def hear(self, batch: Batch, sources: Ints, aims: Ints, asks: Ints, *, aside: Mask | None = None) -> None:
        """Count of a batch what is no sum of cells: latencies by pair of zones, words, NAT, late answers, what was set aside.

        `sources`, the vantages by number, `aims` and `asks` are those of its entries, and `aside` those with an excluded end.
        """
        good, layers = batch.good, self._catalogue.layers[asks]
        out = np.zeros(len(good), np.bool_) if aside is None else aside
        if not good.all() or aside is not None:
            ill = (batch.flags & Flag.ILL) != 0
            probes = batch.received.astype(np.int64) + batch.late + batch.failed
            for reason, which in (("unconfirmed", ~good & ~ill), ("ill", ill), ("excluded", good & out)):
                if probes[which].any() or reason != "excluded":
                    self.set_aside.add_to(self.set_aside.row_of((reason,)), int(probes[which].sum()))
            good = good & ~out
        zones = self._lookups["zones"].rows(self._zoned(sources, aims, layers), aims)
        self._add_histograms(batch, zones, good)
        self._add_words(batch, good, asks)
        nat = (batch.flags & Flag.NAT) != 0
        if len(seen := np.flatnonzero(good & (nat | (batch.late > 0)))):
            sources, aims, layers = sources[seen], aims[seen], layers[seen]
            for rows in (self._lookups["in"].rows(layers, aims), self._out(sources, layers)):
                self.nodes.add(rows, batch.late[seen], (2,))
                self.nodes.add(rows, nat[seen], (5,))

    def _out(self, sources: Ints, layers: Ints) -> Ints:
        """The rows of where probes leave from."""
        keys = sources * len(_LAYERS) + layers
        found = np.flatnonzero(np.bincount(keys))
        rows: Ints = np.zeros(int(keys.max(initial=-1)) + 1, np.int64)
        places = self._catalogue.sources
        rows[found] = self.nodes.rows_of(
            (node, "out", _LAYERS[key % len(_LAYERS)].value) if (node := places[key // len(_LAYERS)].node) else None
            for key in found.tolist()
        )
        result: Ints = rows[keys]
        return result

    def _add_histograms(self, batch: Batch, zones: Ints, good: Mask) -> None:
        """Latencies by pair of zones, of which few are distinct, however many cells; `zones` is the row of each entry."""
        width = len(CLASSIC_SECONDS) + 1
        zones = zones + 1 if good.all() else np.where(good, zones + 1, 0)  # what is of no pair of zones comes first
        rows = zones.take(batch.latency_entry)
        # Weights of bincount are floats; counts of some reports stay far below 2^53, where they are exact.
        counts = np.bincount(rows * width + CLASSIC_OF.take(batch.latency_place), weights=batch.latency_count)[width:]
        keys = np.flatnonzero(counts)
        self.zones.add_each(keys // width, 4 + keys % width, counts[keys])

    def _add_words(self, batch: Batch, good: Mask, asks: Ints) -> None:
        """Failures by word: few distinct ones, however many cells fail."""
        if not len(batch.outcome_entry):
            return
        wanted = good[batch.outcome_entry]
        asked = asks[batch.outcome_entry[wanted]]
        keys, counts = summed(asked * _CODES + batch.outcome_code[wanted], batch.outcome_count[wanted])
        for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
            ask = self._catalogue.asks[key // _CODES]
            word = Outcome(key % _CODES).word
            if key % _CODES >= LOCAL_FROM:
                self.local.add_to(self.local.row_of((ask.kind.value, word)), count)
            else:
                self.failures.add_to(self.failures.row_of((ask.layer.value, ask.kind.value, word)), count)


def _numbered(known: list[str | None], word: str | None) -> int:
    """The number of a word."""
    if word not in known:
        known.append(word)
    return known.index(word)


def _service(place: Place) -> Key | None:
    return (place.namespace, place.service) if place.namespace and place.service else None


def _named(target: str, prefix: str) -> Key | None:
    return (target.removeprefix(prefix),) if target.startswith(prefix) else None
