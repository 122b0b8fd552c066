"""Every parser that faces outside, as a fuzzer calls it: what it may raise, its size limit, values that it accepts."""

import os
import socket
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from datasites.catalog.csv_reader import read_table
from datasites.execution import trainer_process
from datasites.execution.ask_round import parse_model_vector
from datasites.execution.frames import MAXIMUM_HEADER_BYTES, Frame, read_frame
from datasites.execution.trainer_messages import parse_message as parse_trainer_message
from datasites.protocol import blobs, envelope, relay_wire
from datasites.protocol.identity import MAXIMUM_CARD_BYTES, IdentityCard, parse_card
from datasites.protocol.messages import MAXIMUM_MESSAGE_BYTES, parse_message
from datasites.store.home import Home, Settings, read_settings, write_settings
from datasites.store.waking import wake_calls
from policies.budget.costs import request_cost, request_epsilon
from policies.decision import MAXIMUM_SIGNED_DECISION_BYTES, SignedDecision, verify_decision
from policies.errors import CloisterError, InvalidInputError, NotAuthenticError, UnavailableError
from policies.house_rules import DEFAULT_HOUSE_RULES, MAXIMUM_HOUSE_RULES_BYTES, parse_house_rules
from policies.log.bundle import MAXIMUM_BUNDLE_BYTES, read_bundle
from policies.log.checkpoint import MAXIMUM_CHECKPOINT_BYTES, parse_checkpoint
from policies.log.entries import MAXIMUM_ENTRY_BYTES, parse_entry
from policies.log.verify import Pinned, verify_bundle
from policies.manifest import MAXIMUM_MANIFEST_BYTES, parse_manifest, parse_published_manifest
from policies.programs.check import check_program
from policies.programs.format import MAXIMUM_PROGRAM_BYTES, parse_program
from policies.programs.parameters import read_parameters
from policies.statements.canonical import parse_json
from policies.statements.schema import parse_model
from policies.terms import MAXIMUM_TERMS_BYTES, Terms
from tests.attacks.honest_log import HONEST, note
from tests.conftest import CLINIC
from tests.fuzz import seeds
from tests.fuzz.forms import BYTES, ENVELOPE, JSON, LINES, SAFETENSORS, TOML, Form

_SMALL = 64 * 1024
_LONGEST_SENTENCE = 4000
_ORDER = 16
_PROGRAM = parse_program(seeds.LOSS.encode())
_CARDS = {seeds.ADA.party: seeds.ADA.card}
_AUDIENCE, _METHOD, _PATH = "http://relay.example", "GET", "/mail?after=0&wait=0"


@dataclass(frozen=True)
class Target:
    """One parser. `parse` takes any bytes and returns, or raises one of `errors`; a seed it must accept.

    `limit` is the parser's own bound on its input; None where what carries the bytes has it. `share` is how many
    inputs it gets beside the others, less where each takes long.
    """

    name: str
    parse: Callable[[bytes], object]
    form: Form
    seeds: tuple[bytes, ...]
    errors: tuple[type[CloisterError], ...] = (InvalidInputError,)
    limit: int | None = None
    share: float = 1.0
    memory: int = 256 << 20
    seconds: int = 20
    longest: int = 4 * 1024

    def accepts(self, data: bytes) -> bool:
        """Whether the parser takes `data`; what it raises beside its errors comes out, and so do bad sentences."""
        try:
            self.parse(data)
        except self.errors as error:
            sentence = str(error)
            if not sentence or len(sentence) > _LONGEST_SENTENCE or not sentence.replace("\n", "").isprintable():
                raise AssertionError(f"The error is no sentence for people: {sentence[:500]!r}.") from error
            return False
        return True


@cache
def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="fuzz-")


def _scratch() -> Path:
    return Path(_temporary().name)


def _file(data: bytes) -> Path:
    path = _scratch() / str(os.getpid())
    path.write_bytes(data)
    return path


def _check_program(data: bytes) -> None:
    program = parse_program(data)
    check_program(program, kind="loss" if program.output_names == ("loss",) else "metrics")


def _check_bounds(data: bytes) -> None:
    from datasites.tensor_programs.bounds import check_bounds

    program = parse_program(data)
    check_bounds(program, kind="loss" if program.output_names == ("loss",) else "metrics")


def _load_tensors(data: bytes) -> None:
    from datasites.tensor_programs.load import flatten, load_parameters, unflatten

    unflatten(flatten(load_parameters(data, _PROGRAM, maximum_bytes=_SMALL), _PROGRAM), _PROGRAM)


def _weigh_terms(data: bytes) -> None:
    terms = parse_model(Terms, data, maximum_bytes=MAXIMUM_TERMS_BYTES, what="The terms")
    request_cost(terms, _ORDER)
    request_epsilon(terms)


def _check_decision(data: bytes) -> None:
    signed = parse_model(SignedDecision, data, maximum_bytes=MAXIMUM_SIGNED_DECISION_BYTES, what="The decision")
    verify_decision(signed, seeds.OWNER.public_key().public_bytes_raw())


def _letter(payload: bytes) -> bytes:
    return seeds.sealed(seeds.ADA, seeds.SITE.card, 1, payload)


def _pinned(party: str) -> IdentityCard | None:
    return _CARDS.get(party)


def _open_letter(data: bytes) -> None:
    envelope.open_envelope(seeds.SITE, data, _pinned)


def _open_blob(data: bytes) -> None:
    """The first two bytes say how large the blob is said to be; the rest is what the relay gave for it."""
    size, ciphertext = int.from_bytes(data[:2], "big"), data[2:]
    reference = blobs.BlobReference(digest=blobs.blob_digest(ciphertext), size=size, key=seeds.key_bytes("blob").hex())
    blobs.open_blob(reference, ciphertext, _SMALL)


def _relay_headers(data: bytes) -> None:
    lines = (line.partition(": ") for line in data.decode("latin-1").split("\n"))
    headers = {name: value for name, _, value in lines}
    request, signature = relay_wire.parse_headers(headers, _AUDIENCE, _METHOD, _PATH)
    request.verify(seeds.ADA.signing.public_key().public_bytes_raw(), signature)


def _relay_letters(data: bytes) -> None:
    relay_wire.split_letters(data, 0)


def _seed_headers() -> bytes:
    request = relay_wire.SignedRequest(seeds.ADA.party, _AUDIENCE, _METHOD, _PATH, "0" * 64, 1_900_000_000, "1" * 32)
    return "\n".join(f"{name}: {value}" for name, value in request.headers(seeds.ADA.signing).items()).encode()


def _seed_blob() -> bytes:
    cipher = blobs.ChaCha20Poly1305(seeds.key_bytes("blob"))
    return b"\0\5" + cipher.encrypt(blobs._nonce(0, 1), b"hello", None)


def _read_frame(data: bytes) -> None:
    reading, writing = os.pipe()
    try:
        os.write(writing, data)
        os.close(writing)
        read_frame(reading, maximum_body=_SMALL)
    finally:
        os.close(reading)


def _seed_frame(frame: Frame) -> bytes:
    lengths = len(frame.header).to_bytes(8, "big") + len(frame.body).to_bytes(8, "big")
    return lengths + frame.header + bytes(frame.body)


def _trainer_message(data: bytes) -> None:
    """As whichever message it says it is."""
    kinds = (type(it) for it in seeds.TRAINER if f'"type":"{it.type}"'.encode() in data)
    parse_trainer_message(next(kinds, type(seeds.TRAINER[0])), Frame(data))


def _trainer_result(data: bytes) -> None:
    if trainer_process._checked_arrays(data, seeds.RESULT_LIKE) is None:
        raise InvalidInputError("refused")


def _read_csv(data: bytes) -> None:
    read_table(_file(data), seeds.MANIFEST)


def _read_settings(data: bytes) -> None:
    home = Home(_scratch() / f"home-{os.getpid()}")
    home.folder.mkdir(exist_ok=True)
    home.settings_file.write_bytes(data)
    read_settings(home)


def _seed_settings() -> bytes:
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


def _wake(data: bytes) -> None:
    home, heard = _listener(os.getpid())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
        speaker.sendto(data, str(home.wake_socket))
    assert heard.acquire(timeout=5), "the listener no longer hears"


_LETTERS = tuple(_letter(message.canonical()) for message in seeds.MESSAGES[:2])
_DOCUMENTS = tuple(message.canonical() for message in seeds.MESSAGES)
_PROGRAMS = (seeds.LOSS.encode(), seeds.METRICS.encode())
_SEALED_ERRORS = (InvalidInputError, NotAuthenticError)
_HEADER_LIMIT = envelope.MAXIMUM_ENVELOPE_BYTES

TARGETS: tuple[Target, ...] = (
    Target("json", partial(parse_json, maximum_bytes=_SMALL, what="It"), JSON, seeds.JSON_TEXTS, limit=_SMALL),
    Target("message", parse_message, JSON, _DOCUMENTS, limit=MAXIMUM_MESSAGE_BYTES),
    Target(
        "card",
        parse_card,
        JSON,
        (seeds.ADA.card.canonical(), seeds.SITE.card.canonical()),
        _SEALED_ERRORS,
        MAXIMUM_CARD_BYTES,
    ),
    Target("manifest", parse_manifest, TOML, (CLINIC.encode(),), limit=MAXIMUM_MANIFEST_BYTES),
    Target(
        "published-manifest",
        parse_published_manifest,
        JSON,
        (seeds.MANIFEST.canonical(),),
        limit=MAXIMUM_MANIFEST_BYTES,
    ),
    Target("house-rules", parse_house_rules, TOML, (DEFAULT_HOUSE_RULES.encode(),), limit=MAXIMUM_HOUSE_RULES_BYTES),
    Target("settings", _read_settings, TOML, (_seed_settings(),), limit=_SMALL),
    Target("terms", _weigh_terms, JSON, (seeds.TERMS.canonical(),), (CloisterError,), MAXIMUM_TERMS_BYTES, share=0.5),
    Target("program", _check_program, JSON, _PROGRAMS, limit=MAXIMUM_PROGRAM_BYTES),
    Target("program-bounds", _check_bounds, JSON, _PROGRAMS, limit=MAXIMUM_PROGRAM_BYTES, share=0.1),
    Target(
        "parameters",
        lambda data: read_parameters(data, _PROGRAM, maximum_bytes=_SMALL),
        SAFETENSORS,
        (seeds.PARAMETERS,),
        limit=_SMALL,
    ),
    Target("tensors", _load_tensors, SAFETENSORS, (seeds.PARAMETERS,), limit=_SMALL, share=0.5),
    Target("model-vector", lambda data: parse_model_vector(data, seeds.TERMS), BYTES, (seeds.MODEL,)),
    Target(
        "decision", _check_decision, JSON, (seeds.DECISION.canonical(),), _SEALED_ERRORS, MAXIMUM_SIGNED_DECISION_BYTES
    ),
    Target("envelope-header", envelope.read_header, ENVELOPE, _LETTERS, limit=_HEADER_LIMIT),
    Target("letter", _open_letter, ENVELOPE, _LETTERS, _SEALED_ERRORS, _HEADER_LIMIT),
    Target("sealed-message", lambda data: _open_letter(_letter(data)), JSON, _DOCUMENTS, share=0.5),
    Target("relay-headers", _relay_headers, BYTES, (_seed_headers(),), _SEALED_ERRORS),
    Target("relay-letters", _relay_letters, BYTES, (relay_wire.join_letters(enumerate(_LETTERS, start=1)),)),
    Target("blob", _open_blob, BYTES, (_seed_blob(),), _SEALED_ERRORS),
    Target("log-entry", parse_entry, JSON, tuple(entry.canonical() for entry in HONEST), limit=MAXIMUM_ENTRY_BYTES),
    Target("bundle", read_bundle, LINES, (seeds.LOG_BUNDLE,), limit=MAXIMUM_BUNDLE_BYTES),
    Target(
        "log",
        lambda data: verify_bundle(data, Pinned()),
        LINES,
        (seeds.LOG_BUNDLE,),
        limit=MAXIMUM_BUNDLE_BYTES,
        share=0.2,
    ),
    Target("checkpoint", parse_checkpoint, BYTES, (note(HONEST),), limit=MAXIMUM_CHECKPOINT_BYTES),
    Target("frame", _read_frame, BYTES, (_seed_frame(Frame(b"{}", b"body")),), (InvalidInputError, UnavailableError)),
    Target(
        "trainer-message",
        _trainer_message,
        JSON,
        tuple(it.canonical() for it in seeds.TRAINER),
        limit=MAXIMUM_HEADER_BYTES,
    ),
    Target("trainer-result", _trainer_result, SAFETENSORS, (seeds.RESULT,)),
    Target("table", _read_csv, BYTES, (seeds.CSV,), share=0.5),
    Target("wake", _wake, BYTES, (b"\0",), share=0.2),
)
