"""A whole federation in its own processes: a relay, three datasites that serve, and a researcher in the tests' own."""

import socket
import subprocess
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import researcher
from datasites.protocol.messages import StudySubmission
from policies.terms import Terms
from researcher import Ask, DataSet, Deadlines, Privacy, Study, TrainingPlan
from researcher.export import ExportedPlan
from researcher.sent_weights import split_parameters
from researcher.study import open_study
from researcher.submission import keep_study
from tests.demo.commands import COMMAND, datasite, start
from tests.demo.hospitals import share_out, write_manifest, write_table
from tests.demo.site import Site
from tests.system.live_site import LiveSite
from tests.system.plans import SmallPlan
from tests.system.recording_proxy import RecordingProxy
from tests.system.waiting import SECONDS, eventually, wait_until_gone

Answer = TypeVar("Answer")


@dataclass
class LiveFederation:
    """Everything that runs, and the researcher `ada`, who lives in this process."""

    folder: Path
    relay_port: int
    proxy: RecordingProxy
    sites: dict[str, LiveSite]
    ada: researcher.Federation
    relay_command: tuple[str, ...] = COMMAND
    relay: subprocess.Popen[bytes] | None = None
    _data_sets: list[DataSet] = field(default_factory=list)

    @property
    def relay_folder(self) -> Path:
        return self.folder / "relay"

    def start_relay(self) -> None:
        """Start the relay, always over the same folder and port; members reach it through the proxy."""
        process = start(
            "relay", "run", self.relay_folder, "--port", str(self.relay_port), "--public-url", self.proxy.url,
            log=self.folder / "relay.log", command=self.relay_command,
        )  # fmt: skip
        announced = self.relay_folder / "relay.json"
        eventually(lambda: announced.exists() and f'"pid":{process.pid},' in announced.read_text(), "a relay listening")
        self.relay = process

    def kill_relay(self) -> None:
        """`kill -9` the relay."""
        assert self.relay is not None
        self.relay.kill()
        self.relay.wait(SECONDS)

    def at_each_site(self, act: Callable[[LiveSite], Answer]) -> dict[str, Answer]:
        """Let every site do the same, side by side."""
        with ThreadPoolExecutor(len(self.sites)) as pool:
            return dict(zip(self.sites, pool.map(act, self.sites.values()), strict=True))

    @property
    def data_sets(self) -> list[DataSet]:
        """The three hospitals' data sets, asked for once."""
        if not self._data_sets:
            self._data_sets = [it for it in self.ada.data_sets if it.name == "breast-tumours"]
        return self._data_sets

    def pending_study(self, plan: TrainingPlan | None = None, **changes: Any) -> Study:
        """A study that waits for its owners at all three sites."""
        study = self.ada.submit(plan or SmallPlan(), self.data_sets, ask(**changes))
        wait_for_status(study, self.sites, "pending")
        return study

    def approved_study(self, **changes: Any) -> Study:
        """A study that all three owners approved."""
        study = self.pending_study(**changes)
        self.at_each_site(lambda site: site.approve(study))
        return study.wait(SECONDS)

    def submit_to(self, site: str, terms: Terms, exported: ExportedPlan, **changes: Any) -> Study:
        """Send terms, however crafted, to one site of their cohort only; `changes` are fields of the submission."""
        return send_to(self.ada, self.sites[site], terms, exported, **changes)

    def close(self) -> None:
        """End every process."""
        for site in self.sites.values():
            site.stop()
        if self.relay is not None:
            self.relay.kill()
            self.relay.wait(SECONDS)
        self.proxy.close()


def open_federation(folder: Path, command: Callable[[str], tuple[str, ...]] = lambda _: COMMAND) -> LiveFederation:
    """Start a relay and three hospitals, all pinned to each other, with their patients registered.

    `command` gives what runs the `datasite` command of a hospital, by its name, and of the relay («relay»).
    """
    port = _free_port()
    proxy = RecordingProxy(port)
    ada = researcher.connect(folder / "ada", name="dr-ada-lindqvist", relay=proxy.url)
    hospitals, _ = share_out()
    sites = {name: LiveSite(Site(name, folder / name), command(name)) for name in hospitals}
    live = LiveFederation(folder, port, proxy, sites, ada, command("relay"))
    try:
        live.start_relay()
        for name, patients in hospitals.items():
            (folder / name).mkdir()
            write_table(folder / name / "patients.csv", patients)
            write_manifest(folder / name / "manifest.toml", name)
        shown = live.at_each_site(lambda site: site.site.init(proxy.url))
        card = folder / "ada-card.json"
        card.write_bytes(ada.card.canonical())
        cards = {site.site.card: shown[name]["fingerprint"] for name, site in sites.items()}
        cards[card] = ada.card.fingerprint
        datasite("relay", "admit", live.relay_folder, *cards)

        def join(site: LiveSite) -> None:
            site.site.pin({other: fingerprint for other, fingerprint in cards.items() if other != site.site.card})
            site.site.register()
            site.serve()

        live.at_each_site(join)
        for site in sites.values():
            ada.pin(site.site.card, cards[site.site.card])
    except BaseException:
        live.close()
        raise
    return live


def ask(**changes: Any) -> Ask:
    """A small ask: two rounds, the initial and the final model measured, ε=1."""
    usual: dict[str, Any] = {
        "title": "Quagga pathology under the microscope",
        "purpose": "Find out whether zebrine striping misleads a pathologist.",
        "legal_basis": "Consent.",
        "recipients": "The marmalade ward of the northern clinic.",
        "onward_use": "Nobody but the wombats of the archive.",
        "privacy": Privacy(epsilon=1.0, delta=1e-6),
        "rounds": 2,
        "evaluate": (0, 2),
        "local_steps": 1,
        "retries": 0,
        "learning_rate": 0.5,
        "deadlines": Deadlines(setup_seconds=45, round_seconds=45),
    }
    return Ask(**(usual | changes))


def send_to(
    federation: researcher.Federation, site: LiveSite, terms: Terms, exported: ExportedPlan, **changes: Any
) -> Study:
    """As `LiveFederation.submit_to`, by any researcher."""
    correspondence = federation.correspondence
    keep_study(correspondence.state, terms, exported, None, None)
    submission: dict[str, Any] = {
        "study": terms.study,
        "terms": terms.canonical().decode(),
        "loss_program": exported.loss.canonical().decode(),
        "metrics_program": exported.metrics.canonical().decode(),
        "source": exported.source,
        "parameter_parts": tuple(it.listed(sent=True) for it in split_parameters(exported.parameters)),
        "initial_parameters": correspondence.upload(exported.parameters, SECONDS),
        "tokeniser": None,
    }
    card = next(it for it in federation.sites if it.name == site.name)
    correspondence.send([card.party], StudySubmission(**(submission | changes)), SECONDS)
    return open_study(correspondence, terms.study, SmallPlan())


def wait_for_status(study: Study, sites: Iterable[str], *wanted: str, seconds: float = SECONDS) -> str:
    """Take mail until `sites` all said one of the `wanted` statuses, and give the last one's sentence."""
    names = set(sites)

    def heard() -> list[researcher.SiteStatus]:
        return [it for it in study.statuses() if it.site in names and it.status in wanted]

    study.correspondence.collect(lambda *_: False, lambda _: len(heard()) == len(names), seconds)
    assert len(heard()) == len(names), f"waited for {wanted} from {names}, and heard {study.statuses()}"
    return heard()[-1].detail


def cancel(study: Study, sites: Iterable[LiveSite]) -> None:
    """Give a study up, and wait until its trainers are gone and its reservation is returned."""
    study.cancel("The test is over.")
    for site in sites:
        query = "SELECT 1 FROM requests WHERE study = ? AND status IN ('received', 'pending', 'approved', 'running')"
        eventually(lambda site=site, query=query: not site.rows(query, study.identifier), f"an end at {site.name}")
        for trainer in site.trainers():
            wait_until_gone(trainer)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
