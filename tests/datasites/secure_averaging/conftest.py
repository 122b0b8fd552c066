"""A cohort for the tests: identities, terms, one run's advertisements and whole rounds over them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from datasites.secure_averaging.advertisement import Advertisement, create, roster_digest
from datasites.secure_averaging.contexts import round_context, setup_context
from policies.statements.digests import digest
from policies.terms import Terms
from tests.declared_units import UNITS
from tests.plain_steps import PLAIN_STEPS_AS_JSON
from tests.whole_vectors import MaskedUpdate, mask_update

RUN = "ab" * 16
MODEL = digest("global-model", b"model 0")


@dataclass
class Cohort:
    """Everything both sides of a test need; `private_keys[site][round - 1]` is that site's mask key."""

    terms: Terms
    identities: dict[str, Ed25519PrivateKey]
    roster: list[Advertisement]
    private_keys: dict[str, list[bytes]]

    @property
    def sites(self) -> list[str]:
        return list(self.identities)

    @property
    def pinned(self) -> dict[str, bytes]:
        return {site: key.public_key().public_bytes_raw() for site, key in self.identities.items()}

    def context(self, round_number: int = 1, model: str = MODEL) -> bytes:
        setup = setup_context(self.terms.digest(), RUN, roster_digest(self.roster))
        return round_context(setup, round_number, model)

    def answer(
        self, site: str, update: Any, metrics: Any = None, round_number: int = 1, context: bytes | None = None
    ) -> MaskedUpdate:
        return mask_update(
            self.terms,
            round_number,
            update,
            metrics,
            self.private_keys[site][round_number - 1],
            self.roster,
            site,
            context or self.context(round_number),
            self.identities[site],
        )


def make_cohort(
    sites: int = 3,
    parameters: int = 16,
    weights: tuple[int, ...] = (),
    rounds: int = 2,
    models: tuple[int, ...] = (),
    metrics: tuple[str, ...] = ("accuracy",),
    histograms: tuple[dict[str, Any], ...] = (),
    bits: int = 20,
    update_range: float = 1.0,
) -> Cohort:
    """Draw identities and advertise mask keys for a study of that size."""
    keys = [Ed25519PrivateKey.generate() for _ in range(sites)]
    identities = {digest("identity", key.public_key().public_bytes_raw()): key for key in keys}
    weights = weights or (1,) * sites
    zero = "0" * 64
    terms = Terms.model_validate_json(
        json.dumps(
            {
                "version": "cloister-terms/1",
                "study": "0" * 32,
                "title": "A test",
                "researcher": zero,
                "purpose": "Testing",
                "legal_basis": "Consent.",
                "recipients": "Nobody",
                "onward_use": "None",
                "supersedes": None,
                "cohort": [
                    {"site": site, "data_set": "patients", "weight": weight, **UNITS}
                    for site, weight in zip(identities, weights, strict=True)
                ],
                "programs": {
                    **dict.fromkeys(("loss", "metrics", "initial_parameters", "source"), zero),
                    "parameter_count": parameters,
                    "tokens": None,
                },
                "training": {
                    "strategy": "fedavg",
                    "rounds": rounds,
                    "local_steps": 1,
                    "retries": 0,
                    "sampling_rate": 0.1,
                    "noise_multiplier": 1.0,
                    "clipping_norm": 1.0,
                    "learning_rate": 0.1,
                    **PLAIN_STEPS_AS_JSON,
                },
                "evaluation": {"models": models, "metrics": metrics, "histograms": histograms, "noise_multiplier": 1.0},
                "secure_averaging": {
                    "minimum_cohort": sites,
                    "colluders": sites - 2,
                    "bits": bits,
                    "update_range": update_range,
                },
                "privacy": {"epsilon": 1.0, "delta": 1e-6},
                "deadlines": {"setup_seconds": 60, "round_seconds": 60},
                "expires_at": 2_000_000_000,
            }
        )
    )
    entered = {site: create(key, site, terms.digest(), RUN, terms.sums) for site, key in identities.items()}
    return Cohort(
        terms,
        identities,
        [advertisement for advertisement, _ in entered.values()],
        {site: private_keys for site, (_, private_keys) in entered.items()},
    )


@pytest.fixture(scope="session")
def cohort_factory() -> Callable[..., Cohort]:
    """Makes cohorts; see `make_cohort`."""
    return make_cohort


@pytest.fixture(scope="session")
def cohort() -> Cohort:
    """Three sites of weight 1, 16 parameters, two training rounds."""
    return make_cohort()


@pytest.fixture
def updates(cohort: Cohort) -> dict[str, np.ndarray]:
    """An update within range for each site of `cohort`."""
    generator = np.random.default_rng(1)
    return {site: generator.uniform(-1, 1, 16).astype(np.float32) for site in cohort.sites}
