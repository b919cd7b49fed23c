"""How many tokens one step commits, exactly, where target and draft say the same after every text."""

import torch

from penstock.backends.enumerate.certify import step_of
from penstock.backends.enumerate.worlds import Worlds
from penstock.backends.runtime.runner import Decoder, Request
from penstock.passes.order import elaborate
from penstock.testing import small_world


def committed(stages, target, draft, limit=64):
    """``{count: probability}`` of the first step, for distributions ``target [v]`` and ``draft [v]``."""
    world = small_world(stages, vocab=len(target), limit=limit)
    for view, model in world.models.items():
        model.tables[:] = torch.as_tensor(draft if view.startswith("draft:") else target, dtype=torch.float64).log()
    step = step_of(elaborate(stages), world)
    state = Decoder(step, world.models, None).start([Request({view: [1] for view in world.models}, limit, key=0)])
    worlds = Worlds(torch.ones(1, dtype=torch.float64), torch.zeros(1, 0, dtype=torch.long), 1, {}, None)
    seq = worlds.run(step.graph, [state[name] for name in step.handles])[step.handles.index("seq")]
    counts = zip(seq.length.tolist(), worlds.weight.tolist(), strict=True)
    law = {}
    for count, weight in counts:
        law[count] = law.get(count, 0.0) + weight
    return law


def mean(law):
    """The expected value."""
    return sum(value * weight for value, weight in law.items())
