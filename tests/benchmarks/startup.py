"""How long until the first sum: after the last approval with trainers warm, and from nothing running at all."""

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from researcher import Federation
from tests.benchmarks.plan import WidePlan
from tests.benchmarks.scene import Scene, pending_study
from tests.demo.commands import environment
from tests.demo.site import Site
from tests.system.waiting import eventually, rows

PARAMETERS = 1000


def approval_to_first_sum(scene: Scene, ada: Federation) -> float:
    """Seconds from the instant at which the last owner's approval stands in that site's database to the first sum.

    The researcher waits for it all the while. Trainers are warm because each site keeps the one that checked the newest
    request.
    """
    study = pending_study(ada, WidePlan(PARAMETERS), 2)
    *others, last = scene.sites
    for site in others:
        _approve(site, study.identifier)
    stands: list[float] = []

    def watch() -> None:
        _wait_for_status(last, study.identifier, "approved", "running")
        stands.append(time.monotonic())

    threads = [threading.Thread(target=watch), threading.Thread(target=_approve, args=(last, study.identifier))]
    for thread in threads:
        thread.start()
    study.wait(300)
    next(study.rounds())
    summed = time.monotonic()
    for thread in threads:
        thread.join()
    study.cancel("Timed.")
    return summed - stands[0]


def nothing_to_first_sum(scene: Scene) -> dict[str, float]:
    """Seconds from no process running to the first sum, and when on the way there each step was done.

    Before: what is done once in a federation's life (folders made, cards pinned, patients registered); Flower's
    counterpart is its installed app. Within: relay, three services and the researcher's process start; it exports and
    submits a new study; every site checks its programs; every owner's `show` and `approve` run as soon as they can,
    without a person's thinking time; one round. `scene` must be stopped, and its services run afterwards.
    """
    began = time.monotonic()
    with ThreadPoolExecutor(len(scene.sites)) as pool:
        scene.start_sites()
        command = [sys.executable, "-m", "tests.benchmarks.researcher_process"]
        process = subprocess.Popen(
            [*command, str(scene.researcher_folder), scene.relay_url, str(PARAMETERS)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        scene.start_relay()
        done = {"relay": time.monotonic() - began}
        assert process.stdout is not None
        study = ""
        for line in process.stdout:
            word, _, rest = line.strip().partition(" ")
            done[word] = time.monotonic() - began
            if word == "submitted":
                study = rest
                approvals = [pool.submit(_approve, site, study) for site in scene.sites]
        for approval in approvals:
            approval.result()
        if process.wait() != 0 or "summed" not in done:
            raise RuntimeError(f"The researcher's process ended with {process.returncode} before a sum was opened.")
    return done


def _approve(site: Site, study: str) -> None:
    """`show` and `approve`, as soon as the site has checked the study."""
    _wait_for_status(site, study, "pending")
    (found,) = rows(site.home / "datasite.sqlite", "SELECT number FROM requests WHERE study = ?", study)
    site.approve(site.show(found["number"])["approval_digest"])


def _wait_for_status(site: Site, study: str, *wanted: str) -> None:
    def reached() -> bool:
        found = rows(site.home / "datasite.sqlite", "SELECT status FROM requests WHERE study = ?", study)
        return bool(found) and found[0]["status"] in wanted

    eventually(reached, f"{study} {wanted[0]} at {site.name}", 300)
