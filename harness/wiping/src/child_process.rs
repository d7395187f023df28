// SPDX-License-Identifier: MIT OR Apache-2.0
//! The child: told what to do, given what it draws, and read while it keeps still.

use crate::protocol::{DRAW, OUTPUT, STOP, Verb};
use crate::scenario::Step;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Where in a process something lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    Heap,
    /// Above the stack pointer: frames that are in use.
    StackInUse,
    /// Below it: what calls that have returned left behind.
    StackBelow,
    /// The registers, as the kernel wrote them far below the stack in use.
    Registers,
    Static,
    /// A mapping of nothing that has a name.
    Other,
}

impl Place {
    /// For people; `below` is the distance below the stack pointer.
    pub fn name(self, below: i64) -> String {
        match self {
            Self::StackInUse | Self::StackBelow => format!("{self:?}, {below} bytes below"),
            Self::Heap | Self::Registers | Self::Static | Self::Other => format!("{self:?}"),
        }
    }
}

/// Bytes below the stack pointer from which on what lies there are the registers: the child's gap, but for a page of frames.
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

    /// What kind of place an offset in a region is, and its distance below the stack pointer.
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

    /// Has it perform a step; it must draw as much and put out the same as the recorded run.
    pub fn perform(&mut self, step: &Step) {
        let output = self.command(step.verb, &step.arguments, &step.draws);
        assert!(output == step.output, "{}: the child's output is another", step.name);
    }

    /// Gives a command and the draws for it; returns the output when the child stands still.
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
                other => panic!("the child says {other}"),
            }
        }
        assert!(draws.next().is_none(), "less drawn than was recorded");
        output
    }

    fn byte(&mut self) -> u8 {
        let mut byte = [0];
        self.from.read_exact(&mut byte).expect("a child that goes on");
        byte[0]
    }

    fn len(&mut self) -> usize {
        let mut len = [0; 4];
        self.from.read_exact(&mut len).expect("a length");
        u32::from_le_bytes(len) as usize
    }

    /// Reads all of its memory, when it waits for a command.
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
            // Of the kernel, which nobody else writes (proc_pid_maps(5)).
            if ["[vvar]", "[vvar_vclock]", "[vsyscall]"].contains(&name.as_str()) {
                continue;
            }
            // A program's zeroed statics follow those of its file, and have no name.
            let name = match &last {
                Some((end, name)) if name.starts_with('/') && *end == start && !line.contains('/') => name.clone(),
                _ => name,
            };
            last = Some((end, name.clone()));
            let mut bytes = vec![0; usize::try_from(end - start).expect("a size")];
            memory.seek(SeekFrom::Start(start)).expect("an address");
            match memory.read_exact(&mut bytes) {
                Ok(()) => regions.push(Region { start, name, bytes }),
                // A guard, to which no page was given.
                Err(_) if line.contains("---p") => {}
                Err(error) => panic!("{line}: {error}"),
            }
        }
        Memory { regions, stack_pointer }
    }

    /// `number arguments*6 stack-pointer counter` of the system call in which it waits; until then `running`.
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
