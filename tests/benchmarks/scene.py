"""A federation to measure: a relay and three datasites, each a process of its own, and a researcher in this one."""

import csv
import json
import random
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import researcher
from researcher import Ask, Deadlines, Federation, Privacy, Study, TrainingPlan
from tests.benchmarks.plan import FEATURES
from tests.demo.commands import datasite, start
from tests.demo.site import Site
from tests.system.waiting import eventually

SITES = ("anna-hospital", "bern-hospital", "cork-hospital")
RESEARCHER = "dr-ada-lindqvist"
UNITS = 50
"""Patients a site: the fewest that a manifest may declare."""

SMALLEST_SAMPLING_RATE = 1e-6
"""The least that terms allow: a step then has one place in its padded batch, so it computes one unit's gradient."""

Answer = TypeVar("Answer")


@dataclass
class Scene:
    """The folders and, while they run, the processes of a federation whose members all know each other."""

    folder: Path
    sites: list[Site]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    relay_url: str = ""
    """Where the relay listens, as it announced itself."""

    @property
    def researcher_folder(self) -> Path:
        return self.folder / "ada"

    def start_relay(self) -> None:
        """Start the relay and wait until it listens: on a port that the system chooses, and later on the same one."""
        port = str(urlsplit(self.relay_url).port or 0)
        announced = self.folder / "relay" / "relay.json"
        process = start("relay", "run", self.folder / "relay", "--port", port, log=self.folder / "relay.log")
        self.processes["relay"] = process
        eventually(lambda: announced.exists() and f'"pid":{process.pid},' in announced.read_text(), "a relay listening")
        self.relay_url = str(json.loads(announced.read_text())["url"])

    def start_sites(self) -> None:
        """Start the three services."""
        for site in self.sites:
            self.processes[site.name] = site.serve()

    def stop(self) -> None:
        """End every process."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()

    def at_each_site(self, act: Callable[[Site], Answer]) -> list[Answer]:
        """Let every site do the same, side by side."""
        with ThreadPoolExecutor(len(self.sites)) as pool:
            return list(pool.map(act, self.sites))

    def approve(self, study: Study) -> None:
        """Let every owner approve what `show` prints of the newest request."""
        number = str(max(request["number"] for request in datasite("requests", "--home", self.sites[0].home)))
        shown = self.at_each_site(lambda site: site.show(int(number)))
        assert {it["terms"]["study"] for it in shown} == {study.identifier}
        for site, it in zip(self.sites, shown, strict=True):
            site.approve(it["approval_digest"])


@contextmanager
def open_scene(folder: Path) -> Iterator[tuple[Scene, Federation]]:
    """Make and start everything below `folder`; when left, everything is ended."""
    scene = Scene(folder, [Site(name, folder / name) for name in SITES])
    try:
        scene.start_relay()
        url = scene.relay_url
        ada = researcher.connect(scene.researcher_folder, name=RESEARCHER, relay=url)
        for number, site in enumerate(scene.sites):
            site.folder.mkdir(parents=True)
            write_patients(site.folder, number)
        shown = scene.at_each_site(lambda site: site.init(url))
        card = ada.save_card(folder / "ada-card.json")
        cards = {site.card: it["fingerprint"] for site, it in zip(scene.sites, shown, strict=True)}
        cards[card] = ada.card.fingerprint
        datasite("relay", "admit", folder / "relay", *cards)

        def join(site: Site) -> None:
            site.pin({other: fingerprint for other, fingerprint in cards.items() if other != site.card})
            site.register()

        scene.at_each_site(join)
        for site in scene.sites:
            ada.pin(site.card, cards[site.card])
        scene.start_sites()
        yield scene, ada
    finally:
        scene.stop()


def ask(rounds: int) -> Ask:
    """One step a round, one place in its batch, nothing measured: the least local work that the product allows."""
    return Ask(
        title="Rounds to be timed",
        purpose="Benchmark.",
        legal_basis="Consent.",
        recipients="Nobody.",
        onward_use="None.",
        privacy=Privacy(epsilon=0.2, delta=1e-6),
        rounds=rounds,
        evaluate=(),
        local_steps=1,
        retries=0,
        sampling_rate=SMALLEST_SAMPLING_RATE,
        deadlines=Deadlines(setup_seconds=300, round_seconds=300),
    )


def pending_study(ada: Federation, plan: TrainingPlan, rounds: int) -> Study:
    """Submit `plan`, and wait until every site has checked its programs."""
    study = ada.submit(plan, ada.data_sets, ask(rounds))
    study.correspondence.collect(
        lambda *_: False, lambda _: all(it.status not in ("unknown", "received") for it in study.statuses()), 300
    )
    assert {it.status for it in study.statuses()} == {"pending"}, study.statuses()
    return study


def write_patients(folder: Path, number: int) -> None:
    """Write the invented table and the manifest of site `number`."""
    generator = random.Random(number)
    names = [f"feature {index}" for index in range(FEATURES)]
    with (folder / "patients.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["patient_id", *names, "target"])
        for unit in range(UNITS):
            values = [generator.uniform(-1, 1) for _ in range(FEATURES + 1)]
            writer.writerow([f"patient-{number}-{unit}", *values])
    columns = "".join(
        f'\n[[columns]]\nname = "{name}"\ntype = "number"\nminimum = -1\nmaximum = 1\n' for name in (*names, "target")
    )
    (folder / "manifest.toml").write_text(
        f"""\
name = "invented-numbers"
title = "Invented numbers"
description = "Numbers between −1 and 1 without any meaning."
target = "target"

[privacy_unit]
column = "patient_id"
maximum_records = 1
nominal_units = {UNITS}

[holdout]
fraction = 0.0
{columns}"""
    )
