"""The researcher's notebook side: look at mock data, submit a study, run its rounds, read the result."""

from datasites.protocol.identity import IdentityCard
from policies.errors import (
    CloisterError,
    ConflictError,
    InvalidInputError,
    NotAuthenticError,
    RefusedError,
    UnavailableError,
)
from policies.terms import Deadlines, Privacy, SecureAveraging
from policies.training_choices import Adam, AdamW, Schedule, Sgd
from researcher.catalog import DataSet
from researcher.curves import ReliabilityPoint, ScoreCurve
from researcher.estimates import Estimate
from researcher.federation import Federation, connect
from researcher.plan import TrainingPlan
from researcher.question_state import Question
from researcher.results import Result
from researcher.round_record import RoundRecord
from researcher.saved_model import check_model
from researcher.stopping import EarlyStopping
from researcher.study import SiteStatus, Study
from researcher.submission import Ask
from researcher.tokeniser import TextTokens

__all__ = [
    "Adam",
    "AdamW",
    "Ask",
    "CloisterError",
    "ConflictError",
    "DataSet",
    "Deadlines",
    "EarlyStopping",
    "Estimate",
    "Federation",
    "IdentityCard",
    "InvalidInputError",
    "NotAuthenticError",
    "Privacy",
    "Question",
    "RefusedError",
    "ReliabilityPoint",
    "Result",
    "RoundRecord",
    "Schedule",
    "ScoreCurve",
    "SecureAveraging",
    "Sgd",
    "SiteStatus",
    "Study",
    "TextTokens",
    "TrainingPlan",
    "UnavailableError",
    "check_model",
    "connect",
]
