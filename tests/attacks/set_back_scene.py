"""A datasite with real witnesses, each with a database of its own, whose disk can be copied and put back."""

import shutil
from dataclasses import dataclass, field, fields
from pathlib import Path

from sqlalchemy import Engine, delete, select

from datasites.execution.interrupted_rounds import take_up_interrupted_rounds
from datasites.protocol.identity import Identity, IdentityCard
from datasites.protocol.log_messages import WitnessReply, WitnessRequest
from datasites.protocol.messages import parse_message
from datasites.site import open_site
from datasites.store.engine import open_engine
from datasites.store.migrate import migrate
from datasites.store.peers import pin
from datasites.store.tables import outbox, witnessed
from datasites.witnesses.begin import begin_anew
from datasites.witnesses.hear import is_set_back
from datasites.witnesses.keep import keep_checkpoint
from datasites.witnesses.recover import Recovered, recover
from policies.budget.balance import Balance, balance
from policies.budget.chain import verify_chain
from policies.log.journal import tree_head
from tests.one_site import Scene, new_scene
from tests.site_folder import NOW


class Witness:
    """What a partner site does for this one: `keep_checkpoint` over a database of its own, which may be copied too."""

    def __init__(self, folder: Path, identity: Identity, watched: IdentityCard) -> None:
        folder.mkdir()
        self.folder, self.identity, self.watched = folder, identity, watched
        self.reachable = True
        self.engine = self._open()
        migrate(self.engine)
        with self.engine.begin() as connection:
            pin(connection, watched, NOW)

    def answer(self, message: WitnessRequest) -> WitnessReply:
        with self.engine.begin() as connection:
            keep_checkpoint(connection, self.identity, self.watched, message, NOW)
            (reply,) = [parse_message(it.encode()) for it in connection.execute(select(outbox.c.message)).scalars()]
            connection.execute(delete(outbox))
        assert isinstance(reply, WitnessReply)
        return reply

    @property
    def kept_size(self) -> int:
        """How long the log was at the checkpoint that it keeps; 0 without one."""
        with self.engine.begin() as connection:
            return connection.execute(select(witnessed.c.size)).scalar_one_or_none() or 0

    def copy_disk(self, to: Path) -> None:
        self.engine.dispose()
        shutil.copytree(self.folder, to)

    def put_back(self, copy: Path) -> None:
        self.engine.dispose()
        shutil.rmtree(self.folder)
        shutil.copytree(copy, self.folder)
        self.engine = self._open()

    def _open(self) -> Engine:
        return open_engine(f"sqlite:///{self.folder / 'witness.sqlite'}")


@dataclass
class WitnessedScene(Scene):
    """The usual scene, whose partners are real witnesses; all their mail is recorded."""

    witnesses: dict[str, Witness] = field(default_factory=dict)
    replies: list[tuple[str, WitnessReply]] = field(default_factory=list)
    requests: list[tuple[str, WitnessRequest]] = field(default_factory=list)

    def witness(self) -> None:
        while asked := self.questions():
            for party, message in asked.items():
                self.requests.append((party, message))
                if party in self.witnesses and self.witnesses[party].reachable:
                    reply = self.witnesses[party].answer(message)
                    self.replies.append((party, reply))
                    self.hear(party, reply)

    def copy_disk(self, to: Path) -> Path:
        """Copy the site's whole folder, write-ahead log and keys included."""
        self.site.engine.dispose()
        shutil.copytree(self.site.home.folder, to)
        return to

    def put_back(self, copy: Path) -> None:
        """Put such a copy in the place of what the site has become."""
        home = self.site.home
        self.site.engine.dispose()
        shutil.rmtree(home.folder)
        shutil.copytree(copy, home.folder)
        self.site = open_site(home, self.clock)

    def start_up(self) -> None:
        """What `serve` does first; nobody answers yet."""
        with self.site.engine.begin() as connection:
            verify_chain(connection)
            begin_anew(connection, self.site, self.now)
            take_up_interrupted_rounds(connection, self.now)

    @property
    def is_set_back(self) -> bool:
        with self.site.engine.begin() as connection:
            return is_set_back(connection)

    @property
    def log_size(self) -> int:
        with self.site.engine.begin() as connection:
            return tree_head(connection).size

    def recover(self) -> Recovered:
        with self.site.engine.begin() as connection:
            done = recover(connection, self.site, self.owner_key, self.now)
        self.witness()
        return done

    def balance_of(self, population: str) -> Balance:
        with self.site.engine.begin() as connection:
            return balance(connection, population)


def witnessed_scene(folder: Path) -> WitnessedScene:
    """A fresh site whose two partners witness it."""
    scene = new_scene(folder)
    made = WitnessedScene(**{it.name: getattr(scene, it.name) for it in fields(Scene)})
    made.witnesses = {
        it.party: Witness(folder / f"witness-{it.card.name}", it, scene.site.identity.card) for it in scene.partners
    }
    return made
