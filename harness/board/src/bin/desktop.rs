// SPDX-License-Identifier: MIT OR Apache-2.0
//! One end of the conversation on standard input and output, and the network between two ends.
//!
//! `desktop alice`, `desktop bob`: an end; a number after it selects other randomness. `desktop relay TRANSCRIPT ALICE
//! BOB`: the network between two shell commands that are ends; everything that they send is written to TRANSCRIPT. A
//! number after it flips a bit of the message of that number. `desktop jumps ALICE BOB`: the network of the other
//! conversation, whose ends are `alice-jumps` and `bob-jumps`.

use conversation::network::{ARRIVALS, Arrival, BURST, JUMPS, TURNS};
use conversation::{Board, Failed, SEED, hold, named};
use std::io::{Read, Write};
use std::process::{Child, Command, ExitCode, Stdio};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let held = match arguments[..] {
        ["relay", transcript, alice, bob] => relay(transcript, alice, bob, None),
        ["relay", transcript, alice, bob, change] => relay(transcript, alice, bob, change.parse().ok()),
        ["jumps", alice, bob] => jumps(alice, bob),
        [role] => end(role, SEED),
        [role, seed] => end(role, seed.parse().unwrap_or(SEED)),
        _ => {
            Err("desktop alice|bob [SEED], desktop relay TRANSCRIPT ALICE BOB [CHANGED] or desktop jumps ALICE BOB"
                .into())
        }
    };
    match held {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("FAILED: {}: {failed}", arguments.first().unwrap_or(&"desktop"));
            ExitCode::FAILURE
        }
    }
}

fn end(role: &str, seed: u8) -> Result<(), String> {
    let conversation = named(role).ok_or("there is no such role")?;
    hold(&mut Console, conversation, seed, b"cortex_m").map_err(String::from)
}

/// Messages as their length in two bytes, little-endian, followed by their bytes.
struct Console;

impl Board for Console {
    fn send(&mut self, message: &[u8]) -> Result<(), Failed> {
        write_message(&mut std::io::stdout(), message).map_err(|_| "the line is down")
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Failed> {
        let message = read_message(&mut std::io::stdin()).map_err(|_| "the line is down")?;
        buffer.get_mut(..message.len()).ok_or("a message is too long")?.copy_from_slice(&message);
        Ok(message.len())
    }
}

fn write_message(to: &mut impl Write, message: &[u8]) -> std::io::Result<()> {
    let len = u16::try_from(message.len()).map_err(std::io::Error::other)?;
    to.write_all(&len.to_le_bytes())?;
    to.write_all(message)?;
    to.flush()
}

fn read_message(from: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut len = [0; 2];
    from.read_exact(&mut len)?;
    let mut message = vec![0; usize::from(u16::from_le_bytes(len))];
    from.read_exact(&mut message)?;
    Ok(message)
}

/// An end, as a process.
struct End {
    name: &'static str,
    process: Child,
}

impl End {
    fn start(name: &'static str, command: &str) -> Result<Self, String> {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec {command}")]).stdin(Stdio::piped()).stdout(Stdio::piped());
        Ok(Self { name, process: shell.spawn().map_err(|error| format!("{name}: {error}"))? })
    }

    fn read(&mut self) -> Result<Vec<u8>, String> {
        let output = self.process.stdout.as_mut().ok_or("no output")?;
        read_message(output).map_err(|error| format!("{} stopped sending: {error}", self.name))
    }

    fn write(&mut self, message: &[u8]) -> Result<(), String> {
        let input = self.process.stdin.as_mut().ok_or("no input")?;
        write_message(input, message).map_err(|error| format!("{} does not receive: {error}", self.name))
    }

    fn finish(&mut self) -> Result<(), String> {
        let status = self.process.wait().map_err(|error| error.to_string())?;
        if status.success() { Ok(()) } else { Err(format!("{} ended with {status}", self.name)) }
    }
}

impl Drop for End {
    /// An end that waits for a message that never arrives must not outlive the network.
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The messages sent so far, and the number of the message to change.
struct Network {
    transcript: Vec<String>,
    change: Option<usize>,
}

impl Network {
    fn take(&mut self, from: &mut End) -> Result<Vec<u8>, String> {
        let mut message = from.read()?;
        let hex: String = message.iter().map(|byte| format!("{byte:02x}")).collect();
        self.transcript.push(format!("{} {hex}", from.name));
        if self.change == Some(self.transcript.len()) {
            flip(&mut message);
        }
        Ok(message)
    }

    fn carry(&mut self, from: &mut End, to: &mut End) -> Result<(), String> {
        let message = self.take(from)?;
        to.write(&message)
    }

    fn turns(&mut self, alice: &mut End, bob: &mut End) -> Result<(), String> {
        for _ in 0..TURNS {
            self.carry(bob, alice)?;
            self.carry(alice, bob)?;
        }
        Ok(())
    }

    fn burst(&mut self, from: &mut End, to: &mut End) -> Result<(), String> {
        let messages = (0..BURST).map(|_| self.take(from)).collect::<Result<Vec<_>, _>>()?;
        for arrival in ARRIVALS {
            match arrival {
                Arrival::Whole(number) => to.write(&messages[usize::from(number)])?,
                Arrival::Forged(number) => {
                    let mut forged = messages[usize::from(number)].clone();
                    flip(&mut forged);
                    to.write(&forged)?;
                }
            }
        }
        Ok(())
    }
}

fn flip(message: &mut [u8]) {
    let middle = message.len() / 2;
    message[middle] ^= 1;
}

fn jumps(alice: &str, bob: &str) -> Result<(), String> {
    let mut alice = End::start("Alice", alice)?;
    let mut bob = End::start("Bob", bob)?;
    let mut network = Network { transcript: Vec::new(), change: None };
    network.carry(&mut bob, &mut alice)?;
    for _ in 0..=JUMPS.len() {
        network.carry(&mut alice, &mut bob)?;
    }
    alice.finish()?;
    bob.finish()
}

fn relay(transcript: &str, alice: &str, bob: &str, change: Option<usize>) -> Result<(), String> {
    let mut alice = End::start("Alice", alice)?;
    let mut bob = End::start("Bob", bob)?;
    let mut network = Network { transcript: Vec::new(), change };
    network.carry(&mut bob, &mut alice)?;
    network.carry(&mut alice, &mut bob)?;
    network.turns(&mut alice, &mut bob)?;
    network.burst(&mut alice, &mut bob)?;
    network.burst(&mut bob, &mut alice)?;
    network.turns(&mut alice, &mut bob)?;
    if network.take(&mut alice)? != network.take(&mut bob)? {
        return Err("the ends do not agree".into());
    }
    alice.finish()?;
    bob.finish()?;
    network.transcript.push(String::new());
    std::fs::write(transcript, network.transcript.join("\n")).map_err(|error| error.to_string())
}
