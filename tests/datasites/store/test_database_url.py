"""The database's URL in `site.toml`: one driver, and no secret, neither in the file nor in what is said about it."""

from pathlib import Path

import pytest

from datasites.store.database_url import DatabaseUrl
from datasites.store.home import Home, Settings, read_settings, write_settings
from policies.errors import InvalidInputError

SECRET = "hunter2"


def settings(url: DatabaseUrl) -> Settings:
    return Settings(name="Clinic A", relay="https://relay.example", contact="a@clinic.example", database=url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://clinic@db.example/cloister?sslmode=verify-full",
        "postgresql+psycopg:///cloister?host=/run/postgresql",
        "postgresql+psycopg://?service=clinic",
        "postgresql+psycopg://clinic@db.example/cloister?passfile=/etc/cloister/pgpass",
    ],
)
def test_a_url_without_a_secret_is_kept_as_it_is(tmp_path: Path, url: str) -> None:
    write_settings(Home(tmp_path), settings(url))
    assert read_settings(Home(tmp_path)) == settings(url)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql+psycopg://clinic:{SECRET}@db.example/cloister",
        f"postgresql+psycopg://clinic:{SECRET}@@db.example/cloister",
        "postgresql+psycopg://clinic:@db.example/cloister",
        f"postgresql+psycopg://clinic@db.example/cloister?password={SECRET}",
        f"postgresql+psycopg://clinic@db.example/cloister?sslpassword={SECRET}",
        f"postgresql+psycopg://clinic@db.example/cloister?PASSWORD={SECRET}",
    ],
)
def test_a_password_is_refused_and_not_repeated(tmp_path: Path, url: str) -> None:
    home, allowed = Home(tmp_path), "postgresql+psycopg:///cloister"
    write_settings(home, settings(allowed))
    home.settings_file.write_text(home.settings_file.read_text().replace(allowed, url))
    with pytest.raises(InvalidInputError, match="leave the password out") as refused:
        read_settings(home)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sqlite:///elsewhere.sqlite",
        "postgresql://clinic@db.example/cloister",
        "postgresql+psycopg2://clinic@db.example/cloister",
        "postgresql+psycopg://clinic@db.example",
        "postgresql+psycopg://clinic@db.example:port/cloister",
        "cloister",
    ],
)
def test_another_kind_of_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"postgresql\+psycopg://user@host/database"):
        settings(url)
