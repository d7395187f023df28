// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each kind of bad profile is refused with its reason.

use super::*;
use serde_json::{Value, json};

/// A sound profile with every kind of rule and element.
fn sound() -> Value {
    json!({
        "format": FORMAT,
        "version": VERSION,
        "protocol": "toy",
        "kdf": [
            { "label": "root", "output": [{ "field": "root key", "len": 32, "class": "secret" }] },
            { "operation": "HMAC-SHA-256", "label": { "hex": "01" }, "then": "x", "whole": true, "output": [] }
        ],
        "plaintexts": [{ "steps": ["S"], "shape": ["card"], "padding": "iso-7816-4, padmé length", "contains": ["state"],
                         "class": "neutral", "name": "card" }],
        "messages": ["S"],
        "stored": {
            "steps": ["T"], "name": "state", "key": "storage key", "derivations": [["seal", null]],
            "salt": { "name": "salt", "head": [2] }, "head_len": 2,
            "states": [
                { "begins": { "hex": "0aFF" }, "near_end": { "distance": 1, "is": { "hex": "00" } }, "layout": "state" }
            ],
            "rows": { "begins": [{ "hex": "0aFF" }], "revision": { "at": 0, "len": 1 }, "owner": { "at": 1, "len": 0 },
                      "name": { "at": 1, "len": 1 }, "core": { "hex": "00" } }
        },
        "layouts": {
            "card": [
                { "field": "key", "len": 32, "class": "public", "is": "x25519-public" },
                { "signature": { "by": "key", "of": [{ "text": "card" }, { "field": "key" }] } }
            ],
            "state": [
                { "variable": "size", "values": { "0": 32, "255": 64 } },
                { "repeat": "u16", "of": [{ "field": "seed", "len": "size", "class": "secret", "expands": "ed25519" }] },
                { "optional": [{ "skip": 1 }] },
                { "choice": { "7": [{ "layout": "card" }] }, "otherwise": [] }
            ]
        }
    })
}

fn error(profile: &Value) -> Option<String> {
    compile(profile.to_string().as_bytes()).err().map(|error| error.to_string())
}

/// What an edit makes of the sound profile's error.
fn edited(pointer: &str, value: &Value) -> String {
    let mut profile = sound();
    *profile.pointer_mut(pointer).unwrap() = value.clone();
    error(&profile).unwrap_or_else(|| panic!("{pointer} = {value} is accepted"))
}

#[test]
fn sound_profile_is_accepted() {
    assert_eq!(error(&sound()), None);
    let mut longest = sound();
    longest["stored"]["head_len"] = json!(512);
    assert_eq!(error(&longest), None);
}

#[test]
fn each_bad_value_is_refused_with_its_reason() {
    let cases = [
        ("/format", json!("profile"), "format \"profile\", version 1"),
        ("/version", json!(2), "version 2"),
        ("/version", json!(-1), "invalid value"),
        ("/kdf/0/output/0/class", json!("open"), "unknown variant `open`"),
        ("/kdf/0/output/0/len", json!("32"), "invalid type"),
        ("/kdf/1/label/hex", json!("0"), "not hex: \"0\""),
        ("/kdf/1/label/hex", json!("0g"), "not hex: \"0g\""),
        ("/kdf/1/label/hex", json!("é0"), "not hex"),
        ("/kdf/1/operation", json!("HMAC"), "there is no key derivation \"HMAC\""),
        ("/kdf/1/operation", json!("SHA-256"), "there is no key derivation \"SHA-256\""),
        ("/plaintexts/0/padding", json!("zeros"), "unknown variant `zeros`"),
        ("/plaintexts/0/shape/0", json!("cards"), "there is no layout \"cards\""),
        ("/plaintexts/0/contains/0", json!("cards"), "there is no layout \"cards\""),
        ("/stored/states/0/layout", json!("cards"), "there is no layout \"cards\""),
        ("/layouts/state/3/choice/7/0/layout", json!("cards"), "there is no layout \"cards\""),
        ("/layouts/state/0/variable", json!("width"), "no layout sets the variable \"size\""),
        ("/layouts/state/0/values", json!({ "256": 1 }), "\"256\" is not the number of a byte"),
        ("/layouts/state/3/choice", json!({ "seven": [] }), "\"seven\" is not the number of a byte"),
        ("/layouts/card/1/signature/by", json!("signer"), "no layout has the field \"signer\""),
        ("/layouts/card/1/signature/of/1/field", json!("name"), "no layout has the field \"name\""),
        ("/layouts/state/1/repeat", json!("u64"), "did not match any variant"),
        ("/layouts/state/1/of/0/expands", json!("rsa"), "did not match any variant"),
        ("/layouts/card/0/is", json!("rsa-public"), "did not match any variant"),
        ("/layouts/state/2", json!({ "option": [] }), "did not match any variant"),
        ("/layouts/state/2", json!({ "skip": 0 }), "a length of no bytes"),
        ("/stored", json!("always"), "did not match any variant"),
        ("/stored/head_len", json!(513), "a head_len above 512"),
        ("/stored/head_len", json!(1), "no bytes 1 and on in a head of 1"),
        ("/stored/rows/name/at", json!(2), "no bytes 2 and on in a head of 2"),
        ("/stored/rows/owner/len", json!(usize::MAX), "no bytes 1 and on in a head of 2"),
        ("/stored/states/0/near_end/is/hex", json!("0"), "not hex"),
    ];
    for (pointer, value, reason) in cases {
        let error = edited(pointer, &value);
        assert!(error.starts_with("not a profile: ") && error.contains(reason), "{pointer} = {value}: {error}");
    }
    assert!(compile(b"").is_err() && compile(b"[]").is_err() && compile(&[0xFF]).is_err());
}

/// The pointers of all objects whose fields the format names.
fn objects(value: &Value, pointer: &str, all: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            let is_map = ["/layouts", "/values", "/choice"].iter().any(|end| pointer.ends_with(end));
            all.extend((!is_map).then(|| pointer.to_owned()));
            fields.iter().for_each(|(name, field)| objects(field, &format!("{pointer}/{name}"), all));
        }
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(at, value)| objects(value, &format!("{pointer}/{at}"), all));
        }
        _ => {}
    }
}

#[test]
fn unknown_fields_are_refused_in_every_object() {
    let mut pointers = Vec::new();
    objects(&sound(), "", &mut pointers);
    assert!(pointers.len() > 20, "{pointers:?}");
    for pointer in pointers {
        let mut profile = sound();
        profile.pointer_mut(&pointer).unwrap()["class_of_trace"] = json!(1);
        let error = error(&profile).unwrap_or_else(|| panic!("{pointer} may have an unknown field"));
        assert!(error.contains("unknown field") || error.contains("did not match any variant"), "{pointer}: {error}");
    }
}

/// Layouts that each name the one before twice: 2^n elements in a few lines.
#[test]
fn layouts_that_expand_without_bound_are_refused() {
    let doubling = |layouts: usize| {
        let mut profile = sound();
        profile["layouts"]["l00"] = json!([{ "skip": 1 }]);
        for at in 1..layouts {
            let before = json!({ "layout": format!("l{:02}", at - 1) });
            profile["layouts"][format!("l{at:02}")] = json!([before, before]);
        }
        error(&profile)
    };
    assert_eq!(doubling(10), None);
    assert!(doubling(20).unwrap().contains("too many elements"));
}

/// A chain of layouts, each of which refers to the next one, named in ascending or descending order.
fn chain(layouts: usize, is_ascending: bool) -> Option<String> {
    let name = |at: usize| format!("{:04}", if is_ascending { at } else { layouts - at });
    let mut profile = sound();
    for at in 0..layouts {
        let elements = if at + 1 < layouts { json!([{ "layout": name(at + 1) }]) } else { json!([]) };
        profile["layouts"][name(at)] = elements;
    }
    error(&profile)
}

#[test]
fn endless_and_deep_nesting_is_refused_in_any_order() {
    let mut endless = sound();
    endless["layouts"]["state"][2]["optional"] = json!([{ "layout": "state" }]);
    assert!(error(&endless).unwrap().contains(TOO_DEEP));
    for is_ascending in [true, false] {
        assert_eq!(chain(MAX_DEPTH, is_ascending), None);
        assert!(chain(MAX_DEPTH + 2, is_ascending).unwrap().contains(TOO_DEEP), "{is_ascending}");
    }
    // Control: as many layouts side by side.
    let mut wide = sound();
    (0..100).for_each(|at| wide["layouts"][format!("{at}")] = json!([{ "layout": "card" }]));
    assert_eq!(error(&wide), None);
}

#[test]
fn more_variables_than_the_bound_are_refused() {
    let with = |variables: usize| {
        let mut profile = sound();
        let variable = |at| json!({ "variable": format!("{at}"), "values": {} });
        profile["layouts"]["variables"] = (1..variables).map(variable).collect();
        error(&profile)
    };
    assert_eq!(with(MAX_VARIABLES), None);
    assert!(with(MAX_VARIABLES + 1).unwrap().contains("too many variables"));
}
