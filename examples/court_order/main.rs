// SPDX-License-Identifier: MIT OR Apache-2.0
//! The case this crate is built for. Two devices exchange files through a relay, and a court orders the relay to hand
//! over the keys. Everything that the relay ever held or saw is then audited: does it contain a key or a plaintext, in
//! any encoding, or does one follow from it?
//!
//! ```sh
//! cargo run --release --example court_order -- [--json] [--out DIR] FILE...
//! ```
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "an example may stop")]

mod hearing;
mod transfer;

use hearing::Hearing;
use noescrow::error::AcceptError;
use noescrow::primitives::RustCrypto;
use noescrow::relay::{AccountName, Disclosure, Envelope, Order, Relay};
use noescrow::{AccessKey, Bundle, ChunkSize, InitiateOptions, Payload, StorageKey, UnixSeconds, device};
use noescrow_audit::Tape;
use noescrow_recorder::Recorder;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng, UnwrapErr};
use sha2::{Digest, Sha256};
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, IsTerminal, Read, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use transfer::{CHUNK, Losses, Peer, deliver};

type Device = device::Device<Recorder>;

/// Chunk size of the post-quantum ratchet, next to chunks of files: the largest, so that short conversations recover,
/// too.
const CHUNK_SIZE: ChunkSize = ChunkSize::Bytes256;
/// Rounds without a new chunk before the exchange is abandoned.
const STALLED: u32 = 1_000;
/// Times at which each device could be stolen.
const THEFTS: u64 = 24;

fn main() -> ExitCode {
    match Options::parse(std::env::args().skip(1)).and_then(|options| run(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("court_order: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Options {
    files: Vec<PathBuf>,
    out: PathBuf,
    json: bool,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let (mut files, mut out, mut json) = (Vec::new(), None, false);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--json" => json = true,
                "--out" => out = Some(arguments.next().ok_or("--out needs a directory")?.into()),
                "--help" | "-h" => {
                    println!("usage: court_order [--json] [--out DIR] FILE...");
                    std::process::exit(0);
                }
                option if option.starts_with("--") => return Err(format!("unknown option {option}").into()),
                file => files.push(PathBuf::from(file)),
            }
        }
        if files.is_empty() {
            files.push(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md").into());
        }
        for file in &files {
            let kind = fs::metadata(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
            if !kind.is_file() {
                return Err(format!("{} is not a file", file.display()).into());
            }
        }
        let out = out.unwrap_or_else(|| std::env::temp_dir().join("noescrow-court-order"));
        Ok(Self { files, out, json })
    }
}

/// The results that are printed at the end.
struct Outcome {
    bytes: u64,
    messages: u64,
    losses: Losses,
    replays_refused: u64,
    identical: bool,
    disclosures: Vec<Disclosure>,
    hearing: Hearing,
    seconds: f64,
}

fn run(options: &Options) -> Result<bool, Box<dyn Error>> {
    let started = Instant::now();
    let Folders { held, received, devices } = prepare(&options.out)?;
    let trace = devices.join("run.trace");
    fs::write(devices.join("profile.json"), noescrow_recorder::PROFILE)?;

    let mut exchange = Exchange::begin(options, &held, &received, &trace)?;
    let bytes = exchange.run(options)?;
    let identical = exchange.compare(options)?;

    exchange.server.keep(&held)?;
    let disclosures = exchange.server.answer_court()?;
    // Not among the searched files: its values are in the relay's state, and its words are this crate's, which a file
    // may contain.
    for (number, disclosure) in disclosures.iter().enumerate() {
        fs::write(options.out.join(format!("disclosure-{number}.json")), serde_json::to_vec_pretty(disclosure)?)?;
    }
    exchange.tape.finish().map_err(|error| format!("cannot write {}: {error}", trace.display()))?;
    let outcome = Outcome {
        bytes,
        messages: exchange.server.messages,
        replays_refused: exchange.alice.replays_refused + exchange.bob.replays_refused,
        losses: exchange.losses,
        identical,
        disclosures,
        hearing: Hearing::hold(&trace, &held)?,
        seconds: started.elapsed().as_secs_f64(),
    };
    outcome.hearing.write(&options.out)?;
    if options.json {
        outcome.print_json(&options.out)?
    } else {
        outcome.print(&options.out)
    }
    Ok(outcome.holds())
}

/// What the relay held or saw, which is searched; what the devices received; and what they did, which is secret and
/// must not be in the searched folder.
struct Folders {
    held: PathBuf,
    received: PathBuf,
    devices: PathBuf,
}

/// Makes the folders, replacing those of an earlier run. Nothing else is ever deleted: a folder that is neither empty
/// nor from an earlier run is refused.
fn prepare(out: &Path) -> Result<Folders, Box<dyn Error>> {
    let marker = out.join(".noescrow-court-order");
    let in_use = |out: &Path| Ok::<_, std::io::Error>(fs::read_dir(out)?.next().is_some());
    if out.exists() && !marker.exists() && in_use(out)? {
        return Err(format!("{} is not empty: choose another folder with --out", out.display()).into());
    }
    fs::create_dir_all(out)?;
    // It gets copies of the user's files and every secret of the run.
    #[cfg(unix)]
    fs::set_permissions(out, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    File::create(marker)?;
    let folders = Folders { held: out.join("relay"), received: out.join("received"), devices: out.join("devices") };
    for folder in [&folders.held, &folders.received, &folders.devices] {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir(folder)?;
    }
    Ok(folders)
}

/// The server: a relay, and a log of every byte that reached it.
struct Server {
    relay: Relay,
    wire: BufWriter<File>,
    messages: u64,
    now: UnixSeconds,
}

impl Server {
    fn receive(&mut self, to: &AccountName, message: Vec<u8>, key: Option<&AccessKey>) -> Result<(), Box<dyn Error>> {
        self.saw(&message)?;
        if let Some(key) = key {
            self.saw(key.expose())?;
        }
        self.messages += 1;
        let mut rng = UnwrapErr(getrandom::SysRng);
        self.relay.deliver(to, Envelope::new(message)?, key, self.now, &mut rng)?;
        Ok(())
    }

    fn saw(&mut self, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
        self.wire.write_all(&(bytes.len() as u64).to_be_bytes())?;
        self.wire.write_all(bytes)?;
        Ok(())
    }

    /// All waiting messages; acknowledged, as a device does once it has saved its state.
    fn hand_over(&mut self, to: &AccountName, address: IpAddr) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
        let waiting: Vec<_> = self
            .relay
            .pending(to, address, self.now)?
            .map(|received| (received.number, received.envelope.as_bytes().to_vec()))
            .collect();
        for (number, _) in &waiting {
            self.relay.acknowledge(to, *number)?;
        }
        Ok(waiting.into_iter().map(|(_, message)| message).collect())
    }

    /// Writes the complete state next to the wire log.
    fn keep(&mut self, folder: &Path) -> Result<(), Box<dyn Error>> {
        self.wire.flush()?;
        fs::write(folder.join("state.bin"), self.relay.state_bytes())?;
        Ok(())
    }

    fn answer_court(&self) -> Result<Vec<Disclosure>, Box<dyn Error>> {
        let order = Order::new("to hand over the keys needed to decrypt users' messages");
        [alice()?, bob()?].iter().map(|account| Ok(self.relay.disclose(account, &order)?)).collect()
    }
}

fn alice() -> Result<AccountName, Box<dyn Error>> {
    Ok(AccountName::new("+14153333333")?)
}

fn bob() -> Result<AccountName, Box<dyn Error>> {
    Ok(AccountName::new("+14152222222")?)
}

/// Addresses from the ranges reserved for documentation.
const ALICE_ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 17));
const BOB_ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 23));

/// Both devices, the server between them, and an unreliable network.
struct Exchange {
    alice: Peer,
    bob: Peer,
    tape: Tape,
    server: Server,
    network: ChaCha20Rng,
    losses: Losses,
    /// Alice's and Bob's access keys, which each has from the other. An app sends them inside the session.
    access_keys: [AccessKey; 2],
}

impl Exchange {
    fn begin(options: &Options, held: &Path, received: &Path, trace: &Path) -> Result<Self, Box<dyn Error>> {
        let mut rng = UnwrapErr(getrandom::SysRng);
        let now = UnixSeconds::from(SystemTime::now().duration_since(UNIX_EPOCH)?);
        let wire = BufWriter::with_capacity(1 << 20, File::create(held.join("wire.bin"))?);
        let mut server = Server { relay: Relay::default(), wire, messages: 0, now };
        let access_keys = [(); 2].map(|()| AccessKey::generate(&mut rng));
        let tape = Tape::to_writer(File::create(trace)?);
        let [alices, bobs] = ["Alice", "Bob"].map(|name| Recorder::device(&tape, name));
        let recorders = [alices?, bobs?];
        let mut devices = recorders.map(|recorder| Device::generate_with(recorder, now, &mut rng));
        let owners = [(alice()?, ALICE_ADDRESS), (bob()?, BOB_ADDRESS)];
        for ((device, (account, address)), key) in devices.iter_mut().zip(owners).zip(&access_keys) {
            let publication = device.publish(10, now, &mut rng)?;
            server.saw(&publication.identity.to_bytes())?;
            for prekey in publication.one_time_prekeys.iter().chain([&publication.signed_prekey]) {
                server.saw(&prekey.to_bytes())?;
            }
            server.saw(&key.hash().to_bytes())?;
            server.relay.open(&account, publication, key.hash(), address, now)?;
        }
        let [from, mut to] = devices;

        let bundle = server.relay.fetch(&bob()?, now)?.to_bytes();
        server.saw(&bundle)?;
        let bundle = Bundle::from_bytes(&RustCrypto, &bundle)?;
        // An acknowledgement of nothing: the first message must have a content.
        let (session, hello) = from.initiate(
            bundle,
            Payload {
                plaintext: &transfer::NOTHING_YET,
                associated_data: transfer::ASSOCIATED_DATA,
                ..Payload::default()
            },
            InitiateOptions::unverified(now).chunk_size(CHUNK_SIZE),
            &mut rng,
        )?;
        // Alice does not know Bob's access key yet.
        server.receive(&bob()?, hello, None)?;
        let hello = server.hand_over(&bob()?, BOB_ADDRESS)?.pop().ok_or("the first message was lost")?;
        let (theirs, first) = to.open(&hello)?.accept(transfer::ASSOCIATED_DATA).map_err(AcceptError::from)?;
        if session.safety_number() != theirs.safety_number() {
            return Err("the safety numbers differ".into());
        }
        // A device handles each chunk of both, and an acknowledgement now and then.
        let every = (2 * total(&options.files)? / CHUNK as u64 / THEFTS).max(1);
        let mut memory = || {
            let mut key = [0; 32];
            rng.fill_bytes(&mut key);
            (StorageKey::new(key), every)
        };
        let alice = Peer::new(1, session, memory(), &options.files, &received.join("alice"))?;
        let mut bob = Peer::new(2, theirs, memory(), &options.files, &received.join("bob"))?;
        bob.take(&first.plaintext)?;
        let network = ChaCha20Rng::seed_from_u64(2018);
        Ok(Self { alice, bob, tape, server, network, losses: Losses::default(), access_keys })
    }

    /// Both send all files to each other; returns the bytes exchanged.
    fn run(&mut self, options: &Options) -> Result<u64, Box<dyn Error>> {
        let mut rng = UnwrapErr(getrandom::SysRng);
        let total = total(&options.files)?;
        let mut progress = Progress::new("exchanged", total);
        let (alice_name, bob_name) = (alice()?, bob()?);
        let [alices, bobs] = &self.access_keys;
        let (mut stalled, mut last) = (0, 0);
        while !(self.alice.is_done() && self.bob.is_done()) {
            let batch = deliver(self.alice.outgoing(&mut rng)?, &mut self.network, &mut self.losses);
            for message in batch {
                self.server.receive(&bob_name, message, Some(bobs))?;
            }
            for message in self.server.hand_over(&bob_name, BOB_ADDRESS)? {
                self.bob.incoming(&message)?;
            }
            let batch = deliver(self.bob.outgoing(&mut rng)?, &mut self.network, &mut self.losses);
            for message in batch {
                self.server.receive(&alice_name, message, Some(alices))?;
            }
            for message in self.server.hand_over(&alice_name, ALICE_ADDRESS)? {
                self.alice.incoming(&message)?;
            }
            let chunks = self.bob.chunks_received();
            progress.show(chunks * CHUNK as u64);
            stalled = if chunks + self.alice.chunks_received() == last { stalled + 1 } else { 0 };
            last = chunks + self.alice.chunks_received();
            if stalled > STALLED {
                return Err("the exchange makes no progress".into());
            }
        }
        progress.end();
        // One more message that nobody fetches: the relay still has it when the order comes.
        let waiting = self.alice.outgoing(&mut rng)?;
        for message in waiting {
            self.server.receive(&bob_name, message, Some(bobs))?;
        }
        Ok(2 * total)
    }

    /// Whether both received what was sent, by SHA-256.
    fn compare(&self, options: &Options) -> Result<bool, Box<dyn Error>> {
        for peer in [&self.alice, &self.bob] {
            if peer.received().len() != options.files.len() {
                return Ok(false);
            }
            for (sent, received) in options.files.iter().zip(peer.received()) {
                if digest(sent)? != digest(received)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

fn total(files: &[PathBuf]) -> Result<u64, std::io::Error> {
    files.iter().map(|file| Ok(fs::metadata(file)?.len())).sum()
}

fn digest(path: &Path) -> Result<[u8; 32], Box<dyn Error>> {
    let mut hash = Sha256::new();
    for_blocks(path, |block| hash.update(block))?;
    Ok(hash.finalize().into())
}

fn for_blocks(path: &Path, mut take: impl FnMut(&[u8])) -> Result<(), Box<dyn Error>> {
    let mut file = File::open(path)?;
    let mut block = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut block)?;
        if read == 0 {
            return Ok(());
        }
        take(&block[..read]);
    }
}

/// A progress line on a terminal, for what takes longer than a moment.
pub(crate) struct Progress {
    what: &'static str,
    total: u64,
    percent: u64,
    shown: bool,
}

impl Progress {
    pub(crate) fn new(what: &'static str, total: u64) -> Self {
        Self { what, total, percent: u64::MAX, shown: total > 8 << 20 && std::io::stderr().is_terminal() }
    }

    pub(crate) fn show(&mut self, done: u64) {
        let percent = done.min(self.total) * 100 / self.total.max(1);
        if self.shown && percent != self.percent {
            self.percent = percent;
            eprint!("\r{percent:>3} % of {} MB {}", self.total / 1_000_000, self.what);
        }
    }

    pub(crate) fn end(&self) {
        if self.shown {
            eprint!("\r{:50}\r", "");
        }
    }
}

impl Outcome {
    fn holds(&self) -> bool {
        self.identical && self.hearing.holds()
    }

    fn print(&self, out: &Path) {
        let Losses { lost, duplicated, reordered } = self.losses;
        println!("Exchanged {} bytes in {} messages over the relay, both ways.", self.bytes, self.messages);
        println!("The network lost {lost}, duplicated {duplicated} and moved {reordered} of them;");
        println!("the sessions refused {} that had been opened before.", self.replays_refused);
        println!("Received files are {}.\n", if self.identical { "identical (SHA-256)" } else { "NOT IDENTICAL" });
        for disclosure in &self.disclosures {
            println!("{disclosure}");
        }
        self.hearing.print(out);
        let answer =
            if self.holds() { "No server-held key exists in what was examined." } else { "THE CLAIM DOES NOT HOLD." };
        println!("\n{answer}  ({:.1} s)", self.seconds);
    }

    fn print_json(&self, out: &Path) -> Result<(), Box<dyn Error>> {
        let report = serde_json::json!({
            "holds": self.holds(),
            "bytes_exchanged": self.bytes,
            "messages": self.messages,
            "network": {
                "lost": self.losses.lost,
                "duplicated": self.losses.duplicated,
                "reordered": self.losses.reordered,
            },
            "replays_refused": self.replays_refused,
            "files_identical": self.identical,
            "disclosures": self.disclosures,
            "searched": out.join("relay"),
            "trace": out.join("devices/run.trace"),
            "verdict": serde_json::from_str::<serde_json::Value>(&self.hearing.verdict.to_json())?,
            "forward_secrecy_failures": self.hearing.failures(),
            "seconds": self.seconds,
        });
        println!("{}", serde_json::to_string_pretty(&report)?);
        Ok(())
    }
}
