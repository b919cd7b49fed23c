"""The slot cache of a view: keys and values of every layer in one buffer, addressed by slot."""

from collections.abc import Sequence

import torch
from torch import Tensor


class SlotCache:
    """Keys and values by slot, with the logical position of each slot; serves any model that attends.

    ``buffer``: ``[layers, kinds, b, heads, S+1, d]`` (kinds: keys, values; 1 where a model keeps only one of them).
    ``positions``: int64 ``[b, S+1]``, what windows and causality are judged by. Slot S is the trash slot.
    """

    def __init__(self, buffer: Tensor, positions: Tensor) -> None:
        self.buffer, self.positions = buffer, positions
        self.slots = positions.shape[1] - 1
        self._planes = [layer.unbind(0) for layer in buffer.unbind(0)]
        self._rows = torch.arange(positions.shape[0], device=positions.device)[:, None]

    @classmethod
    def empty(
        cls,
        rows: int,
        slots: int,
        *,
        layers: int,
        heads: int,
        width: int,
        kinds: int = 2,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> "SlotCache":
        """A cache of zeros: ``slots`` slots and the trash slot, ``width`` numbers a head."""
        buffer = torch.zeros(layers, kinds, rows, heads, slots + 1, width, dtype=dtype, device=device)
        return cls(buffer, torch.zeros(rows, slots + 1, dtype=torch.int64, device=device))

    def place(self, slots: Tensor, positions: Tensor) -> None:
        """Record the logical positions ``[b,n]`` of the columns about to be written to ``slots [b,n]``."""
        if len(slots) == 1:
            self.positions.index_copy_(1, slots[0], positions)
        else:
            self.positions[self._rows, slots] = positions

    def write(self, layer: int, kind: int, slots: Tensor, values: Tensor) -> None:
        """Store ``values [b, heads, n, d]`` at ``slots [b,n]``."""
        plane = self._planes[layer][kind]
        if len(slots) == 1:  # a third of the time
            plane.index_copy_(2, slots[0], values)
        else:  # indexed assignment, not scatter_: inductor on the CPU handles a scatter with an expanded index badly
            plane[self._rows, :, slots] = values.transpose(1, 2)

    def read(self, layer: int, kind: int, extent: int) -> Tensor:
        """The first ``extent`` slots: ``[b, heads, extent, d]``, a view."""
        return self._planes[layer][kind].narrow(2, 0, extent)

    def take(self, rows: Tensor) -> "SlotCache":
        """A new cache holding copies of these rows, in this order (a row may repeat)."""
        return SlotCache(self.buffer.index_select(2, rows), self.positions.index_select(0, rows))

    def cat(self, *others: "SlotCache") -> "SlotCache":
        """A new cache holding copies of all rows; one with fewer slots gets empty ones, and the trash slot stays the last."""
        caches = (self, *others)
        layers, kinds, _, heads, _, width = self.buffer.shape
        slots, rows = max(c.slots for c in caches), sum(len(c.positions) for c in caches)
        buffer = self.buffer.new_zeros(layers, kinds, rows, heads, slots + 1, width)
        positions = self.positions.new_zeros(rows, slots + 1)
        first = 0
        for c in caches:
            mine = slice(first, first := first + len(c.positions))
            buffer[:, :, mine, :, : c.slots] = c.buffer[..., : c.slots, :]
            positions[mine, : c.slots] = c.positions[:, : c.slots]
        return SlotCache(buffer, positions)

    def move(self, source: Tensor, target: Tensor) -> None:
        """Copy slot ``source[b,j]`` over slot ``target[b,j]`` for all j at once: every read precedes every write."""
        moved = ((source != target) & (target != self.slots)).any(0)
        if not moved.any():  # the accepted path is a prefix: the common case, and free
            return
        source, target = source[:, moved], target[:, moved]
        self.buffer[:, :, self._rows, :, target] = self.buffer[:, :, self._rows, :, source]
        self.positions[self._rows, target] = self.positions[self._rows, source]

    def clear_from(self, first: Tensor) -> None:
        """Zero every slot at or beyond ``first [b]``, so that equal texts have equal caches."""
        dead = torch.arange(self.slots + 1, device=first.device) >= first[:, None]
        self.buffer.masked_fill_(dead[:, None, :, None], 0)
        self.positions.masked_fill_(dead, 0)

    def leaves(self) -> Sequence[Tensor]:
        """The tensors of the state, rows leading: views ``[b, layers, kinds, heads, S+1, d]`` and ``[b, S+1]``."""
        return self.buffer.movedim(2, 0), self.positions
