// SPDX-License-Identifier: MIT OR Apache-2.0
//! The child: receives commands and its draws, and is read while it stands still.

use crate::protocol::{DRAW, OUTPUT, STOP, Verb};
use crate::scenario::Step;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A kind of place in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    Heap,
    /// Above the stack pointer: frames in use.
    StackInUse,
    /// Below it: data of calls that have returned.
    StackBelow,
    /// The registers, as the kernel wrote them far below the stack in use.
    Registers,
    Static,
    /// An anonymous mapping.
    Other,
}

impl Place {
    /// For readers; `below` is the distance below the stack pointer.
    pub fn name(self, below: i64) -> String {
        match self {
            Self::StackInUse | Self::StackBelow => format!("{self:?}, {below} bytes below"),
            Self::Heap | Self::Registers | Self::Static | Self::Other => format!("{self:?}"),
        }
    }
}

/// Distance below the stack pointer from which the registers begin: the child's gap, minus a page of frames.
const REGISTERS_BELOW: u64 = (1 << 19) - (1 << 12);

/// A part of the memory.
pub struct Region {
    start: u64,
    name: String,
    pub bytes: Vec<u8>,
}

/// All of the memory at one moment.
pub struct Memory {
    pub regions: Vec<Region>,
    stack_pointer: u64,
}

impl Memory {
    pub fn len(&self) -> usize {
        self.regions.iter().map(|region| region.bytes.len()).sum()
    }

    /// The kind of place of an offset in a region, and its distance below the stack pointer.
    pub fn place(&self, region: &Region, offset: usize) -> (Place, i64) {
        let address = region.start + offset as u64;
        let below = self.stack_pointer.wrapping_sub(address).cast_signed();
        let place = match region.name.as_str() {
            "[heap]" => Place::Heap,
            "[stack]" if below <= 0 => Place::StackInUse,
            "[stack]" if below.unsigned_abs() >= REGISTERS_BELOW => Place::Registers,
            "[stack]" => Place::StackBelow,
            name if name.starts_with('/') => Place::Static,
            _ => Place::Other,
        };
        (place, below)
    }
}

/// A running child.
pub struct Played {
    process: Child,
    to: ChildStdin,
    from: ChildStdout,
}

impl Played {
    pub fn start(program: &str) -> Self {
        let mut process = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .env_clear()
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let (to, from) = (process.stdin.take().expect("a pipe"), process.stdout.take().expect("a pipe"));
        Self { process, to, from }
    }

    /// Makes it perform a step; it must draw as much and output the same as the recorded run.
    pub fn perform(&mut self, step: &Step) {
        let output = self.command(step.verb, &step.arguments, &step.draws);
        assert!(output == step.output, "{}: the child's output is another", step.name);
    }

    /// Sends a command and the draws for it; returns the output when the child stands still.
    pub fn command(&mut self, verb: Verb, arguments: &[Vec<u8>], draws: &[Vec<u8>]) -> Vec<u8> {
        let mut command = vec![verb as u8, u8::try_from(arguments.len()).expect("few arguments")];
        for argument in arguments {
            command.extend(u32::try_from(argument.len()).expect("a short argument").to_le_bytes());
            command.extend(argument);
        }
        self.to.write_all(&command).expect("a child that listens");
        let (mut draws, mut output) = (draws.iter(), Vec::new());
        loop {
            match self.byte() {
                DRAW => {
                    let len = self.len();
                    let draw = draws.next().filter(|draw| draw.len() == len).expect("as much drawn as was recorded");
                    self.to.write_all(draw).expect("a child that listens");
                }
                OUTPUT => {
                    output = vec![0; self.len()];
                    self.from.read_exact(&mut output).expect("an output");
                }
                STOP => break,
                other => panic!("an unknown answer of the child: {other}"),
            }
        }
        assert!(draws.next().is_none(), "less drawn than was recorded");
        output
    }

    fn byte(&mut self) -> u8 {
        let mut byte = [0];
        self.from.read_exact(&mut byte).expect("an answer of the child");
        byte[0]
    }

    fn len(&mut self) -> usize {
        let mut len = [0; 4];
        self.from.read_exact(&mut len).expect("a length");
        u32::from_le_bytes(len) as usize
    }

    /// Reads all of its memory while it waits for a command.
    pub fn memory(&self) -> Memory {
        let folder = format!("/proc/{}", self.process.id());
        let stack_pointer = self.stack_pointer(&folder);
        let maps = fs::read_to_string(format!("{folder}/maps")).expect("maps of the child");
        let mut memory = File::open(format!("{folder}/mem")).expect("the memory of a child that may be traced");
        let (mut regions, mut last) = (Vec::new(), None::<(u64, String)>);
        for line in maps.lines() {
            let mut fields = line.split_ascii_whitespace();
            let (start, end) = fields.next().and_then(|range| range.split_once('-')).expect("a range");
            let [start, end] = [start, end].map(|address| u64::from_str_radix(address, 16).expect("an address"));
            let name = line.split_ascii_whitespace().nth(5).unwrap_or_default().to_owned();
            // Kernel mappings, which no other process writes (proc_pid_maps(5)).
            if ["[vvar]", "[vvar_vclock]", "[vsyscall]"].contains(&name.as_str()) {
                continue;
            }
            // A program's zeroed statics follow those from its file, and have no name.
            let name = match &last {
                Some((end, name)) if name.starts_with('/') && *end == start && !line.contains('/') => name.clone(),
                _ => name,
            };
            last = Some((end, name.clone()));
            let mut bytes = vec![0; usize::try_from(end - start).expect("a size")];
            memory.seek(SeekFrom::Start(start)).expect("an address");
            match memory.read_exact(&mut bytes) {
                Ok(()) => regions.push(Region { start, name, bytes }),
                // A guard, without pages.
                Err(_) if line.contains("---p") => {}
                Err(error) => panic!("{line}: {error}"),
            }
        }
        Memory { regions, stack_pointer }
    }

    /// `number arguments*6 stack-pointer counter` of the system call in which it waits; `running` before that.
    fn stack_pointer(&self, folder: &str) -> u64 {
        loop {
            let call = fs::read_to_string(format!("{folder}/syscall")).expect("the system call of the child");
            let fields: Vec<&str> = call.split_ascii_whitespace().collect();
            // read(2) of its standard input.
            if let ["0", _, _, _, _, _, _, pointer, _] = fields[..] {
                return u64::from_str_radix(pointer.trim_start_matches("0x"), 16).expect("an address");
            }
            std::thread::yield_now();
        }
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
