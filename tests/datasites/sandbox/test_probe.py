"""The probe and what jobs may import, on this very machine."""

from importlib.metadata import version

import pytest

from datasites.sandbox import probe as probing
from datasites.sandbox.environment import canonicalised, offered_packages, standing_view
from datasites.sandbox.probe import Layers, probe


def test_what_holds_here_is_named() -> None:
    layers = probe()
    assert layers.enough, layers.missing
    assert layers.missing == ()
    assert {"seccomp", "resource-limits", "no-new-privileges"} <= {*layers.jobs} & {*layers.training}
    assert {"pid-namespace", "network-namespace", "mount-namespace"} <= {*layers.jobs}


@pytest.mark.parametrize(
    ("setting", "value", "advice"),
    [
        ("user/max_user_namespaces", "0", "user.max_user_namespaces"),
        ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns"),
    ],
)
def test_what_keeps_jobs_from_running_is_said_with_what_to_do(
    setting: str, value: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "_job_layers", lambda: ((), "refused"))
    monkeypatch.setattr(probing, "_setting", lambda name: value if name == setting else "")
    monkeypatch.setattr("shutil.which", lambda name: None)
    layers = probe()
    assert not layers.enough
    assert layers.missing[0] == "refused"
    assert advice in layers.missing[1]
    assert "apt install bubblewrap" in layers.missing[1]


def test_one_without_the_other_is_not_enough() -> None:
    assert not Layers(("seccomp",), (), ()).enough
    assert not Layers((), ("seccomp",), ()).enough


def test_what_is_offered_is_what_is_installed_and_not_ourselves() -> None:
    offered = offered_packages()
    assert f"pandas=={version('pandas')}" in offered
    assert list(offered) == sorted(offered)
    assert not [name for name in offered if name.startswith("cloister==")]
    assert canonicalised("Scikit_Learn.x") == "scikit-learn-x"


def test_no_folder_of_a_persons_or_of_the_sites_own_is_in_view() -> None:
    view = standing_view()
    for place in view.bound:
        assert place.startswith(("/usr/", "/lib", "/bin", "/etc/")) or place.endswith(
            ("/bin", "/lib", "/lib64", "/site-packages", "/pyvenv.cfg")
        ), place
    assert dict(view.files)["/etc/passwd"].count(b"\n") == 1
