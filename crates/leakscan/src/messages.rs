// SPDX-License-Identifier: MIT OR Apache-2.0
//! The sink of the decoders of network protocols: searches the messages that they put together.

use super::chain::Chain;
use super::encoding::Encoding;
use super::omissions::{Kind, Spot};
use super::pool::Pool;
use super::scan::{Layer, Search, Within};
use super::sink::ConnectionSink;

/// Bytes in which connections are looked for, as the sink of their decoders.
pub(crate) struct ConnectionLevel<'s, 'i, 'f> {
    pub(crate) search: &'s mut Search<'i>,
    pub(crate) chain: Chain,
    pub(crate) within: Within,
    /// The offset in the layer of what is at an offset of these bytes.
    pub(crate) place: &'f dyn Fn(u64) -> u64,
}

/// A message, and the layer that it is searched in.
pub(crate) struct Message {
    layer: Layer,
    /// Bytes that it may still have.
    budget: u64,
}

impl ConnectionLevel<'_, '_, '_> {
    fn report(&mut self, at: u64, kind: Kind, what: &str) {
        let at = (self.place)(at);
        let Within { layer, holder, origin } = self.within;
        self.search.omit_at(Spot { layer, at, kind }, holder, origin.unwrap_or(at), what);
    }
}

impl ConnectionSink for ConnectionLevel<'_, '_, '_> {
    type Value = Message;

    fn wants_frames(&self) -> bool {
        self.search.statistics.encodings.contains(Encoding::WebSocket)
    }

    fn pool(&mut self) -> &mut Pool {
        &mut self.search.pool
    }

    fn open(&mut self, encoding: Encoding, at: u64, is_certain: bool) -> Option<Message> {
        if !self.search.statistics.encodings.contains(encoding) {
            return None;
        }
        let Some(chain) = self.chain.then(encoding) else {
            if is_certain {
                self.report(at, Kind::Depth, "encodings nested too deep");
            }
            return None;
        };
        let (origin, layer) = (self.within.origin.unwrap_or_else(|| (self.place)(at)), self.search.begin_layer());
        // It may be a random match until its protocol is certain.
        let content = Within { layer, holder: layer, origin: Some(origin) };
        let layer = Layer::nested(chain, content, self.search.pool.take_buffer());
        Some(Message { layer, budget: self.search.stream_limit() })
    }

    fn push(&mut self, value: &mut Message, content: &[u8]) -> bool {
        let Message { layer, budget } = value;
        self.search.within_budget(budget, |search| {
            let is_within = search.spend(content.len() as u64);
            if is_within {
                layer.push(search, content);
            } else {
                let Within { layer, holder, origin } = layer.within();
                let spot = Spot { layer, at: 0, kind: Kind::Limit };
                search.omit_at(spot, holder, origin.unwrap_or_default(), "a message beyond the limit");
            }
            is_within
        })
    }

    fn close(&mut self, value: Message, is_certain: bool) {
        let Message { mut layer, mut budget } = value;
        self.search.within_budget(&mut budget, |search| layer.finish(search));
        self.search.settle(layer.within().holder, is_certain, self.within.holder);
    }

    fn omit(&mut self, at: u64, what: &str) {
        self.report(at, Kind::Connection, what);
    }
}
