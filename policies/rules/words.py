"""House rules in words: each rule by its name and value, and what one set changes against another."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from policies.rules.house_rules import HouseRules

Direction = Literal["stricter", "looser", "other"]

_STRICTER_IF_MORE = ("minimum_cohort", "minimum_colluders", "minimum_group", "dominant_contributors")
_STRICTER_IF_LESS = (
    "maximum_epsilon",
    "maximum_epsilon_per_researcher",
    "maximum_epsilon_per_quarter",
    "maximum_days",
    "maximum_round_minutes",
    "maximum_minutes",
    "maximum_memory_mib",
    "maximum_disk_mib",
    "maximum_output_bytes",
    "maximum_values",
    "decide_within_days",
    "studies_a_quarter",
    "dominant_share",
    "values_per_record",
    "tensor_share",
    "longest_word",
    "studies",
    "jobs",
    "release_clean",
    "allowance",
    "mock",
    "packages",
)
_MEANING = {
    "minimum_cohort": "the fewest sites that a sum may cover",
    "minimum_colluders": "how many colluding sites a sum withstands at least",
    "maximum_epsilon": "the most ε that one request may promise",
    "maximum_epsilon_per_researcher": "the most ε for one researcher on the same people, ever",
    "maximum_epsilon_per_quarter": "the most ε on the same people within a calendar quarter",
    "maximum_days": "the most days that an approval stays valid",
    "maximum_round_minutes": "the most minutes that one round may take",
    "decide_within_days": "the days after which an undecided request expires",
    "researchers": "who may ask",
    "shown.allowance": "researchers are shown how much budget they may still ask for",
    "shown.mock": "researchers are shown mock rows",
    "shown.packages": "researchers are shown which packages jobs find",
    "training.threads": "how many processor threads each study's trainer uses",
    "training.gradients": "how each person's gradient is bounded: the faster way, or always as a whole",
    "jobs.maximum_minutes": "the most minutes that a job may run",
    "jobs.maximum_memory_mib": "the most MiB of memory that a job may use",
    "jobs.maximum_disk_mib": "the most MiB that a job may write",
    "jobs.maximum_days": "the most days that the approval of a job stays valid",
    "jobs.release_clean": "outputs that the inspection finds clean leave at once",
    "jobs.outputs.minimum_group": "the fewest people that a row of an output may stand for",
    "auto_approval.studies_a_quarter": "the most studies that the rules approve without a person in a quarter",
    "auto_approval.maximum_epsilon": "the most ε of a study that the rules approve without a person",
}


class RuleChange(NamedTuple):
    """One rule that is not as it was, in words."""

    name: str
    sentence: str
    direction: Direction


def rule_values(rules: HouseRules) -> dict[str, str]:
    """Every rule that is set, by its dotted name, with its value as TOML spells it."""
    return {name: _spelt(value) for name, value in _flat(rules.model_dump(mode="json"))}


def changes(old: HouseRules | None, new: HouseRules) -> list[RuleChange]:
    """What `new` changes against `old`, rule by rule; everything, where there was nothing before."""
    before = {} if old is None else dict(_flat(old.model_dump(mode="json")))
    after = dict(_flat(new.model_dump(mode="json")))
    names = [*before, *(name for name in after if name not in before)]
    pairs = ((name, before.get(name, _unset(name)), after.get(name, _unset(name))) for name in names)
    return [_change(name, old_value, new_value) for name, old_value, new_value in pairs if old_value != new_value]


def _change(name: str, old: Any, new: Any) -> RuleChange:
    said = "not set" if old is None else _spelt(old), "not set" if new is None else _spelt(new)
    meaning = f" ({words})" if (words := _meaning(name)) else ""
    return RuleChange(name, f"{name}{meaning}: {said[0]} → {said[1]}", _direction(name, old, new))


def _meaning(name: str) -> str:
    section, _, rest = name.partition(".")
    if section != "data_sets":
        return _MEANING.get(name, "")
    data_set, _, rule = rest.rpartition(".")
    own = {
        "studies": "models may be trained",
        "jobs": "code may see it",
        "machines": "on how many of the site's machines a model is trained",
    }
    return f"for «{data_set}», {own.get(rule) or _MEANING.get(rule, '')}"


def _unset(name: str) -> bool | None:
    """What a rule is that nobody wrote: whatever is not closed to studies or jobs is open to them."""
    return True if name.startswith("data_sets.") and name.endswith((".studies", ".jobs")) else None


def _direction(name: str, old: Any, new: Any) -> Direction:
    rule = name.rpartition(".")[2]
    if rule == "researchers":
        return _fewer(old, new)
    if name.startswith("auto_approval.") and (old is None or new is None):
        return "looser" if old is None else "stricter"
    if rule in _STRICTER_IF_LESS:
        return _of_sign(_number(old, float("inf")) - _number(new, float("inf")))
    if rule in _STRICTER_IF_MORE:
        return _of_sign(_number(new, 0.0) - _number(old, 0.0))
    return "other"


def _of_sign(stricter_by: float) -> Direction:
    return "stricter" if stricter_by > 0 else "looser" if stricter_by < 0 else "other"


def _fewer(old: list[str] | None, new: list[str] | None) -> Direction:
    if new is None or (old is not None and set(new) > set(old)):
        return "looser"
    return "stricter" if old is None or set(new) < set(old) else "other"


def _number(value: Any, unset: float) -> float:
    return unset if value is None else float(value)


def _spelt(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(_spelt(it) for it in value)}]"
    return f'"{value}"' if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)


def _flat(value: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{above}{name}.")
        elif inner is not None:
            yield f"{above}{name}", inner
