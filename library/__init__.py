"""Methods of papers, one file each, and the zoo of small models they run on."""

from penstock.library.constraints.toy import ToyGrammar
from penstock.library.control.pause import Pause
from penstock.library.denoisers.model import ModelDenoiser
from penstock.library.drafters.del_ import Del
from penstock.library.drafters.layerskip import LayerSkip
from penstock.library.drafters.model import ModelDrafter
from penstock.library.drafters.or_else import OrElse
from penstock.library.drafters.ppd import PromptTokens
from penstock.library.drafters.prompt_lookup import PromptLookup
from penstock.library.drafters.stochastic_beam import StochasticBeam
from penstock.library.drafters.top_k_tree import TopKTree
from penstock.library.gates.ead import EntropyAdaptive, EntropyGate
from penstock.library.prompts.counterfactual import Counterfactual
from penstock.library.search.astar import AStar
from penstock.library.steer.ambedkar import Ambedkar
from penstock.library.taps.commits import Commits
from penstock.library.taps.logprobs import Logprobs
from penstock.library.transforms.nucleus import TopK, TopP
from penstock.library.transforms.penalty import Repetition
from penstock.library.transforms.processors import LogitsProcessors
from penstock.library.transforms.temperature import Temperature
from penstock.library.unmaskers.confidence import Confidence
from penstock.library.unmaskers.freedave import FreeDave, NestedDrafts
from penstock.library.unmaskers.threshold import Threshold
from penstock.library.verifiers.hcot import HiddenThought
from penstock.library.verifiers.model import Acceptor, ModelVerifier
from penstock.library.verifiers.switched import SwitchedVerifier

STAGES = (
    AStar,
    Acceptor,
    Ambedkar,
    Commits,
    Confidence,
    Counterfactual,
    Del,
    EntropyAdaptive,
    EntropyGate,
    FreeDave,
    HiddenThought,
    LayerSkip,
    LogitsProcessors,
    Logprobs,
    ModelDenoiser,
    ModelDrafter,
    ModelVerifier,
    NestedDrafts,
    OrElse,
    Pause,
    PromptLookup,
    PromptTokens,
    Repetition,
    StochasticBeam,
    SwitchedVerifier,
    Temperature,
    Threshold,
    TopK,
    TopKTree,
    TopP,
    ToyGrammar,
)
"""Every stage of the library, one line each."""
