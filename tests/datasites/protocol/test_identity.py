"""Identities survive their disk, refuse open files, and cards cannot be changed or given keys of two duties."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasites.protocol.identity import Identity, parse_card
from datasites.protocol.person_key import create_person_key, load_person_key
from policies.errors import CloisterError, ConflictError, InvalidInputError, NotAuthenticError, RefusedError
from policies.statements.canonical import canonical_bytes
from policies.statements.signed import sign

PASSPHRASE = b"correct horse battery"


@pytest.fixture
def site(tmp_path: Path) -> Identity:
    return Identity.create(tmp_path / "keys", "North Hospital", "datasite", owner_key=b"\x07" * 32)


def forged(identity: Identity, **changes: object) -> bytes:
    """A card with other fields, properly signed by its holder."""
    fields = {**json.loads(identity.card.canonical()), **changes}
    del fields["signature"]
    signature = sign(identity.signing, "card", canonical_bytes(fields)).hex()
    return canonical_bytes({**fields, "signature": signature})


def test_what_was_created_is_loaded(tmp_path: Path, site: Identity) -> None:
    loaded = Identity.load(tmp_path / "keys")
    assert loaded.card == site.card == parse_card(site.card.canonical())
    assert loaded.signing.private_bytes_raw() == site.signing.private_bytes_raw()
    assert loaded.sealing.private_bytes_raw() == site.sealing.private_bytes_raw()
    assert loaded.log is not None
    assert site.log is not None
    assert loaded.log.private_bytes_raw() == site.log.private_bytes_raw()


def test_files_are_closed_to_others_and_no_text_shows_a_key(tmp_path: Path, site: Identity) -> None:
    for path in (tmp_path / "keys").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert {path.name for path in (tmp_path / "keys").iterdir()} == {
        "card.json",
        "log.pem",
        "sealing.pem",
        "signing.pem",
    }
    assert site.log is not None
    for key in (site.signing, site.sealing, site.log):
        assert key.private_bytes_raw().hex() not in repr(site)


def test_a_researcher_has_neither_log_nor_owner_key(tmp_path: Path) -> None:
    researcher = Identity.create(tmp_path / "r", "Dr. Ada", "researcher")
    assert researcher.log is None
    assert researcher.card.log_key is None
    assert Identity.load(tmp_path / "r").card == researcher.card
    with pytest.raises(InvalidInputError, match="owner key"):
        Identity.create(tmp_path / "s", "Dr. Eve", "researcher", owner_key=b"\x07" * 32)


def test_an_identity_is_never_overwritten(tmp_path: Path, site: Identity) -> None:
    with pytest.raises(ConflictError):
        Identity.create(tmp_path / "keys", "North Hospital", "datasite")
    assert Identity.load(tmp_path / "keys").card == site.card


@pytest.mark.parametrize("name", ["signing.pem", "sealing.pem", "log.pem", "card.json"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_open_to_others_is_refused(tmp_path: Path, site: Identity, name: str, mode: int) -> None:
    (tmp_path / "keys" / name).chmod(mode)
    with pytest.raises(RefusedError, match="open to other accounts"):
        Identity.load(tmp_path / "keys")


def test_an_open_folder_a_link_and_a_pipe_are_refused(tmp_path: Path, site: Identity) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "open").chmod(0o755)
    with pytest.raises(RefusedError):
        Identity.create(tmp_path / "open", "X", "researcher")
    path = tmp_path / "keys" / "log.pem"
    path.rename(tmp_path / "elsewhere.pem")
    with pytest.raises(InvalidInputError):
        Identity.load(tmp_path / "keys")
    path.symlink_to(tmp_path / "elsewhere.pem")
    with pytest.raises(InvalidInputError):
        Identity.load(tmp_path / "keys")
    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(InvalidInputError):
        Identity.load(tmp_path / "keys")


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PRIVATE KEY-----\n", b"x" * 5000])
def test_a_damaged_key_file_is_refused(tmp_path: Path, site: Identity, content: bytes) -> None:
    (tmp_path / "keys" / "signing.pem").write_bytes(content)
    with pytest.raises(InvalidInputError):
        Identity.load(tmp_path / "keys")


def test_keys_that_belong_elsewhere_are_refused(tmp_path: Path, site: Identity) -> None:
    Identity.create(tmp_path / "other", "Other", "datasite")
    (tmp_path / "keys" / "signing.pem").write_bytes((tmp_path / "other" / "signing.pem").read_bytes())
    with pytest.raises(NotAuthenticError):
        Identity.load(tmp_path / "keys")
    (tmp_path / "keys" / "signing.pem").write_bytes((tmp_path / "other" / "sealing.pem").read_bytes())
    with pytest.raises(InvalidInputError):
        Identity.load(tmp_path / "keys")


def test_a_creation_cut_short_is_made_anew(tmp_path: Path, site: Identity) -> None:
    (tmp_path / "keys" / "card.json").unlink()
    again = Identity.create(tmp_path / "keys", "North Hospital", "datasite")
    assert again.party != site.party
    assert Identity.load(tmp_path / "keys").card == again.card


def test_any_changed_field_breaks_the_card(site: Identity) -> None:
    for field, value in {"name": "South Hospital", "sealing_key": "ab" * 32, "owner_key": None}.items():
        fields = json.loads(site.card.canonical())
        fields[field] = value
        with pytest.raises(NotAuthenticError):
            parse_card(canonical_bytes(fields))


@pytest.mark.parametrize(
    "changes",
    [
        {"sealing_key": "00" * 32},
        {"sealing_key": "01" + "00" * 31},
        {"sealing_key": "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"},
        {"log_key": None},
        {"role": "researcher"},
        {"name": "two\nlines"},
        {"name": " padded"},
        {"name": "evil\u202ename"},
        {"name": "n" * 101},
        {"version": "cloister-card/2"},
        {"extra": 1},
    ],
)
def test_a_self_signed_card_with_impossible_fields_is_refused(site: Identity, changes: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError):
        parse_card(forged(site, **changes))


@pytest.mark.parametrize("first", ["signing_key", "sealing_key", "log_key"])
def test_one_key_has_one_duty(site: Identity, first: str) -> None:
    with pytest.raises(InvalidInputError, match="two duties"):
        parse_card(forged(site, owner_key=getattr(site.card, first)))


def test_the_fingerprint_covers_every_key(site: Identity) -> None:
    assert len(site.card.fingerprint.split("-")) == 4
    others = {parse_card(forged(site, **{field: "0a" * 32})).fingerprint for field in ("log_key", "owner_key")}
    others.add(parse_card(forged(site, sealing_key="09" + "00" * 31)).fingerprint)
    assert len(others | {site.card.fingerprint}) == 4


def test_the_owner_key_opens_only_under_its_passphrase(tmp_path: Path) -> None:
    public = create_person_key(tmp_path / "owner", PASSPHRASE).public_key().public_bytes_raw()
    assert load_person_key(tmp_path / "owner", PASSPHRASE).public_key().public_bytes_raw() == public
    for wrong in (b"", b"incorrect horse", PASSPHRASE + b"\n"):
        with pytest.raises(NotAuthenticError):
            load_person_key(tmp_path / "owner", wrong)
    with pytest.raises(ConflictError):
        create_person_key(tmp_path / "owner", PASSPHRASE)
    with pytest.raises(InvalidInputError):
        create_person_key(tmp_path / "short", b"1234567")
    path = tmp_path / "owner" / "key.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    assert b"ENCRYPTED PRIVATE KEY" in path.read_bytes()
    path.write_bytes(b"nonsense")
    with pytest.raises(InvalidInputError):
        load_person_key(tmp_path / "owner", PASSPHRASE)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_crash_the_card_parser(data: bytes) -> None:
    with pytest.raises(CloisterError):
        parse_card(data)
