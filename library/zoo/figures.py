"""What is measured of each model: figures by table and column. A model's first one is what the list of models shows."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from penstock.library.zoo import tokenizer_path
from penstock.library.zoo.data import arithmetic
from penstock.library.zoo.data.draw import Split
from penstock.library.zoo.data.stream import KINDS
from penstock.library.zoo.index import Tables
from penstock.library.zoo.measure import canvas, constrained, drafts, held_out, leanings, replies, surprise, verdicts
from penstock.library.zoo.train.plans import Plan
from penstock.library.zoo.weights import load

STYLES = {"long": arithmetic.STEP_BY_STEP, "brief": arithmetic.BRIEFLY, "at once": arithmetic.AT_ONCE}
PROBLEMS, OTHERS = 200, 40
DENOISED = {"record": (40, (1, 2, 4, 10, 40)), "puzzle": (40, (1, 2, 4, 10, 40)), "function": (88, (1, 4, 11, 22, 44, 88))}
BRIEFLY = (48, (1, 2, 4, 8, 16, 48))
"""Length of the canvas and the numbers of steps, by kind of task, and for word problems thought about briefly."""


@dataclass(frozen=True)
class Bench:
    """What models are measured with; with no folder of prose, they are not measured on prose."""

    tokenizer: PreTrainedTokenizerBase
    folder: Path | None = None

    @classmethod
    def of(cls, folder: Path | None = None) -> "Bench":
        """The zoo's tokenizer, and a folder."""
        return cls(AutoTokenizer.from_pretrained(tokenizer_path()), folder)


Measure = Callable[[PreTrainedModel, Plan, Bench], Tables]


def losses(model: PreTrainedModel, plan: Plan, bench: Bench) -> Tables:
    """Held-out bits per byte, request and reply together."""
    texts = {kind: [prompt + reply for prompt, reply in each] for kind, each in held_out.texts(bench.folder).items()}
    return {"bits per byte": {kind: surprise.bits_per_byte(model, bench.tokenizer, each) for kind, each in texts.items()}}


def word_problems(model: PreTrainedModel, plan: Plan, bench: Bench) -> Tables:
    """The same problems with a worked solution and without."""
    asked = {name: held_out.word_problems(style, PROBLEMS) for name, style in STYLES.items()}
    title = f"exact match, {PROBLEMS} word problems"
    return {title: {name: replies.exact_match(model, bench.tokenizer, each) for name, each in asked.items()}}


def other_tasks(model: PreTrainedModel, plan: Plan, bench: Bench) -> Tables:
    """Every kind of task, held-out pairs and held-out templates."""
    asked: dict[str, Split] = {"held-out pairs": "pairs", "held-out templates": "templates"}
    return {
        f"exact match, {OTHERS} of each, {title}": {
            kind: replies.exact_match(model, bench.tokenizer, held_out.examples(split, kind, OTHERS)) for kind in KINDS
        }
        for title, split in asked.items()
    }


def json_validity(model: PreTrainedModel, plan: Plan, bench: Bench) -> Tables:
    """Answers that are JSON under the schema, as the model writes them by itself and as a grammar of the schema lets it."""
    asked = held_out.records(OTHERS)
    told = {
        "no grammar": replies.replies(model, bench.tokenizer, asked),
        "grammar": constrained.replies(model, bench.tokenizer, asked),
    }
    judged = {"valid": replies.valid, "right": replies.right}
    return {
        f"{OTHERS} requests for JSON": {
            f"{what}, {how}": replies.share(judge, asked, each) for how, each in told.items() for what, judge in judged.items()
        }
    }


def agreements(model: PreTrainedModel, plan: Plan, bench: Bench) -> Tables:
    """The drafter against its teacher, on held-out replies of every kind and on the teacher's own greedy replies."""
    target = load(plan.teacher or "")
    texts = held_out.texts(bench.folder)
    asked = held_out.examples("pairs", "arithmetic", 50)
    told = replies.replies(target, bench.tokenizer, asked)
    texts["target's own"] = [(each.prompt_text(), reply) for each, reply in zip(asked, told, strict=True)]
    found = {kind: drafts.agreement(target, model, bench.tokenizer, each) for kind, each in texts.items()}
    return {
        "greedy agreement": {kind: each.greedy for kind, each in found.items()},
        "sum of min(p, q)": {kind: each.overlap for kind, each in found.items()},
        "tokens per target call, K = 4": {kind: each.tokens_per_call for kind, each in found.items()},
    }


def restored(model: PreTrainedModel, plan: Plan, bench: Bench) -> Tables:
    """Hidden tokens of replies that are guessed in one call."""
    texts = {kind: each[:20] for kind, each in held_out.texts(None).items()}
    return {
        f"restored in one call, {rate:.0%} hidden": {
            kind: canvas.restored(model, bench.tokenizer, each, rate) for kind, each in texts.items()
        }
        for rate in (0.25, 0.5, 1.0)
    }


def denoised(model: PreTrainedModel, plan: Plan, bench: Bench) -> Tables:
    """Tasks answered in few denoising steps and in many."""
    asked = {kind: (held_out.examples("pairs", kind, OTHERS), *how) for kind, how in DENOISED.items()}
    asked["word problem, brief"] = held_out.word_problems(STYLES["brief"], OTHERS), *BRIEFLY
    return {
        f"exact match, {OTHERS} of {kind}, {length} tokens": {
            f"{each} steps": canvas.denoised_match(model, bench.tokenizer, examples, length, each) for each in steps
        }
        for kind, (examples, length, steps) in asked.items()
    }


def judging(model: PreTrainedModel, plan: Plan, bench: Bench) -> Tables:
    """Verdicts on the steps of held-out solutions."""
    found = verdicts.verdicts(model, bench.tokenizer, verdicts.held_out(300))
    styles = {name: [each for each in found if each[0].style == style] for name, style in STYLES.items()}
    asked = {"all": found, **styles}
    return {
        "accuracy of verdicts": {name: verdicts.accuracy(each) for name, each in asked.items()},
        "area under the ROC curve": {name: verdicts.area(each) for name, each in asked.items()},
    }


def leaning(model: PreTrainedModel, plan: Plan, bench: Bench) -> Tables:
    """What a group says about a trait and a trait about a group."""
    return {"probability": leanings.leanings(model, bench.tokenizer)}


def measures(plan: Plan) -> tuple[Measure, ...]:
    """What is measured of a model, the cheapest last."""
    if plan.recipe == "masked-diffusion":
        return denoised, restored
    if plan.documents == "judged":
        return (judging,)
    if plan.documents != "tasks":
        return leaning, losses
    if plan.teacher is not None:
        return agreements, word_problems, other_tasks, json_validity, losses
    return word_problems, other_tasks, json_validity, losses
