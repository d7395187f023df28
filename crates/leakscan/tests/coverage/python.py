# SPDX-License-Identifier: MIT OR Apache-2.0
"""Writes a value in every way in which Python's standard library writes values.

    python3 python.py OUT VALUE_IN_HEX

OUT receives one file for each way, named by its number, and `names`: a line `number TAB group TAB way` for each. A way
that is for text alone is left out for a value that is no UTF-8.
"""
import array, base64, binascii, bz2, csv, ctypes, dbm.dumb, email.header, email.message, email.policy, gzip, hashlib
import io, json, lzma, marshal, os, pickle, plistlib, pprint, quopri, random, shelve, sqlite3, struct, subprocess, sys
import tarfile, tempfile, unicodedata, urllib.parse, zipfile, zlib

out, value = sys.argv[1], bytes.fromhex(sys.argv[2])
try:
    text = value.decode()
except UnicodeDecodeError:
    text = None
latin = value.decode("latin-1")
filler = "".join(f"2026-11-29T10:{i // 60:02}:{i % 60:02} INFO request {i} from 192.0.2.{i % 250} took {i * 7 % 90} ms\n" for i in range(200))
names = []


def way(group, name, content):
    """Writes one way. `content` may fail to encode the value, which is then left out."""
    try:
        content = content()
    except (UnicodeEncodeError, NotImplementedError):
        return
    if content is None:
        return
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogatepass")
    with open(os.path.join(out, str(len(names))), "wb") as file:
        file.write(content)
    names.append(f"{len(names)}\t{group}\t{name}")


def of_text(make):
    """A way for text alone."""
    return lambda: None if text is None else make()


def mail(body, encoding):
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["Subject"] = "note"
    message.set_content(body, cte=encoding)
    return message.as_bytes()


def varint(n):
    return bytes([n]) if n < 128 else bytes([n & 127 | 128, n >> 7])


def zlib_of(data, bits, dictionary=None):
    compressor = zlib.compressobj(wbits=bits) if dictionary is None else zlib.compressobj(wbits=bits, zdict=dictionary)
    return compressor.compress(data) + compressor.flush()


class Pipe(io.RawIOBase):
    """A file in which nothing can be sought."""

    def __init__(self):
        self.all = b""

    def writable(self):
        return True

    def write(self, data):
        self.all += bytes(data)
        return len(data)


def zip_of(data, method, seekable=True):
    file = io.BytesIO() if seekable else Pipe()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("log.txt", data)
    return file.getvalue() if seekable else file.all


def tar_of(data, mode):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        entry = tarfile.TarInfo("log.txt")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return file.getvalue()


def png(pixels):
    """Eight rows of the value, each with another filter, in two chunks of data."""
    width, rows, above = len(pixels), b"", bytes(len(pixels))
    for y in range(5):
        left = bytes(1) + pixels[:-1]
        upper_left = bytes(1) + above[:-1]
        def paeth(a, b, c):
            p = a + b - c
            return min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
        predicted = [bytes(width), left, above, bytes((a + b) // 2 for a, b in zip(left, above)),
                     bytes(paeth(a, b, c) for a, b, c in zip(left, above, upper_left))][y]
        rows += bytes([y]) + bytes((x - p) % 256 for x, p in zip(pixels, predicted))
        above = bytes((x * 5 + 3) % 256 for x in pixels) if y == 0 else pixels
        if y == 0:
            rows = bytes([0]) + above
    data = zlib.compress(rows)
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    head = struct.pack(">IIBBBBB", width, 5, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data[:20]) + chunk(b"IDAT", data[20:]) + chunk(b"IEND", b"")

def flushed(data):
    compressor = zlib.compressobj()
    lines = [compressor.compress(line) + compressor.flush(zlib.Z_SYNC_FLUSH) for line in data.splitlines(True)]
    return b"".join(lines) + compressor.flush()


def base64_times(count):
    data = value
    for _ in range(count):
        data = base64.b64encode(data)
    return data


def sqlite(*statements, files=("db",)):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "db")
        connection = sqlite3.connect(path)
        for statement, *arguments in statements:
            connection.execute(statement, *arguments)
        connection.commit()
        read = b"".join(open(path + name[2:], "rb").read() for name in files)
        connection.close()
        return read


def dumb():
    with tempfile.TemporaryDirectory() as folder:
        with shelve.Shelf(dbm.dumb.open(os.path.join(folder, "s"))) as shelf:
            shelf["key"] = {"value": value}
        return open(os.path.join(folder, "s.dat"), "rb").read()


def csv_of(*rows):
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    return file.getvalue()


def integers(code, swapped=False):
    """The bytes as an array of wider integers or of floats."""
    numbers = array.array(code, list(value))
    if swapped:
        numbers.byteswap()
    return numbers.tobytes()


def pointers():
    """The memory of a list: the addresses of the interpreter's small integers."""
    numbers = list(value)
    return ctypes.string_at(ctypes.c_void_p.from_address(id(numbers) + 24).value, 8 * len(numbers))


# --- Bytes as text -------------------------------------------------------------------------------------------------
T = "Bytes as text"
wrapped = base64.b64encode(filler[:40].encode() + value).decode()
way(T, "`bytes.hex()`", lambda: f"key={value.hex()}\n")
way(T, "`bytes.hex(':')`", lambda: value.hex(":"))
way(T, "`bytes.hex(' ', 4)`", lambda: value.hex(" ", 4))
way(T, "`base64.b64encode`", lambda: base64.b64encode(value))
way(T, "`base64.urlsafe_b64encode`", lambda: base64.urlsafe_b64encode(value))
way(T, "`base64.encodebytes`, lines of 76", lambda: base64.encodebytes(filler[:300].encode() + value + filler[:300].encode()))
way(T, "Base64 in quoted mail, lines after `> `", lambda: "".join(f"> {wrapped[i:i + 20]}\n" for i in range(0, len(wrapped), 20)))
way(T, "Base64 in source code, quoted lines joined by `+`", lambda: " +\n".join(f'    "{wrapped[i:i + 16]}"' for i in range(0, len(wrapped), 16)))
way(T, "`base64.b32encode`", lambda: base64.b32encode(value))
way(T, "`base64.b32hexencode`", lambda: base64.b32hexencode(value))
way(T, "`base64.b16encode`", lambda: base64.b16encode(value))
way(T, "`base64.a85encode`", lambda: base64.a85encode(value))
way(T, "`base64.a85encode`, Adobe's, in lines of 20", lambda: base64.a85encode(value, adobe=True, wrapcol=20))
way(T, "`base64.b85encode`", lambda: base64.b85encode(value))
way(T, "`binascii.b2a_uu`", lambda: b"begin 644 key\n" + binascii.b2a_uu(value[:45]) + b"`\nend\n")
way(T, "`quopri.encodestring`", lambda: quopri.encodestring(filler[:100].encode() + value))
way(T, "`urllib.parse.quote`", lambda: "GET /?k=" + urllib.parse.quote(value))
way(T, "`urllib.parse.quote_plus`", lambda: "GET /?k=" + urllib.parse.quote_plus(value))
way(T, "`repr` of bytes", lambda: repr(value))
way(T, "`repr` of a bytearray", lambda: repr(bytearray(value)))
way(T, "`repr` of a list", lambda: repr(list(value)))
way(T, "`pprint` of a list", lambda: pprint.pformat(list(value)))
way(T, "`repr` of a tuple of hexadecimal strings", lambda: repr(tuple(hex(b) for b in value)))
way(T, "`json.dumps` of a list", lambda: json.dumps(list(value)))
way(T, "`json.dumps` of a list, indented", lambda: json.dumps(list(value), indent=2))
way(T, "`json.dumps` of a dictionary by positions", lambda: json.dumps({str(i): b for i, b in enumerate(value)}))
way(T, "`json.dumps` of floats", lambda: json.dumps([float(b) for b in value]))
way(T, "`json.dumps` of a string of Latin-1", lambda: json.dumps(latin))
way(T, "a list of signed bytes", lambda: json.dumps(list(array.array("b", value))))
way(T, "a list of 32-bit integers, low byte first", lambda: json.dumps(struct.unpack(f"<{len(value) // 4}I", value[:len(value) // 4 * 4])))
way(T, "a list of 64-bit integers, high byte first", lambda: json.dumps(struct.unpack(f">{len(value) // 8}Q", value[:len(value) // 8 * 8])))
way(T, "an integer in decimal, high byte first", lambda: str(int.from_bytes(value, "big")))
way(T, "an integer in decimal, low byte first", lambda: str(int.from_bytes(value, "little")))
way(T, "`hex` of an integer", lambda: hex(int.from_bytes(value, "big")))
way(T, "`oct` of an integer", lambda: oct(int.from_bytes(value, "big")))
way(T, "`bin` of an integer", lambda: bin(int.from_bytes(value, "big")))
way(T, "a YAML list", lambda: "key:\n" + "".join(f"  - {b}\n" for b in value))
way(T, "an XML element for each byte", lambda: "<key>" + "".join(f"<b>{b}</b>" for b in value) + "</key>")
way(T, "a line of a log for each byte, in hexadecimal", lambda: "".join(f"10:00:{i:02} DEBUG key byte {i}: {b:02x}\n" for i, b in enumerate(value)))
way(T, "a line of a log for each byte, in decimal", lambda: "".join(f"10:00:{i:02} DEBUG key byte {i}: {b}\n" for i, b in enumerate(value)))
way(T, "a line of a log for each eight bytes, in hexadecimal", lambda: "".join(
    f"10:00:0{i} DEBUG part: {value[8 * i:8 * i + 8].hex()}\n" for i in range(len(value) // 8)))
way(T, "`csv`: a row of integers", lambda: csv_of(value))
way(T, "`csv`: a column of integers", lambda: csv_of(*((i, b, "x") for i, b in enumerate(value))))

# --- Text ----------------------------------------------------------------------------------------------------------
S = "Text"
for charset in ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "utf-7", "cp1251", "cp866", "koi8-r", "koi8-u", "iso8859-5",
                "mac-cyrillic", "cp855", "gb18030", "big5", "shift_jis", "euc-jp", "iso2022-jp", "euc-kr"]:
    way(S, f"`str.encode('{charset}')`", of_text(lambda: text.encode(charset)))
way(S, "`json.dumps`", of_text(lambda: json.dumps({"text": text})))
way(S, "`json.dumps`, twice", of_text(lambda: json.dumps({"text": json.dumps({"text": text})})))
way(S, "`json.dumps(…, ensure_ascii=False)`", of_text(lambda: json.dumps({"text": text}, ensure_ascii=False)))
way(S, "`ascii`", of_text(lambda: ascii(text)))
way(S, "`repr` of the UTF-8 bytes", of_text(lambda: repr(text.encode())))
way(S, "`str.encode('unicode_escape')`", of_text(lambda: text.encode("unicode_escape")))
way(S, "decimal entities (`xmlcharrefreplace`)", of_text(lambda: text.encode("ascii", "xmlcharrefreplace")))
way(S, "hexadecimal entities", of_text(lambda: "".join(f"&#x{ord(c):x};" for c in text)))
way(S, "names of characters (`namereplace`)", of_text(lambda: text.encode("ascii", "namereplace")))
way(S, "`urllib.parse.urlencode`", of_text(lambda: urllib.parse.urlencode({"text": text})))
way(S, "`email`: a body in Base64", of_text(lambda: mail(text, "base64")))
way(S, "`email`: a body in quoted-printable", of_text(lambda: mail(text, "quoted-printable")))
way(S, "`email`: a header", of_text(lambda: email.header.Header(text, "utf-8").encode()))
way(S, "Punycode", of_text(lambda: text.encode("punycode")))
way(S, "upper case", of_text(text.upper if text else None))
way(S, "normal form D", of_text(lambda: unicodedata.normalize("NFD", text)))
way(S, "`plistlib`, binary", of_text(lambda: plistlib.dumps({"text": text}, fmt=plistlib.FMT_BINARY)))
way(S, "the memory of a `str`", of_text(lambda: ctypes.string_at(id(text), sys.getsizeof(text))))

# --- Binary data ---------------------------------------------------------------------------------------------------
B = "Binary data"
way(B, "reversed", lambda: value[::-1])
for protocol in range(6):
    way(B, f"`pickle`, protocol {protocol}: bytes", lambda: pickle.dumps(value, protocol))
    way(B, f"`pickle`, protocol {protocol}: a list of integers", lambda: pickle.dumps(list(value), protocol))
way(B, "`marshal`: a list of integers", lambda: marshal.dumps(list(value)))
for code in "HIQfd":
    way(B, f"`array.array('{code}')`, low byte first", lambda: integers(code))
    way(B, f"`array.array('{code}')`, high byte first", lambda: integers(code, swapped=True))
way(B, "tagged integers of 64 bits, 2n + 1", lambda: struct.pack(f"<{len(value)}Q", *(2 * b + 1 for b in value)))
way(B, "tagged integers of 32 bits, 2n", lambda: struct.pack(f"<{len(value)}I", *(2 * b for b in value)))
way(B, "tagged integers of 64 bits, 2³²n", lambda: struct.pack(f"<{len(value)}Q", *(b << 32 for b in value)))
way(B, "the memory of a `list` of integers", pointers)
way(B, "CBOR: an array of integers", lambda: b"\x98" + bytes([len(value)]) + b"".join(bytes([b]) if b < 24 else bytes([0x18, b]) for b in value))
way(B, "MessagePack: an array of integers", lambda: b"\xdc\x00" + bytes([len(value)]) + b"".join(bytes([b]) if b < 128 else bytes([0xCC, b]) for b in value))
bson = b"".join(b"\x10" + str(i).encode() + b"\0" + struct.pack("<i", b) for i, b in enumerate(value))
way(B, "BSON: an array of integers", lambda: struct.pack("<i", len(bson) + 5) + bson + b"\0")
varints = b"".join(varint(b) for b in value)
way(B, "Protocol Buffers: packed integers", lambda: b"\x0a" + bytes([len(varints)]) + varints)
way(B, "Protocol Buffers: integers, each with its tag", lambda: b"".join(b"\x08" + varint(b) for b in value))

# --- Compressions and archives -------------------------------------------------------------------------------------
C = "Compressions and archives"
content = filler.encode() + value + filler.encode()
way(C, "`gzip`", lambda: gzip.compress(content, mtime=0))
way(C, "`gzip`, two members", lambda: gzip.compress(filler.encode(), mtime=0) + gzip.compress(value, mtime=0))
for bits in range(9, 16):
    way(C, f"`zlib`, a window of 2^{bits}", lambda: zlib_of(content, bits))
way(C, "`zlib`, a preset dictionary", lambda: zlib_of(content, 15, filler.encode()))
way(C, "`zlib`, deflate without header", lambda: zlib_of(content, -15))
way(C, "`zlib`, a flush after each line", lambda: flushed(content))
way(C, "`bz2`", lambda: bz2.compress(content))
way(C, "`lzma`, xz", lambda: lzma.compress(content))
way(C, "`lzma`, alone", lambda: lzma.compress(content, lzma.FORMAT_ALONE))
for method, name in [(zipfile.ZIP_STORED, "stored"), (zipfile.ZIP_DEFLATED, "deflate"), (zipfile.ZIP_BZIP2, "bzip2"), (zipfile.ZIP_LZMA, "LZMA")]:
    way(C, f"`zipfile`, {name}", lambda: zip_of(content, method))
way(C, "`zipfile`, written to a pipe", lambda: zip_of(content, zipfile.ZIP_DEFLATED, seekable=False))
for mode in ["", ":gz", ":bz2", ":xz"]:
    way(C, f"`tarfile`, `w{mode}`", lambda: tar_of(content, "w" + mode))
way(C, "gzip in Base64 in JSON", lambda: json.dumps({"b": base64.b64encode(gzip.compress(content, mtime=0)).decode()}))
way(C, "Base64, six times", lambda: base64_times(6))
way(C, "Base64, seven times", lambda: base64_times(7))
way(C, "PNG: the value as pixels, under each filter", lambda: png(value))

# --- Network -------------------------------------------------------------------------------------------------------
N = "Network"
mask = bytes.fromhex("37fa213d")


def frame(payload, first=0x82, masked=True):
    """A WebSocket frame of fewer than 64 KiB (RFC 6455, 5.2)."""
    size = bytes([len(payload) | 128 * masked]) if len(payload) < 126 else bytes([126 | 128 * masked]) + struct.pack(">H", len(payload))
    return bytes([first]) + size + (mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload)) if masked else payload)


def deflated_messages():
    """Two messages under permessage-deflate (RFC 7692); the second refers to the first."""
    compressor = zlib.compressobj(wbits=-15)
    payloads = [compressor.compress(filler[:900].encode() + part) + compressor.flush(zlib.Z_SYNC_FLUSH) for part in (b"", value)]
    return upgrade + b"".join(frame(payload[:-4], 0xC2) for payload in payloads)


def http(headers, body):
    return ("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + headers + "\r\n").encode() + body


def chunks(body, size):
    parts = [body[i:i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def packets(*payloads):
    """A capture of one flow of TCP, a packet for each payload."""
    capture, sequence = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101), 1000
    for payload in payloads:
        tcp = struct.pack(">HHIIBBHHH", 40000, 80, sequence, 1, 0x50, 0x18, 65535, 0, 0) + payload
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2])) + tcp
        capture += struct.pack("<IIII", 0, 0, len(ip), len(ip)) + ip
        sequence += len(payload)
    return capture


upgrade = (b"GET /chat HTTP/1.1\r\nHost: server\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
           b"Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Version: 13\r\n\r\n")
half = len(value) // 2
way(N, "a capture: a value in two packets", lambda: packets(b"POST / HTTP/1.1\r\n\r\n" + value[:half], value[half:]))
way(N, "a capture: WebSocket, masked", lambda: packets(upgrade, frame(value)))
way(N, "a capture: WebSocket, one message in two frames", lambda: packets(upgrade, frame(value[:half], 2) + frame(value[half:], 0x80)))
way(N, "a capture: WebSocket, permessage-deflate", lambda: packets(deflated_messages()))
way(N, "WebSocket: one masked frame in a file", lambda: frame(value))
way(N, "HTTP: chunks of 7 bytes", lambda: http("Transfer-Encoding: chunked\r\n", chunks(value, 7)))
way(N, "HTTP: chunks, `transfer-encoding:Chunked`", lambda: http("transfer-encoding:Chunked\r\n", chunks(value, 7)))
way(N, "HTTP: gzip in chunks", lambda: http("Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", chunks(gzip.compress(content), 100)))
way(N, "HTTP: deflate, with a zlib header", lambda: http("Content-Encoding: deflate\r\n", zlib.compress(content)))
way(N, "HTTP: deflate, without header", lambda: http("Content-Encoding: deflate\r\n", zlib_of(content, -15)))
way(N, "TLS: records of application data", lambda: packets(*[b"\x17\x03\x03" + struct.pack(">H", 1200) + random.Random(n).randbytes(1200) for n in range(4)]))

# --- Databases -----------------------------------------------------------------------------------------------------
D = "Databases"

as_text = text if text is not None else value.hex()
rows = [("insert into t values (?)", (f"row {i} " + filler[:300],)) for i in range(20)]
way(D, "SQLite: a blob", lambda: sqlite(("create table t (v)",), *rows, ("insert into t values (?)", (value,))))
way(D, "SQLite: a text in UTF-16", lambda: sqlite(("pragma encoding = 'UTF-16le'",), ("create table t (v)",), ("insert into t values (?)", (as_text,))))
way(D, "SQLite: a blob over pages", lambda: sqlite(("create table t (v)",), *rows, ("insert into t values (?)", (random.Random(1).randbytes(9000) + value + bytes(3000),))))
way(D, "SQLite: a value split by the border of two pages", lambda: sqlite(
    ("create table t (v)",), *[("insert into t values (?)", (random.Random(n).randbytes(4 * n) + value * 200,)) for n in range(1, 9)]))
way(D, "SQLite: a ZIP archive over pages", lambda: sqlite(
    ("create table t (v)",), *rows, ("insert into t values (?)", (zip_of(random.Random(2).randbytes(9000) + value, zipfile.ZIP_DEFLATED),))))
way(D, "SQLite: the write-ahead log", lambda: sqlite(("pragma journal_mode = wal",), ("create table t (v)",), *rows, ("insert into t values (?)", (random.Random(3).randbytes(9000) + value,)), files=("db-wal",)))
for version in ["fts3", "fts4", "fts5"]:
    way(D, f"SQLite: {version.upper()}", of_text(lambda: sqlite((f"create virtual table t using {version}(v)",), ("insert into t(v) values (?)", (text,)))))
way(D, "SQLite: FTS5 without content", of_text(lambda: sqlite(("create virtual table t using fts5(v, content='')",), ("insert into t(rowid, v) values (1, ?)", (text,)))))
way(D, "SQLite: FTS5 of trigrams, without content", of_text(lambda: sqlite(("create virtual table t using fts5(v, content='', tokenize='trigram')",), ("insert into t(rowid, v) values (1, ?)", (text,)))))
way(D, "`dbm.dumb` by `shelve`", lambda: dumb())

# --- Digests -------------------------------------------------------------------------------------------------------
H = "Digests"
for name in ["md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha512_256", "sha3_224", "sha3_256", "sha3_384", "sha3_512", "blake2b", "blake2s", "ripemd160"]:
    def digest(name=name):
        try:
            return hashlib.new(name, value).hexdigest()
        except ValueError:
            return None
    way(H, f"`hashlib.{name}`", digest)

# --- Dumps ---------------------------------------------------------------------------------------------------------
M = "Dumps of memory"
memory = random.Random(4).randbytes(37) + value + random.Random(5).randbytes(50)
tools = [["xxd"], ["xxd", "-p"], ["xxd", "-e"], ["xxd", "-e", "-g8"], ["xxd", "-b"], ["xxd", "-i"], ["xxd", "-c", "8"], ["od"], ["od", "-b"], ["od", "-d"], ["od", "-x"],
         ["od", "-tx1"], ["od", "-tx4"], ["od", "-tx8"], ["od", "-td1"], ["od", "-tu1"], ["od", "-Ax", "-tx1z"], ["od", "-An", "-tx1"], ["od", "-c"],
         ["hexdump"], ["hexdump", "-C"], ["hexdump", "-b"], ["hexdump", "-d"], ["hexdump", "-o"], ["cat", "-v"], ["base64"], ["base32"], ["base32", "-w0"]]
for tool in tools:
    def run(tool=tool):
        try:
            return subprocess.run(tool, input=memory, stdout=subprocess.PIPE, check=True).stdout
        except FileNotFoundError:
            return None
    way(M, f"`{' '.join(tool)}`", run)

with open(os.path.join(out, "names"), "w") as file:
    file.write("\n".join(names) + "\n")
