# SPDX-License-Identifier: MIT OR Apache-2.0
"""One interface to the Rust crate, through examples/peer.rs, and to this package, so that scenarios can swap the
parties."""

import json
import random
import subprocess

from noescrow import client, errors, snapshot, stored_device, stored_session

SIDES = ("rust", "python")
DEFAULT_PEER = ["cargo", "run", "--quiet", "--release", "--example", "peer", "--"]


class Snapshot(bytes):
    """A sealed state, and whose it is."""

    subject: bytes

    @classmethod
    def of(cls, data: bytes, subject: bytes) -> "Snapshot":
        snapshot = cls(data)
        snapshot.subject = subject
        return snapshot

    def changed(self, data: bytes) -> "Snapshot":
        return Snapshot.of(data, self.subject)


class Rust:
    """A process of the peer."""

    def __init__(self, command: list[str], seed: int):
        self.process = subprocess.Popen([*command, str(seed)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.names = 0

    def name(self) -> str:
        self.names += 1
        return f"{self.names}"

    def ask(self, command: str, **arguments) -> dict:
        """Returns the answer, or raises the error that the answer names."""
        plain = {key: value.hex() if isinstance(value, bytes) else value for key, value in arguments.items()}
        self.process.stdin.write(json.dumps({"do": command, **plain}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise getattr(errors, answer["error"], RuntimeError)(answer["error"])
        return answer

    def bytes(self, command: str, result: str, **arguments) -> bytes:
        return bytes.fromhex(self.ask(command, **arguments)[result])

    def snapshot(self, **arguments) -> Snapshot:
        answer = self.ask("snapshot", **arguments)
        return Snapshot.of(bytes.fromhex(answer["snapshot"]), bytes.fromhex(answer["subject"]))

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


class RustSession:
    def __init__(self, rust: Rust, name: str):
        self.rust, self.name = rust, name

    def encrypt(self, plaintext: bytes, ad: bytes = b"") -> bytes:
        return self.rust.bytes("encrypt", "message", session=self.name, plaintext=plaintext, ad=ad)

    def decrypt(self, message: bytes, ad: bytes = b"") -> bytes:
        return self.rust.bytes("decrypt", "plaintext", session=self.name, message=message, ad=ad)

    def snapshot(self, key: bytes, generation: int) -> Snapshot:
        return self.rust.snapshot(session=self.name, key=key, generation=generation)

    def restore(self, data: Snapshot, key: bytes, newest: int = 0) -> "RustSession":
        name = self.rust.name()
        self.rust.ask("restore", session=name, snapshot=data, subject=data.subject, key=key, newest=newest)
        return RustSession(self.rust, name)

    def _status(self, item: str):
        return self.rust.ask("status", session=self.name).get(item)

    def id(self) -> bytes:
        return bytes.fromhex(self._status("id"))

    def digits(self) -> str:
        return self._status("digits")

    def scan(self) -> bytes:
        return bytes.fromhex(self._status("scan"))

    def epoch(self) -> int:
        return self._status("epoch")


class RustDevice:
    def __init__(self, rust: Rust, now: int, name: str | None = None):
        self.rust, self.name = rust, name or rust.name()
        if name is None:
            rust.ask("device", device=self.name, now=now)

    def bundle(self, one_time: bool, now: int) -> bytes:
        return self.rust.bytes("publish", "bundle", device=self.name, one_time=one_time, now=now)

    def rotate(self, now: int) -> None:
        self.rust.ask("rotate", device=self.name, now=now)

    def initiate(self, bundle: bytes, plaintext: bytes, ad: bytes, now: int, chunk: int) -> tuple[RustSession, bytes]:
        name = self.rust.name()
        arguments = {"bundle": bundle, "plaintext": plaintext, "ad": ad, "now": now, "chunk": chunk}
        message = self.rust.bytes("initiate", "message", device=self.name, session=name, **arguments)
        return RustSession(self.rust, name), message

    def accept(self, message: bytes, ad: bytes = b"") -> tuple[RustSession, bytes]:
        name = self.rust.name()
        plaintext = self.rust.bytes("accept", "plaintext", device=self.name, session=name, message=message, ad=ad)
        return RustSession(self.rust, name), plaintext

    def snapshot(self, key: bytes, generation: int) -> Snapshot:
        return self.rust.snapshot(device=self.name, key=key, generation=generation)

    def restore(self, data: Snapshot, key: bytes, newest: int = 0) -> "RustDevice":
        name = self.rust.name()
        self.rust.ask("restore", device=name, snapshot=data, subject=data.subject, key=key, newest=newest)
        return RustDevice(self.rust, 0, name)


def session_snapshot(session: client.Session, key: bytes, generation: int) -> Snapshot:
    return Snapshot.of(stored_session.snapshot_session(session, key, generation), snapshot.subject_of_session(session))


def device_snapshot(device: client.Device, key: bytes, generation: int) -> Snapshot:
    return Snapshot.of(stored_device.snapshot_device(device, key, generation), snapshot.subject_of_device(device))


class PythonSession:
    def __init__(self, session: client.Session, rng):
        self.session, self.rng = session, rng

    def encrypt(self, plaintext: bytes, ad: bytes = b"") -> bytes:
        return self.session.encrypt(plaintext, ad, self.rng)

    def decrypt(self, message: bytes, ad: bytes = b"") -> bytes:
        return self.session.decrypt(message, ad)

    def snapshot(self, key: bytes, generation: int) -> Snapshot:
        return session_snapshot(self.session, key, generation)

    def restore(self, data: Snapshot, key: bytes, newest: int = 0) -> "PythonSession":
        return PythonSession(stored_session.restore_session(data, key, data.subject, newest), self.rng)

    def id(self) -> bytes:
        return self.session.id

    def digits(self) -> str:
        return self.session.safety_number().digits()

    def scan(self) -> bytes:
        return self.session.safety_number().scan()

    def epoch(self) -> int:
        if self.session.triple.sparse is None:
            raise errors.Abandoned
        return self.session.triple.sparse.braid.epoch


class PythonDevice:
    def __init__(self, rng, now: int, device: client.Device | None = None):
        self.rng, self.device = rng, device or client.Device.generate(now, rng)

    def bundle(self, one_time: bool, now: int) -> bytes:
        prekey = self.device.one_time_prekey(now, self.rng) if one_time else None
        return self.device.bundle(prekey).to_bytes()

    def rotate(self, now: int) -> None:
        self.device.rotate(now, self.rng)

    def initiate(self, bundle: bytes, plaintext: bytes, ad: bytes, now: int, chunk: int) -> tuple[PythonSession, bytes]:
        session, message = self.device.initiate(bundle, plaintext, ad, now, chunk, self.rng)
        return PythonSession(session, self.rng), message

    def accept(self, message: bytes, ad: bytes = b"") -> tuple[PythonSession, bytes]:
        session, plaintext = self.device.accept(message, ad)
        return PythonSession(session, self.rng), plaintext

    def snapshot(self, key: bytes, generation: int) -> Snapshot:
        return device_snapshot(self.device, key, generation)

    def restore(self, data: Snapshot, key: bytes, newest: int = 0) -> "PythonDevice":
        return PythonDevice(self.rng, 0, stored_device.restore_device(data, key, data.subject, newest))


class Environment:
    """A peer, and reproducible randomness."""

    def __init__(self, command: list[str], seed: int):
        self.rust, self.random = Rust(command, seed), random.Random(seed)

    def device(self, side: str, now: int = 50):
        return RustDevice(self.rust, now) if side == "rust" else PythonDevice(self.random.randbytes, now)
