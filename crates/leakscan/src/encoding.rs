// SPDX-License-Identifier: MIT OR Apache-2.0
//! The encodings in which a value is found.

use core::fmt;

/// One encoding between the bytes of a source and a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Encoding {
    /// The bytes as they are.
    Raw,
    /// The bytes in reverse order, as when a big integer changes its byte order.
    Reversed,
    /// Hexadecimal, in either case, with or without separators and prefixes.
    Hex,
    /// Base64, in the standard or the URL-safe alphabet.
    Base64,
    /// A list of decimal integers, signed or not, or of octal or binary ones.
    Integers,
    /// A list of hexadecimal integers of one or two digits.
    HexIntegers,
    /// Percent-encoding, as in URLs.
    Percent,
    /// UTF-16, low byte first.
    Utf16Le,
    /// UTF-16, high byte first.
    Utf16Be,
    /// A gzip member.
    Gzip,
    /// A zlib stream.
    Zlib,
    /// A Zstandard frame.
    Zstd,
    /// Escapes with a backslash: hexadecimal, octal or Unicode.
    Escapes,
    /// Bytes that were read as Latin-1 and written as UTF-8.
    Latin1,
    /// A deflated entry of a ZIP archive.
    Zip,
    /// HTTP/1.1 chunks.
    Chunked,
    /// Base32, in the alphabets of RFC 4648, Crockford, z-base-32, Bech32, Geohash and Nix.
    Base32,
    /// One number of digits and letters of one case.
    Base36,
    /// One number in the base58 of Bitcoin, Flickr or Ripple, or blocks of Monero's.
    Base58,
    /// One number of digits and letters of both cases.
    Base62,
    /// One decimal number.
    Decimal,
    /// Entities of HTML and XML: characters by number or name.
    Entities,
    /// A list of integers of 16, 32 or 64 bits, in decimal or hexadecimal, in either byte order.
    WideIntegers,
    /// A dump of memory: lines with an address and groups of bytes in hexadecimal, octal, decimal or binary.
    Dump,
    /// The body of an HTTP message in Brotli or deflate, or in chunks that are announced in an unusual spelling.
    HttpBody,
    /// Frames of HTTP/2: header fields, and the content of a stream.
    Http2,
    /// Frames of WebSocket: masked, fragmented or deflated messages.
    WebSocket,
    /// A compressed value of PostgreSQL, by pglz or LZ4.
    Varlena,
    /// A value of PostgreSQL in the chunks of a TOAST table, or a large object in its pages.
    Toast,
    /// Quoted-printable: `=C3`, with soft line breaks.
    QuotedPrintable,
    /// The escapes of syslog daemons: `#303`.
    HashEscapes,
    /// The notations of `cat -v` and `vis`: `^A`, `M-a`, `\M-a`.
    CaretNotation,
    /// A form: percent-encoding in which a plus is a space.
    Form,
    /// A value of SQLite that continues on overflow pages.
    SqliteOverflow,
    /// A string in a snapshot of Redis that is compressed by LZF.
    Lzf,
    /// The records of the log of PostgreSQL, without the headers of its pages.
    PgLog,
    /// Base85, in the alphabets of Ascii85, RFC 1924 and Z85.
    Base85,
    /// Base45 (RFC 9285).
    Base45,
    /// Lines of uuencode.
    Uuencode,
    /// A bzip2 stream.
    Bzip2,
    /// An xz stream, an lzip member or a `.lzma` file.
    Lzma,
    /// An LZ4 frame.
    Lz4,
    /// A Snappy stream with its frame.
    Snappy,
    /// The pixels of a PNG image.
    Png,
    /// An array of integers in CBOR, MessagePack, BSON, pickle, Protocol Buffers, V8's or Ruby's serialization, or AMF.
    BinaryArray,
    /// An array in memory of integers of 32 or 64 bits, floating-point numbers, or pointers to small integers.
    Strided,
}

impl Encoding {
    /// All encodings.
    pub const ALL: [Self; 46] = [
        Self::Raw,
        Self::Reversed,
        Self::Hex,
        Self::Base64,
        Self::Integers,
        Self::HexIntegers,
        Self::Percent,
        Self::Utf16Le,
        Self::Utf16Be,
        Self::Gzip,
        Self::Zlib,
        Self::Zstd,
        Self::Escapes,
        Self::Latin1,
        Self::Zip,
        Self::Chunked,
        Self::Base32,
        Self::Base36,
        Self::Base58,
        Self::Base62,
        Self::Decimal,
        Self::Entities,
        Self::WideIntegers,
        Self::Dump,
        Self::WebSocket,
        Self::Varlena,
        Self::Toast,
        Self::QuotedPrintable,
        Self::HashEscapes,
        Self::CaretNotation,
        Self::Form,
        Self::HttpBody,
        Self::Http2,
        Self::SqliteOverflow,
        Self::Lzf,
        Self::PgLog,
        Self::Base85,
        Self::Base45,
        Self::Uuencode,
        Self::Bzip2,
        Self::Lzma,
        Self::Lz4,
        Self::Snappy,
        Self::Png,
        Self::BinaryArray,
        Self::Strided,
    ];

    /// Whether it is found in tables of numbers, whatever they mean.
    pub(crate) const fn is_of_tables(self) -> bool {
        matches!(
            self,
            Self::Integers
                | Self::HexIntegers
                | Self::WideIntegers
                | Self::Dump
                | Self::BinaryArray
                | Self::Strided
                | Self::Utf16Le
                | Self::Utf16Be
                | Self::Latin1
                | Self::WebSocket
        )
    }

    /// Whether it writes the value as one number, of which every symbol depends on all bytes.
    pub(crate) const fn is_number(self) -> bool {
        matches!(self, Self::Base36 | Self::Base58 | Self::Base62 | Self::Decimal)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Reversed => "reversed",
            Self::Hex => "hex",
            Self::Base64 => "base64",
            Self::Integers => "integers",
            Self::HexIntegers => "hex integers",
            Self::Percent => "percent",
            Self::Utf16Le => "utf-16le",
            Self::Utf16Be => "utf-16be",
            Self::Gzip => "gzip",
            Self::Zlib => "zlib",
            Self::Zstd => "zstd",
            Self::Escapes => "escapes",
            Self::Latin1 => "latin-1 in utf-8",
            Self::Zip => "zip entry",
            Self::Chunked => "http chunks",
            Self::Base32 => "base32",
            Self::Base36 => "base36",
            Self::Base58 => "base58",
            Self::Base62 => "base62",
            Self::Decimal => "decimal",
            Self::Entities => "entities",
            Self::WideIntegers => "wide integers",
            Self::Dump => "dump",
            Self::WebSocket => "websocket",
            Self::Varlena => "postgresql compression",
            Self::Toast => "postgresql chunks",
            Self::QuotedPrintable => "quoted-printable",
            Self::HashEscapes => "hash escapes",
            Self::CaretNotation => "caret notation",
            Self::Form => "form",
            Self::HttpBody => "http body",
            Self::Http2 => "http/2",
            Self::SqliteOverflow => "sqlite overflow pages",
            Self::Lzf => "redis compression",
            Self::PgLog => "postgresql log",
            Self::Base85 => "base85",
            Self::Base45 => "base45",
            Self::Uuencode => "uuencode",
            Self::Bzip2 => "bzip2",
            Self::Lzma => "lzma",
            Self::Lz4 => "lz4",
            Self::Snappy => "snappy",
            Self::Png => "png",
            Self::BinaryArray => "binary array",
            Self::Strided => "strided",
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The set of encodings that a search looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encodings(u64);

impl Default for Encodings {
    fn default() -> Self {
        Self::ALL
    }
}

impl Encodings {
    /// The set of all encodings.
    pub const ALL: Self = Self(u64::MAX);

    /// The set without this encoding: for a control that must find nothing.
    #[must_use]
    pub const fn without(self, encoding: Encoding) -> Self {
        Self(self.0 & !(1 << encoding as u16))
    }

    /// Whether this encoding is in the set.
    #[must_use]
    pub const fn contains(self, encoding: Encoding) -> bool {
        self.0 & (1 << encoding as u16) != 0
    }

    /// The encodings in the set, in the order of [`Encoding::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Encoding> {
        Encoding::ALL.into_iter().filter(move |&encoding| self.contains(encoding))
    }
}
