"""Methods of papers, one file each, and the zoo of small models they run on."""

from penstock.library.constraints.json_schema import JsonSchema
from penstock.library.constraints.lark import Grammar
from penstock.library.constraints.regex import Regex
from penstock.library.constraints.toy import ToyGrammar
from penstock.library.control.max_length import MaxLength
from penstock.library.control.pause import Pause
from penstock.library.denoisers.model import ModelDenoiser
from penstock.library.drafters.chain import Auto as Auto
from penstock.library.drafters.del_ import Del
from penstock.library.drafters.forced import Forced
from penstock.library.drafters.layerskip import LayerSkip
from penstock.library.drafters.model import ModelDrafter
from penstock.library.drafters.or_else import OrElse
from penstock.library.drafters.ppd import PromptTokens
from penstock.library.drafters.prompt_lookup import PromptLookup
from penstock.library.drafters.stochastic_beam import StochasticBeam
from penstock.library.drafters.top_k_tree import TopKTree
from penstock.library.gates.ead import EntropyAdaptive, EntropyGate
from penstock.library.prompts.counterfactual import Counterfactual
from penstock.library.prompts.given import Given
from penstock.library.prompts.last_token import LastToken
from penstock.library.search.astar import AStar
from penstock.library.steer.ambedkar import Ambedkar
from penstock.library.steer.contrast import Contrast
from penstock.library.steer.contrast_layers import ContrastLayers
from penstock.library.steer.guidance import Guidance
from penstock.library.taps.commits import Commits
from penstock.library.taps.logprobs import Logprobs
from penstock.library.transforms.ban import Ban
from penstock.library.transforms.bias import Bias
from penstock.library.transforms.epsilon import Epsilon
from penstock.library.transforms.eta import Eta
from penstock.library.transforms.force import Force
from penstock.library.transforms.frequency import Frequency
from penstock.library.transforms.length_decay import LengthDecay
from penstock.library.transforms.min_length import MinLength
from penstock.library.transforms.min_p import MinP
from penstock.library.transforms.no_repeat_ngram import NoRepeatNGram
from penstock.library.transforms.presence import Presence
from penstock.library.transforms.processors import LogitsProcessors
from penstock.library.transforms.repetition import Repetition
from penstock.library.transforms.suppress_at_begin import SuppressAtBegin
from penstock.library.transforms.temperature import Temperature
from penstock.library.transforms.top_k import TopK
from penstock.library.transforms.top_p import TopP
from penstock.library.transforms.typical_p import TypicalP
from penstock.library.unmaskers.confidence import Confidence
from penstock.library.unmaskers.freedave import FreeDave, NestedDrafts
from penstock.library.unmaskers.threshold import Threshold
from penstock.library.verifiers.hcot import HiddenThought
from penstock.library.verifiers.model import Acceptor, ModelVerifier
from penstock.library.verifiers.switched import SwitchedVerifier
from penstock.library.verifiers.typical import TypicalAcceptor

STAGES = (
    AStar,
    Acceptor,
    Ambedkar,
    Ban,
    Bias,
    Commits,
    Confidence,
    Contrast,
    ContrastLayers,
    Counterfactual,
    Del,
    EntropyAdaptive,
    EntropyGate,
    Epsilon,
    Eta,
    Force,
    Forced,
    FreeDave,
    Frequency,
    Given,
    Grammar,
    Guidance,
    HiddenThought,
    JsonSchema,
    LastToken,
    LayerSkip,
    LengthDecay,
    MaxLength,
    MinLength,
    MinP,
    LogitsProcessors,
    Logprobs,
    ModelDenoiser,
    ModelDrafter,
    ModelVerifier,
    NestedDrafts,
    NoRepeatNGram,
    OrElse,
    Pause,
    Presence,
    PromptLookup,
    PromptTokens,
    Regex,
    Repetition,
    StochasticBeam,
    SuppressAtBegin,
    SwitchedVerifier,
    Temperature,
    Threshold,
    TopK,
    TopKTree,
    TopP,
    ToyGrammar,
    TypicalAcceptor,
    TypicalP,
)
"""Every stage of the library, one line each."""
