"""Entropy adaptive decoding as its card writes it: Python lists and floats, every text from scratch."""

import math

import torch


def bits(logits):
    """Shannon entropy of softmax(logits)."""
    top = max(logits)
    weights = [math.exp(x - top) for x in logits]
    total = sum(weights)
    return -sum(w / total * math.log2(w / total) for w in weights if w > 0)


class Controller:
    """Who decodes the next token: 0 the small model, 1 the large one."""

    def __init__(self, w, tau, d_min, active=0, recent=(), c=0):
        self.w, self.tau, self.d_min, self.active, self.recent, self.c = w, tau, d_min, active, recent, c

    def after(self, entropy):
        """The controller once the active model has given a token at this entropy."""
        recent, c = (*self.recent, entropy)[-self.w :], self.c + 1
        chosen = int(sum(recent) / len(recent) > self.tau) if c >= self.d_min else self.active
        return Controller(self.w, self.tau, self.d_min, chosen, recent, c if chosen == self.active else 0)


def actives(controller, entropies):
    """Who decodes each token and the one after the last."""
    out = [controller.active]
    for entropy in entropies:
        controller = controller.after(entropy)
        out.append(controller.active)
    return out


def logits_after(model, text):
    """Next-token logits, from scratch, as a list."""
    return model.from_scratch(model.embed(torch.tensor(text)))[-1].tolist()


def greedy(models, prompt, controller, limit):
    """``(tokens, who decoded each)``, everything computed anew at every token."""
    text, who = list(prompt), []
    for _ in range(limit):
        logits = logits_after(models[controller.active], text)
        text.append(logits.index(max(logits)))
        who.append(controller.active)
        controller = controller.after(bits(logits))
    return text[len(prompt) :], who


def law(models, prompt, controller, limit, temperature=1.0):
    """``(law, (up, down))``: every text with its probability, and the expected number of switches either way."""
    found, switches = {}, [0.0, 0.0]

    def extend(text, controller, weight):
        if len(text) == limit:
            found[text] = weight
            return
        logits = logits_after(models[controller.active], [*prompt, *text])
        following = controller.after(bits(logits))
        if following.active != controller.active:
            switches[controller.active] += weight
        top = max(logits)
        weights = [math.exp((x - top) / temperature) for x in logits]
        for token, share in enumerate(weights):
            extend((*text, token), following, weight * share / sum(weights))

    extend((), controller, 1.0)
    return found, tuple(switches)
