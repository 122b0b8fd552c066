"""The demo: three hospitals train one model on real patients; nobody sees another's data.

usage: python -m tests.demo.run [FOLDER]      (default: ./demo-output, which is made anew)
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.demo.commands import CommandFailedError, datasite, environment, show_to_people, start
from tests.demo.hospitals import UNITS, Patients, share_out, write_manifest, write_table
from tests.demo.site import LIFETIME_EPSILON, Site

console = Console(highlight=False)


@dataclass
class Demo:
    """One run of the demo in `folder`; `report` collects what the tests look at."""

    folder: Path
    sites: list[Site]
    report: dict[str, Any] = field(default_factory=lambda: {"seconds": {}, "processes": {}})

    @contextmanager
    def phase(self, name: str, title: str) -> Iterator[None]:
        """Announce a part of the way, and time it under a short name."""
        console.print(f"\n[bold cyan]── {title}[/]")
        began = time.monotonic()
        yield
        self.report["seconds"][name] = time.monotonic() - began

    def at_each_site(self, act: Callable[[Site], Any]) -> dict[str, Any]:
        """Let every hospital do the same, side by side."""
        with ThreadPoolExecutor(len(self.sites)) as pool:
            return dict(zip((site.name for site in self.sites), pool.map(act, self.sites), strict=True))


def run(folder: Path) -> dict[str, Any]:
    """The whole way, from empty folders to verified logs; gives the report that is also written to `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    hospitals, kept = share_out()
    demo = Demo(folder, [Site(name, folder / name) for name in hospitals])
    for site in demo.sites:
        site.folder.mkdir(parents=True)
        write_table(site.folder / "patients.csv", hospitals[site.name])
        write_manifest(site.folder / "manifest.toml", site.name)
    researcher_folder = folder / "researcher"
    researcher_folder.mkdir()
    began = time.monotonic()
    with ExitStack() as running:
        relay = _start_relay(demo, running)
        researcher = _start_researcher(demo, researcher_folder, relay, running)
        _open_hospitals(demo, relay, researcher_folder, running)
        _first_study(demo, researcher_folder, researcher)
        _second_study(demo, researcher_folder, researcher)
        _audit(demo, researcher_folder)
    _measure(demo, hospitals, kept, researcher_folder)
    demo.report["seconds"]["all"] = time.monotonic() - began
    _show_results(demo, researcher_folder)
    (folder / "report.json").write_text(json.dumps(demo.report, indent=2))
    return demo.report


def _start_relay(demo: Demo, running: ExitStack) -> str:
    with demo.phase("relay", "A relay starts: a mailbox for sealed letters, which it cannot read"):
        folder = demo.folder / "relay"
        process = start("relay", "run", folder, "--port", "0", log=demo.folder / "relay.log")
        running.callback(_stop, process)
        _wait_for(folder / "relay.json", process)
        relay = json.loads((folder / "relay.json").read_text())
        demo.report["processes"]["relay"] = process.pid
        console.print(f"It listens at {relay['url']} (process {process.pid}).")
        return str(relay["url"])


def _start_researcher(demo: Demo, folder: Path, relay: str, running: ExitStack) -> subprocess.Popen[bytes]:
    cards = [str(site.card) for site in demo.sites]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.demo.researcher_process", str(folder), relay, *cards], env=environment()
    )
    running.callback(_stop, process)
    demo.report["processes"]["researcher"] = process.pid
    return process


def _open_hospitals(demo: Demo, relay: str, researcher_folder: Path, running: ExitStack) -> None:
    with demo.phase("opening", "Three hospitals open their datasites and pin each other's cards and the researcher's"):
        cards = demo.at_each_site(lambda site: site.init(relay))
        _wait_for(researcher_folder / "fingerprint")
        fingerprints = {site.card: cards[site.name]["fingerprint"] for site in demo.sites}
        fingerprints[researcher_folder / "card.json"] = (researcher_folder / "fingerprint").read_text()

        datasite("relay", "admit", demo.folder / "relay", *fingerprints)

        def join(site: Site) -> int:
            site.pin({card: fingerprint for card, fingerprint in fingerprints.items() if card != site.card})
            process = site.serve()
            running.callback(_stop, process)
            return process.pid

        demo.report["processes"] |= demo.at_each_site(join)
        for site in demo.sites:
            process = demo.report["processes"][site.name]
            console.print(f"{site.name}: process {process}, fingerprint {fingerprints[site.card]}")
    with demo.phase(
        "registration", "Each registers its patients: a snapshot stays private, mock data is drawn from the manifest"
    ):
        registered = demo.at_each_site(Site.register)
        for site in demo.sites:
            console.print(
                f"{site.name}: about {UNITS[site.name]} patients, lifetime budget ε={LIFETIME_EPSILON} at "
                f"δ={registered[site.name]['delta']:g}"
            )
    heard = {str(card): fingerprint for card, fingerprint in fingerprints.items()}
    written = researcher_folder / "fingerprints.part"
    written.write_text(json.dumps(heard))
    written.rename(researcher_folder / "fingerprints.json")


def _first_study(demo: Demo, folder: Path, researcher: subprocess.Popen[bytes]) -> None:
    with demo.phase("submission", "A researcher looks at mock data and submits a study; before approval nothing runs"):
        _wait_for(folder / "first-pending", researcher)
    with demo.phase("approvals", "Each owner is shown the request, and approves the digest that was shown"):
        shown = demo.at_each_site(lambda site: site.show(1))
        first = demo.sites[0]
        show_to_people("show", "1", "--home", first.home)
        demo.at_each_site(lambda site: site.approve(shown[site.name]["approval_digest"]))
        demo.report["shown"] = shown
        for site in demo.sites:
            console.print(f"{site.name} approved {shown[site.name]['approval_digest'][:16]}…")
    with demo.phase("rounds", "The rounds run: DP-SGD at each hospital, sums only at the researcher"):
        _wait_for(folder / "results.json", researcher)
        demo.report["results"] = json.loads((folder / "results.json").read_text())


def _second_study(demo: Demo, folder: Path, researcher: subprocess.Popen[bytes]) -> None:
    with demo.phase("second study", "A second study asks for ε=10: the lifetime budget has no room for it"):
        _wait_for(folder / "second-pending", researcher)

        def refuse(site: Site) -> str:
            shown = site.show(2)
            try:
                site.approve(shown["approval_digest"])
            except CommandFailedError as error:
                site.deny(2, "It does not fit our patients' privacy budget.")
                return f"exit code {error.code}: {error.sentence}"
            raise SystemExit(f"{site.name} could approve a study beyond its budget.")

        demo.report["second_study"] = demo.at_each_site(refuse)
        console.print(f"{demo.sites[0].name}, datasite approve → {demo.report['second_study'][demo.sites[0].name]}")
        _wait_for(folder / "second-refused", researcher)
        researcher.wait(timeout=60)


def _audit(demo: Demo, folder: Path) -> None:
    with demo.phase("audit", "An auditor verifies each hospital's exported log, offline"):
        demo.report["budgets"] = demo.at_each_site(Site.budget)
        cards = [*(site.card for site in demo.sites), folder / "card.json"]
        others = {site.name: [card for card in cards if card != site.card] for site in demo.sites}
        demo.report["verified"] = demo.at_each_site(lambda site: site.export_and_verify(others[site.name]))
        first = demo.sites[0]
        witnesses = [word for card in others[first.name] for word in ("--witness", card)]
        show_to_people("verify", first.bundle, "--card", first.card, *witnesses)
        for site in demo.sites[1:]:
            report = demo.report["verified"][site.name]
            console.print(f"{site.name}: {len(report['proved'])} statements proved, {len(report['broken'])} broken.")
        demo.report["receipts"] = demo.at_each_site(lambda site: site.prove_round(1, 1, others[site.name]))
        everybody = [word for card in cards for word in ("--witness", card)]
        demo.report["model_receipt"] = datasite("verify-receipt", folder / "receipt", *everybody)
        console.print(demo.report["model_receipt"]["proved"][-1])


def _measure(demo: Demo, hospitals: dict[str, Patients], kept: Patients, folder: Path) -> None:
    # Only here does the demo's own process need torch.
    from tests.demo.measure import accuracies_by_round, accuracy_without_privacy, pool

    with demo.phase("measuring", "The demo itself measures exact accuracies, outside the protection"):
        rounds = next(iter(demo.report["shown"].values()))["terms"]["training"]["rounds"]
        demo.report["exact"] = accuracies_by_round(folder, rounds, kept)
        demo.report["alone"] = {name: accuracy_without_privacy(it, kept) for name, it in hospitals.items()}
        demo.report["pooled"] = accuracy_without_privacy(pool(hospitals), kept)


def _show_results(demo: Demo, folder: Path) -> None:
    results, budgets = demo.report["results"], demo.report["budgets"]
    seen = Table(title="What the researcher sees", title_justify="left")
    for column in ("Global model", "Holdout accuracy (summed, noised, charged)"):
        seen.add_column(column)
    for model, values in results["metrics"].items():
        accuracy = values["accuracy"]
        seen.add_row(model, f"{accuracy['value']:.3f} ± {accuracy['noise']:.3f}")
    console.print("\n", seen)
    console.print(results["privacy_report"])

    charged = Table(title="What each hospital was charged", title_justify="left")
    for column in ("Hospital", "People in", "ε charged", "Lifetime ε", "Allowance spent"):
        charged.add_column(column)
    for name, budget in budgets.items():
        for part in ("training", "evaluation"):
            spent = budget[part]
            shares = f"{100 * spent['spent']:.1f} %"
            charged.add_row(name, part, f"{spent['epsilon_estimate']:.3f}", f"{budget['epsilon']:g}", shares)
    console.print(charged)

    outside = Table(
        title="Measured by the demo outside the protection (exact, on 114 patients of no hospital)",
        title_justify="left",
    )
    for column in ("Model", "Accuracy"):
        outside.add_column(column)
    for number, value in enumerate(demo.report["exact"], start=1):
        outside.add_row(f"federated, private, after round {number}", f"{value:.3f}")
    for name, value in demo.report["alone"].items():
        outside.add_row(f"{name} alone, no privacy", f"{value:.3f}")
    outside.add_row("all data pooled, no privacy", f"{demo.report['pooled']:.3f}")
    console.print(outside)

    clock = Table(title="Seconds", title_justify="left")
    for column in ("Phase", "Seconds"):
        clock.add_column(column)
    for phase, seconds in demo.report["seconds"].items():
        clock.add_row(phase, f"{seconds:.1f}")
    console.print(clock)
    console.print(f"Curve: {folder / 'holdout.png'}")


def _wait_for(path: Path, process: subprocess.Popen[bytes] | None = None, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        if process is not None and process.poll() not in (None, 0):
            raise SystemExit(f"A process of the demo ended with {process.returncode} before it wrote {path}.")
        if time.monotonic() > deadline:
            raise SystemExit(f"{path} was not written within {seconds:g} s.")
        time.sleep(0.05)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()


if __name__ == "__main__":
    run(Path(sys.argv[1] if len(sys.argv) > 1 else "demo-output").absolute())
