"""The stream of secret randomness: its cipher, its distributions, and that nothing seeds it."""

import os
import random

import numpy as np
import pytest
import torch
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from scipy import stats

from datasites.training.randomness import SecretStream

NEVER = 1e-7  # a correct stream fails a test at this level once in ten million runs


def test_the_key_stream_is_aes_256_in_counter_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    key = bytes(range(32))
    monkeypatch.setattr(os, "urandom", lambda count: key[:count])
    blocks = Cipher(AES(key), ECB()).encryptor().update(b"".join(n.to_bytes(16, "big") for n in range(5)))  # noqa: S305
    expected = (np.frombuffer(blocks, "<u8") >> np.uint64(11)) / 2.0**53
    stream = SecretStream()
    np.testing.assert_array_equal(np.concatenate([stream.uniforms(3), stream.uniforms(7)]), expected)


def test_no_global_seed_makes_two_streams_alike() -> None:
    streams = []
    for _ in range(2):
        torch.manual_seed(7)
        np.random.seed(7)
        random.seed(7)
        streams.append(SecretStream().normals(8))
    assert not np.any(streams[0] == streams[1])


def test_every_stream_asks_the_operating_system_for_a_fresh_256_bit_key(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    real = os.urandom
    monkeypatch.setattr(os, "urandom", lambda count: asked.append(count) or real(count))
    SecretStream(), SecretStream()
    assert asked == [32, 32]


def test_normals_are_standard_normal_and_independent() -> None:
    values = SecretStream().normals(400_001)
    assert stats.kstest(values, "norm").pvalue > NEVER
    for lag in (1, 2**17, 200_000):  # neighbours, and the two halves of a pair
        assert abs(np.corrcoef(values[:-lag], values[lag:])[0, 1]) < 0.03
    assert stats.chi2.sf(np.sum(values**2), len(values)) > NEVER
    assert stats.chi2.cdf(np.sum(values**2), len(values)) > NEVER
    assert 4 < np.abs(values).max() < 8.6


@pytest.mark.parametrize("count", [0, 1, 2, 3, 2**18 - 1, 2**18, 2**18 + 1])
def test_normals_fill_every_place_once(count: int) -> None:
    values = SecretStream().normals(count)
    assert values.shape == (count,)
    assert values.dtype == np.float64
    assert np.isfinite(values).all()
    assert len(np.unique(values)) == count


def test_uniforms_are_uniform_and_never_one() -> None:
    values = SecretStream().uniforms(200_000)
    assert stats.kstest(values, "uniform").pvalue > NEVER
    assert values.min() >= 0
    assert values.max() < 1


@pytest.mark.parametrize("probability", [0.001, 0.2, 0.9])
def test_coins_fall_at_the_asked_rate(probability: float) -> None:
    coins = SecretStream().bernoulli(200_000, probability)
    assert stats.binomtest(int(coins.sum()), len(coins), probability).pvalue > NEVER


def test_a_certain_coin_always_falls() -> None:
    assert SecretStream().bernoulli(10_000, 1.0).all()


def test_a_stream_shows_nothing_of_itself() -> None:
    assert repr(SecretStream()) == "SecretStream()"
