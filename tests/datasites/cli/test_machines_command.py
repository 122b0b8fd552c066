"""`datasite machines`: the address and the secret by which other machines of the site join the one that serves."""

import socket
from pathlib import Path

import pytest

from datasites.execution.followers import Followers
from datasites.execution.sealed_link import SealedLink
from datasites.serving.machines import open_to_machines
from datasites.site import open_site
from policies.errors import InvalidInputError, UnavailableError
from tests.datasites.cli.test_commands import Owner, owner, scene
from tests.machines import until
from tests.one_site import Scene

__all__ = ["owner", "scene"]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_machines_join_where_the_owner_said_with_the_secret_that_was_made(scene: Scene, owner: Owner) -> None:
    port = free_port()
    made = owner.asks("machines", f"127.0.0.1:{port}")
    secret = Path(made["secret"])
    assert secret.stat().st_mode & 0o777 == 0o600
    assert f"datasites.execution.follower 127.0.0.1:{port}" in made["command"]
    content, followers = secret.read_bytes(), Followers()
    with open_to_machines(open_site(scene.site.home), followers):
        link = SealedLink(socket.create_connection(("127.0.0.1", port)), content, rank=1, calls=True, seconds=5)
        until(lambda: not followers.missing(2))
        with (
            pytest.raises(UnavailableError, match="cannot join"),
            open_to_machines(open_site(scene.site.home), Followers()),
        ):
            pass
    with pytest.raises(UnavailableError):
        link.receive()
    again = owner.asks("machines", f"localhost:{port}")
    assert again["address"] == f"localhost:{port}"
    assert secret.read_bytes() == content
    secret.write_bytes(content[:16])
    with pytest.raises(InvalidInputError, match="damaged"), open_to_machines(open_site(scene.site.home), Followers()):
        pass


def test_without_an_address_nothing_listens(scene: Scene) -> None:
    followers = Followers()
    with open_to_machines(scene.site, followers):
        assert followers._server is None


@pytest.mark.parametrize("address", ["7400", "10.0.0.1", "10.0.0.1:", "host:99999999", "a b:7400"])
def test_what_is_no_address_is_refused(owner: Owner, address: str) -> None:
    assert owner.types("machines", address).exit_code == 2


@pytest.mark.parametrize("address", ["a..b:7400", "127.0.0.1:99999"])
def test_an_address_at_which_nothing_can_listen_is_said(scene: Scene, owner: Owner, address: str) -> None:
    owner.asks("machines", address)
    with (
        pytest.raises(UnavailableError, match="cannot join at"),
        open_to_machines(open_site(scene.site.home), Followers()),
    ):
        pass


def test_the_owner_sees_on_how_many_machines_a_study_trains(scene: Scene, owner: Owner) -> None:
    request = scene.submit()
    assert owner.asks("show", str(request.number))["machines"] == 1
    file = scene.site.home.house_rules_file
    file.write_text(file.read_text() + "[data_sets.clinic-a]\nmachines = 3\n")
    (change,) = owner.asks("rules", "show")["file"]["changes"]
    assert (change["name"], change["direction"]) == ("data_sets.clinic-a.machines", "other")
    assert "on how many of the site's machines a model is trained" in change["sentence"]
    assert owner.decides("rules", "adopt").exit_code == 0
    assert owner.asks("show", str(request.number))["machines"] == 3
    assert "3 machines of this site" in owner.types("show", str(request.number)).output
