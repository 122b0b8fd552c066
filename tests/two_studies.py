"""A researcher's two studies on the same frozen weights at one site, over a real relay that counts what passes."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F  # noqa: N812 - as people write it in plans
from torch import Tensor, nn

from datasites.protocol.envelope import seal
from datasites.protocol.mailbox import Mailbox
from datasites.protocol.messages import StudyStatus
from datasites.relay.store import admit
from datasites.serving.incoming import Incoming
from datasites.serving.outgoing import Outgoing
from datasites.store.data_sets import require_data_set
from policies.manifest import Manifest
from policies.terms import Privacy
from researcher.catalog import DataSet
from researcher.correspondence import Correspondence
from researcher.export import ExportedPlan, export
from researcher.plan import TrainingPlan
from researcher.state import State
from researcher.study import Study, open_study
from researcher.submission import Ask, draft_terms, keep_study
from tests.attacks.relay_scene import start
from tests.one_site import Scene, new_scene
from tests.system.recording_proxy import RecordingProxy

GIVEN, WIDTH = 16, 65536
BODY_BYTES = 4 * WIDTH * (GIVEN + 1)


class Body(nn.Module):
    """A wide layer that stays as it was drawn, and the means of its values in sixteen groups."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.wide = nn.Linear(6, GIVEN), nn.Linear(GIVEN, WIDTH)

    def forward(self, features: Tensor) -> Tensor:
        """Records [B, 6] to [B, 16]."""
        return self.wide(self.first(features).tanh()).tanh().reshape(-1, GIVEN, WIDTH // GIVEN).mean(2)


class OnFrozenBody(TrainingPlan):
    """A head, of one layer or two, on a body that stays as it was drawn."""

    trainable = ("head.*",)

    def __init__(self, head: int) -> None:
        self.head = head

    def model(self) -> nn.Module:
        """The same body each time."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            body = Body()
            layers = (nn.Linear(GIVEN, 1),) if self.head == 1 else (nn.Linear(GIVEN, 4), nn.Tanh(), nn.Linear(4, 1))
        model = nn.Sequential()
        model.add_module("body", body)
        model.add_module("head", nn.Sequential(*layers))
        return model

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Of a yes or no."""
        return F.binary_cross_entropy_with_logits(output.squeeze(-1), target.float())

    def metrics(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The share that is right."""
        return {"accuracy": ((output.squeeze(-1) > 0) == (target == 1)).float()}


@dataclass
class TwoEnds:
    """Ada and one site, and the relay between them."""

    scene: Scene
    letters: Correspondence
    mailbox: Mailbox
    proxy: RecordingProxy
    exported: dict[int, ExportedPlan] = field(default_factory=dict)
    studies: list[str] = field(default_factory=list)
    answered: int = 0
    cursor: int = 0

    def study(self, plan: OnFrozenBody) -> Study:
        """Export the plan and keep its study, as `submit` does, without sending it."""
        exported = self.export(plan)
        terms = draft_terms(self.scene.researcher.party, exported, self._data_sets(), ASK)
        keep_study(self.letters.state, terms, exported, None, None)
        self.studies.append(terms.study)
        return open_study(self.letters, terms.study, plan)

    def export(self, plan: OnFrozenBody) -> ExportedPlan:
        """The plan for the clinic's records; each kind of head is exported once."""
        if plan.head not in self.exported:
            self.exported[plan.head] = export(plan, self._manifest().record_form(None))
        return self.exported[plan.head]

    def hear(self) -> None:
        """The site takes what lies at the relay and answers, its partners say a word, and Ada takes the answers."""
        incoming = Incoming(self.scene.site, self.mailbox)
        for cursor, envelope in self.mailbox.receive(self.cursor, 0):
            incoming.take(envelope)
            self.cursor = cursor
        Outgoing(self.scene.site, self.mailbox).send_waiting(large=False)
        for study in self.studies[self.answered :]:
            self.answered += 1
            taken = StudyStatus(study=study, status="received", detail="It is here.")
            for partner in self.scene.partners:
                with Mailbox(partner, self.proxy.url) as mailbox:
                    mailbox.send([seal(partner, self.scene.researcher.card, self.answered, taken)])
        self.letters.listen(0)

    def passed(self) -> int:
        """How many bytes have passed the relay, both ways."""
        return sum(map(len, self.proxy.recorded()))

    def told(self, study: Study) -> str:
        """Where the study stands at the site, as Ada has heard."""
        return study.statuses()[0].status

    def _manifest(self) -> Manifest:
        with self.scene.site.engine.begin() as connection:
            return require_data_set(connection, "clinic-a").manifest

    def _data_sets(self) -> list[DataSet]:
        cohort = (self.scene.site.identity, *self.scene.partners)
        return [DataSet(it.card, "clinic-a", self._manifest(), None, pd.DataFrame()) for it in cohort]


ASK = Ask(
    title="Sepsis",
    purpose="Early warning",
    legal_basis="Consent.",
    recipients="The study group",
    onward_use="None",
    privacy=Privacy(epsilon=4.0, delta=1e-6),
    rounds=2,
    evaluate=(),
    sampling_rate=1.0,
    valid_days=3_000.0,
)


@contextmanager
def two_ends(folder: Path) -> Iterator[TwoEnds]:
    """A relay in a process of its own, and both ends in this one."""
    scene = new_scene(folder)
    cohort = (scene.site.identity, *scene.partners)
    for identity in (*cohort, scene.researcher):
        admit(folder / "relay", identity.card)
    with ExitStack() as stack:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = int(taken.getsockname()[1])
        proxy = RecordingProxy(port)
        stack.callback(proxy.close)
        process, _ = start(folder / "relay", f"http://127.0.0.1:{port}", proxy.url)
        stack.callback(process.wait)
        stack.callback(process.kill)
        state = State(folder / "state.sqlite")
        for identity in cohort:
            state.pin(identity.card)
        own, other = (stack.enter_context(Mailbox(it, proxy.url)) for it in (scene.researcher, scene.site.identity))
        yield TwoEnds(scene, Correspondence(scene.researcher, state, own), other, proxy)
