// SPDX-License-Identifier: MIT OR Apache-2.0
//! spec/diagrams.md draws what spec/protocol.md says and `src/ratchet/braid/` does: the Braid's states, what each
//! sends, and every transition with its step. Of the other drawings, the labels are compared.
#![allow(clippy::unwrap_used, reason = "a test states its expectations")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A transition: from, step, to.
type Transition = (String, String, String);

/// The Braid according to one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Machine {
    /// What each state sends, if it sends a chunk.
    states: BTreeMap<String, Option<String>>,
    transitions: BTreeSet<Transition>,
    /// The transitions that can fail.
    failing: BTreeSet<String>,
}

fn file(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')).filter(|word| !word.is_empty())
}

/// Steps of the Braid in a text.
fn steps(text: &str) -> Vec<String> {
    let is_step = |word: &&str| {
        word.strip_prefix("BR-").is_some_and(|number| !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()))
    };
    words(text).filter(is_step).map(str::to_owned).collect()
}

/// The text between `from` and `to`.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let rest = text.split_once(from).map_or("", |(_, rest)| rest);
    rest.split_once(to).map_or(rest, |(inner, _)| inner)
}

/// The first drawing.
fn drawn(diagrams: &str) -> Machine {
    let mut machine = Machine::default();
    for line in between(diagrams, "stateDiagram-v2", "```").lines() {
        let Some((left, text)) = line.split_once(" : ") else { continue };
        match left.split_once("-->") {
            None => {
                let sends = text.split_once(", sends ").map(|(_, what)| what.trim().to_owned());
                machine.states.insert(left.trim().to_owned(), sends);
            }
            Some((from, _)) if from.trim() == "[*]" => {}
            Some((from, to)) if to.trim() == "Dead" => {
                machine.failing.insert(from.trim().to_owned());
            }
            Some((from, to)) => {
                for step in steps(text) {
                    machine.transitions.insert((from.trim().to_owned(), step, to.trim().to_owned()));
                }
            }
        }
    }
    machine
}

/// §7 of the document: the table of what is sent, and the steps. The document says in prose which can fail.
fn documented(protocol: &str) -> Machine {
    let section = between(protocol, "\n## 7. ", "\n## ");
    let mut machine = Machine::default();
    let sending = between(section, "**Sending.**", "**Receiving.**");
    for line in sending.lines().filter(|line| line.starts_with("| ")) {
        let [_, names, what, _] = line.split('|').map(str::trim).collect::<Vec<_>>()[..] else { continue };
        // Kinds in the table of states, in the order of the states if there is more than one.
        let kinds: Vec<&str> = what.split('*').skip(1).step_by(2).filter(|kind| *kind != "None").collect();
        if !names.split(", ").all(|name| name.len() > 3 && name.chars().all(|c| c.is_ascii_alphanumeric()))
            || names == "state"
        {
            continue;
        }
        for (at, name) in names.split(", ").enumerate() {
            let step = steps(what);
            // A step's new state determines what is sent.
            let sends = if step.is_empty() { kinds.get(at).or(kinds.last()) } else { None };
            machine.states.insert(name.to_owned(), sends.map(|kind| (*kind).to_owned()));
            machine.transitions.extend(step.into_iter().map(|step| (name.to_owned(), step, String::new())));
        }
    }
    let mut sending = std::mem::take(&mut machine.transitions);
    let text = section.replace("\n  ", " ");
    let mut at_once = Vec::new();
    for line in text.lines() {
        let Some((step, rest)) = line.strip_prefix("- **").and_then(|line| line.split_once("** ")) else { continue };
        if !step.starts_with("BR-") {
            continue;
        }
        let to = rest.split_once("→ ").map(|(_, to)| words(to).next().unwrap().to_owned()).unwrap();
        let from = words(rest).next().filter(|word| machine.states.contains_key(*word)).map(str::to_owned);
        let from =
            from.or_else(|| sending.iter().find(|(_, taken, _)| taken == step).map(|(from, ..)| from.clone())).unwrap();
        if let Some((_, then)) = rest.split_once("where k = 1, ") {
            at_once.push((from.clone(), steps(then).swap_remove(0)));
        }
        sending.retain(|(_, taken, _)| taken != step);
        machine.transitions.insert((from, step.to_owned(), to));
    }
    assert!(sending.is_empty(), "steps in the table without a sentence: {sending:?}");
    for (from, step) in at_once {
        let to = machine.transitions.iter().find(|(_, taken, _)| *taken == step).unwrap().2.clone();
        machine.transitions.insert((from, step, to));
    }
    machine
}

/// Names that follow `State::`.
fn named(text: &str) -> Vec<String> {
    text.split("State::").skip(1).map(|rest| words(rest).next().unwrap().to_owned()).collect()
}

/// The code: the states and their dispatch, and the files of the states.
fn coded(states: &str, own: &str) -> Machine {
    let mut machine = Machine::default();
    for line in between(states, "enum State {", "\n}").lines().filter(|line| line.contains('(')) {
        machine.states.insert(words(line).next().unwrap().to_owned(), None);
    }
    for line in between(states, "let payload = match", "};").lines().filter(|line| line.contains("Payload::")) {
        let sends = line.split("Payload::").nth(1).map(|rest| words(rest).next().unwrap().to_owned());
        for name in named(line.split("=>").next().unwrap()) {
            machine.states.insert(name, sends.clone());
        }
    }
    // The steps of each kind of change, and those that a state takes itself.
    let mut of_change = BTreeMap::new();
    let mut doc = String::new();
    for line in between(states, "enum Change {", "\n}").lines() {
        match line.trim().strip_prefix("///") {
            Some(text) => doc.push_str(text),
            None => {
                let taken = steps(&std::mem::take(&mut doc));
                words(line).next().and_then(|change| of_change.insert(change.to_owned(), taken));
            }
        }
    }
    let body = |name: &str| between(own, &format!("\nimpl {name} {{"), "\n}").to_owned();
    // If there are several, the state takes one itself.
    let step_of = |from: &str, change: &str| -> String {
        let all = of_change.get(change).unwrap();
        let its = body(from);
        let taken = |step: &&String| all.len() == 1 || its.contains(&format!("step(\"{step}\")"));
        all.iter().find(taken).unwrap().clone()
    };
    // Receiving: the arms of `commit`.
    let arms = between(states, "self.state = match (&self.state, change) {", "_ => State::Dead")
        .replace("\n                ", " ");
    for arm in arms.lines().filter(|line| line.contains("=>")) {
        let (pattern, made) = arm.split_once("=>").unwrap();
        let change = words(pattern.split("Change::").nth(1).unwrap()).next().unwrap();
        for from in named(pattern.split("Change::").next().unwrap()) {
            let step = step_of(&from, change);
            machine.transitions.insert((from, step, named(made).swap_remove(0)));
        }
    }
    // Sending: what happens before a chunk is taken.
    let sending = between(states, "match &self.state {", "_ => {}");
    let parts: Vec<&str> = sending.split("State::").collect();
    for two in parts.windows(2) {
        let [arm, made] = two else { continue };
        if let ([step], Some(from)) = (&steps(arm)[..], words(arm).next()) {
            let to = words(made).next().unwrap();
            machine.transitions.insert((from.to_owned(), step.clone(), to.to_owned()));
        }
    }
    let fails = |name: &&String| ["Change::Fail", " agree(", ".encaps2("].iter().any(|by| body(name).contains(by));
    machine.failing = machine.states.keys().filter(fails).cloned().collect();
    machine
}

fn code() -> Machine {
    let own = ["decapsulator", "encapsulator"].map(|name| file(&format!("src/ratchet/braid/{name}.rs"))).concat();
    coded(&file("src/ratchet/braid/states.rs"), &own)
}

/// Labels of steps (`DR-E1`) and of derivations (`L_RK`) in a text.
fn labels(text: &str) -> BTreeSet<String> {
    let rooms = ["ID-", "PK-", "HS-", "DR-", "BR-", "SP-", "TR-", "SN-", "L_"];
    words(text).filter(|word| rooms.iter().any(|room| word.starts_with(room))).map(str::to_owned).collect()
}

/// Labels that derive no key of a conversation: for signing, hashing or storage, or of a foreign handshake.
const ASIDE: [&str; 9] =
    ["L_CERT", "L_PREKEY", "L_LOGIN", "L_CHALLENGE", "L_ACCESS", "L_TRANSCRIPT", "L_FOREIGN", "L_SALT", "L_SEAL"];

/// Labels of the document's key schedule that the drawings lack.
fn undrawn(diagrams: &str, protocol: &str) -> Vec<String> {
    let table = labels(between(protocol, "\n## 3. ", "\n## "));
    let drawn = labels(between(diagrams, "\n## 2. ", "\n## "));
    table
        .into_iter()
        .filter(|label| label.starts_with("L_") && !ASIDE.contains(&&**label) && !drawn.contains(label))
        .collect()
}

#[test]
fn the_braids_drawing_matches_the_document_and_the_code() {
    let (drawn, code) = (drawn(&file("spec/diagrams.md")), code());
    assert_eq!(drawn, code);
    let documented = documented(&file("spec/protocol.md"));
    assert_eq!((&documented.states, &documented.transitions), (&code.states, &code.transitions));
    // Eleven states; thirteen steps, of which BR-5 is taken from two states.
    assert_eq!((code.states.len(), code.transitions.len(), code.failing.len()), (11, 14, 6));
}

#[test]
fn drawn_labels_are_in_the_document_and_every_key_drawn() {
    let (diagrams, protocol) = (file("spec/diagrams.md"), file("spec/protocol.md"));
    assert_eq!(labels(&diagrams).difference(&labels(&protocol)).collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!(undrawn(&diagrams, &protocol), Vec::<String>::new());
}

/// One arrow, state or label is changed: in the drawing, in the document, in the code.
#[test]
fn control_a_difference_on_any_side_is_noticed() {
    let (diagrams, protocol) = (file("spec/diagrams.md"), file("spec/protocol.md"));
    let changed = |text: &str, old: &str, new: &str| {
        assert!(text.contains(old), "{old}");
        text.replacen(old, new, 1)
    };
    for (old, new) in [
        ("KeysSampled --> HeaderSent : BR-2", "KeysSampled --> Ct1Received : BR-2"),
        ("HeaderSent : HeaderSent, sends Ek\n", "HeaderSent : HeaderSent, sends Hdr\n"),
        ("Ct1Sampled --> Ct2Sampled : BR-9", "Ct1Sampled --> Ct2Sampled : BR-10"),
        ("    Ct2Sampled --> KeysUnsampled : BR-13 any message of the next epoch\n", ""),
        ("    NoHeaderReceived --> Dead : BR-6 fails\n", ""),
        ("    Ct1Acknowledged : Ct1Acknowledged\n", ""),
    ] {
        assert_ne!(drawn(&changed(&diagrams, old, new)), drawn(&diagrams), "{old}");
    }
    for (old, new) in [
        ("**BR-8** Ct1Sampled", "**BR-8** HeaderReceived"),
        ("ct1 complete. → Ct1Received", "ct1 complete. → HeaderSent"),
        ("where k = 1, BR-5 at once", "and so on"),
        ("| Ct2Sampled | *Ct2*", "| Ct2Sampled | *Ct1*"),
    ] {
        let other = documented(&changed(&protocol, old, new));
        assert_ne!((other.states, other.transitions), (code().states, code().transitions), "{old}");
    }
    let (states, own) = (file("src/ratchet/braid/states.rs"), file("src/ratchet/braid/encapsulator.rs"));
    let own = own + &file("src/ratchet/braid/decapsulator.rs");
    assert_eq!(coded(&states, &own), code());
    for (old, new) in [
        ("/// BR-8.\n    Ct1Acknowledged(", "/// BR-10.\n    Ct1Acknowledged("),
        ("primitives.step(\"BR-1\")", "primitives.step(\"BR-7\")"),
        ("State::KeysUnsampled(state.duplicate()", "State::NoHeaderReceived(state.duplicate()"),
        ("state.ct2.next_codeword().map(Payload::Ct2)", "state.ct2.next_codeword().map(Payload::Ct1)"),
    ] {
        assert_ne!(coded(&changed(&states, old, new), &own), code(), "{old}");
    }
    for label in ["L_NHK\"", "L_START,"] {
        assert_eq!(undrawn(&changed(&diagrams, label, "L_X,"), &protocol).len(), 1, "{label}");
    }
    assert!(labels("DR-D10").difference(&labels(&protocol)).next().is_some());
}
