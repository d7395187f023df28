// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Model`]: how surprising a text is, in bits. Ordinary language surprises little and occurs in software by chance.
//!
//! The model counts sequences of one to six bytes, and predicts each byte from the five before it, as prediction by
//! partial matching does: the shares that longer contexts give are mixed with those of shorter ones. It is trained on
//! software that was there before a run, and on a corpus that this crate ships (`model/`, 25 languages). It is never
//! trained on evidence: a leaked text would make itself probable.

use flate2::read::GzDecoder;
use std::io::Read;

/// Messages of Django's translations (BSD-3-Clause), see `model/README.md`.
static CORPUS: &[u8] = include_bytes!("../model/ordinary.txt.gz");
/// The longest sequence of bytes that is counted. The sixth byte is predicted from five.
const LONGEST: usize = 6;
/// The weight of what shorter contexts predict, in observations of the context. With two, a byte that always followed a
/// context, but only once, is expected with a third of the probability.
const SHORTER: f32 = 2.0;
/// Parts of a bit in which surprise is given.
pub(super) const PARTS: u64 = 64;
/// The most that a byte can surprise by, in bits: as much as a random one.
const MOST: f32 = 8.0;
/// Bits of a slot that identify the sequence; the others count it.
const TAG: u32 = 0xFFF0_0000;
/// Slots for each byte of training text, and the most in all: 32 MB. Text of 16 MB has fewer sequences.
const SLOTS: (usize, usize) = (8, 1 << 23);

/// Frequencies of sequences of bytes.
pub(super) struct Model {
    /// Tag and count of a sequence. A sequence has two slots; if others take both, it is not counted.
    slots: Vec<u32>,
    trained: u32,
}

impl Model {
    /// A model of ordinary language: of the corpus, and of a sample of software.
    pub(super) fn of(sample: &[u8]) -> Self {
        let mut corpus = Vec::new();
        // A corpus that cannot be read makes every text surprising.
        let _ = GzDecoder::new(CORPUS).read_to_end(&mut corpus);
        let bytes = corpus.len().saturating_add(sample.len());
        let slots = bytes.saturating_mul(SLOTS.0).min(SLOTS.1).checked_next_power_of_two().unwrap_or(SLOTS.1);
        let mut model = Self { slots: vec![0; slots], trained: 0 };
        model.train(&corpus);
        model.train(sample);
        model
    }

    fn train(&mut self, text: &[u8]) {
        let mut last = 0u64;
        for &byte in text {
            last = last << 8 | u64::from(byte);
            for len in 1..=LONGEST {
                self.count(key(last, len));
            }
            self.trained = self.trained.saturating_add(1);
        }
    }

    fn count(&mut self, (at, tag): (u64, u32)) {
        let mask = self.slots.len().wrapping_sub(1);
        for at in [at as usize & mask, (at as usize ^ 1) & mask] {
            if let Some(slot) = self.slots.get_mut(at)
                && (*slot == 0 || *slot & TAG == tag)
            {
                let count = (*slot & !TAG).saturating_add(1).min(!TAG);
                *slot = tag | count;
                return;
            }
        }
    }

    fn seen(&self, (at, tag): (u64, u32)) -> f32 {
        let mask = self.slots.len().wrapping_sub(1);
        let slots = [at as usize & mask, (at as usize ^ 1) & mask].map(|at| self.slots.get(at).copied().unwrap_or(0));
        slots.into_iter().find(|slot| slot & TAG == tag).map_or(0.0, |slot| (slot & !TAG) as f32)
    }

    /// How much each byte of a text surprises, in [`PARTS`] of a bit.
    pub(super) fn surprise(&self, text: &[u8]) -> Vec<u32> {
        let mut last = 0u64;
        let mut bits: Vec<f32> = Vec::with_capacity(text.len());
        for (before, &byte) in text.iter().enumerate() {
            let context = last;
            last = last << 8 | u64::from(byte);
            let mut expected = (self.seen(key(last, 1)) + 1.0) / (self.trained as f32 + 256.0);
            for len in 2..=LONGEST.min(before.saturating_add(1)) {
                let times = self.seen(key(context, len.wrapping_sub(1)));
                // Sequences that found no slot could have been seen more often than their beginnings.
                let followed = self.seen(key(last, len)).min(times);
                expected = (followed + SHORTER * expected) / (times + SHORTER);
            }
            bits.push((-expected.log2()).clamp(0.0, MOST));
        }
        limit_characters(text, &mut bits);
        bits.into_iter().map(|bits| (bits * PARTS as f32) as u32).collect()
    }
}

/// A language that the model has not seen is not more surprising than others: the bytes of a character of it together
/// count no more than letters of its script surprise by on average.
fn limit_characters(text: &[u8], bits: &mut [f32]) {
    let mut at = 0usize;
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            let end = at.saturating_add(character.len_utf8());
            if let (Some(most), Some(bits)) = (most_of(character), bits.get_mut(at..end)) {
                let sum: f32 = bits.iter().sum();
                if sum > most {
                    bits.iter_mut().for_each(|bits| *bits *= most / sum);
                }
            }
            at = end;
        }
        at = at.saturating_add(chunk.invalid().len());
    }
}

/// The most that a character counts, in bits, unless it is ASCII. Letters of an alphabet have 4 to 5 bits each by their
/// frequencies alone, syllables of Kana and Hangul 6 to 8, Chinese characters 9 to 10.
const fn most_of(character: char) -> Option<f32> {
    Some(match character as u32 {
        0..=0x7F => return None,
        0x80..=0x1FFF => 5.0,
        0x3040..=0x30FF => 7.0,
        0xAC00..=0xD7AF => 8.0,
        _ => 10.0,
    })
}

/// Where a sequence, the last `len` bytes, is counted, and the tag by which it is recognised there.
const fn key(last: u64, len: usize) -> (u64, u32) {
    let bytes = last & (u64::MAX >> (64u32.wrapping_sub(8u32.wrapping_mul(len as u32)) & 63));
    let hash = (bytes | (len as u64) << 56).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let hash = (hash ^ hash >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    // No tag is zero: a slot that is zero is free.
    (hash >> 20, (hash as u32 | 0x0010_0000) & TAG)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(model: &Model, text: &str) -> u64 {
        model.surprise(text.as_bytes()).into_iter().map(u64::from).sum::<u64>() / PARTS
    }

    #[test]
    fn ordinary_language_surprises_less_than_other_text_of_its_length() {
        let model = Model::of(b"");
        for (ordinary, other) in [
            (" as soon as possible", "yvqz kprwx ffjt gzqo"),
            ("Please enter a valid value.", "Zq8#vL0pR!x2Wm9@tYb4&Hs6nKc"),
            ("Bitte einen gültigen Wert eingeben", "Gxvtq pwzrk ümöqyf Jkv bzxqwp tzfq"),
        ] {
            let (low, high) = (bits(&model, ordinary), bits(&model, other));
            assert!(2 * low < high, "{ordinary}: {low}, {other}: {high}");
        }
        // Random bytes have eight bits each, nearly.
        let random: Vec<u8> = (0..200u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8 | 0x80).collect();
        let sum = model.surprise(&random).into_iter().map(u64::from).sum::<u64>() / PARTS;
        assert!((1_000..=1_600).contains(&sum), "{sum}");
    }

    #[test]
    fn a_text_of_the_sample_is_expected_and_a_language_that_is_unknown_is_bounded() {
        let text = "Zq8#vL0pR!x2Wm9@tYb4&Hs6nKc";
        let (without, with) = (Model::of(b""), Model::of(text.repeat(3).as_bytes()));
        assert!(3 * bits(&with, text) < bits(&without, text), "{} {}", bits(&with, text), bits(&without, text));
        // Georgian and Amharic are not in the corpus.
        for text in ["გამარჯობა, როგორ ხარ დღეს", "ሰላም እንዴት ነህ ዛሬ ጠዋት"]
        {
            let characters = text.chars().count() as u64;
            assert!((2 * characters..=6 * characters).contains(&bits(&without, text)), "{}", bits(&without, text));
        }
    }

    #[test]
    fn sequences_of_each_length_are_counted_apart() {
        let model = Model::of(b"abcdefgh");
        let mut keys: Vec<_> = (1..=LONGEST).map(|len| key(0x6162_6364_6566, len)).collect();
        assert!(keys.iter().all(|&at| model.seen(at) >= 1.0));
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), LONGEST);
        assert!(key(0xFF00_0000_0000_0041, 1) == key(0x41, 1) && key(0x4142, 1) == key(0x42, 1));
    }
}
