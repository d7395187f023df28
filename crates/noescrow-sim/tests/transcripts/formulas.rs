// SPDX-License-Identifier: MIT OR Apache-2.0
//! The events of formulas that no message shows: associated data, logins, access keys, routing tags, and how far a message
//! skips.

use super::act::Act;
use super::draws::Source;
use super::json::hex;
use super::stage::{Digests, Stage, find};
use noescrow::device::login_challenge;
use noescrow::primitives::RustCrypto;
use noescrow::{AccessKey, Context};
use serde_json::{Value, json};

impl<G: Source> Stage<G> {
    /// CX-1.
    pub(super) fn context(act: &mut Act<'_>) -> Result<Digests, String> {
        let [sender, recipient, conversation] =
            [act.bytes("sender")?, act.bytes("recipient")?, act.bytes("conversation")?];
        let context = Context { sender: &sender, recipient: &recipient, conversation: &conversation };
        act.put_bytes("encoded", &context.to_bytes());
        Ok(Digests::default())
    }

    /// LG-1.
    pub(super) fn login(&mut self, act: &mut Act<'_>) -> Result<Digests, String> {
        let (name, challenge) = (act.text("device")?, act.array("challenge")?);
        let device = find(&mut self.devices, &name)?;
        let signature = device.sign_login(&challenge);
        let verified = device.identity().verify_login(&RustCrypto, &challenge, &signature);
        verified.map_err(|_| "a login that does not verify")?;
        act.put_bytes("signature", &signature);
        Ok(Digests::device(name))
    }

    /// LG-1.2.
    pub(super) fn challenge(act: &mut Act<'_>) -> Result<Digests, String> {
        let (server, account, nonce) = (act.bytes("server")?, act.bytes("account")?, act.array("nonce")?);
        act.put_bytes("hash", &login_challenge(&server, &account, &nonce));
        Ok(Digests::default())
    }

    /// LG-2.
    pub(super) fn access(act: &mut Act<'_>) -> Result<Digests, String> {
        let stored = AccessKey::from_bytes(act.array("access_key")?).hash();
        act.put_bytes("stored", &stored.to_bytes());
        Ok(Digests::default())
    }

    /// RT-1.
    pub(super) fn tags(&mut self, act: &mut Act<'_>) -> Result<Digests, String> {
        let name = act.text("session")?;
        let mut tags = vec![];
        find(&mut self.sessions, &name)?.routing_tags(|tag| tags.push(hex(&tag)));
        tags.sort_unstable();
        act.put("tags", tags.into_iter().map(|tag| json!(tag)).collect::<Vec<Value>>());
        Ok(Digests::session(name))
    }

    /// AV-2.
    pub(super) fn peek(&mut self, act: &mut Act<'_>) -> Result<Digests, String> {
        let (name, message) = (act.text("session")?, self.message(act)?);
        match find(&mut self.sessions, &name)?.peek(&message) {
            Ok(skips) => act.put("skips", skips),
            Err(error) => act.refused(error),
        }
        Ok(Digests::session(name))
    }
}
