"""Jobs that can be computed together: the same adapters, and logits or states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from llamakit.core.engine.scheduler.request import Scales
from llamakit.core.engine.scheduler.slot import Slot
from llamakit.errors import UsageError

if TYPE_CHECKING:
    from llamakit.core.engine.adapters import Adapter
    from llamakit.core.engine.context import Context


class Group(NamedTuple):
    scales: Scales
    is_hidden: bool


def group_of(slot: Slot) -> Group:
    return Group(slot.scales, slot.reader.is_hidden)


class Turns:
    """Groups take turns, step by step."""

    def __init__(self) -> None:
        self.n = 0
        self.last: dict[Group, int] = {}

    def next(self, slots: Sequence[Slot]) -> list[Slot]:
        """Of slots that can go on, those of the group that has waited longest."""
        groups: dict[Group, list[Slot]] = {}
        for slot in slots:
            groups.setdefault(group_of(slot), []).append(slot)
        if len(groups) == 1:  # nobody waits
            self.last = {}
            return [*slots]
        chosen = min(groups, key=lambda group: self.last.get(group, 0))
        self.n += 1
        self.last = {group: self.last.get(group, 0) for group in groups} | {chosen: self.n}
        return groups[chosen]


class KnownAdapters:
    """The adapters that requests may name. All of them are attached as soon as one is used, with scales of 0 but for
    those in force: other scales cost next to nothing, other adapters would cost new programs."""

    def __init__(self, context: Context, adapters: Mapping[str, Adapter]) -> None:
        self.context, self.adapters = context, dict(adapters)
        self.in_force: Scales = ()

    def normal(self, scales: Mapping[str, float] | Scales) -> Scales:
        """Those that change something, in the order in which they are known. UsageError for names that are not."""
        wanted = dict(scales)
        if unknown := [name for name in wanted if name not in self.adapters]:
            known = f"known are {', '.join(self.adapters)}" if self.adapters else "none is loaded"
            raise UsageError(f"there is no adapter {unknown[0]!r}; {known}")
        return tuple((name, float(wanted[name])) for name in self.adapters if wanted.get(name))

    def use(self, scales: Scales) -> None:
        """Compute with these from now on."""
        if scales != self.in_force:
            now = dict(scales)
            self.context.set_adapters([(adapter, now.get(name, 0.0)) for name, adapter in self.adapters.items()])
            self.in_force = scales
