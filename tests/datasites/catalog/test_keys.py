"""Catalogue keys: one secret, four independent keys, none of them shown."""

import pytest

from datasites.catalog.keys import CatalogKeys, derive_catalog_keys


def test_derivation_is_fixed_for_ever():
    keys = derive_catalog_keys(bytes(32))
    assert derive_catalog_keys(bytes(32)) == keys
    assert len({keys.split, keys.fingerprint, keys.commitment, keys.balance}) == 4
    assert keys.split.hex() == "e50ec6496b7a56f913a1e26176b75d9e034cf2335245ac22fadc384df11d753a"


def test_another_secret_gives_other_keys():
    first, second = derive_catalog_keys(bytes(32)), derive_catalog_keys(bytes(31) + b"\x01")
    assert {first.split, first.fingerprint, first.commitment}.isdisjoint(
        {second.split, second.fingerprint, second.commitment}
    )


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_refuses_secrets_of_another_length(length):
    with pytest.raises(ValueError, match="32 bytes"):
        derive_catalog_keys(bytes(length))


def test_refuses_one_key_used_twice():
    with pytest.raises(ValueError, match="four different keys"):
        CatalogKeys(bytes(32), bytes(32), b"\x01" * 32, b"\x02" * 32)


def test_shows_no_key(keys):
    assert keys.split.hex() not in repr(keys)
    assert repr(keys.split) not in repr(keys)
