"""Counters for export: sums under labels that outlive the cells they came from.

A cell leaves with its path, but a counter that goes down is read as a reset. So what is exported is added up here, under the
labels of its family, and leaves only when a label's own subject (a node, a zone, a namespace, a service, a host) is gone.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import numpy as np

from collector.matrix.batch import LOCAL_FROM, Batch
from collector.matrix.catalogue import Catalogue
from collector.matrix.histograms import CLASSIC_OF, CLASSIC_SECONDS, Ints, Mask, summed
from collector.matrix.places import Place
from wire.outcome import Outcome
from wire.path import Layer
from wire.window import Flag

Key = tuple[str, ...]

OTHER: Final = "other"
"""Label value under which everything beyond a family's limit is added up."""
MAX_LOOKUPS: Final = 256
"""Lists of rows by aim that are remembered; a cluster with more pairs of zones and layers finds them again."""
_LAYERS: Final = tuple(Layer)
_NAMESPACED: Final = frozenset({Layer.POD, Layer.SERVICE})
_CODES: Final = 256


class Tally:
    """One family: rows of integers under label values, at most `limit` rows; the rest goes to one row named OTHER."""

    def __init__(self, columns: int, *, labels: int, limit: int) -> None:
        self._limit = limit
        self._other: Key = (OTHER,) * labels
        self._rows: dict[Key, int] = {}
        self._values: Ints = np.zeros((columns, 0), np.int64)

    def row_of(self, key: Key) -> int:
        """The row of a key; an unknown one gets a row."""
        if key not in self._rows and len(self._rows) >= self._limit:
            key = self._other
        row = self._rows.setdefault(key, len(self._rows))
        if row >= self._values.shape[1]:
            more = np.zeros((len(self._values), max(16, row)), np.int64)
            self._values = np.concatenate([self._values, more], axis=1)
        return row

    def rows_of(self, keys: Iterable[Key | None]) -> Ints:
        """The row of each key, -1 for None."""
        return np.array([-1 if key is None else self.row_of(key) for key in keys], np.int64)

    def add(self, rows: Ints, *values: tuple[Ints, tuple[int, ...]]) -> None:
        """Add values, each an array and the columns that it goes into, to the rows named; -1 is no row."""
        if len(rows) and rows.min() < 0:
            there = rows >= 0
            rows, values = rows[there], tuple((value[there], columns) for value, columns in values)
        if not len(rows):
            return
        least = int(rows.min())
        rows = rows - least
        for value, columns in values:
            # Adding at indices takes several times as long as counting with weights. Weights are floats, exact up to 2^53,
            # and the sums of a report are far below.
            sums = np.bincount(rows, weights=value).astype(np.int64)
            for column in columns:
                self._values[column, least : least + len(sums)] += sums

    def add_to(self, row: int, *values: int) -> None:
        """Add one value per column to one row."""
        for column, value in zip(self._values, values, strict=False):
            column[row] += value

    def add_range(self, row: int, column: int, values: Ints) -> None:
        """Add values to one column of consecutive rows."""
        self._values[column, row : row + len(values)] += values

    def keep(self, wanted: Callable[[Key], bool]) -> None:
        """Drop the rows whose subject is gone. Rows move: ask row_of again."""
        kept = [(key, row) for key, row in self._rows.items() if key == self._other or wanted(key)]
        self._values = self._values[:, np.array([row for _, row in kept], np.int64)]
        self._rows = {key: row for row, (key, _) in enumerate(kept)}

    def items(self) -> Iterator[tuple[Key, list[int]]]:
        """(labels, values), ascending by labels."""
        values = self._values.T.tolist()
        return iter(sorted((key, values[row]) for key, row in self._rows.items()))


class _Lookup:
    """The row of a tally for each aim, found when it is first needed."""

    def __init__(self, tally: Tally, key: Callable[[int], Key | None]) -> None:
        self._tally = tally
        self._key = key
        self._rows: Ints = np.zeros(0, np.int64)

    def rows(self, aims: Ints) -> Ints:
        """The row of each aim, -1 for none."""
        highest = int(aims.max(initial=-1))
        if highest >= len(self._rows):
            self._rows = np.concatenate([self._rows, np.full(highest + 1024, -2)])
        rows = self._rows[aims]
        if len(rows) and rows.min() == -2:  # noqa: PLR2004 - not looked for yet
            missing = np.unique(aims[rows == -2])  # noqa: PLR2004 - the same
            self._rows[missing] = self._tally.rows_of(self._key(aim) for aim in missing.tolist())
            rows = self._rows[aims]
        return rows


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
        self._lookups: dict[Key, _Lookup] = {}

    def replan(self, subjects: Mapping[str, frozenset[str]]) -> None:
        """Forget subjects that are gone. `subjects`: names by dimension."""
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

    def add(self, batch: Batch, source: Place, aims: Ints, asks: Ints) -> None:
        """Count the windows of a batch of a vantage at `source`; `aims` and `asks` are those of its entries."""
        good = batch.good
        lost = batch.late + batch.failed
        sent = batch.received + lost
        if not good.all():
            self._add_aside(batch, sent, good)
        layers = self._catalogue.layers[asks]
        zones = np.full(len(batch), -1)
        nat = (batch.flags & Flag.NAT) != 0
        for layer, of in _by_layer(layers):
            which = of & good
            self._add_layer(batch, source, layer, aims, which, zones=zones)
            if (lossy := which & (lost > 0)).any():
                self._add_lost(batch, source, layer, aims, np.flatnonzero(lossy))
            if (through := which & nat).any():
                self._add_nat(source, layer, aims[through])
        self._add_histograms(batch, zones)
        if len(batch.outcome_entry):
            self._add_words(batch, good, asks)

    def _add_layer(self, batch: Batch, source: Place, layer: str, aims: Ints, which: Mask, *, zones: Ints) -> None:
        """Count the probes received, which are sent as well, and note the row of each entry's zones."""
        received, total, aim = batch.received, batch.sum_ns, aims
        whole = bool(which.all())
        if not whole:
            received, total, aim = received[which], total[which], aims[which]
        if source.node:
            answers = int(received.sum())
            row = self.nodes.row_of((source.node, "out", layer))
            self.nodes.add_to(row, answers, 0, 0, answers, int(total.sum()))
        for name, lookup in self._lookups_of(source, layer).items():
            rows = lookup.rows(aim)
            match name:
                case "in":
                    self.nodes.add(rows, (received, (0, 3)), (total, (4,)))
                case "zones":
                    self.zones.add(rows, (received, (0, 2)), (total, (3,)))
                    zones[which] = rows
                case _:
                    getattr(self, name).add(rows, (received, (0,)))

    def _add_lost(self, batch: Batch, source: Place, layer: str, aims: Ints, lossy: Ints) -> None:
        """Count the probes lost, which are sent as well."""
        late = batch.late[lossy]
        lost, aim = late + batch.failed[lossy], aims[lossy]
        if source.node:
            both = int(lost.sum())
            self.nodes.add_to(self.nodes.row_of((source.node, "out", layer)), both, both, int(late.sum()))
        for name, lookup in self._lookups_of(source, layer).items():
            rows = lookup.rows(aim)
            if name == "in":
                self.nodes.add(rows, (lost, (0, 1)), (late, (2,)))
            else:
                getattr(self, name).add(rows, (lost, (0, 1)))

    def _add_nat(self, source: Place, layer: str, aim: Ints) -> None:
        """Count the windows in which the peer saw another address."""
        if source.node:
            self.nodes.add_to(self.nodes.row_of((source.node, "out", layer)), 0, 0, 0, 0, 0, len(aim))
        self.nodes.add(self._lookups_of(source, layer)["in"].rows(aim), (np.ones(len(aim), np.int64), (5,)))

    def _lookups_of(self, source: Place, layer: str) -> dict[str, _Lookup]:
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
        found: dict[str, _Lookup] = {}
        for name, (key, tally, labels) in wanted.items():
            if key not in self._lookups:
                self._lookups[key] = _Lookup(tally, labels)
            found[name] = self._lookups[key]
        return found

    def _add_aside(self, batch: Batch, sent: Ints, good: Mask) -> None:
        ill = (batch.flags & Flag.ILL) != 0
        for reason, which in (("unconfirmed", ~good & ~ill), ("ill", ill)):
            self.set_aside.add_to(self.set_aside.row_of((reason,)), int(sent[which].sum()))

    def _add_histograms(self, batch: Batch, zones: Ints) -> None:
        """Latencies by pair of zones, of which few are distinct, however many cells; `zones` is the row of each entry."""
        width = len(CLASSIC_SECONDS) + 1
        keys = zones[batch.latency_entry] * width + CLASSIC_OF[batch.latency_place]
        if len(keys) and keys.min() < 0:
            there = keys >= 0
            keys, weights = keys[there], batch.latency_count[there]
        else:
            weights = batch.latency_count
        # Weights of bincount are floats; counts of one report stay far below 2^53, where they are exact.
        counts = np.bincount(keys, weights=weights)
        for key in np.flatnonzero(counts).tolist():
            self.zones.add_range(key // width, 4 + key % width, counts[key : key + 1].astype(np.int64))

    def _add_words(self, batch: Batch, good: Mask, asks: Ints) -> None:
        """Failures by word: few distinct ones, however many cells fail."""
        wanted = good[batch.outcome_entry]
        if not wanted.any():
            return
        asked = asks[batch.outcome_entry[wanted]]
        keys, counts = summed(asked * _CODES + batch.outcome_code[wanted], batch.outcome_count[wanted])
        for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
            ask = self._catalogue.asks[key // _CODES]
            word = Outcome(key % _CODES).word
            if key % _CODES >= LOCAL_FROM:
                self.local.add_to(self.local.row_of((ask.kind.value, word)), count)
            else:
                self.failures.add_to(self.failures.row_of((ask.layer.value, ask.kind.value, word)), count)


def _by_layer(layers: Ints) -> Iterator[tuple[str, Mask]]:
    """Each layer that occurs, and where."""
    for number, count in enumerate(np.bincount(layers, minlength=len(_LAYERS)).tolist()):
        if count:
            yield _LAYERS[number].value, layers == number


def _service(place: Place) -> Key | None:
    return (place.namespace, place.service) if place.namespace and place.service else None


def _named(target: str, prefix: str) -> Key | None:
    return (target.removeprefix(prefix),) if target.startswith(prefix) else None
