"""Whether what a job needs is there: its requirements against the packages that the datasite offers."""

from collections.abc import Mapping, Sequence

from packaging.markers import UndefinedComparison
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from policies.errors import InvalidInputError, RefusedError


def require_packages(requirements: Sequence[str], packages: Sequence[str], *, listed: bool = True) -> None:
    """Check that each requirement (PEP 508) is met by one of `packages` (`name==version`), which a refusal may list.

    Raises:
        InvalidInputError: a requirement is not written as pip writes it, or names a place to fetch it from.
        RefusedError: some are not met; with the list of what there is, if it may be `listed`.
    """
    offered = _versions(packages)
    missing = [text for text in requirements if not _is_met(text, offered)]
    if missing:
        offer = f" This site offers {', '.join(packages)}." if listed else ""
        raise RefusedError(f"The job needs {', '.join(missing)}, and nothing is installed for a job.{offer}")


def _is_met(text: str, offered: Mapping[str, Version]) -> bool:
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise InvalidInputError(f"«{text}» is no requirement as pip writes them, such as pandas>=2.") from error
    if requirement.url is not None:
        raise InvalidInputError(f"«{text}» names a place to fetch it from; nothing is fetched for a job.")
    try:
        needed = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    except (UndefinedComparison, KeyError) as error:
        raise InvalidInputError(f"«{text}» has a condition that cannot be evaluated; write it plainly.") from error
    if not needed:
        return True
    version = offered.get(canonicalize_name(requirement.name))
    return version is not None and requirement.specifier.contains(version, prereleases=True)


def _versions(packages: Sequence[str]) -> dict[str, Version]:
    found: dict[str, Version] = {}
    for package in packages:
        name, _, version = package.partition("==")
        try:
            found[canonicalize_name(name)] = Version(version)
        except InvalidVersion:
            continue  # such a package cannot be asked for by version, and so is not offered
    return found
