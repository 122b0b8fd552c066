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
from researcher.federation import Federation, connect
from researcher.plan import TrainingPlan
from researcher.question_state import Question
from researcher.results import Result, RoundRecord
from researcher.saved_model import check_model
from researcher.study import SiteStatus, Study
from researcher.submission import Ask

__all__ = [
    "Adam",
    "AdamW",
    "Ask",
    "CloisterError",
    "ConflictError",
    "DataSet",
    "Deadlines",
    "Federation",
    "IdentityCard",
    "InvalidInputError",
    "NotAuthenticError",
    "Privacy",
    "Question",
    "RefusedError",
    "Result",
    "RoundRecord",
    "Schedule",
    "SecureAveraging",
    "Sgd",
    "SiteStatus",
    "Study",
    "TrainingPlan",
    "UnavailableError",
    "check_model",
    "connect",
]
