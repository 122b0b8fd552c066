"""Copies of a datasite at rest: its folder and its database as they were at one moment."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url

from datasites.protocol.identity import Identity
from datasites.site import open_site
from datasites.store.home import Home, read_settings, write_settings
from tests.one_site import Scene
from tests.postgresql_server import drop_database, new_database
from tests.site_folder import Clock, owner_key


@dataclass(frozen=True)
class Copy:
    """One copy in `folder`; `database` is the URL of its PostgreSQL database, None for the SQLite file in it."""

    folder: Path
    database: str | None

    def scene(self, seconds: float) -> Scene:
        """Open it, as a process does that starts at this time."""
        clock = Clock(seconds)
        return Scene(
            site=open_site(Home(self.folder / "home"), clock),
            owner=self.folder / "owner",
            owner_key=owner_key(),
            researcher=Identity.load(self.folder / "ada"),
            other_researcher=Identity.load(self.folder / "eve"),
            partners=(Identity.load(self.folder / "bern"), Identity.load(self.folder / "cadiz")),
            clock=clock,
        )

    def again(self, folder: Path) -> "Copy":
        """Another copy of it, in `folder`; nobody may have this one open."""
        shutil.copytree(self.folder, folder)
        if self.database is None:
            return Copy(folder, None)
        home, url = Home(folder / "home"), new_database(f"TEMPLATE {make_url(self.database).database}")
        write_settings(home, read_settings(home).model_copy(update={"database": url}))
        return Copy(folder, url)

    def remove(self) -> None:
        """It is not needed any more."""
        shutil.rmtree(self.folder)
        if self.database is not None:
            drop_database(self.database)


def copy_of(scene: Scene) -> Copy:
    """What a scene that was closed has left in its folder."""
    return Copy(scene.site.home.folder.parent, scene.site.settings.database)
