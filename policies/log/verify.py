"""The offline verifier: what an exported log proves, what it cannot prove, and where it is broken."""

from collections.abc import Sequence, Set
from dataclasses import dataclass

from policies.errors import CloisterError, NotAuthenticError
from policies.log import merkle
from policies.log.accounts import Population
from policies.log.bundle import Bundle, read_bundle
from policies.log.checkpoint import log_origin, open_checkpoint, parse_checkpoint
from policies.log.recovery import LostHead
from policies.log.replay import Break, Replay


@dataclass(frozen=True)
class Pinned:
    """What the auditor holds from elsewhere: raw 32-byte keys, and checkpoint notes this site signed earlier."""

    log_key: bytes | None = None
    owner_key: bytes | None = None
    checkpoints: Sequence[bytes] = ()


@dataclass(frozen=True)
class Report:
    """Sentences for people. The log is sound if `broken` is empty, as far as `not_proved` does not reach."""

    proved: list[str]
    not_proved: list[str]
    broken: list[Break]


def verify_bundle(data: bytes, pinned: Pinned) -> Report:
    """Check an exported bundle from its bytes alone, with whatever keys and checkpoints the auditor has pinned.

    Raises:
        InvalidInputError: the bytes are not a bundle, so there is nothing to report on.
    """
    bundle = read_bundle(data)
    site = bundle.header.site
    leaves = [merkle.leaf_hash(entry) for entry in bundle.entries]
    replay = Replay(site, pinned.owner_key or bytes.fromhex(site.owner_key))
    for position, entry in enumerate(bundle.entries):
        replay.take(position, entry)
    tree_breaks = _check_keys(bundle, pinned)
    tree_breaks += _check_tree(bundle, leaves, pinned, replay.lost_heads)
    if not bundle.entries:
        tree_breaks.append(Break(None, "The bundle holds no entries; a log starts with the one that opens the site."))
    proved = [] if tree_breaks else _tree_statements(len(leaves), site.name, len(pinned.checkpoints))
    if not tree_breaks and not replay.broken:
        proved += _rule_statements(replay)
    return Report(proved, _not_proved(bundle, pinned, replay), tree_breaks + replay.broken)


def _check_keys(bundle: Bundle, pinned: Pinned) -> list[Break]:
    site = bundle.header.site
    pairs = (("log", pinned.log_key, site.log_key), ("owner", pinned.owner_key, site.owner_key))
    return [
        Break(None, f"The bundle names another {name} key than the one pinned for this site.")
        for name, key, named in pairs
        if key is not None and key.hex() != named
    ]


def _check_tree(bundle: Bundle, leaves: Sequence[bytes], pinned: Pinned, lost_heads: Set[LostHead]) -> list[Break]:
    log_key = pinned.log_key or bytes.fromhex(bundle.header.site.log_key)
    origin = log_origin(bundle.header.site.site)
    broken = []
    try:
        head = open_checkpoint(bundle.header.checkpoint.encode(), origin, log_key).head
        if head.size != len(leaves):
            raise NotAuthenticError(
                f"The signed checkpoint covers {head.size} entries and the bundle holds {len(leaves)}: "
                "entries were taken away or added after signing."
            )
        if head != merkle.tree_head(leaves):
            raise NotAuthenticError("The entries do not hash to the signed root: some were changed, moved or replaced.")
    except CloisterError as error:
        broken.append(Break(None, str(error)))
    for number, note in enumerate(pinned.checkpoints, start=1):
        try:
            head = open_checkpoint(note, origin, log_key).head
            if LostHead.of(head) not in lost_heads:
                _check_extends(leaves, head)
        except CloisterError as error:
            broken.append(Break(None, f"Earlier checkpoint {number}: {error}"))
    return broken


def _check_extends(leaves: Sequence[bytes], earlier: merkle.TreeHead) -> None:
    if earlier.size > len(leaves):
        raise NotAuthenticError(
            f"It covers {earlier.size} entries and the bundle holds {len(leaves)}: the log was cut back."
        )
    if merkle.tree_head(leaves[: earlier.size]) != earlier:
        raise NotAuthenticError(f"Its {earlier.size} entries are not the bundle's first ones: history was rewritten.")


def _tree_statements(size: int, name: str, earlier: int) -> list[str]:
    statements = [
        f"The log of «{name}» was signed by the log key at {size} entries.",
        f"All {size} entries are those that were signed: none was changed, removed, added or moved since.",
    ]
    if earlier:
        statements.append(
            f"The log continues each of the {earlier} earlier checkpoints but those it says were lost: nothing they "
            "cover was cut or rewritten."
        )
    return statements


def _rule_statements(replay: Replay) -> list[str]:
    counts = replay.counts
    return [
        f"Each of the {counts['request-received']} requests stands with its whole terms, which name this site, a data "
        "set registered here and a pinned researcher.",
        *_people_statements(replay),
        f"Each of the {counts['decision-taken']} decisions on studies is signed by a person in role; each approval is "
        "of the terms' digest, ends with the terms or before, and is for exactly what they cost.",
        f"House rules were adopted {counts['rules-adopted']} times, each time by the owner key's signature and instead "
        "of those before. Each decision names the rules that held then, is by somebody whom they let decide, and takes "
        "as many persons as they ask for; nothing was approved that they forbid, caps on ε included. Studies that the "
        f"rules approved alone: {counts['approved-by-rules']}; each is like one that a person had approved here, for "
        "the same researcher and data, costs no more, and is within the number that the rules allow in a quarter.",
        f"Each of the {counts['charge-made']} charges was recomputed from its mechanism, which is the one in the terms "
        "for its round, and lies inside a reservation under an unexpired approval of those terms.",
        *(_budget_statement(name, population) for name, population in sorted(replay.accounts.populations.items())),
        f"Each of the {counts['round-computed']} computed rounds is one that the terms have, was charged for all that "
        "they demand of it before it ran, and gave one answer, before they expired and with masks of its own. Charged "
        f"steps without an answer, which stay spent: {replay.unanswered_charges()}.",
        f"Each of the {counts['update-released']} releases is the one answer computed for its round, "
        "to the researcher who asked.",
        *(
            f"The guarantee of population «{name}» excludes {len(studies)} studies without noise."
            for name, studies in sorted(replay.unbounded_studies.items())
        ),
        *_job_statements(replay),
    ]


def _people_statements(replay: Replay) -> list[str]:
    counts, signed = replay.counts, replay.people.signed
    by = ", ".join(f"{name} {number}" for name, number in sorted(signed.items())) or "nobody"
    return [
        f"Each of the {counts['person-appointed']} appointments and {counts['person-dismissed']} dismissals carries "
        "the owner key's signature; no key serves two people, or a person and a machine.",
        "Each decision on a study, a job or its outputs carries the signature of the owner, or of a reviewer whom the "
        "owner had appointed and not dismissed by then, on somebody else's request; what was approved, as many "
        f"different persons signed as it asks for. Signed by: {by}.",
    ]


def _job_statements(replay: Replay) -> list[str]:
    counts, jobs = replay.counts, replay.jobs
    return [
        f"Each of the {counts['job-received']} jobs stands with its whole terms, which name this site, sets of files "
        "registered here and a pinned researcher.",
        f"Each of the {counts['job-decided']} decisions on jobs is signed by a person in role; each approval is of the "
        "terms' digest, for one execution, on the files as they were registered then, and grants no more than the "
        "terms ask for.",
        f"Each of the {counts['job-started']} executions began under an unexpired approval of its own. Executions that "
        f"were interrupted, or had not ended yet: {jobs.interrupted()}.",
        f"Each of the {counts['outputs-released']} releases of analysis outputs is what its execution gave, once, to "
        "the researcher who asked, by the signed word of as many persons as it asks for or, where the approval says "
        "so, after an inspection that found nothing.",
        *(
            f"The guarantee of population «{name}» excludes {jobs.excluded[name]} releases of analysis outputs."
            for name in sorted(replay.accounts.populations)
        ),
        *(
            f"No guarantee covers the set of files «{name}»; releases of analysis outputs from it: {number}."
            for name, number in sorted(jobs.without_guarantee.items())
        ),
    ]


def _budget_statement(name: str, population: Population) -> str:
    shares = (
        f"{population.spent[partition] / population.allowance:.1%} in {partition}" for partition in population.spent
    )
    return f"Population «{name}» never exceeded its allowance; spent: {', '.join(shares) or 'nothing'}."


def _not_proved(bundle: Bundle, pinned: Pinned, replay: Replay) -> list[str]:
    statements = [
        "What the owner did with the data outside the datasite: no log can show that.",
        "That the datasite ran the published software: the log shows what that software recorded.",
        "That entries are dated truly: the times are the site's own clock's.",
        "What was released, and that it was computed as charged: the log holds keyed commitments, to be compared with "
        "the answers themselves.",
    ]
    if replay.unbounded_studies:
        statements.append("What the studies without noise tell about people: no privacy budget bounds it.")
    if replay.counts["outputs-released"]:
        statements.append("What the released analysis outputs tell about people: no privacy budget bounds it.")
    if replay.lost_heads:
        statements.append(
            "What happened in the history that the owner declared lost when the site was set back: checkpoints of "
            f"{', '.join(str(head.size) for head in sorted(replay.lost_heads, key=lambda head: head.size))} entries. "
            "All that may have been spent in it is counted as spent."
        )
    if replay.clock_set_back:
        statements.append(
            f"When each entry was made. Entries dated before the one they follow: {replay.clock_set_back}."
        )
    if pinned.log_key is None:
        statements.append(
            "That the log key is this site's: compare the one in the bundle with the site's identity card."
        )
    if pinned.owner_key is None:
        statements.append("That the owner key is this owner's: compare the one in the bundle with the identity card.")
    if not pinned.checkpoints:
        statements.append("That no entries were cut off before signing: give a checkpoint that you received earlier.")
    return [*statements, _witness_statement(bundle)]


def _witness_statement(bundle: Bundle) -> str:
    try:
        others = len(parse_checkpoint(bundle.header.checkpoint.encode())[1]) - 1
    except CloisterError:
        others = 0
    held = f"{others} other signatures are on the checkpoint and were not checked" if others > 0 else "none is in it"
    return f"That everybody was shown this same log: that takes witnesses' cosignatures, and {held}."
