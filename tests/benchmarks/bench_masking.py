"""How far masking is from its floor: `python tests/benchmarks/bench_masking.py [sites] [coordinates]`, one core.

The floor is the work that no implementation of single pairwise masks can leave out: one AES-256-CTR keystream and one
addition a peer, on data that stays in cache, measured here and now with the same two libraries.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from datasites.secure_averaging.advertisement import create, roster_digest
from datasites.secure_averaging.contexts import round_context, setup_context
from datasites.secure_averaging.coordinator import open_sum
from datasites.secure_averaging.layout import decode
from datasites.secure_averaging.masks import PairMask, apply_masks
from datasites.secure_averaging.quantise import Quantiser
from datasites.secure_averaging.site import MaskedUpdate, mask_update
from policies.statements.digests import digest
from policies.terms import Terms


def fastest(work: Callable[[], object], repeats: int = 7) -> float:
    """Seconds of the fastest of `repeats` calls: the one least disturbed by what else the machine does."""
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


def floor_seconds(sites: int, coordinates: int) -> float:
    """Keystream and addition for every peer, block after block in cache."""
    numbers = 32 * 1024
    zeros, stream, total = bytes(4 * numbers), np.zeros(numbers, "<u4"), np.zeros(numbers, "<u4")
    encryptor = Cipher(AES(bytes(32)), CTR(bytes(16))).encryptor()
    blocks = (sites - 1) * coordinates // numbers

    def work() -> None:
        for _ in range(blocks):
            encryptor.update_into(zeros, stream.view(np.uint8).data)
            np.add(total, stream, out=total)

    return fastest(work) * (sites - 1) * coordinates / (blocks * numbers)


def study(parties: list[str], coordinates: int) -> Terms:
    """Terms for one training round over `parties`."""
    a_digest = "0" * 64
    return Terms.model_validate_json(
        json.dumps(
            {
                "version": "cloister-terms/1",
                "study": "0" * 32,
                "title": "Benchmark",
                "researcher": a_digest,
                "purpose": "Benchmark",
                "recipients": "Nobody",
                "onward_use": "None",
                "cohort": [{"site": party, "data_set": "data", "weight": 1} for party in parties],
                "programs": {
                    **dict.fromkeys(("loss", "metrics", "initial_parameters", "source"), a_digest),
                    "parameter_count": coordinates,
                },
                "training": {
                    "strategy": "fedavg",
                    "rounds": 1,
                    "local_steps": 1,
                    "retries": 0,
                    "sampling_rate": 0.1,
                    "noise_multiplier": 1.0,
                    "clipping_norm": 1.0,
                    "learning_rate": 0.1,
                },
                "evaluation": {"models": [], "metrics": ["accuracy"], "noise_multiplier": 1.0},
                "secure_averaging": {
                    "minimum_cohort": len(parties),
                    "colluders": len(parties) - 2,
                    "bits": 20,
                    "update_range": 1.0,
                },
                "privacy": {"epsilon": 1.0, "delta": 1e-6},
                "deadlines": {"setup_seconds": 1, "round_seconds": 1},
                "expires_at": 1,
            }
        )
    )


def main(sites: int, coordinates: int) -> None:
    """Measure a site's and the coordinator's share of one round and print each beside the floor."""
    identities = [Ed25519PrivateKey.generate() for _ in range(sites)]
    parties = [digest("identity", key.public_key().public_bytes_raw()) for key in identities]
    terms = study(parties, coordinates)
    entered = [create(key, party, terms.digest(), "0" * 32, 1) for key, party in zip(identities, parties, strict=True)]
    roster = [advertisement for advertisement, _ in entered]
    context = round_context(setup_context(terms.digest(), "0" * 32, roster_digest(roster)), 1, "0" * 64)
    pinned = {party: key.public_key().public_bytes_raw() for party, key in zip(parties, identities, strict=True)}
    values = np.random.default_rng(0).normal(0, 0.1, coordinates).astype(np.float32)

    def answer(index: int) -> MaskedUpdate:
        private_keys = entered[index][1]
        return mask_update(terms, 1, values, None, private_keys[0], roster, parties[index], context, identities[index])

    answers = {party: answer(index) for index, party in enumerate(parties)}

    def arrived() -> dict[str, MaskedUpdate]:
        """The answers as a coordinator gets them: their digests not yet computed."""
        return {party: replace(update) for party, update in answers.items()}

    vector = np.zeros(coordinates, np.uint32)
    masks = [PairMask(bytes([number]) * 32, number % 2 == 0) for number in range(sites - 1)]
    total = open_sum(answers, terms, 1, context, pinned)
    floor = floor_seconds(sites, coordinates)
    measured = {
        "floor: keystreams and additions": floor,
        "site: masks alone": fastest(lambda: apply_masks(vector, masks)),
        "site: quantiser alone": fastest(lambda: Quantiser(20, 1.0).quantise(values, 1)),
        "site: whole answer (quantise, agree, mask, sign)": fastest(lambda: answer(0)),
        "coordinator: verify and add": fastest(lambda: open_sum(arrived(), terms, 1, context, pinned)),
        "coordinator: read the sum": fastest(lambda: decode(terms, 1, total)),
    }
    print(f"{sites} sites, {coordinates} coordinates")
    for name, seconds in measured.items():
        print(f"{name:<50} {1e3 * seconds:9.2f} ms  {seconds / floor:6.2f} × floor")


if __name__ == "__main__":
    main(*(int(argument) for argument in (*sys.argv[1:3], "10", "1000000")[:2]))
