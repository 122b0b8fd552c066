"""Each parser as one call that takes bytes, with all that it needs around it; and seeds that take more than a value."""

import os
import socket
import tempfile
import threading
from functools import cache
from pathlib import Path

from datasites.execution.ask_round import checked_model
from datasites.execution.trainer_messages import parse_message as parse_trainer_message
from datasites.protocol import blobs, content, envelope, relay_wire
from datasites.protocol.identity import IdentityCard
from datasites.relay.exchange import numbers
from datasites.sandbox.frames import Frame, read_frame
from datasites.store.home import Home, Settings, read_settings, write_settings
from datasites.store.waking import wake_calls
from policies.budget.costs import request_cost, request_epsilon
from policies.decision import MAXIMUM_SIGNED_DECISIONS_BYTES, SignedDecisions, verify_decisions
from policies.programs.check import check_program
from policies.programs.format import parse_program
from policies.review.findings import Findings, collect
from policies.review.source_findings import source_notes
from policies.statements.schema import parse_model
from policies.terms import MAXIMUM_TERMS_BYTES, Terms
from tests.fuzz import seeds

SMALL = 64 * 1024
_ORDER = 16
_MAXIMUM_FINDINGS_BYTES = 1 << 20
PROGRAM = parse_program(seeds.LOSS.encode())
_CARDS = {seeds.ADA.party: seeds.ADA.card}
_AUDIENCE, _METHOD, _PATH = "http://relay.example", "GET", "/mail?after=0&forget=0&wait=0"


@cache
def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="fuzz-")


def _scratch() -> Path:
    return Path(_temporary().name)


def written(data: bytes) -> Path:
    """The path of a file of these bytes."""
    path = _scratch() / str(os.getpid())
    path.write_bytes(data)
    return path


def try_program(data: bytes) -> None:
    program = parse_program(data)
    check_program(program, kind="loss" if program.output_names == ("loss",) else "metrics")


def try_bounds(data: bytes) -> None:
    from datasites.tensor_programs.bounds import check_bounds

    program = parse_program(data)
    check_bounds(program, kind="loss" if program.output_names == ("loss",) else "metrics")


def try_tensors(data: bytes) -> None:
    from datasites.tensor_programs.load import flatten, load_parameters, unflatten

    unflatten(flatten(load_parameters(data, PROGRAM, maximum_bytes=SMALL), PROGRAM), PROGRAM)


def try_terms(data: bytes) -> None:
    terms = parse_model(Terms, data, maximum_bytes=MAXIMUM_TERMS_BYTES, what="The terms")
    request_cost(terms, _ORDER)
    request_epsilon(terms)


def try_decision(data: bytes) -> None:
    signed = parse_model(SignedDecisions, data, maximum_bytes=MAXIMUM_SIGNED_DECISIONS_BYTES, what="The decision")
    verify_decisions(signed, seeds.OWNER.public_key().public_bytes_raw(), seeds.ADA.party)


def letter(payload: bytes) -> bytes:
    return seeds.sealed(seeds.ADA, seeds.SITE.card, 1, payload)


def _pinned(party: str) -> IdentityCard | None:
    return _CARDS.get(party)


def try_letter(data: bytes) -> None:
    envelope.open_envelope(seeds.SITE, data, _pinned)


def try_blob(data: bytes) -> None:
    """The first two bytes say how large the blob is said to be; the rest is what the relay gave for it."""
    size, ciphertext = int.from_bytes(data[:2], "big"), data[2:]
    reference = blobs.BlobReference(digest=blobs.blob_digest(ciphertext), size=size, key=seeds.key_bytes("blob").hex())
    blobs.open_blob(reference, (ciphertext[:100], ciphertext[100:]), SMALL)


def _nothing_fetched(_reference: blobs.BlobReference) -> tuple[bytes, ...]:
    raise AssertionError("content in a letter is fetched from nowhere")


def try_letter_content(data: bytes) -> None:
    """What the message says of its size is what comes, and nothing is asked of the relay."""
    given = parse_model(content.LetterContent, data, maximum_bytes=2 * SMALL, what="The content")
    assert sum(map(len, content.unwrap(given, SMALL, _nothing_fetched))) == given.plain_size


def try_model_vector(data: bytes) -> None:
    for _ in checked_model((data[:3], data[3:]), seeds.TERMS):
        pass


def try_relay_headers(data: bytes) -> None:
    lines = (line.partition(": ") for line in data.decode("latin-1").split("\n"))
    headers = {name: value for name, _, value in lines}
    request, signature = relay_wire.parse_headers(headers, _AUDIENCE, _METHOD, _PATH)
    request.verify(seeds.ADA.signing.public_key().public_bytes_raw(), signature)


def try_relay_letters(data: bytes) -> None:
    relay_wire.split_letters(data, 0)


def seed_relay_letters(*letters: bytes) -> bytes:
    return relay_wire.join_letters(enumerate(letters, start=2**64 - len(letters)))


def try_relay_query(data: bytes) -> None:
    assert all(0 <= number <= 2**53 for number in numbers(data.decode("latin-1"), after=2**53, forget=2**53, wait=25))


def seed_headers() -> bytes:
    fields = (seeds.ADA.party, _AUDIENCE, _METHOD, _PATH, "0" * 64, 1_900_000_000, "1" * 32, "2" * 32)
    request = relay_wire.SignedRequest(*fields)
    return "\n".join(f"{name}: {value}" for name, value in request.headers(seeds.ADA.signing).items()).encode()


def seed_blob() -> bytes:
    (sealed,) = blobs.sealed_chunks(seeds.key_bytes("blob"), (b"hello",), 5)
    return b"\0\5" + sealed


def try_frame(data: bytes) -> None:
    reading, writing = os.pipe()
    try:
        os.write(writing, data)
        os.close(writing)
        read_frame(reading, maximum_body=SMALL)
    finally:
        os.close(reading)


def seed_frame(frame: Frame) -> bytes:
    lengths = len(frame.header).to_bytes(8, "big") + len(frame.body).to_bytes(8, "big")
    return lengths + frame.header + bytes(frame.body)


def try_trainer_message(data: bytes) -> None:
    """As whichever message it says it is."""
    kinds = (type(it) for it in seeds.TRAINER if f'"type":"{it.type}"'.encode() in data)
    parse_trainer_message(next(kinds, type(seeds.TRAINER[0])), Frame(data))


def try_source(data: bytes) -> None:
    """Whatever a researcher writes is looked through: findings come of it, fit to be shown, and never an error."""
    findings = collect(source_notes({"plan.py": data}))
    parse_model(Findings, findings.canonical(), maximum_bytes=_MAXIMUM_FINDINGS_BYTES, what="The findings")


def try_settings(data: bytes) -> None:
    home = Home(_scratch() / f"home-{os.getpid()}")
    home.folder.mkdir(exist_ok=True)
    home.settings_file.write_bytes(data)
    read_settings(home)


def seed_settings() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        write_settings(home, Settings(name='Clinic "A"', relay="http://127.0.0.1:9", contact="owner@clinic-a.example"))
        return home.settings_file.read_bytes()


@cache
def _listener(_process: int) -> tuple[Home, threading.Semaphore]:
    home, heard, ready = Home(_scratch() / f"wake-{os.getpid()}"), threading.Semaphore(0), threading.Event()
    home.folder.mkdir()

    def listen() -> None:
        for _ in wake_calls(home):
            heard.release()

    threading.Thread(target=listen, daemon=True).start()
    while not home.wake_socket.exists():
        ready.wait(0.01)
    return home, heard


def try_wake(data: bytes) -> None:
    home, heard = _listener(os.getpid())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
        speaker.sendto(data, str(home.wake_socket))
    assert heard.acquire(timeout=5), "the listener no longer hears"
