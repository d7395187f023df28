# SPDX-License-Identifier: MIT OR Apache-2.0
"""Replays the test vectors: with the randomness in the file every byte must come out as listed. Then alters them, one
byte at a time, to check that it detects this.

    python3 replay.py [DIRECTORY]        (default: ../vectors)
"""

import copy
import hashlib
import hmac
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from noescrow import client, errors, identity, mlkem, policy, prekeys, primitives, stored_device, stored_session, wire


class Difference(Exception):
    """A result differs from the listed one."""


WORDS = {
    "refused": errors.Refused,
    "too many skipped": errors.TooManySkipped,
    "key gone": errors.KeyGone,
    "prekey gone": errors.PrekeyGone,
    "unexpected identity": errors.UnexpectedIdentity,
    "handshake already accepted": errors.Repeated,
    "replay record full": errors.ReplayRecordFull,
    "expired": errors.Expired,
    "abandoned": errors.Abandoned,
    "nothing received yet": errors.NotYetReceived,
    "chain exhausted": errors.ChainExhausted,
    "too long": errors.TooLong,
    "older generation": errors.Rollback,
    "newer version": errors.NewerVersion,
    "malformed": identity.Malformed,
    "mismatch": identity.Mismatch,
}


class Seen:
    """All inputs and outputs of the primitives while it is installed. Everything derived passes through here, so a
    listed intermediate value must be a part of one of them."""

    def __init__(self):
        self.parts: list[bytes] = []

    def __contains__(self, value: bytes) -> bool:
        """Whether the value is a part of an input or output; a short one must be the whole of it."""
        return any(value == part or (len(value) >= 12 and value in part) for part in self.parts)

    def _hash(self, name: str):
        def hashed(data: bytes):
            self.parts += [data, getattr(hashlib, name)(data).digest()] if "shake" not in name else []
            return getattr(hashlib, name)(data)

        return hashed

    def __enter__(self) -> "Seen":
        def digest(key: bytes, message: bytes, name: str) -> bytes:
            output = hmac.digest(key, message, name)
            self.parts += [key, message, output]
            return output

        seen, right = self, primitives.AESGCM

        class Aead:
            def __init__(self, key: bytes):
                self.key = key

            def encrypt(self, nonce: bytes, plaintext: bytes, associated_data: bytes) -> bytes:
                seen.parts += [self.key, nonce, plaintext, associated_data]
                return right(self.key).encrypt(nonce, plaintext, associated_data)

            def decrypt(self, nonce: bytes, sealed: bytes, associated_data: bytes) -> bytes:
                plaintext = right(self.key).decrypt(nonce, sealed, associated_data)
                seen.parts += [self.key, nonce, plaintext, associated_data]
                return plaintext

        names = ("sha256", "sha3_256", "sha3_512", "shake_128", "shake_256")
        hashes = SimpleNamespace(**{name: self._hash(name) for name in names})
        self.replaced = [
            (primitives, "_hmac", SimpleNamespace(digest=digest, compare_digest=hmac.compare_digest)),
            (primitives, "hashlib", hashes),
            (mlkem, "hashlib", hashes),
            (primitives, "AESGCM", Aead),
        ]
        self.right = [getattr(module, name) for module, name, _ in self.replaced]
        for module, name, observed in self.replaced:
            setattr(module, name, observed)
        return self

    def __exit__(self, *_) -> None:
        for (module, name, _), right in zip(self.replaced, self.right):
            setattr(module, name, right)


class Draws:
    """The draws of an event, in order."""

    def __init__(self, draws: list[dict]):
        self.draws = [bytes.fromhex(draw["bytes"]) for draw in draws]
        for draw, listed in zip(self.draws, draws):
            same("len", len(draw), listed["len"])

    def __call__(self, length: int) -> bytes:
        if not self.draws or len(self.draws[0]) != length:
            raise Difference(f"draws {length} bytes that are not listed")
        return self.draws.pop(0)

    def finish(self) -> None:
        if self.draws:
            raise Difference("a listed draw is not drawn")


def same(what: str, computed, listed) -> None:
    if computed != listed:
        raise Difference(f"{what}: {computed!r:.80} instead of {listed!r:.80}")


def optional(event: dict, **results) -> dict:
    """The results that the event lists."""
    return {name: result for name, result in results.items() if name in event}


def time_of(event: dict) -> int:
    """A time is a number, or 8 bytes if a number of JSON cannot hold it."""
    now = event["now"]
    return now if isinstance(now, int) else int.from_bytes(bytes.fromhex(now), "big")


def bounds_of(event: dict) -> policy.Bounds:
    return policy.Bounds(**event.get("capacity", {}))


def grouped(digits: str) -> str:
    return " ".join(digits[i : i + 5] for i in range(0, 60, 5))


class NotSeen:
    """In place of `Seen`, where intermediate values are not compared."""

    def __enter__(self) -> "NotSeen":
        return self

    def __exit__(self, *_) -> None:
        pass


class Replay:
    compares_values = True
    """Whether intermediate values are compared; if not, an implementation is judged by its outputs alone."""

    def __init__(self, events: list[dict]):
        self.events = events
        self.devices: dict[str, client.Device] = {}
        self.sessions: dict[str, client.Session] = {}

    def run(self) -> None:
        for at, event in enumerate(self.events):
            same("at", at, event["at"])
            try:
                self.play(event)
            except Difference as difference:
                raise Difference(f"event {at} ({event['do']}): {difference}") from None

    def play(self, event: dict) -> None:
        draws = Draws(event.get("draws", []))
        with Seen() if self.compares_values else NotSeen() as seen:
            try:
                results, refused = getattr(self, f"do_{event['do']}")(event, draws), None
            except tuple(WORDS.values()) as error:
                results, refused = {}, next(word for word, kind in WORDS.items() if kind is type(error))
        same("refused", refused, event.get("refused"))
        draws.finish()
        if refused and event["do"] == "compare":
            results = self.numbers(event)
        self.add_states(event, results)
        for name, result in results.items():
            computed = result.hex() if isinstance(result, bytes) else result
            same(name, computed, event.get(name))
        same("members", set(event) - set(results) - INPUTS, set())
        for step, values in event.get("values", {}).items() if self.compares_values else ():
            for name, listed in values.items():
                for value in listed if isinstance(listed, list) else [listed]:
                    if bytes.fromhex(value) not in seen:
                        raise Difference(f"{step} {name} {value:.40} is not computed")

    def add_states(self, event: dict, results: dict) -> None:
        """Adds the digests that are listed after events on a session or device."""
        kind, name = event.get("kind"), event.get("name")
        session = self.sessions.get(event.get("session", name if kind == "session" else None))
        device = self.devices.get(event.get("device", name if kind == "device" else None))
        failed_restore = event["do"] == "restore" and "refused" in event
        if session is not None and not (event["do"] in ("accept", "initiate", "restore", "foreign") and "refused" in event):
            results["session_sha256"] = primitives.sha256(stored_session.session_state(session))
            results["epoch"] = 0 if session.is_abandoned else session.triple.sparse.newest
            if session.is_abandoned:
                results["abandoned"] = True
        if device is not None and not (event["do"] == "initiate" and "refused" not in event) and not failed_restore:
            results["device_sha256"] = primitives.sha256(stored_device.device_state(device))

    def given(self, event: dict, name: str) -> bytes:
        """An input: written out, or as another event's with some bytes replaced."""
        if name in event:
            return bytes.fromhex(event[name])
        base = self.events[event["base"]]
        data = bytearray.fromhex(base["bytes"] if "bytes" in base else base["bundle"])
        for at, text in event["edits"]:
            data[at : at + len(text) // 2] = bytes.fromhex(text)
        return bytes(data)

    def bytes_of(self, event: dict, name: str) -> bytes:
        return bytes.fromhex(self.events[event["of"]][name]) if "of" in event else self.given(event, "bytes")

    def do_device(self, event: dict, draws: Draws) -> dict:
        device = self.devices[event["device"]] = client.Device.generate(time_of(event), draws)
        return {"identity": device.identity.to_bytes(), "signed_prekey": device.bundle().signed.to_bytes()}

    def do_publish(self, event: dict, draws: Draws) -> dict:
        device = self.devices[event["device"]]
        made = [device.one_time_prekey(event["now"], draws) for _ in range(event["count"])]
        return {"one_time_prekeys": [prekey.to_bytes().hex() for prekey in made]}

    def do_rotate(self, event: dict, draws: Draws) -> dict:
        return {"signed_prekey": self.devices[event["device"]].rotate(time_of(event), draws).to_bytes()}

    def do_maintain(self, event: dict, draws: Draws) -> dict:
        device = self.devices[event["device"]]
        before = device.ids
        upload = device.maintain(time_of(event), event["server_has"], draws)
        offered = sorted(upload.one_time, key=lambda prekey: prekey.id)
        signed = [upload.signed] if upload.signed else []
        uploaded = b"".join(prekey.to_bytes() for prekey in signed + offered)
        results = {"offered": [prekey.id for prekey in offered], "deleted": sorted(before - device.ids)}
        results["uploaded_sha256"] = primitives.sha256(uploaded)
        return results | ({"rotated": True} if upload.signed else {})

    def do_make(self, event: dict, draws: Draws) -> dict:
        device = self.devices[event["device"]]
        before = device.ids
        made = device.one_time_prekey(time_of(event), draws)
        return {"made": made.id, "deleted": sorted(before - device.ids)}

    def do_delete(self, event: dict, draws: Draws) -> dict:
        device = self.devices[event["device"]]
        before = device.ids
        device.delete(time_of(event))
        return {"deleted": sorted(before - device.ids)}

    def do_initiate(self, event: dict, draws: Draws) -> dict:
        bundle, plaintext, ad = (self.given(event, name) for name in ("bundle", "plaintext", "associated_data"))
        device = self.devices[event["device"]]
        expected = event.get("expected_identity")
        expected = identity.Identity.from_bytes(bytes.fromhex(expected)) if expected else None
        session, message = device.initiate(bundle, plaintext, ad, event["now"], event["chunk_size"], draws, expected)
        self.sessions[event["session"]] = session
        return {"message": message, "session_id": session.id} | optional(event, exporter=session.exporter)

    def do_accept(self, event: dict, draws: Draws) -> dict:
        message, ad = self.bytes_of(event, "message"), bytes.fromhex(event["associated_data"])
        session, plaintext = self.devices[event["device"]].accept(message, ad)
        self.sessions[event["session"]] = session
        remote = session.remote.to_bytes()
        results = {"plaintext": plaintext, "session_id": session.id, "remote_identity": remote}
        if session.exporter is None and event.get("exporter"):
            raise AssertionError("an exporter of a session that is over")
        return results | optional(event, exporter=session.exporter, opening_id=session.opening_id)

    def do_refuse(self, event: dict, draws: Draws) -> dict:
        pending = self.devices[event["device"]].open(self.bytes_of(event, "message"))
        pending.refuse()
        return {"remote_identity": pending.remote_identity.to_bytes()}

    def do_foreign(self, event: dict, draws: Draws) -> dict:
        secret, context = bytes.fromhex(event["secret"]), bytes.fromhex(event["context"])
        if event["role"] == "initiator":
            session = client.Session.foreign_initiator(secret, bytes.fromhex(event["ratchet_key"]), context)
        else:
            session = client.Session.foreign_responder(secret, bytes.fromhex(event["ratchet_secret"]), context)
        self.sessions[event["session"]] = session
        return {"session_id": session.id} | optional(event, exporter=session.exporter)

    def do_send(self, event: dict, draws: Draws) -> dict:
        plaintext, ad = bytes.fromhex(event["plaintext"]), bytes.fromhex(event["associated_data"])
        options = event.get("control", False), event.get("min_padded_len", 0)
        return {"message": self.sessions[event["session"]].encrypt(plaintext, ad, draws, *options)}

    def do_deliver(self, event: dict, draws: Draws) -> dict:
        message, ad = self.bytes_of(event, "message"), bytes.fromhex(event["associated_data"])
        opened = self.sessions[event["session"]].open(message, ad)
        results = {"plaintext": opened.plaintext} | ({"is_control": True} if opened.is_control else {})
        return results | optional(event, number=opened.number)

    def do_drop(self, event: dict, draws: Draws) -> dict:
        return {}

    def do_store(self, event: dict, draws: Draws) -> dict:
        key, generation = bytes.fromhex(event["storage_key"]), event["generation"]
        if event["kind"] == "session":
            return {"snapshot": stored_session.snapshot_session(self.sessions[event["name"]], key, generation)}
        return {"snapshot": stored_device.snapshot_device(self.devices[event["name"]], key, generation)}

    def do_restore(self, event: dict, draws: Draws) -> dict:
        data, key = self.bytes_of(event, "snapshot"), bytes.fromhex(event["storage_key"])
        subject = bytes.fromhex(event["subject"])
        if event["kind"] == "session":
            self.sessions[event["name"]] = stored_session.restore_session(data, key, subject, event["newest"])
        else:
            self.devices[event["name"]] = stored_device.restore_device(
                data, key, subject, event["newest"], bounds_of(event)
            )
        return {}

    def numbers(self, event: dict) -> dict:
        local, remote = (
            identity.fingerprint(
                identity.Identity.from_bytes(bytes.fromhex(event[f"{side}_identity"])),
                bytes.fromhex(event[f"{side}_id"]),
            )
            for side in ("local", "remote")
        )
        number = identity.SafetyNumber(local, remote)
        return {"number": number.scan(), "digits": grouped(number.digits())}

    def do_compare(self, event: dict, draws: Draws) -> dict:
        results = self.numbers(event)
        if "scanned" in event:
            number = identity.SafetyNumber(results["number"][1:33], results["number"][33:])
            number.verify_scanned(bytes.fromhex(event["scanned"]))
            results["equal"] = True
        return results

    def do_parse(self, event: dict, draws: Draws) -> dict:
        data = self.given(event, "bytes")
        match event["kind"]:
            case "identity":
                parsed = identity.Identity.from_bytes(data)
            case "bundle":
                parsed = prekeys.Bundle.from_bytes(data)
            case "publication":
                parsed = prekeys.Publication.from_bytes(data)
            case "prekey":
                signer = identity.Identity.from_bytes(bytes.fromhex(event["identity"]))
                parsed = prekeys.Prekey.from_bytes(data, signer)
        same("encoded again", parsed.to_bytes(), data)
        return {"parsed": True}


    def do_context(self, event: dict, draws: Draws) -> dict:
        return {"encoded": wire.context(*(bytes.fromhex(event[name]) for name in ("sender", "recipient", "conversation")))}

    def do_login(self, event: dict, draws: Draws) -> dict:
        seed = self.devices[event["device"]].signing_seed
        return {"signature": identity.sign_login(seed, bytes.fromhex(event["challenge"]))}

    def do_challenge(self, event: dict, draws: Draws) -> dict:
        return {"hash": identity.login_challenge(*(bytes.fromhex(event[name]) for name in ("server", "account", "nonce")))}

    def do_access(self, event: dict, draws: Draws) -> dict:
        return {"stored": identity.stored_access_key(bytes.fromhex(event["access_key"]))}

    def do_tags(self, event: dict, draws: Draws) -> dict:
        return {"tags": sorted(tag.hex() for tag in self.sessions[event["session"]].expected_tags())}

    def do_peek(self, event: dict, draws: Draws) -> dict:
        return {"skips": self.sessions[event["session"]].peek(self.bytes_of(event, "message"))}


INPUTS = set(
    "at do why step draws values refused device session kind name expiry count bundle now chunk_size plaintext "
    "associated_data of bytes storage_key generation newest subject local_identity local_id remote_identity remote_id "
    "scanned identity expected_identity control min_padded_len "
    "role secret ratchet_key ratchet_secret context capacity server_has base edits sender recipient conversation "
    "challenge access_key server account nonce".split()
)
"""Members that are not results; some are the results of other events."""


def altered(events: list[dict], at: int, *path) -> list[dict]:
    """The events, with one byte changed in the member at `path` of event `at`."""
    changed = list(events)
    changed[at] = copy.deepcopy(events[at])
    *parents, last = path
    place = changed[at]
    for parent in parents:
        place = place[parent]
    value = place[last]
    if isinstance(value, str) and path[0] not in ("refused", "digits"):
        middle = len(value) // 4 * 2
        place[last] = value[:middle] + f"{int(value[middle : middle + 2], 16) ^ 1:02x}" + value[middle + 2 :]
    elif isinstance(value, str):
        place[last] = value[:-1] + ("0" if value[-1] != "0" else "1")
    else:
        place[last] = not value if isinstance(value, bool) else value + 1
    return changed


def places(events: list[dict], met: set):
    """One place to alter per kind of member per kind of event: outputs, draws and intermediate values."""
    for event in events:
        outputs = set(event) - INPUTS | ({"refused"} & set(event))
        if event["do"] in ("accept", "deliver") and "plaintext" in event:
            outputs.add("plaintext")
        for name in sorted(outputs):
            path = (name, 0) if isinstance(event[name], list) else (name,)
            if (event["do"], name) not in met and event[name] != []:
                met.add((event["do"], name))
                yield event["at"], *path
        for i, draw in enumerate(event.get("draws", [])):
            if (event["do"], draw["for"]) not in met:
                met.add((event["do"], draw["for"]))
                yield event["at"], "draws", i, "bytes"
        for step, values in event.get("values", {}).items():
            for name, value in values.items():
                if (event["do"], step, name) not in met:
                    met.add((event["do"], step, name))
                    yield event["at"], "values", step, name, *([0] if isinstance(value, list) else [])


def main() -> int:
    directory = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "../vectors")
    files = sorted(directory.glob("*.json"))
    if not files:
        print(f"no vectors in {directory}")
        return 1
    failed, undetected, controls, met = 0, 0, 0, set()
    begun = time.monotonic()
    for file in files:
        vectors = json.loads(file.read_text())
        events = vectors["events"]
        try:
            same("format", vectors["format"], 1)
            same("protocol", vectors["protocol"], "noescrow 1")
            same("event_count", vectors["event_count"], len(events))
            Replay(events).run()
        except Difference as difference:
            failed += 1
            print(f"{file.name}: FAILED: {difference}")
            continue
        print(f"{file.name}: {len(events)} events", flush=True)
        for at, *path in places(events, met):
            controls += 1
            try:
                Replay(altered(events, at, *path)[: at + 40]).run()
            except (Difference, ValueError):
                continue
            undetected += 1
            print(f"{file.name}: event {at}: {path} altered: NOT DETECTED")
    print(
        f"{len(files) - failed} files agree, {failed} failed; "
        f"{controls - undetected} of {controls} alterations detected; {time.monotonic() - begun:.0f} s"
    )
    return 1 if failed or undetected else 0


if __name__ == "__main__":
    sys.exit(main())
