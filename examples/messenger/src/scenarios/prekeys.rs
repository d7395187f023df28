// SPDX-License-Identifier: MIT OR Apache-2.0
//! Prekeys: drained by strangers, lost in an upload, handed out when they are old, and named by damaged messages.

use crate::oracle::{Kind, Verdict};
use crate::ordinary::AT_SERVER;
use crate::proxy::Action;
use crate::world::{DAY, How, World, require};
use crate::{Control, Scenario, Setup, When, Without};
use anyhow::{Context, Result};
use std::collections::BTreeSet;

/// Fetches a bundle of Bob's, as a stranger does.
pub(crate) fn fetch_bundle(server: &str) -> Result<Vec<u8>> {
    let mut answer = ureq::get(format!("{server}/accounts/bob/bundle")).call()?;
    Ok(answer.body_mut().read_to_vec()?)
}

/// Posts a message for Bob, as a stranger does. Returns the status.
fn post(world: &World, message: &[u8]) -> Result<u16> {
    let url = format!("http://{}/accounts/bob/messages", world.relay.address());
    match ureq::post(url).send(message) {
        Ok(answer) => Ok(answer.status().as_u16()),
        Err(ureq::Error::StatusCode(status)) => Ok(status),
        Err(error) => Err(error.into()),
    }
}

fn relay_url(world: &World) -> String {
    format!("http://{}", world.relay.address())
}

pub(crate) const DRAINED: Scenario = Scenario {
    name: "prekeys drained by strangers",
    when: When::Always,
    run: drained,
    controls: &[Control { says: "does not maintain", without: Without::Client("maintain"), expects: Kind::Prekeys }],
};

fn drained(world: &mut World, _: &Setup) -> Verdict {
    for client in ["bob", "alice", "carol"] {
        world.register(client)?;
    }
    let bundles = (0..150).map(|_| fetch_bundle(&relay_url(world))).collect::<Result<Vec<_>>>()?;
    let shortest = bundles.iter().map(Vec::len).min().context("no bundles")?;
    let with_prekey: Vec<_> = bundles.iter().filter(|bundle| bundle.len() > shortest).collect();
    // No prekey is handed out twice.
    let tails: BTreeSet<_> = with_prekey.iter().map(|bundle| bundle.get(shortest..)).collect();
    let (count, different) = (with_prekey.len(), tails.len());
    let is_right = count == different && (1..AT_SERVER).contains(&count);
    world.oracle().demand(is_right, Kind::Prekeys, format!("{different} of {count} one-time prekeys are different"));
    // Who writes now gets a bundle without one.
    world.send("alice", "bob", "without a one-time prekey")?;
    world.receive("bob")?;
    world.check_stock("bob", AT_SERVER)?;
    world.send("carol", "bob", "after the replenishing")?;
    world.receive("bob")?;
    // The relay claims that all are gone. The device does not make prekeys without end.
    let before = world.proxy.bytes_sent("PUT", "/accounts/bob/prekeys");
    world.proxy.always("GET", "/accounts/bob/prekeys", Action::Answer(200, Vec::new()));
    for _ in 0..5 {
        world.run("bob", &["maintain"])?;
    }
    world.proxy.clear();
    let uploaded = world.proxy.bytes_sent("PUT", "/accounts/bob/prekeys").saturating_sub(before);
    // A prekey has about 1.8 kB; 100 are offered again each time at most.
    let is_bounded = uploaded < 5 * 250 * 1_800;
    world.oracle().demand(is_bounded, Kind::Prekeys, format!("{uploaded} bytes uploaded for a relay that lies"));
    world.send("bob", "alice", "an answer")?;
    world.settle(&["alice", "bob", "carol"])?;
    let figures = world.figures()?;
    Ok(format!("{count} of 150 requests got one; {figures}; stock full again"))
}

pub(crate) const UPLOAD_LOST: Scenario = Scenario {
    name: "upload lost",
    when: When::Always,
    run: upload_lost,
    controls: &[Control {
        says: "marks as published what was not",
        without: Without::Client("mark"),
        expects: Kind::Prekeys,
    }],
};

/// Eight days after the registration the signed prekey is replaced. Each upload of the new one is cut in another way.
fn upload_lost(world: &mut World, _: &Setup) -> Verdict {
    let cuts = [Action::CutBefore, Action::CutBody(700), Action::CutAfter];
    // Registrations: cut, and then repeated.
    for (number, cut) in cuts.iter().enumerate() {
        let client = format!("early{number}");
        world.proxy.once("PUT", format!("/accounts/{client}"), cut.clone());
        let run = world.run(&client, &["register", &client])?;
        world.oracle().demand(run.code != Some(0) || number == 2, Kind::Silent, "a cut registration succeeded");
        if run.code != Some(0) {
            world.register(&client)?;
        }
    }
    for client in ["bob", "alice"] {
        world.register(client)?;
    }
    world.send("alice", "bob", "hello")?;
    world.receive("bob")?;
    for (number, cut) in cuts.iter().enumerate() {
        let old = signed_prekey(world)?;
        // The clock moves a day at each reading.
        for _ in 0..7 {
            world.ahead = world.ahead.saturating_add(DAY);
            world.receive("bob")?;
        }
        world.ahead = world.ahead.saturating_add(DAY);
        let rotated = signed_prekey(world)? != old;
        world.proxy.once("PUT", "/accounts/bob/prekeys", cut.clone());
        world.run("bob", &["maintain"])?;
        let was_cut = world.proxy.clear();
        require(was_cut || rotated || world.is_control(), "the upload was not cut")?;
        world.run("bob", &["maintain"])?;
        let is_new = signed_prekey(world)? != old;
        world.oracle().demand(
            is_new,
            Kind::Prekeys,
            format!("cut {number}: the new signed prekey is not at the server"),
        );
        let writer = format!("early{number}");
        world.send(&writer, "bob", &format!("after cut {number}"))?;
        world.receive("bob")?;
    }
    world.check_stock("bob", AT_SERVER)?;
    world.send("bob", "alice", "an answer")?;
    world.settle(&["alice", "bob"])?;
    world.judge()
}

/// The signed prekey that the relay hands out, without the one-time prekey.
fn signed_prekey(world: &World) -> Result<Vec<u8>> {
    /// Length in bytes of an identity, which is followed by the signed prekey, as long as a one-time prekey.
    const IDENTITY_LEN: usize = noescrow::IDENTITY_LEN;
    let bundle = fetch_bundle(&relay_url(world))?;
    Ok(bundle.get(IDENTITY_LEN..IDENTITY_LEN + noescrow::PREKEY_LEN).context("a short bundle")?.to_vec())
}

pub(crate) const OLD_BUNDLE: Scenario = Scenario {
    name: "old bundle",
    when: When::Always,
    run: old_bundle,
    controls: &[Control {
        says: "relay never hands out another",
        without: Without::Relay("keeps the old bundle"),
        expects: Kind::Lost,
    }],
};

fn old_bundle(world: &mut World, _: &Setup) -> Verdict {
    for client in ["bob", "alice", "carol", "dave"] {
        world.register(client)?;
    }
    let [first, second, third] = [(); 3].map(|()| fetch_bundle(&relay_url(world)));
    let (first, second, third) = (first?, second?, third?);
    let days = |world: &mut World, days: u64| -> Result<()> {
        for _ in 0..days {
            world.ahead = world.ahead.saturating_add(DAY);
            world.receive("bob")?;
        }
        Ok(())
    };
    let hold_back = |world: &World, bundle: &[u8]| {
        world.proxy.always("GET", "/accounts/bob/bundle", Action::Answer(200, bundle.to_vec()));
    };
    // Beyond a rotation, a bundle still serves.
    days(world, 10)?;
    hold_back(world, &first);
    world.send("alice", "bob", "with a bundle of ten days")?;
    let run = world.receive("bob")?;
    world.oracle().demand(!run.has(&["refused"]), Kind::Lost, "a bundle of ten days was refused");
    world.proxy.clear();
    // Beyond the time for which a prekey is kept, Bob has it no more, and says so.
    days(world, 20)?;
    hold_back(world, &second);
    world.send("carol", "bob", "with a bundle of thirty days")?;
    let run = world.receive("bob")?;
    let is_shown = run.says("refused", "reason", "PrekeyGone");
    world.oracle().demand(is_shown, Kind::Silent, format!("not shown: {:?}", run.events));
    world.oracle().excuse_missing("bob");
    if !world.relay_fault("keeps the old bundle") {
        world.proxy.clear();
    }
    // A bundle that has expired is not used.
    days(world, 6)?;
    let rule_is_old = world.relay_fault("keeps the old bundle");
    if !rule_is_old {
        hold_back(world, &third);
    }
    let run = world.send_as("dave", "bob", "with a bundle of 36 days", &How::default())?;
    let is_shown = run.code == Some(1) && run.has(&["error"]);
    world.oracle().demand(is_shown || rule_is_old, Kind::Silent, "an expired bundle was used");
    if !rule_is_old {
        world.proxy.clear();
        world.send("dave", "bob", "with a fresh bundle")?;
    }
    // After a week without an answer Carol's next message begins a new session.
    for _ in 0..3 {
        days(world, 1)?;
        world.receive("carol")?;
    }
    let run = world.send_as("carol", "bob", "after a week of silence", &How::default())?;
    world.oracle().demand(run.code == Some(0), Kind::Lost, "Carol cannot write to Bob any more");
    days(world, 1)?;
    world.settle(&["bob", "carol", "alice", "dave"])?;
    world.check_stock("bob", AT_SERVER)?;
    world.judge()
}

pub(crate) const DAMAGED: Scenario = Scenario {
    name: "first message damaged, then whole",
    when: When::Always,
    run: damaged,
    controls: &[Control {
        says: "the whole one never comes",
        without: Without::Relay("damages all"),
        expects: Kind::Lost,
    }],
};

/// A copy that is damaged anywhere is refused, and uses up neither the prekey nor the message.
fn damaged(world: &mut World, _: &Setup) -> Verdict {
    for client in ["bob", "alice"] {
        world.register(client)?;
    }
    world.proxy.once("POST", "/accounts/bob/messages", Action::Answer(201, Vec::new()));
    world.send("alice", "bob", "the first message")?;
    world.proxy.clear();
    let posted = world.proxy.exchanges("POST", "/accounts/bob/messages");
    let message = posted.last().context("no message")?.request.clone();
    require(!message.is_empty(), "the message was too long to be kept")?;
    // The second time, the relay lists what was uploaded the first time.
    world.receive("bob")?;
    world.receive("bob")?;
    let before = world.stock("bob");
    let places = [40, 200, message.len() / 2, message.len().saturating_sub(30), message.len().saturating_sub(1)];
    let mut refused = 0_usize;
    for place in places {
        let mut copy = message.clone();
        *copy.get_mut(place).context("a short message")? ^= 1;
        let status = post(world, &copy)?;
        let run = world.receive("bob")?;
        let count = run.of("refused").count();
        world.oracle().demand(status != 201 || count == 1, Kind::Silent, format!("damaged at {place}: not shown"));
        refused = refused.saturating_add(count);
    }
    if !world.relay_fault("damages all") {
        require(post(world, &message)? == 201, "the relay refused the message")?;
        world.receive("bob")?;
        // Once more, after it was acknowledged: it is known.
        post(world, &message)?;
        let run = world.receive("bob")?;
        let is_known = run.says("refused", "reason", "AlreadyOpened");
        world.oracle().demand(is_known, Kind::Silent, "a repeated message was not shown as one");
    }
    let after = world.stock("bob");
    world.oracle().demand(before == after, Kind::Prekeys, format!("{before:?} prekeys before, {after:?} after"));
    world.send("alice", "bob", "the second message")?;
    world.settle(&["alice", "bob"])?;
    world.check_stock("bob", AT_SERVER)?;
    let figures = world.judge()?;
    Ok(format!("{refused} damaged copies refused; {figures}"))
}
