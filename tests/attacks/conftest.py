"""The cohort that the attacks on secure averaging have to deal with: honest sites that do what a datasite does."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from datasites.secure_averaging.advertisement import Advertisement, create, verify_roster
from datasites.secure_averaging.contexts import round_context, setup_context
from policies.statements.digests import digest
from policies.terms import Terms
from tests.declared_units import UNITS
from tests.plain_steps import PLAIN_STEPS_AS_JSON
from tests.whole_vectors import MaskedUpdate, mask_update

PARAMETERS = 1 << 16
RUN = "ab" * 16
MODEL = digest("global-model", b"honest")
# What a hospital would send: almost nothing, so that whatever shows through a mask is easy to see.
SECRET = np.full(PARAMETERS, 0.001, np.float32)


@dataclass
class Site:
    """An honest site with what it alone holds, and the public keys that its owner pinned."""

    party: str
    identity: Ed25519PrivateKey
    advertisement: Advertisement
    mask_keys: list[bytes]
    pinned: dict[str, bytes]

    def answer(
        self,
        terms: Terms,
        roster: list[Advertisement],
        round_number: int = 1,
        model: str = MODEL,
        update: np.ndarray = SECRET,
    ) -> MaskedUpdate:
        """Do what the datasite does: check the roster, derive the context, mask."""
        named = verify_roster(roster, terms, RUN, self.party, self.advertisement, self.pinned)
        context = round_context(setup_context(terms.digest(), RUN, named), round_number, model)
        key = self.mask_keys[round_number - 1]
        return mask_update(terms, round_number, update, None, key, roster, self.party, context, self.identity)


def make_terms(parties: list[str], weights: list[int] | None = None, study: str = "0" * 32) -> Terms:
    zero = "0" * 64
    return Terms.model_validate_json(
        json.dumps(
            {
                "version": "cloister-terms/1",
                "study": study,
                "title": "Sepsis",
                "researcher": zero,
                "purpose": "Early warning",
                "legal_basis": "Consent.",
                "recipients": "The study group",
                "onward_use": "None",
                "supersedes": None,
                "cohort": [
                    {"site": party, "data_set": "patients", "weight": weight, **UNITS}
                    for party, weight in zip(parties, weights or [1] * len(parties), strict=True)
                ],
                "programs": {
                    **dict.fromkeys(("loss", "metrics", "initial_parameters", "source"), zero),
                    "parameter_count": PARAMETERS,
                    "tokens": None,
                },
                "training": {
                    "strategy": "fedavg",
                    "rounds": 2,
                    "local_steps": 1,
                    "retries": 0,
                    "sampling_rate": 0.1,
                    "noise_multiplier": 1.0,
                    "clipping_norm": 1.0,
                    "learning_rate": 0.1,
                    **PLAIN_STEPS_AS_JSON,
                },
                "evaluation": {"models": [], "metrics": ["accuracy"], "histograms": [], "noise_multiplier": 1.0},
                "secure_averaging": {
                    "minimum_cohort": len(parties),
                    "colluders": len(parties) - 2,
                    "bits": 16,
                    "update_range": 1.0,
                },
                "privacy": {"epsilon": 1.0, "delta": 1e-6},
                "deadlines": {"setup_seconds": 60, "round_seconds": 60},
                "expires_at": 2_000_000_000,
            }
        )
    )


def make_sites(count: int) -> tuple[Terms, list[Site]]:
    identities = [Ed25519PrivateKey.generate() for _ in range(count)]
    pinned = {
        digest("identity", key.public_key().public_bytes_raw()): key.public_key().public_bytes_raw()
        for key in identities
    }
    terms = make_terms(list(pinned))
    return terms, [
        Site(party, identity, *create(identity, party, terms.digest(), RUN, terms.sums), pinned)
        for party, identity in zip(pinned, identities, strict=True)
    ]


@pytest.fixture(scope="session")
def averaging_study() -> tuple[Terms, list[Site]]:
    """Four sites that withstand two colluders, each having advertised its mask keys for run `RUN`."""
    return make_sites(4)


@pytest.fixture(scope="session")
def averaging_terms() -> Callable[..., Terms]:
    """Makes terms for other cohorts, weights or studies; see `make_terms`."""
    return make_terms
