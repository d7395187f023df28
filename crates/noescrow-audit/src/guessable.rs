// SPDX-License-Identifier: MIT OR Apache-2.0
//! Secrets that can be guessed: a key that is derived from a PIN is as good as public, since an attacker who has a
//! ciphertext under the key can try every PIN.
//!
//! The closure is computed once more with all values that can be guessed among the facts. What follows then, and did
//! not before, is a finding of the guessed values from which it follows, unless they are too many to be tried together.

use super::class::Class;
use super::clauses::{Rule, Watches};
use super::closure::{Closure, Known};
use super::ledger::Ledger;
use super::value::Id;
use super::well_known::is_well_known;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Passwords that are tried first, in lower case; those of [`is_guessable`]'s other rules are left out.
const COMMON: [&str; 66] = [
    "12345678",
    "123456789",
    "1234567890",
    "11111111",
    "00000000",
    "87654321",
    "12341234",
    "11223344",
    "password",
    "password1",
    "password123",
    "passw0rd",
    "p@ssw0rd",
    "p@ssword",
    "qwerty",
    "qwerty1",
    "qwerty12",
    "qwerty123",
    "qwertyuiop",
    "qwertz",
    "azerty",
    "asdfgh",
    "asdfghjkl",
    "zxcvbn",
    "zxcvbnm",
    "1q2w3e",
    "1q2w3e4r",
    "1q2w3e4r5t",
    "1qaz2wsx",
    "q1w2e3r4",
    "abcdef",
    "abcdefg",
    "abcd1234",
    "abc123",
    "a1b2c3",
    "a1b2c3d4",
    "admin123",
    "administrator",
    "changeme",
    "change_me",
    "default",
    "letmein",
    "welcome",
    "welcome1",
    "secret",
    "secret123",
    "topsecret",
    "iloveyou",
    "monkey",
    "dragon",
    "football",
    "baseball",
    "superman",
    "batman",
    "sunshine",
    "princess",
    "master",
    "shadow",
    "michael",
    "jessica",
    "charlie",
    "whatever",
    "trustno1",
    "starwars",
    "computer",
    "test1234",
];

/// Values that can be tried together, in bits: on a few machines, a day's work for a fast key derivation.
const MAX_BITS: u32 = 40;

/// The bits of a value that is tried before others: up to three bytes, up to seven digits, up to five letters in one
/// case, up to four letters and digits, or a common password in any case. `None` for others.
fn bits(bytes: &[u8]) -> Option<u32> {
    let all = |is_one: fn(&u8) -> bool| bytes.iter().all(is_one);
    let len = u32::try_from(bytes.len()).ok()?;
    match len {
        1..=7 if all(u8::is_ascii_digit) => Some(len.saturating_mul(10).div_ceil(3)),
        0..=3 => Some(len.saturating_mul(8)),
        4 if all(u8::is_ascii_alphanumeric) => Some(24),
        5 if all(u8::is_ascii_lowercase) || all(u8::is_ascii_uppercase) => Some(24),
        _ => COMMON.iter().any(|common| common.as_bytes().eq_ignore_ascii_case(bytes)).then_some(7),
    }
}

/// Whether a value can be guessed.
pub(super) fn is_guessable(bytes: &[u8]) -> bool {
    bits(bytes).is_some()
}

/// What follows if values are guessed.
#[derive(Debug)]
pub(super) struct Guesses {
    /// The values that are guessed.
    pub(super) guessed: BTreeSet<Id>,
    /// The closure with them.
    pub(super) closure: Closure,
    /// For guessed values from which together a secret follows, the first such secret, and how many there are.
    pub(super) opened: BTreeMap<BTreeSet<Id>, (Id, usize)>,
}

impl Guesses {
    /// Adds to `facts`, whose closure is `known`, what can be guessed.
    pub(super) fn of(ledger: &Ledger, watches: &Watches, facts: &[Id], known: &Closure) -> Self {
        let is_new = |id: Id| !known.knows(id) && ledger.bytes(id).is_some_and(|bytes| !is_well_known(bytes));
        let candidates = ledger.values().map(|(id, _)| id).filter(|id| is_new(*id) && !watches.of(*id).is_empty());
        let guessed: BTreeSet<Id> = candidates.filter(|id| ledger.bytes(*id).is_some_and(is_guessable)).collect();
        if guessed.is_empty() {
            return Self { guessed, closure: known.clone(), opened: BTreeMap::new() };
        }
        let facts = facts.iter().chain(&guessed).copied();
        let closure = Closure::of(&ledger.clauses, watches, ledger.values().count(), facts);
        let (mut opened, mut origins) = (BTreeMap::new(), HashMap::new());
        for (id, value) in ledger.values() {
            let is_secret = matches!(value.class, Class::Secret | Class::State) && value.of_device;
            // A guess with its padding is the guess.
            let follows = match closure.how(id) {
                Known::By(clause) => !matches!(ledger.clauses.rule(clause), Some(Rule::Padding(_))),
                Known::Not | Known::Fact => false,
            };
            if is_secret
                && follows
                && is_new(id)
                && let Some(guesses) =
                    origin(ledger, &closure, &guessed, &mut origins, id).filter(|all| !all.is_empty())
            {
                let (_, count): &mut (Id, usize) = opened.entry(guesses).or_insert((id, 0));
                *count = count.saturating_add(1);
            }
        }
        Self { guessed, closure, opened }
    }
}

/// The guessed values from which a value follows; `None` if they are too many to be tried together. `origins` has those
/// of the values that were asked for before, so that each value is visited once.
fn origin(
    ledger: &Ledger,
    closure: &Closure,
    guessed: &BTreeSet<Id>,
    origins: &mut HashMap<Id, Option<BTreeSet<Id>>>,
    of: Id,
) -> Option<BTreeSet<Id>> {
    let can_be_tried = |guesses: &BTreeSet<Id>| {
        let bits = guesses.iter().filter_map(|id| bits(ledger.bytes(*id)?));
        bits.fold(0u32, u32::saturating_add) <= MAX_BITS
    };
    // Each entry is a value and whether its premises have been visited.
    let mut stack = std::vec![(of, false)];
    while let Some((value, visited)) = stack.pop() {
        let premises = match closure.how(value) {
            Known::By(clause) => ledger.clauses.premises(clause),
            Known::Not | Known::Fact => &[],
        };
        if visited {
            let mut all = Some(BTreeSet::new());
            for premise in premises {
                let theirs = origins.get(premise).and_then(Option::as_ref);
                all = all.zip(theirs).map(|(all, theirs)| &all | theirs).filter(can_be_tried);
            }
            origins.insert(value, all);
        } else if let Entry::Vacant(new) = origins.entry(value) {
            new.insert(Some(guessed.get(&value).copied().into_iter().collect()));
            if !premises.is_empty() {
                stack.push((value, true));
                stack.extend(premises.iter().map(|premise| (*premise, false)));
            }
        }
    }
    origins.get(&of).cloned().flatten()
}

#[cfg(test)]
mod tests {
    use super::is_guessable;

    #[test]
    fn values_that_are_tried_first_can_be_guessed() {
        for value in [&b""[..], b"\xF1\x02\x9C", b"4711", b"0815123", b"hello", b"aB3x", b"PassWord1", b"12345678"] {
            assert!(is_guessable(value), "{value:?}");
        }
        for value in [&b"\xF1\x02\x9C\x55"[..], b"08151234", b"heLlo", b"hellos", b"aB3x9", b"correct horse"] {
            assert!(!is_guessable(value), "{value:?}");
        }
    }
}
