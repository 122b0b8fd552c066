"""Where the site's other machines join the one that serves: only those that hold the site's secret get any further."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from datasites.execution.followers import Followers
from datasites.execution.sealed_link import SECRET_BYTES
from datasites.protocol.private_files import read_private_file
from datasites.site import Site
from policies.errors import InvalidInputError, UnavailableError


@contextmanager
def open_to_machines(site: Site, followers: Followers) -> Iterator[None]:
    """Let machines join `followers` at the address in `site.toml`; nothing listens if there is none.

    Raises:
        InvalidInputError: the machines' secret is missing or damaged.
        UnavailableError: the address is not this machine's, or taken.
    """
    address = site.settings.machines
    if address is None:
        yield
        return
    secret = read_private_file(site.home.machines_secret, maximum_bytes=SECRET_BYTES)
    if len(secret) != SECRET_BYTES:
        raise InvalidInputError(f"{site.home.machines_secret} is damaged; restore it from its backup.")
    host, _, port = address.rpartition(":")
    try:
        server = socket.create_server((host, int(port)))
    except (OSError, OverflowError, UnicodeError) as error:
        raise UnavailableError(f"Other machines cannot join at {address}: {error}.") from error
    with server:
        threading.Thread(target=followers.listen, args=(server, secret), daemon=True).start()
        try:
            yield
        finally:
            followers.close()
