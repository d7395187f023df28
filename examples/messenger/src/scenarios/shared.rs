// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two relay processes that share one PostgreSQL database.

use crate::oracle::{Kind, Verdict};
use crate::ordinary::in_parallel;
use crate::prekeys::fetch_bundle;
use crate::proxy::{Action, Rule};
use crate::world::{How, World};
use crate::{Control, Scenario, Setup, When, Without};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::sync::Mutex;

pub(crate) const TWO_RELAYS: Scenario = Scenario {
    name: "two relays on one database",
    when: When::Postgres,
    run: two_relays,
    controls: &[Control {
        says: "one of them loses a message",
        without: Without::Relay("drops one"),
        expects: Kind::Lost,
    }],
};

fn two_relays(world: &mut World, _: &Setup) -> Verdict {
    world.relay.start_again()?;
    let urls: Vec<String> = world.relay.addresses().map(|address| format!("http://{address}")).collect();
    let second = urls.get(1).context("one relay only")?.clone();
    let beside = How { server: Some(second), ..How::default() };
    for client in ["alice", "bob"] {
        world.register(client)?;
    }
    // Both hand out prekeys at once, and none twice.
    let bundles = Mutex::new(Vec::new());
    in_parallel(&urls, |url| {
        let fetched = (0..15).map(|_| fetch_bundle(url)).collect::<Result<Vec<_>>>()?;
        bundles.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(fetched);
        Ok(())
    })?;
    let bundles = bundles.into_inner().unwrap_or_default();
    let shortest = bundles.iter().map(Vec::len).min().unwrap_or_default();
    let tails: Vec<_> = bundles.iter().filter_map(|bundle| bundle.get(shortest..)).filter(|t| !t.is_empty()).collect();
    let different = tails.iter().collect::<BTreeSet<_>>().len();
    let what = format!("{different} of {} one-time prekeys are different", tails.len());
    world.oracle().demand(different == tails.len() && different > 0, Kind::Prekeys, what);
    if world.relay_fault("drops one") {
        let path = "/accounts/bob/messages".to_owned();
        world.proxy.add(Rule { method: "POST", path, skip: 3, times: 1, action: Action::Answer(201, Vec::new()) });
    }
    // Alice talks to the first one, Bob to the second.
    for round in 0..4 {
        let how = How::default();
        in_parallel(&[("alice", "bob", &how), ("bob", "alice", &beside)], |(from, to, how)| {
            world.send_many(from, to, &format!("round {round} from {from}"), 10, how)?;
            world.run_as(from, &["receive"], how).map(drop)
        })?;
    }
    world.settle(&["alice", "bob"])?;
    let figures = world.judge()?;
    Ok(format!("{different} prekeys handed out once each; {figures}"))
}
