"""A top-k tree by hand: its mask, its walk and its moves, for one row or many."""

import torch
from hand_written import Loop
from torch import Tensor

from penstock.ir.host import Feed


class Tree(Loop):
    """A top-k tree of 16 nodes, four paths of four, by sample-and-match; one row or many, the walk in Python either way."""

    PATHS, DEPTH = 4, 4

    def setup(self) -> None:
        n = self.PATHS * self.DEPTH
        paths = torch.eye(self.PATHS, dtype=torch.bool)
        self.below = torch.zeros(1 + n, 2 * self.room, dtype=torch.bool)
        self.below[:, : self.room] = True  # columns are slots less the text's length; the root is the text's last token
        for level in range(self.DEPTH):
            for above in range(level + 1):
                self.below[1 + 4 * level : 5 + 4 * level, self.room + 4 * above : self.room + 4 * above + 4] = paths
        self.depth = torch.tensor([-1] + [level for level in range(self.DEPTH) for _ in range(self.PATHS)])
        self.lengths = [self.length] * self.rows

    def columns(self, first: int, last: int) -> tuple[Tensor, Tensor, Tensor]:
        """Slots, positions and masks of tree columns ``first..last``, 0 the root."""
        at = self.up(max(self.lengths) + 16)
        seen = [self.below[first:last, self.room - n : self.room - n + at] for n in self.lengths]
        if self.rows == 1:
            n = self.lengths[0]
            return self.slots[None, n - 1 + first : n - 1 + last], self.depth[None, first:last] + n, seen[0][None]
        n = torch.tensor(self.lengths)[:, None]
        return n - 1 + self.slots[first:last], n + self.depth[first:last], torch.stack(seen)

    def caught_up(self) -> Tensor:
        """The drafter's logits at the root; it is fed two tokens, since a row that took a whole path is one behind."""
        if self.rows == 1:
            n = self.lengths[0]
            places, ids = self.slots[None, n - 2 : n], self.ids[:, n - 2 : n]
            seen = self.causal[None, n - 2 : n, : self.up(n)]
        else:
            places = torch.tensor(self.lengths)[:, None] - 2 + self.slots[:2]
            ids, seen = self.ids.gather(1, places), self.causal[places, : self.up(max(self.lengths))]
        return self.drafter.forward(self.cache, Feed(ids, places, places, seen)).logits[:, -1]

    def step(self) -> list[list[int]]:
        levels = [self.caught_up().topk(self.PATHS).indices]
        for level in range(1, self.DEPTH):
            places, positions, seen = self.columns(4 * level - 3, 4 * level + 1)
            logits = self.drafter.forward(self.cache, Feed(levels[-1], places, positions, seen)).logits
            levels.append(self.pick.largest(logits))
        tree = torch.cat(levels, 1)
        places, positions, seen = self.columns(0, 17)
        roots = torch.tensor([[self.ids[b, n - 1]] for b, n in enumerate(self.lengths)])
        logits = self.target.forward(self.cache, Feed(torch.cat([roots, tree], 1), places, positions, seen)).logits
        new, paths = self.matched(logits, tree.tolist()) if self.temperature else self.agreed(logits, tree.tolist())
        self.commit(new, paths)
        return new

    def agreed(self, logits: Tensor, trees: list[list[int]]) -> tuple[list[list[int]], list[list[int]]]:
        best, new, paths = self.pick.largest(logits).tolist(), [], []
        for row, tree in zip(best, trees, strict=True):
            path, tokens = [0], [row[0]]
            while (node := self.child(tree, path[-1], tokens[-1])) is not None:
                path.append(node)
                tokens.append(row[node])
            new.append(tokens)
            paths.append(path)
        return new, paths

    def matched(self, logits: Tensor, trees: list[list[int]]) -> tuple[list[list[int]], list[list[int]]]:
        new: list[list[int]] = [[] for _ in trees]
        paths = [[0] for _ in trees]
        going = list(range(self.rows))
        while going:  # all rows that are still on their way draw at once
            sites = logits[going, [paths[b][-1] for b in going]]
            for b, token in zip(tuple(going), self.pick.drawn(self.shaped(sites)).tolist(), strict=True):
                new[b].append(token)
                node = self.child(trees[b], paths[b][-1], token)
                if node is None:
                    going.remove(b)
                else:
                    paths[b].append(node)
        return new, paths

    def child(self, tree: list[int], node: int, token: int) -> int | None:
        """The tree column below ``node`` that holds this token."""
        below = range(1, 5) if node == 0 else (node + 4,) if node < 13 else ()
        return next((c for c in below if tree[c - 1] == token), None)

    def commit(self, new: list[list[int]], paths: list[list[int]]) -> None:
        moved = [b for b, path in enumerate(paths) if path != list(range(len(path)))]
        if moved:
            source = torch.zeros(self.rows, self.DEPTH, dtype=torch.long).fill_(self.room)
            target = source.clone()
            for b in moved:
                n, path = self.lengths[b] - 1, paths[b][1:]
                source[b, : len(path)] = torch.tensor([n + node for node in path])
                target[b, : len(path)] = torch.arange(n + 1, n + 1 + len(path))
            self.cache.move(source, target)
            self.cache.move(source, target)  # the drafter's
        for b, tokens in enumerate(new):
            n = self.lengths[b]
            self.ids[b, n : n + len(tokens)] = torch.tensor(tokens)
            self.lengths[b] = n + len(tokens)
