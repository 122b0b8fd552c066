"""How far masking is from its floor: `python tests/benchmarks/bench_masking.py [sites] [coordinates]`, one core.

The floor is the work that no implementation of single pairwise masks can leave out: one AES-256-CTR keystream and one
addition a peer, on data that stays in cache, measured here and now with the same two libraries.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from numpy.typing import NDArray

from datasites.secure_averaging.advertisement import Advertisement, create, roster_digest
from datasites.secure_averaging.contexts import round_context, setup_context
from datasites.secure_averaging.coordinator import RunningSum
from datasites.secure_averaging.keystream import BLOCK_NUMBERS
from datasites.secure_averaging.layout import decode, quantised_blocks
from datasites.secure_averaging.masks import PairMask, PairMasks
from datasites.secure_averaging.site import masked_blocks
from policies.masked_vector import running_vector_digest, sign_vector
from policies.statements.digests import digest
from policies.terms import Terms
from researcher.strategies.fedavg import federated_average
from tests.declared_units import UNITS
from tests.plain_steps import PLAIN_STEPS_AS_JSON

_FLOOR = "floor: keystreams and additions"
_BLOCK = 32 * 1024
REPEATS = 9


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
                "legal_basis": "Consent.",
                "recipients": "Nobody",
                "onward_use": "None",
                "supersedes": None,
                "cohort": [{"site": party, "data_set": "data", "weight": 1, **UNITS} for party in parties],
                "programs": {
                    **dict.fromkeys(("loss", "metrics", "initial_parameters", "source"), a_digest),
                    "parameter_count": coordinates,
                    "tokens": None,
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
                    **PLAIN_STEPS_AS_JSON,
                },
                "evaluation": {"models": [], "metrics": ["accuracy"], "histograms": [], "noise_multiplier": 1.0},
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


def floor_work(sites: int, coordinates: int) -> Callable[[], None]:
    """Keystream and addition for every peer, block after block in cache."""
    zeros, stream, total = bytes(4 * _BLOCK), np.zeros(_BLOCK, "<u4"), np.zeros(_BLOCK, "<u4")
    encryptor = Cipher(AES(bytes(32)), CTR(bytes(16))).encryptor()
    blocks, rest = divmod((sites - 1) * coordinates, _BLOCK)

    def work() -> None:
        for _ in range(blocks):
            encryptor.update_into(zeros, stream.view(np.uint8).data)
            np.add(total, stream, out=total)
        encryptor.update_into(zeros[: 4 * rest], stream[:rest].view(np.uint8).data)
        np.add(total[:rest], stream[:rest], out=total[:rest])

    return work


@dataclass(frozen=True)
class OneRound:
    """One site's part in the first round of a study over `roster`."""

    terms: Terms
    roster: list[Advertisement]
    party: str
    identity: Ed25519PrivateKey
    key: bytes
    context: bytes


def one_round(sites: int, coordinates: int) -> OneRound:
    """A cohort that has just advertised its mask keys."""
    identities = [Ed25519PrivateKey.generate() for _ in range(sites)]
    parties = [digest("identity", key.public_key().public_bytes_raw()) for key in identities]
    terms = study(parties, coordinates)
    entered = [create(key, party, terms.digest(), "0" * 32, 1) for key, party in zip(identities, parties, strict=True)]
    roster = [advertisement for advertisement, _ in entered]
    context = round_context(setup_context(terms.digest(), "0" * 32, roster_digest(roster)), 1, "0" * 64)
    return OneRound(terms, roster, parties[0], identities[0], entered[0][1][0], context)


def works(sites: int, coordinates: int) -> dict[str, Callable[[], object]]:
    """What is measured, by name: a site's and the coordinator's share of one round."""
    own = one_round(sites, coordinates)
    terms, context = own.terms, own.context
    pinned = {own.party: own.identity.public_key().public_bytes_raw()}
    values = np.random.default_rng(0).normal(0, 0.1, coordinates).astype(np.float32)

    def blocks() -> Iterator[NDArray[np.float32]]:
        return (values[start : start + _BLOCK] for start in range(0, coordinates, _BLOCK))

    def masked() -> Iterator[NDArray[np.uint32]]:
        return masked_blocks(terms, 1, blocks(), None, own.key, own.roster, own.party, context)

    def masks() -> None:
        vector = PairMasks([PairMask(bytes([number]) * 32, number % 2 == 0) for number in range(sites - 1)])
        block = np.zeros(BLOCK_NUMBERS, "<u4")
        for start in range(0, coordinates, BLOCK_NUMBERS):
            vector.apply(block[: coordinates - start])

    def quantise() -> None:
        for _ in quantised_blocks(terms, 1, blocks(), None, 1):
            pass

    def quantise_and_mask() -> None:
        for _ in masked():
            pass

    def answer() -> None:
        running = running_vector_digest(coordinates)
        for block in masked():
            running.update(block.data)
        sign_vector(own.identity, own.party, context, running.hexdigest())

    vector = b"".join(block.tobytes() for block in masked())
    announced = digest("masked-vector", vector)
    signature = sign_vector(own.identity, own.party, context, announced)
    pieces = [memoryview(vector)[start : start + 2**20] for start in range(0, len(vector), 2**20)]
    sums = [RunningSum(terms, 1, context, pinned) for _ in range(REPEATS + 1)]
    total = np.random.default_rng(1).integers(-1000, 1000, coordinates, np.int32).view(np.uint32)
    model = np.zeros(coordinates, np.float32)

    def step() -> None:
        opened = decode(terms, 1, total)
        assert opened.update is not None
        federated_average(model, opened.update)

    return {
        _FLOOR: floor_work(sites, coordinates),
        "site: masks alone": masks,
        "site: check and quantise alone": quantise,
        "site: quantise and mask": quantise_and_mask,
        "site: whole answer (quantise, agree, mask, digest, sign)": answer,
        "coordinator: verify and add one site": lambda: sums.pop().add(
            own.party, context, announced, signature, pieces
        ),
        "coordinator: read the sum and move the model": step,
    }


def measure(sites: int = 10, coordinates: int = 1_000_000) -> dict[str, float]:
    """CPU seconds of each work, as the median of `REPEATS` interleaved runs, and `… / floor`: the median of the ratios.

    Interleaved, and CPU time, so that what else the machine does meets all of them alike.
    """
    todo = works(sites, coordinates)
    seconds: dict[str, list[float]] = {name: [] for name in todo}
    for repeat in range(REPEATS + 1):
        for name, work in todo.items():
            begun = time.process_time()
            work()
            if repeat:  # the first warms up
                seconds[name].append(time.process_time() - begun)
    medians = {name: median(taken) for name, taken in seconds.items()}
    ratios = {
        f"{name} / floor": median(one / floor for one, floor in zip(taken, seconds[_FLOOR], strict=True))
        for name, taken in seconds.items()
    }
    return medians | ratios


def main(sites: int, coordinates: int) -> None:
    """Print each work beside the floor."""
    measured = measure(sites, coordinates)
    print(f"{sites} sites, {coordinates} coordinates")
    for name, seconds in measured.items():
        if f"{name} / floor" in measured:
            print(f"{name:<60} {1e3 * seconds:9.2f} ms  {measured[f'{name} / floor']:6.2f} × floor")


if __name__ == "__main__":
    given = sys.argv[1:3]
    main(*(int(argument) for argument in (*given, *("10", "1000000")[len(given) :])))
