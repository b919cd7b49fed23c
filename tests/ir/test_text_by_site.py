"""The text up to every site of a tree, by walking each node's ancestors."""

import pytest
import torch

from penstock.backends.runtime.table import TableModel
from penstock.ir.ops.lookup import text_by_site
from penstock.ir.state import new_sequence, new_view

PROMPTS, SUFFIXES = [[1], [2, 0, 1], [0, 4]], [[3, 3, 3, 2], [], [1]]
TREE = torch.tensor([[0, 0, 1, 3], [0, 0, 2, 2], [0, 1, 2, 1]])
"""Parent sites of four nodes; those of the last row are a chain of three with a branch."""
TOKENS = torch.tensor([[4, 3, 2, 1], [0, 1, 2, 3], [3, 0, 2, 4]])


def rows():
    seq = new_sequence(3, 12, key=torch.arange(3), limit=9)
    for row, suffix in enumerate(SUFFIXES):
        seq.tokens[row, : len(suffix)] = torch.tensor(suffix, dtype=torch.long)
        seq.length[row] = len(suffix)
    return new_view(TableModel(5, 1), PROMPTS, 12), seq


def walked(row, site):
    return walked(row, int(TREE[row, site - 1])) + [int(TOKENS[row, site - 1])] if site else []


@pytest.mark.parametrize("drafted", [True, False])
@pytest.mark.parametrize("prompt", [True, False])
def test_every_site_has_its_own_whole_text(prompt, drafted):
    draft = (TREE, TOKENS, 3) if drafted else (None, None, 0)
    found = text_by_site(*rows(), *draft, prompt)
    assert found.shape[1] == (5 if drafted else 1)
    for row in range(3):
        for site in range(found.shape[1]):
            wanted = (PROMPTS[row] if prompt else []) + SUFFIXES[row] + walked(row, site)
            text = found[row, site].tolist()
            assert text == [-1] * (len(text) - len(wanted)) + wanted
