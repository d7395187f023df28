// SPDX-License-Identifier: MIT OR Apache-2.0
//! The sink of the decoders of pages: searches the values that they put together.

use super::chain::Chain;
use super::encoding::Encoding;
use super::layers::Layer;
use super::omissions::{Kind, Spot};
use super::pool::Pool;
use super::scan::{Search, Within};
use super::sink::PageSink;
use core::ops::Range;

/// Bytes whose pages are being decoded, as the sink of the decoders of pages.
pub(crate) struct PageLevel<'s, 'i, 'f> {
    pub(crate) search: &'s mut Search<'i>,
    pub(crate) chain: Chain,
    /// The layer that the decoders count offsets in.
    pub(crate) within: Within,
    /// The offset in the source of what is at an offset.
    pub(crate) place: &'f dyn Fn(u64) -> u64,
}

/// A value out of pages, and the layer that it is searched in.
pub(crate) struct OpenValue {
    layer: Layer,
    /// Bytes that it may still have.
    budget: u64,
}

impl PageSink for PageLevel<'_, '_, '_> {
    type Value = OpenValue;

    fn wants(&self, encoding: Encoding) -> bool {
        self.search.encodings.contains(encoding)
    }

    fn pool(&mut self) -> &mut Pool {
        &mut self.search.pool
    }

    fn open(&mut self, steps: &[Encoding], at: u64) -> Option<OpenValue> {
        // The headers of pages are in it; it is put together in the copy without them.
        if self.search.omissions.is_copied(self.within.layer, at) {
            return None;
        }
        let Some(chain) = steps.iter().try_fold(self.chain, |chain, &step| chain.then(step)) else {
            self.report(at, Kind::Depth, "encodings nested too deep");
            return None;
        };
        let within =
            Within { layer: self.search.begin_layer(), holder: self.within.holder, origin: Some((self.place)(at)) };
        let layer = Layer::nested(chain, within, self.search.pool.take_buffer());
        Some(OpenValue { layer, budget: self.search.limits.stream })
    }

    fn push(&mut self, value: &mut OpenValue, content: &[u8]) -> bool {
        let OpenValue { layer, budget } = value;
        let is_within = self.search.within_budget(budget, |search| {
            let is_within = search.spend(content.len() as u64);
            if is_within {
                layer.push(search, content);
            }
            is_within
        });
        if !is_within {
            let Within { layer, holder, origin } = layer.within();
            let spot = Spot { layer, at: 0, kind: Kind::Limit };
            self.search.omit_at(spot, holder, origin.unwrap_or_default(), "a value in pages beyond the limit");
        }
        is_within
    }

    fn close(&mut self, value: OpenValue) {
        let OpenValue { mut layer, mut budget } = value;
        self.search.within_budget(&mut budget, |search| layer.finish(search));
    }

    fn omit(&mut self, at: u64, what: &str) {
        self.report(at, Kind::Value, what);
    }

    fn part(&mut self, steps: &[Encoding], at: u64, content: &[u8]) {
        let before = self.search.silence(true);
        self.value(steps, at, content);
        self.search.silence(before);
    }

    fn joined(&mut self, part: Range<u64>) {
        self.search.omissions.joined(self.within.layer, part);
    }

    fn copied(&mut self, part: Range<u64>) {
        self.search.omissions.copied(self.within.layer, part);
    }
}

impl PageLevel<'_, '_, '_> {
    fn report(&mut self, at: u64, kind: Kind, what: &str) {
        let spot = Spot { layer: self.within.layer, at, kind };
        let offset = (self.place)(at);
        self.search.omit_at(spot, self.within.holder, offset, what);
    }
}
