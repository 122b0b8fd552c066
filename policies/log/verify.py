"""The offline verifier: what an exported log proves, what it cannot prove, and where it is broken."""

from collections.abc import Sequence
from dataclasses import dataclass

from policies.log import merkle
from policies.log.accounts import Population
from policies.log.bundle import Bundle, read_bundle
from policies.log.check_tree import TreeCheck
from policies.log.cosignature import Cosigner
from policies.log.replay import Break, Replay


@dataclass(frozen=True)
class Pinned:
    """What the auditor holds from elsewhere: raw 32-byte keys, checkpoint notes this site signed earlier, witnesses."""

    log_key: bytes | None = None
    owner_key: bytes | None = None
    checkpoints: Sequence[bytes] = ()
    witnesses: Sequence[Cosigner] = ()


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
    tree = TreeCheck(bundle, leaves, pinned.log_key or bytes.fromhex(site.log_key), replay.lost_heads)
    tree_breaks = _check_keys(bundle, pinned)
    tree_breaks += [Break(None, reason) for reason in tree.broken(pinned.checkpoints, pinned.witnesses)]
    if not bundle.entries:
        tree_breaks.append(Break(None, "The bundle holds no entries; a log starts with the one that opens the site."))
    proved, not_proved = list[str](), _not_proved(pinned, replay)
    if not tree_breaks:
        proved += _tree_statements(len(leaves), site.name, len(pinned.checkpoints))
        seen, unseen = _witness_statements(tree, pinned.witnesses)
        proved, not_proved = proved + seen, not_proved + unseen
    if not tree_breaks and not replay.broken:
        proved += _rule_statements(replay)
    return Report(proved, not_proved, tree_breaks + replay.broken)


def _check_keys(bundle: Bundle, pinned: Pinned) -> list[Break]:
    site = bundle.header.site
    pairs = (("log", pinned.log_key, site.log_key), ("owner", pinned.owner_key, site.owner_key))
    return [
        Break(None, f"The bundle names another {name} key than the one pinned for this site.")
        for name, key, named in pairs
        if key is not None and key.hex() != named
    ]


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
        f"Each of the {counts['sum-opened']} sums that were opened, by the researcher's signed word, holds this site's "
        "one answer for its round once, as the site signed it, and each other site of the cohort once.",
        *(
            f"The guarantee of population «{name}» excludes {len(studies)} studies without noise."
            for name, studies in sorted(replay.studies.unbounded.items())
        ),
        f"Each of the {counts['question-asked']} questions on requests was signed by a person of the site, and each of "
        f"the {counts['question-answered']} answers is the one answer to one of them.",
        *_job_statements(replay),
        *_halt_statements(replay),
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


def _evidence(replay: Replay) -> list[str]:
    told = [
        f"That the log of site {site} has two histories, as this log says: the key that signed both checkpoints is "
        "named here alone; compare it with that site's card."
        for site in sorted(replay.witness.accused)
    ]
    if replay.witness.disputed:
        told.append(
            "Who is right on the sums of rounds that this site disputes, though researchers signed them: "
            f"{replay.witness.disputed}."
        )
    return told


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


def _halt_statements(replay: Replay) -> list[str]:
    revoked, stopped = replay.counts["approval-revoked"], replay.counts["site-stopped"]
    return [
        f"Each of the {revoked} revocations is signed by a person of this site, of a request that had been approved; "
        "nothing was charged, computed or released for it afterwards.",
        f"Each of the {stopped} stops is signed by a person of this site. Until the resumption that names it, nothing "
        f"was approved, charged, run or released. {'It stands stopped.' if replay.halts.stop else 'None stands.'}",
    ]


def _budget_statement(name: str, population: Population) -> str:
    shares = (
        f"{population.spent[partition] / population.allowance:.1%} in {partition}" for partition in population.spent
    )
    return f"Population «{name}» never exceeded its allowance; spent: {', '.join(shares) or 'nothing'}."


def _not_proved(pinned: Pinned, replay: Replay) -> list[str]:
    statements = [
        "What the owner did with the data outside the datasite: no log can show that.",
        "That the datasite ran the published software: the log shows what that software recorded.",
        "That entries are dated truly: the times are the site's own clock's.",
        "What was released, and that it was computed as charged: the log holds keyed commitments, to be compared with "
        "the answers themselves.",
    ]
    statements += _evidence(replay)
    if replay.studies.unbounded:
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
    return statements


def _witness_statements(tree: TreeCheck, witnesses: Sequence[Cosigner]) -> tuple[list[str], list[str]]:
    found = [(it.name, tree.witnessed(it)) for it in witnesses]
    unseen = [
        f"That «{name}» was shown this log: no cosignature by it is in the bundle."
        for name, statement in found
        if statement is None
    ]
    unknown = tree.unknown_cosignatures(witnesses)
    held = f"it holds {unknown} by others than the witnesses given, which were not checked" if unknown else "none else"
    unseen.append(
        "That nobody else was shown another log: compare with the checkpoints that others keep. Of cosignatures in "
        f"the bundle, {held}."
    )
    return [statement for _, statement in found if statement is not None], unseen
