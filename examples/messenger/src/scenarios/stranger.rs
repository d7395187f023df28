// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device that is no client of this example, and writes what it likes.

use crate::oracle::Message;
use crate::world::World;
use anyhow::{Context, Result, anyhow, ensure};
use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use noescrow::durable::CommitError;
use noescrow::messenger::Messenger;
use noescrow::primitives::RustCrypto;
use noescrow::{Bundle, Device, StorageKey, UnixSeconds};
use noescrow_messenger::MAX_ANSWER_LEN;
use noescrow_messenger::content::Content;
use noescrow_messenger::events::Received;
use noescrow_messenger::http::Http;
use noescrow_messenger::requests::{Request, Transport as _};
use std::convert::Infallible;

/// Of a message from somebody who only claims to have this name.
pub(crate) const CLAIMS: char = '?';

/// A device without a store and without an account: it sends first messages.
pub(crate) struct Stranger {
    messenger: Messenger,
}

const SAVED: Result<(), CommitError<Infallible>> = Ok(());

impl Stranger {
    pub(crate) fn new(world: &World) -> Result<Self> {
        let (now, mut rng) = (UnixSeconds(world.time()?), UnwrapErr(SysRng));
        let messenger = Messenger::new(Device::generate(now, &mut rng), &StorageKey::new([7; 32]), &mut rng);
        let messenger = messenger.settle(SAVED).map_err(|_| anyhow!("not settled"))?;
        Ok(Self { messenger })
    }

    /// Begins a session with an account, and writes this on it. Returns the server's status.
    pub(crate) fn write(&mut self, world: &World, to: &str, content: &[u8]) -> Result<u16> {
        let bundle = get(world, to, "bundle")?;
        self.write_with(world, &bundle, to, content)
    }

    /// Does so with a bundle that was fetched before.
    pub(crate) fn write_with(&mut self, world: &World, bundle: &[u8], to: &str, content: &[u8]) -> Result<u16> {
        let (now, mut rng) = (UnixSeconds(world.time()?), UnwrapErr(SysRng));
        let peer = self.messenger.add_peer(to.as_bytes(), None, now, &mut rng)?;
        let peer = peer.settle(SAVED).map_err(|_| anyhow!("not settled"))?;
        let bundle = Bundle::from_bytes(&RustCrypto, bundle)?;
        let sealed = self.messenger.seal_with_bundle(&peer, content, bundle, now, &mut rng);
        let sealed = sealed.map_err(|failed| anyhow!("{:?}", failed.error))?;
        let sealed = sealed.settle(SAVED).map_err(|_| anyhow!("not settled"))?;
        crate::prekeys::post(world, to, &sealed.message)
    }

    /// Writes a text, and claims to be `from`.
    pub(crate) fn claim(&mut self, world: &World, from: &str, to: &str, text: &str) -> Result<()> {
        let message = Message::new(&format!("{CLAIMS}{from}"), to, text);
        world.oracle().ask(message.clone());
        let content = Content { from: from.into(), access: [0; 32], text: Some(text.into()), file: None };
        let status = self.write(world, to, &serde_json::to_vec(&content)?)?;
        ensure!(status == 201, "the relay refused the stranger: {status}");
        world.oracle().due(message);
        Ok(())
    }
}

/// Fetches something of an account, as anybody can.
pub(crate) fn get(world: &World, account: &str, what: &str) -> Result<Vec<u8>> {
    let url = format!("http://{}/accounts/{account}/{what}", world.relay.address());
    get_url(url).with_context(|| format!("{what} of {account}"))
}

/// Fetches what anybody can.
pub(crate) fn get_url(url: String) -> Result<Vec<u8>> {
    match request("GET", url, b"")? {
        (200..300, body) => Ok(body),
        (status, _) => Err(anyhow!("status {status}")),
    }
}

/// Makes a request that anybody can make.
pub(crate) fn request(method: &'static str, url: String, body: &[u8]) -> Result<(u16, Vec<u8>)> {
    let header = ("accept", "*/*".into());
    let request = Request { method, url, header, is_owners: false, body, max_answer_len: MAX_ANSWER_LEN };
    Http::default().exchange(request).map_err(|error| anyhow!("{error}"))
}

/// The `#ID` of the author of the first message that a run shows of a stranger.
pub(crate) fn id_of<'a>(messages: impl IntoIterator<Item = &'a Received>) -> Result<String> {
    let stranger = messages.into_iter().find(|message| message.from.is_none()).context("no stranger")?;
    Ok(format!("#{}", stranger.peer))
}
