"""A datasite's folder: made once, closed to other accounts, read strictly."""

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from datasites.site import create_site, open_site
from datasites.store.home import Home, Settings, read_catalog_keys, read_settings
from policies.errors import CloisterError, ConflictError, InvalidInputError, RefusedError
from policies.log.journal import entries
from policies.rules.house_rules import DEFAULT_HOUSE_RULES, parse_house_rules
from tests.databases import SQLITE, empty_database
from tests.one_site import Scene

SETTINGS = Settings(name='Klinik "Süd" \\ West', relay="https://relay.example/x", contact="a.b+c@clinic.example")
OWNER = Ed25519PrivateKey.generate()


def test_a_new_site_opens_with_what_it_was_given_and_logs_its_keys(tmp_path: Path, database: str) -> None:
    url = None if database == SQLITE else empty_database(database, tmp_path)
    settings = SETTINGS.model_copy(update={"database": url})
    made = create_site(Home(tmp_path / "home"), settings, OWNER)
    opened = open_site(made.home)
    assert opened.settings == settings
    assert made.home.database_file.exists() == (database == SQLITE)
    assert opened.identity.card == made.identity.card
    assert opened.identity.card.owner_key == OWNER.public_key().public_bytes_raw().hex()
    assert opened.catalog_keys == made.catalog_keys
    with opened.engine.begin() as connection:
        kinds = [entry.kind for _, entry in entries(connection)]
        rules = opened.house_rules(connection).rules
    assert kinds == ["site-opened", "rules-adopted"]
    assert rules == parse_house_rules(DEFAULT_HOUSE_RULES.encode())
    assert made.home.card_file.read_bytes() == made.identity.card.canonical()


def test_a_site_is_not_made_twice(tmp_path: Path) -> None:
    create_site(Home(tmp_path / "home"), SETTINGS, OWNER)
    with pytest.raises(ConflictError):
        create_site(Home(tmp_path / "home"), SETTINGS, OWNER)


def test_other_accounts_are_kept_out(scene: Scene) -> None:
    for path in (scene.site.home.keys, scene.site.home.snapshots, scene.site.home.catalog_secret):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    for path in scene.site.home.keys.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    scene.site.home.catalog_secret.chmod(0o640)
    with pytest.raises(RefusedError):
        open_site(scene.site.home)


@pytest.mark.parametrize(
    "content",
    [b"", b"name = 1", b"name = 'x'\n", b"\xff", b"name = ''\nrelay = 'http://r'\ncontact = 'a@b.c'\n", b"]["],
)
def test_damaged_settings_are_said_to_be_damaged(scene: Scene, content: bytes) -> None:
    scene.site.home.settings_file.write_bytes(content)
    with pytest.raises(InvalidInputError, match=r"site\.toml"):
        read_settings(scene.site.home)


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_a_damaged_secret_is_never_used(scene: Scene, content: bytes) -> None:
    scene.site.home.catalog_secret.write_bytes(content)
    with pytest.raises(InvalidInputError):
        read_catalog_keys(scene.site.home)


def test_damaged_house_rules_forbid_every_decision(scene: Scene) -> None:
    request = scene.submit()
    scene.site.home.house_rules_file.write_text("minimum_cohort = 'none'")
    with pytest.raises(CloisterError):
        scene.approve(request)


def test_a_path_too_long_for_the_socket_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    home = Home(tmp_path / ("long" * 30))
    with pytest.raises(InvalidInputError, match="too long"):
        create_site(home, SETTINGS, OWNER)
    assert not home.folder.exists()


def test_an_empty_folder_is_no_datasite(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="datasite init"):
        open_site(Home(tmp_path))
