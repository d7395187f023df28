# SPDX-License-Identifier: MIT OR Apache-2.0
"""Makes a transcript in the form of spec/vectors: plays events on this package's client and writes down what they give."""

import copy
import hashlib
import json
from pathlib import Path

from noescrow import client, double, snapshot, stored_device, stored_session
from replay import WORDS, Replay

STORAGE_KEY = bytes([0xA5]) * 32
LONG = 1_000
"""Bytes from which on an event is abbreviated."""
NOW, LATER = 1_000, 2_000
"""The time of everything, and a later one."""


class Unexpected(Exception):
    """An event has another outcome than the scenario needs."""


class Generator:
    """Reproducible randomness."""

    def __init__(self, seed: str):
        self.seed, self.count = seed.encode(), 0

    def __call__(self, length: int) -> bytes:
        self.count += 1
        return hashlib.shake_256(self.seed + self.count.to_bytes(4, "big")).digest(length)


class Recording:
    """Draws from a generator, or first from what a scenario chose, and remembers."""

    def __init__(self, rng, chosen: list[bytes]):
        self.rng, self.chosen, self.draws = rng, list(chosen), []

    def __call__(self, length: int) -> bytes:
        drawn = self.chosen.pop(0) if self.chosen else self.rng(length)
        if len(drawn) != length:
            raise Unexpected(f"{len(drawn)} bytes were chosen for a draw of {length}")
        self.draws.append(drawn)
        return drawn


def _purposes(do: str, draws: list[bytes], steps: bool) -> list[dict]:
    """What each draw is for, by its length and place."""
    named, after_salt = [], do == "send"
    for at, draw in enumerate(draws):
        match do, len(draw):
            case "device", 32:
                entry = {"for": ("signing seed", "IK private key", "X25519 private key")[min(at, 2)]}
            case _, 4:
                entry = {"for": "id"}
            case "publish" | "rotate" | "maintain" | "make", 32:
                entry = {"for": "X25519 private key"}
            case "device" | "publish" | "rotate" | "maintain" | "make", 64:
                entry = {"for": "KEM seed"}
            case _, 8:
                entry, after_salt = {"for": "salt", "step": "DR-E0"}, True
            case _, 64:
                entry = {"for": "seed", "step": "BR-1"}
            case "initiate", 32 if not after_salt:
                entry = {"for": ("EK private key", "coins")[at], "step": "HS-I3"}
            case _:
                is_step = steps and not any(entry.get("step") == "DR-E1" for entry in named)
                entry = {"for": "DHs private key", "step": "DR-E1"} if is_step else {"for": "coins", "step": "BR-7"}
        named.append({"bytes": draw.hex(), "len": len(draw), **entry})
    return named


class Stage:
    def __init__(self, name: str, comment: str):
        self.name, self.comment, self.rng = name, comment, Generator(name)
        self.replay = Replay([])
        self.before: dict[int, client.Session] = {}
        """The sender's state before each `send`, by event."""

    @property
    def events(self) -> list[dict]:
        return self.replay.events

    def device_of(self, name: str) -> client.Device:
        return self.replay.devices[name]

    def session(self, name: str) -> client.Session:
        return self.replay.sessions[name]

    def play(self, do: str, refused: str | None = None, why: str = "", chosen: list[bytes] = (), **inputs) -> dict:
        event = {"at": len(self.events), "do": do} | ({"why": why} if why else {})
        event |= {name: value.hex() if isinstance(value, bytes) else value for name, value in inputs.items()}
        if "bytes" in event and do != "restore" or "bundle" in event:
            self._abbreviate(event, "bytes" if "bytes" in event else "bundle")
        session = self.replay.sessions.get(inputs.get("session"))
        steps = do == "initiate" or (session and isinstance(getattr(session.triple.double, "sending", None), double.Due))
        if do in ("accept", "initiate", "foreign"):
            event |= {"exporter": ""} | ({"opening_id": ""} if do == "accept" else {})
        if do == "deliver":
            event["number"] = 0
        draws = Recording(self.rng, chosen)
        if do == "send":
            self.before[event["at"]] = copy.deepcopy(session)
        try:
            results, word = getattr(self.replay, f"do_{do}")(event, draws), None
        except tuple(WORDS.values()) as error:
            results, word = {}, next(word for word, kind in WORDS.items() if kind is type(error))
        if word != refused:
            raise Unexpected(f"{self.name}, event {event['at']}, {do}, {why}: {word} instead of {refused}")
        if word:
            for name in ("exporter", "opening_id", "number"):
                event.pop(name, None)
            event["refused"] = word
            if do == "compare":
                results = self.replay.numbers(event)
        self.replay.add_states(event, results)
        event |= {name: value.hex() if isinstance(value, bytes) else value for name, value in results.items()}
        if event.get("exporter", "") is None:
            del event["exporter"]
        if draws.draws:
            event["draws"] = _purposes(do, draws.draws, steps)
        self.events.append(event)
        return event

    def _abbreviate(self, event: dict, name: str) -> None:
        """Long bytes that differ little from those of an earlier event are given as what differs."""
        data, shortest = bytes.fromhex(event[name]), len(event[name]) // 2
        for base in self.events if len(data) >= LONG else []:
            literal = bytes.fromhex(base.get("bytes") or base.get("bundle") or "") if base["do"] != "restore" else b""
            edits = _edits(literal, data) if len(literal) == len(data) else None
            if edits is not None and sum(len(text) + 10 for _, text in edits) < shortest:
                shortest = sum(len(text) + 10 for _, text in edits)
                event.pop(name, None)
                event |= {"base": base["at"], "edits": edits}

    # Shorter forms.

    def device(self, name: str, **more) -> client.Device:
        self.play("device", device=name, now=NOW, **more)
        return self.device_of(name)

    def publish(self, name: str, count: int = 1, **more) -> list[bytes]:
        return [bytes.fromhex(key) for key in self.play("publish", device=name, count=count, now=NOW, **more)["one_time_prekeys"]]

    def initiate(self, session: str, bundle: bytes, device: str = "Alice", chunk: int = 32, now: int = NOW, **more) -> dict:
        more = {"plaintext": b"hello", "associated_data": b""} | more
        return self.play("initiate", device=device, session=session, bundle=bundle, now=now, chunk_size=chunk, **more)

    def accept(self, session: str, message: dict | bytes, device: str = "Bob", **more) -> dict:
        more = {"associated_data": b""} | _source(message) | more
        return self.play("accept", device=device, session=session, **more)

    def refuse(self, message: dict | bytes, device: str = "Bob", **more) -> dict:
        return self.play("refuse", device=device, **_source(message), **more)

    def send(self, session: str, text: bytes = b"text", **more) -> dict:
        return self.play("send", session=session, **({"plaintext": text, "associated_data": b""} | more))

    def deliver(self, session: str, message: dict | bytes, refused: str | None = None, why: str = "", **more) -> dict:
        more = {"associated_data": b""} | _source(message) | more
        return self.play("deliver", session=session, refused=refused, why=why, **more)

    def pass_on(self, sender: str, receiver: str, text: bytes = b"text") -> dict:
        return self.deliver(receiver, self.send(sender, text))

    def bundle(self, name: str, one_time: bytes | None = None) -> bytes:
        device = self.device_of(name)
        return device.bundle().to_bytes()[:-1] + (b"\0" if one_time is None else b"\1" + one_time)

    def pair(self, name: str, chunk: int = 32, answered: bool = True) -> tuple[str, str]:
        """Two sessions of Alice and Bob, by their names."""
        a, b = f"{name} A", f"{name} B"
        self.accept(b, self.initiate(a, self.bundle("Bob"), chunk=chunk))
        if answered:
            self.pass_on(b, a)
        return a, b

    def put(self, name: str, state: client.Session | client.Device | bytes, refused: str | None = None, why: str = "", of: str = "", **more) -> dict:
        """Restores a state that the scenario made; `bytes` are a state of the session or device called `of`."""
        kind = "device" if (of or name) in self.replay.devices and (of or name) not in self.replay.sessions else "session"
        if isinstance(state, (client.Session, client.Device)):
            encoded = stored_session.session_state(state) if kind == "session" else stored_device.device_state(state)
        else:
            encoded = state
        if kind == "session":
            owner = state if isinstance(state, client.Session) else self.session(of or name)
            number, subject = snapshot.SESSION, snapshot.subject_of_session(owner)
        else:
            owner = state if isinstance(state, client.Device) else self.device_of(of or name)
            number, subject = snapshot.DEVICE, snapshot.subject_of_device(owner)
        sealed = snapshot.seal(number, encoded, STORAGE_KEY, 1, subject)
        return self.restore(kind, name, sealed, subject, refused=refused, why=why, **more)

    def restore(self, kind: str, name: str, data: bytes, subject: bytes, newest: int = 0, key: bytes = STORAGE_KEY, **more) -> dict:
        return self.play("restore", kind=kind, name=name, storage_key=key, newest=newest, subject=subject, bytes=data, **more)

    def parse(self, kind: str, data: bytes, refused: str | None = None, why: str = "", **more) -> dict:
        return self.play("parse", kind=kind, bytes=data, refused=refused, why=why, **more)

    def transcript(self) -> dict:
        return {
            "protocol": "noescrow 1",
            "document": "spec/protocol.md",
            "document_version": 3,
            "format": 1,
            "comment": self.comment,
            "event_count": len(self.events),
            "events": self.events,
        }

    def write(self, directory: Path) -> None:
        text = self.transcript()
        lines = ",\n".join(json.dumps(event, sort_keys=True, separators=(",", ":")) for event in text.pop("events"))
        head = json.dumps(text, indent=1)[:-2]
        (directory / f"{self.name}.json").write_text(f'{head},\n "events": [\n{lines}\n]}}\n')


def _edits(old: bytes, new: bytes) -> list[list]:
    """Place and bytes of what differs; a few equal bytes between are taken along."""
    edits: list[list[int]] = []
    for at in (at for at in range(len(new)) if old[at] != new[at]):
        if edits and at - edits[-1][1] < 8:
            edits[-1][1] = at + 1
        else:
            edits.append([at, at + 1])
    return [[begin, new[begin:end].hex()] for begin, end in edits]


def _source(message: dict | bytes) -> dict:
    return {"bytes": message} if isinstance(message, bytes) else {"of": message["at"]}
