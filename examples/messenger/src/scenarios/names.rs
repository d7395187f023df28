// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names that are not ASCII, and names with characters that mean something in a URL.

use crate::oracle::{Kind, Verdict};
use crate::world::World;
use crate::{Control, ONCE, Scenario, Setup, When, Without};
use anyhow::Context;
use std::fs;

pub(crate) const NAMES: Scenario = Scenario {
    name: "names of any characters",
    when: When::Always,
    run: names,
    controls: &[Control {
        says: "paths without their escapes",
        without: Without::Scenario("escapes"),
        expects: Kind::Lost,
        tries: ONCE,
    }],
};

const ZOE: &str = "zoë & co? 50% #1";
const BORIS: &str = "Борис 名前";

fn names(world: &mut World, _: &Setup) -> Verdict {
    world.register("alice")?;
    if world.lacks("escapes") {
        world.proxy.unescape();
    }
    for name in [ZOE, BORIS] {
        let run = world.run(name, &["register", name])?;
        world.demand(run.code == Some(0), Kind::Lost, format!("{name} cannot register: {:?}", run.events));
    }
    if world.is_caught() {
        return world.judge(0);
    }
    world.greet(ZOE, BORIS, "hello")?;
    world.greet("alice", ZOE, "bonjour 👋")?;
    let file = world.folder.join("фото & more.txt");
    fs::write(&file, "a photo")?;
    world.send_file(BORIS, ZOE, file.to_str().context("a path")?)?;
    let run = world.receive(ZOE)?;
    let [from, id] = run.received().find_map(crate::files::named_file).context("no file was received")?;
    let copy = world.folder.join("copy");
    world.run(ZOE, &["fetch", &from, &id, copy.to_str().context("a path")?])?.succeeded("fetch")?;
    world.demand(fs::read(&copy)? == b"a photo", Kind::Lost, "the file has not arrived as it was sent");
    world.settle(&["alice", ZOE, BORIS])?;
    world.check_stock(ZOE)?;
    world.judge(5)
}
