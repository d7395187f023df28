// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two relay processes that share one PostgreSQL database.

use crate::oracle::{Kind, Verdict};
use crate::ordinary::in_parallel;
use crate::prekeys::fetch_bundle;
use crate::world::{How, World};
use crate::{Control, ONCE, Scenario, Setup, When, Without};
use anyhow::Context;
use std::collections::BTreeSet;
use std::sync::Mutex;

pub(crate) const TWO_RELAYS: Scenario = Scenario {
    name: "two relays on one database",
    when: When::Postgres,
    run: two_relays,
    controls: &[Control {
        says: "two databases",
        without: Without::Scenario("one database"),
        expects: Kind::Lost,
        tries: ONCE,
    }],
};

fn two_relays(world: &mut World, _: &Setup) -> Verdict {
    if world.lacks("one database") {
        world.relay.start_apart()?;
    } else {
        world.relay.start_again()?;
    }
    let urls: Vec<String> = world.relay.addresses().iter().map(|address| format!("http://{address}")).collect();
    let second = urls.get(1).context("one relay only")?.clone();
    let beside = How { server: Some(second), ..How::default() };
    world.register_all(&["alice", "bob"])?;
    // Both hand out prekeys at once, and none twice.
    let bundles = Mutex::new(Vec::new());
    in_parallel(&urls, |url| {
        // The second one has no such account in the control.
        let fetched = (0..15).filter_map(|_| fetch_bundle(url).ok());
        bundles.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(fetched);
        Ok(())
    })?;
    let bundles = bundles.into_inner().unwrap_or_default();
    let shortest = bundles.iter().map(Vec::len).min().unwrap_or_default();
    let tails: Vec<_> = bundles.iter().filter_map(|bundle| bundle.get(shortest..)).filter(|t| !t.is_empty()).collect();
    let different = tails.iter().collect::<BTreeSet<_>>().len();
    let what = format!("{different} of {} one-time prekeys are different", tails.len());
    world.demand(different == tails.len() && different > 0 && bundles.len() == 30, Kind::Prekeys, what);
    // Alice talks to the first one, Bob to the second.
    for round in 0..4 {
        let how = How::default();
        in_parallel(&[("alice", "bob", &how), ("bob", "alice", &beside)], |(from, to, how)| {
            world.send_many(from, to, &format!("round {round}"), 10, how)?;
            world.run_as(from, &["receive"], how).map(drop)
        })?;
    }
    world.settle(&["alice", "bob"])?;
    let figures = world.judge(80)?;
    Ok(format!("{different} prekeys handed out once each; {figures}"))
}
