// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device's secrets, in the pieces that are searched for, and which of them must be erased: those that its saved
//! state does not hold.

use crate::protocol::Verb;
use crate::scenario::{Party, Step};
use crate::search::{Index, MIN_PIECE_LEN, PIECE_LEN};
use std::collections::{BTreeSet, HashMap};

/// Least number of different bytes in a piece: with fewer it is a constant, and may be anywhere.
const MIN_DIFFERENT: usize = 6;

/// One secret value.
pub struct Secret {
    /// Its first form and step, as in `X25519 shared secret (HS-I4)`.
    pub name: String,
    /// The step of the script at which it first existed.
    pub born: usize,
}

/// All secrets of one device's run.
pub struct Secrets {
    pub secrets: Vec<Secret>,
    pub index: Index,
    /// The secret of each piece, by the piece's number.
    pub of: Vec<usize>,
    /// The pieces that the device and session hold after each step of the script.
    alive: Vec<BTreeSet<usize>>,
}

impl Secrets {
    pub fn of(party: &Party) -> Self {
        let mut known = HashMap::new();
        let (mut secrets, mut of) = (Vec::new(), Vec::new());
        let public = public(party);
        for (born, step) in party.script.iter().enumerate() {
            for (name, value) in &step.secrets {
                let mut secret = None;
                for piece in pieces_of(value) {
                    if known.contains_key(piece) {
                        continue;
                    }
                    let number = *secret.get_or_insert_with(|| {
                        secrets.push(Secret { name: name.clone(), born });
                        secrets.len() - 1
                    });
                    known.insert(piece.to_vec(), known.len());
                    of.push((number, piece.to_vec()));
                }
            }
        }
        let mut is_public = vec![false; of.len()];
        Index::new(of.iter().map(|(_, piece)| piece.clone()).collect())
            .search(&public, |piece, _| is_public[piece] = true);
        let mut kept = is_public.iter();
        of.retain(|_| kept.next() == Some(&false));
        let (of, pieces) = of.into_iter().unzip();
        let index = Index::new(pieces);
        let alive = |step: &Step| {
            let mut alive = BTreeSet::new();
            index.search(&step.state, |piece, _| {
                alive.insert(piece);
            });
            alive
        };
        let alive = party.script.iter().map(alive).collect();
        Self { secrets, index, of, alive }
    }

    /// The pieces that must not be in memory after step `step`.
    pub fn dead(&self, step: usize) -> BTreeSet<usize> {
        let is_dead = |piece: &usize| self.secrets[self.of[*piece]].born <= step && !self.alive[step].contains(piece);
        (0..self.of.len()).filter(is_dead).collect()
    }
}

/// A value in pieces, the last one at its end.
fn pieces_of(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let whole = value.chunks_exact(PIECE_LEN);
    let rest = if whole.remainder().is_empty() { None } else { Some(&value[value.len().saturating_sub(PIECE_LEN)..]) };
    whole.chain(rest).filter(|piece| {
        let different = piece.iter().collect::<BTreeSet<_>>().len();
        piece.len() >= MIN_PIECE_LEN && different >= MIN_DIFFERENT
    })
}

/// Public values: inputs and outputs in the clear, and public outputs of primitives. A header's salt and commitment are
/// thus known not to be secrets.
fn public(party: &Party) -> Vec<u8> {
    let mut public = Vec::new();
    for step in &party.script {
        public.extend_from_slice(&step.public);
        match step.verb {
            Verb::Generate | Verb::Publish | Verb::Rotate => public.extend_from_slice(&step.output),
            Verb::Initiate => {
                public.extend_from_slice(&step.arguments[0]);
                public.extend_from_slice(&step.output);
            }
            Verb::Encrypt | Verb::SnapshotDevice | Verb::SnapshotSession => public.extend_from_slice(&step.output),
            Verb::Accept | Verb::Decrypt => public.extend_from_slice(&step.arguments[0]),
            _ => {}
        }
    }
    public
}
