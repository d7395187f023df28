// SPDX-License-Identifier: MIT OR Apache-2.0
//! Prekeys: drained by strangers, lost in an upload, handed out when they are old, and named by damaged messages.

use crate::oracle::{Kind, Message, Verdict};
use crate::proxy::Action;
use crate::stranger::Stranger;
use crate::world::{DAY, How, World, require};
use crate::{Control, ONCE, Scenario, Setup, When, Without};
use anyhow::{Context, Result};
use noescrow::relay::ONE_TIME_BURST;
use std::collections::BTreeSet;

/// Fetches a bundle of Bob's, as a stranger does.
pub(crate) fn fetch_bundle(server: &str) -> Result<Vec<u8>> {
    crate::stranger::get_url(format!("{server}/accounts/bob/bundle"))
}

/// Posts a message, as a stranger does. Returns the status.
pub(crate) fn post(world: &World, account: &str, message: &[u8]) -> Result<u16> {
    let url = format!("http://{}/accounts/{account}/messages", world.relay.address());
    Ok(crate::stranger::request("POST", url, message)?.0)
}

fn relay_url(world: &World) -> String {
    format!("http://{}", world.relay.address())
}

pub(crate) const DRAINED: Scenario = Scenario {
    name: "prekeys drained by strangers",
    when: When::Always,
    run: drained,
    controls: &[Control {
        says: "does not maintain",
        without: Without::Client("maintain"),
        expects: Kind::Prekeys,
        tries: ONCE,
    }],
};

fn drained(world: &mut World, _: &Setup) -> Verdict {
    world.register_all(&["bob", "alice", "carol"])?;
    let bundles = (0..150).map(|_| fetch_bundle(&relay_url(world))).collect::<Result<Vec<_>>>()?;
    let shortest = bundles.iter().map(Vec::len).min().context("no bundles")?;
    let with_prekey: Vec<_> = bundles.iter().filter(|bundle| bundle.len() > shortest).collect();
    // No prekey is handed out twice, and no more than a burst: one more if a period has begun meanwhile.
    let tails: BTreeSet<_> = with_prekey.iter().map(|bundle| bundle.get(shortest..)).collect();
    let (count, different, burst) = (with_prekey.len(), tails.len(), usize::try_from(ONE_TIME_BURST)?);
    let is_right = count == different && (burst..=burst + 1).contains(&count);
    world.demand(is_right, Kind::Prekeys, format!("{different} of {count} one-time prekeys are different"));
    // Who writes now gets a bundle without one.
    world.say("alice", "bob", "without a one-time prekey")?;
    world.check_stock("bob")?;
    world.say("carol", "bob", "after the replenishing")?;
    // The relay claims that all are gone. The device does not make prekeys without end.
    let path = "/accounts/bob/prekeys";
    let before = world.proxy.longest("PUT", path);
    world.proxy.always("GET", path, Action::Answer(200, Vec::new()));
    let mut uploads = Vec::new();
    for _ in 0..5 {
        let before = world.proxy.bytes_sent("PUT", path);
        world.run("bob", &["maintain"])?;
        uploads.push(world.proxy.bytes_sent("PUT", path).saturating_sub(before));
    }
    world.proxy.clear();
    // What is offered again is what was made before: no upload is longer than that of all prekeys at once.
    let is_bounded = uploads.iter().all(|upload| *upload <= before + before / 2);
    world.demand(
        is_bounded,
        Kind::Prekeys,
        format!("uploads of {uploads:?} bytes for a relay that lies, after {before}"),
    );
    world.send("bob", "alice", "an answer")?;
    world.settle(&["alice", "bob", "carol"])?;
    let figures = world.judge(3)?;
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
        tries: ONCE,
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
        world.demand(run.code != Some(0) || number == 2, Kind::Silent, "a cut registration succeeded");
        if run.code != Some(0) {
            world.register(&client)?;
        }
    }
    world.register_all(&["bob", "alice"])?;
    world.say("alice", "bob", "hello")?;
    for (number, cut) in cuts.iter().enumerate() {
        let old = signed_prekey(world)?;
        world.each_day(7, |world| world.receive("bob").map(drop))?;
        world.pass(DAY)?;
        let rotated = signed_prekey(world)? != old;
        world.proxy.once("PUT", "/accounts/bob/prekeys", cut.clone());
        world.run("bob", &["maintain"])?;
        let was_cut = world.proxy.clear();
        require(was_cut || rotated || world.is_control(), "the upload was not cut")?;
        world.run("bob", &["maintain"])?;
        let is_new = signed_prekey(world)? != old;
        world.demand(is_new, Kind::Prekeys, format!("cut {number}: the new signed prekey is not at the server"));
        world.say(&format!("early{number}"), "bob", &format!("after cut {number}"))?;
    }
    world.check_stock("bob")?;
    world.send("bob", "alice", "an answer")?;
    world.settle(&["alice", "bob"])?;
    world.judge(5)
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
        says: "uses a bundle that has expired",
        without: Without::Scenario("the sender's clock"),
        expects: Kind::Silent,
        tries: ONCE,
    }],
};

fn old_bundle(world: &mut World, _: &Setup) -> Verdict {
    world.register_all(&["bob", "alice", "carol", "dave"])?;
    let [first, second, third] = [(); 3].map(|()| fetch_bundle(&relay_url(world)));
    let (first, second, third) = (first?, second?, third?);
    let days = |world: &mut World, days: u64| world.each_day(days, |world| world.receive("bob").map(drop));
    let hold_back = |world: &World, bundle: &[u8]| {
        world.proxy.always("GET", "/accounts/bob/bundle", Action::Answer(200, bundle.to_vec()));
    };
    // Beyond a rotation, a bundle still serves.
    days(world, 10)?;
    hold_back(world, &first);
    let run = world.say("alice", "bob", "with a bundle of ten days")?;
    world.demand(!run.has(&["refused"]), Kind::Lost, "a bundle of ten days was refused");
    world.proxy.clear();
    // Beyond the time for which a prekey is kept, Bob has it no more, and says so.
    days(world, 20)?;
    hold_back(world, &second);
    let run = world.say("carol", "bob", "with a bundle of thirty days")?;
    let is_shown = !run.refused("PrekeyGone").is_empty();
    world.demand(is_shown, Kind::Silent, format!("not shown: {:?}", run.events));
    world.oracle().destroyed([Message::new("carol", "bob", "with a bundle of thirty days")]);
    world.proxy.clear();
    // A bundle that has expired is not used.
    days(world, 6)?;
    hold_back(world, &third);
    if world.lacks("the sender's clock") {
        // As a client that does not look at the expiry: when the bundle was made, it was valid.
        let how = How { ahead: Some(0), ..How::default() };
        world.send_as("dave", "bob", "with a bundle of 36 days", &how)?;
        let run = world.receive("bob")?;
        world.demand(!run.has(&["refused"]), Kind::Silent, "an expired bundle was used");
        return world.judge(2);
    }
    world.refuses("dave", "bob", "with a bundle of 36 days", 1, "error", Kind::Silent)?;
    world.proxy.clear();
    world.send("dave", "bob", "with a fresh bundle")?;
    // After a week without an answer Carol's next message begins a new session.
    for _ in 0..3 {
        days(world, 1)?;
        world.receive("carol")?;
    }
    world.send("carol", "bob", "after a week of silence")?;
    days(world, 1)?;
    world.settle(&["bob", "carol", "alice", "dave"])?;
    world.check_stock("bob")?;
    world.judge(3)
}

pub(crate) const DAMAGED: Scenario = Scenario {
    name: "first message damaged, then whole",
    when: When::Always,
    run: damaged,
    controls: &[Control {
        says: "a damaged message uses up the prekey",
        without: Without::Scenario("the prekey"),
        expects: Kind::Lost,
        tries: ONCE,
    }],
};

/// A copy that is damaged anywhere is refused, and uses up neither the prekey nor the message.
fn damaged(world: &mut World, _: &Setup) -> Verdict {
    world.register_all(&["bob", "alice"])?;
    let bundle = fetch_bundle(&relay_url(world))?;
    world.proxy.once("GET", "/accounts/bob/bundle", Action::Answer(200, bundle.clone()));
    world.proxy.once("POST", "/accounts/bob/messages", Action::Answer(201, Vec::new()));
    world.send("alice", "bob", "the first message")?;
    world.proxy.clear();
    let posted = world.proxy.exchanges("POST", "/accounts/bob/messages");
    let message = posted.last().context("no message")?.request.clone();
    require(!message.is_empty(), "the message was too long to be kept")?;
    world.receive("bob")?;
    let places = [40, 200, message.len() / 2, message.len().saturating_sub(30), message.len().saturating_sub(1)];
    let mut refused = 0_usize;
    for place in places {
        let mut copy = message.clone();
        *copy.get_mut(place).context("a short message")? ^= 1;
        let status = post(world, "bob", &copy)?;
        let run = world.receive("bob")?;
        let count = run.of("refused").count();
        // What is no envelope any more is refused by the server.
        let is_right = count == usize::from(status == 201) && (status == 201 || status == 400 || status == 403);
        world.demand(is_right, Kind::Silent, format!("damaged at {place}: status {status}, {count} refused"));
        refused = refused.saturating_add(count);
    }
    world.demand(refused >= 3, Kind::Silent, format!("{refused} copies refused"));
    if world.lacks("the prekey") {
        // As a device that uses up the prekey of a message that it refuses: another message uses it up.
        let status = Stranger::new(world)?.write_with(world, &bundle, "bob", b"with the same prekey")?;
        require(status == 201, "the relay refused the stranger")?;
        world.receive("bob")?;
    }
    require(post(world, "bob", &message)? == 201, "the relay refused the message")?;
    world.receive("bob")?;
    // Once more, after it was acknowledged: it is known.
    post(world, "bob", &message)?;
    let run = world.receive("bob")?;
    let is_known = !run.refused("AlreadyOpened").is_empty();
    world.demand(is_known, Kind::Silent, "a repeated message was not shown as one");
    world.send("alice", "bob", "the second message")?;
    world.settle(&["alice", "bob"])?;
    world.check_stock("bob")?;
    let figures = world.judge(2)?;
    Ok(format!("{refused} damaged copies refused; {figures}"))
}
