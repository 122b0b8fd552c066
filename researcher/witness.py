"""The researcher as a witness: the newest checkpoint of each site's log is kept in the state file, and cosigned."""

import sqlite3
from pathlib import Path

from datasites.protocol.identity import Identity, IdentityCard
from datasites.protocol.log_messages import WitnessReply, WitnessRequest
from policies.log.cosignature import cosign
from policies.log.recovery import LostHead
from policies.log.witness import Shown, head_of, is_fork, lost_heads, own_note
from researcher.state import State


def keep_checkpoint(
    connection: sqlite3.Connection, identity: Identity, card: IdentityCard, message: WitnessRequest, now: int
) -> WitnessReply:
    """Keep what `card`'s site shows, if it continues what is kept; gives the answer: what is kept now, cosigned.

    One size with two roots is kept as evidence, for auditors: sites believe nothing that a researcher shows of others.

    Raises:
        RefusedError, InvalidInputError, NotAuthenticError: what it shows is no checkpoint of its log.
    """
    asked, lost = head_of(card, message.checkpoint), lost_heads(card, message.recovery)
    row = connection.execute("SELECT * FROM logs WHERE site = ?", (card.party,)).fetchone()
    kept = None if row is None else head_of(card, row["checkpoint"])
    if kept is not None and is_fork(kept, asked) and LostHead.of(kept) not in lost:
        evidence = (card.party, row["checkpoint"], own_note(card, message.checkpoint))
        connection.execute("INSERT OR IGNORE INTO two_histories (site, first, second) VALUES (?, ?, ?)", evidence)
    checkpoint, balance = own_note(card, message.checkpoint), message.balance
    if kept is None or Shown(asked, message.proof_from, message.proof, lost).follows(kept):
        connection.execute(
            "INSERT INTO logs (site, checkpoint, balance) VALUES (?, ?, ?) ON CONFLICT (site) DO UPDATE SET "
            "checkpoint = excluded.checkpoint, balance = excluded.balance",
            (card.party, checkpoint, balance),
        )
    else:
        checkpoint, balance = row["checkpoint"], row["balance"]
    cosigned = cosign(identity.cosigning, identity.party, checkpoint.encode(), now).decode()
    return WitnessReply(nonce=message.nonce, checkpoint=cosigned, balance=balance)


def save_checkpoints(state: State, identity: Identity, folder: Path, now: int) -> list[Path]:
    """Write what is kept of each site's log, cosigned, to a file of its own, and beside it evidence of two histories.

    «datasite verify --checkpoint» compares such a file with what a site shows its auditor.
    """
    with state.transaction() as connection:
        kept = connection.execute("SELECT site, checkpoint FROM logs ORDER BY site").fetchall()
        forks = connection.execute("SELECT site, first, second FROM two_histories ORDER BY site").fetchall()
    notes = {
        f"{row['site'][:16]}-kept": cosign(identity.cosigning, identity.party, row["checkpoint"].encode(), now)
        for row in kept
    }
    for row in forks:
        notes |= {f"{row['site'][:16]}-{which}": row[which].encode() for which in ("first", "second")}
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{name}.checkpoint" for name in notes]
    for file, note in zip(files, notes.values(), strict=True):
        file.write_bytes(note)
    return files
