"""Methods of papers, one file each, and the zoo of small models they run on."""

from penstock.library.constraints.toy import ToyGrammar
from penstock.library.drafters.model import ModelDrafter
from penstock.library.transforms.nucleus import TopK, TopP
from penstock.library.transforms.penalty import Repetition
from penstock.library.transforms.temperature import Temperature
from penstock.library.verifiers.model import Acceptor, ModelVerifier

STAGES = (Acceptor, ModelDrafter, ModelVerifier, Repetition, Temperature, TopK, TopP, ToyGrammar)
"""Every stage of the library, one line each."""
