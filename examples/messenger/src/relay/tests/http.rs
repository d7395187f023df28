// SPDX-License-Identifier: MIT OR Apache-2.0
//! The requests, over HTTP, as README.md's table has them.

use super::super::api;
use super::super::server::{Counts, Server, now};
use super::*;
use data_encoding::HEXLOWER;
use noescrow::device::login_challenge;
use noescrow::messenger::Stored;
use noescrow::messenger::exchange::{Connected, Delivery, Event};
use noescrow::relay::{MAX_ENVELOPE_LEN, MAX_STRANGERS_BYTES};
use noescrow_messenger::http::Http;
use noescrow_messenger::requests::{ACCESS, Remote};
use noescrow_messenger::{Claim, MAX_CLAIM_LEN, account_path, decode_logged_in, encode_login};
use noescrow_sqlite::{Folder, Options};
use std::io::{Read, Write};
use std::sync::Arc;
use ureq::http::Request;

const README: &str = include_str!("../../../README.md");
const ORIGIN: &str = "https://chat.example.org";
/// A name that is not ASCII.
const NAME: &str = "Bób, here";

/// A server that runs until this value is dropped.
struct Running {
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    base: String,
    server: Arc<Server>,
    agent: ureq::Agent,
    rng: ChaCha20Rng,
}

/// A device whose account is open.
struct Owner {
    name: &'static str,
    device: Device,
    key: AccessKey,
}

impl Running {
    fn start(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database: Box<dyn Database> = Box::new(Sqlite::open(&folder.path().join("relay.db")).unwrap());
        let challenges = ChallengeKey(run(&*database, state::challenge_key).unwrap());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let names = vec![name.to_owned(), base.clone()];
        let server = Arc::new(Server { database, challenges, names, counts: Counts::default() });
        let routes = api::routes(server.clone());
        runtime.spawn(async move { axum::serve(listener, routes).await });
        // A server that refuses a request before its body was read closes the connection.
        let agent = ureq::Agent::config_builder().http_status_as_error(false).max_idle_connections(0).build().into();
        Self { folder, runtime, base, server, agent, rng: ChaCha20Rng::seed_from_u64(2) }
    }

    fn request(&self, method: &str, path: &str, token: Option<&str>, body: &[u8]) -> (u16, Vec<u8>) {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut answer = self.agent.run(request.body(body).unwrap()).unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_vec().unwrap())
    }

    fn status(&self, method: &str, path: &str, token: Option<&str>, body: &[u8]) -> u16 {
        self.request(method, path, token, body).0
    }

    fn owner(&mut self, name: &'static str) -> Owner {
        let device = Device::generate(UnixSeconds(now().cast_unsigned()), &mut self.rng);
        let mut owner = Owner { name, device, key: AccessKey::generate(&mut self.rng) };
        let body = self.claim(&mut owner, ORIGIN, name);
        assert_eq!(self.status("PUT", &account_path(name), None, &body), 201);
        owner
    }

    /// What opens an account at a server.
    fn claim(&mut self, owner: &mut Owner, server: &str, account: &str) -> Vec<u8> {
        let publication = owner.device.publish(3, UnixSeconds(now().cast_unsigned()), &mut self.rng).unwrap();
        let (access, code) = (&owner.key.hash().to_bytes(), &recovery_hash(&CODE));
        Claim::Open { access, code, publication: &publication.to_bytes() }
            .encode(server, account, |challenge| owner.device.sign_login(challenge))
    }

    /// Logs in with a challenge of `from`, signed for `server`.
    fn log_in(&self, from: &Self, owner: &Owner, server: &str) -> (u16, Vec<u8>) {
        let path = account_path(owner.name);
        let nonce = from.request("POST", &format!("{path}/challenge"), None, b"").1.try_into().unwrap();
        let challenge = login_challenge(server.as_bytes(), owner.name.as_bytes(), &nonce);
        let body = encode_login(&nonce, &owner.device.sign_login(&challenge));
        self.request("POST", &format!("{path}/login"), None, &body)
    }

    fn token(&self, owner: &Owner) -> String {
        let (status, answer) = self.log_in(self, owner, ORIGIN);
        assert_eq!(status, 200);
        HEXLOWER.encode(&decode_logged_in(&answer).unwrap().0)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let none = tokio::runtime::Builder::new_current_thread().build().unwrap();
        std::mem::replace(&mut self.runtime, none).shutdown_background();
    }
}

/// The requests of README.md's table: whether it is the owner's, its method, and its path for an account.
fn table(account: &str) -> Vec<(bool, &'static str, String)> {
    let rows = README.lines().filter_map(|line| {
        let (is_owners, row) = match line.strip_prefix("| * `") {
            Some(row) => (true, row),
            None => (false, line.strip_prefix("| `")?),
        };
        let (method, path) = row.split_once('`')?.0.split_once(" /")?;
        let path = format!("/{path}").replace("/accounts/NAME", &account_path(account));
        let path = path.replace("/ID", &format!("/{}", "0f".repeat(16))).replace("=N&after=NUMBER", "=1");
        Some((is_owners, method, path.replace("=N", "=0")))
    });
    rows.collect()
}

#[test]
fn every_owner_route_demands_a_login_of_that_account() {
    let mut relay = Running::start(ORIGIN);
    let (bob, mallory) = (relay.owner(NAME), relay.owner("mallory"));
    let (own, foreign, old) = (relay.token(&bob), relay.token(&mallory), [5; 32]);
    let name = AccountName::new(NAME).unwrap();
    let row = [NAME.into(), sha256(&old).into(), now().into()];
    run(&*relay.server.database, |sql| sql.query("INSERT INTO logins VALUES ($1, $2, $3)", &row).map(drop)).unwrap();
    let tokens = [None, Some("".to_owned()), Some("00".repeat(32)), Some(foreign), Some(HEXLOWER.encode(&old))];

    let routes = table(NAME);
    let owners = routes.iter().filter(|route| route.0);
    assert_eq!((routes.len(), owners.clone().count()), (19, 11));
    for (_, method, path) in owners.clone() {
        for token in &tokens {
            // A body of a length that all routes but two take, so that it is the token that is refused.
            let len = if path.ends_with("/nonce") { 16 } else { 32 };
            assert_eq!(relay.status(method, path, token.as_deref(), &vec![0; len]), 401, "{method} {path} {token:?}");
        }
    }
    // Nothing was done, and the routes of everybody ask nobody.
    run(&*relay.server.database, |sql| state::lock(sql, &name, "name").map(drop)).unwrap();
    for (_, method, path) in routes.iter().filter(|route| !route.0) {
        let expected: &[u16] = match (*method, path.ends_with("/challenge")) {
            ("GET", _) | (_, true) => &[200, 404],
            _ => &[400],
        };
        assert!(expected.contains(&relay.status(method, path, None, b"")), "{method} {path}");
    }
    // Control: with the own token, the account last.
    for (_, method, path) in owners.clone().skip(1).chain(owners.clone().take(1)) {
        let len = if path.ends_with("/nonce") { 16 } else { 32 };
        let status = relay.status(method, path, Some(&own), &vec![0; len]);
        // Not a publication of this identity.
        let expected: &[u16] = if *method == "PUT" && path.ends_with("/prekeys") { &[409] } else { &[200, 204] };
        assert!(expected.contains(&status), "{method} {path}: {status}");
    }
    assert_eq!(relay.status("GET", &format!("{}/identity", account_path(NAME)), None, b""), 404);
}

#[test]
fn each_route_takes_no_longer_body_than_it_needs() {
    let mut relay = Running::start(ORIGIN);
    let bob = relay.owner("bob");
    let token = relay.token(&bob);
    let limits = [
        ("PUT", "", MAX_CLAIM_LEN),
        ("POST", "/recover", MAX_CLAIM_LEN),
        ("POST", "/login", 96),
        ("PUT", "/nonce", 16),
        ("PUT", "/access", 32),
        ("PUT", "/prekeys", noescrow::PUBLICATION_LEN),
        ("POST", "/prekeys/withdraw", 4_000),
        ("POST", "/messages/acknowledge", 8_000),
        ("POST", "/messages", MAX_STRANGERS_BYTES),
        ("PUT", "/files/0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f?offset=0", PART_LEN),
    ];
    for (method, path, most) in limits {
        let status = |len| relay.status(method, &format!("/accounts/bob{path}"), Some(&token), &vec![0; len]);
        assert_eq!(status(most + 1), 413, "{method} {path}");
        // Control.
        assert_ne!(status(most), 413, "{method} {path}");
    }
}

#[test]
fn only_the_right_access_key_admits_long_messages() {
    let mut relay = Running::start(ORIGIN);
    let bob = relay.owner("bob");
    let status = |account: &str, key: Option<[u8; 32]>, first: u8, len: usize| {
        let request = Request::builder().method("POST").uri(format!("{}/accounts/{account}/messages", relay.base));
        let key = key.map(|key| HEXLOWER.encode(&key)).unwrap_or_default();
        let body = [&[first][..], &vec![0; len - 1]].concat();
        let request = request.header(noescrow_messenger::ACCESS_KEY, key).body(&body[..]).unwrap();
        relay.agent.run(request).unwrap().status().as_u16()
    };
    // The first bytes of messages of both kinds, of which this is the only part that is looked at.
    let (first, ordinary) = (0x11, 0x12);
    let (right, wrong) = (Some(*bob.key.expose()), Some([0; 32]));
    for key in [None, wrong] {
        // Each is read to its end, so that its sender sees the answer: a stranger's first message will never be taken, and
        // who has a wrong key gets the right one.
        for len in [MAX_STRANGERS_BYTES + 1, MAX_ENVELOPE_LEN] {
            assert_eq!(status("bob", key, first, len), if key.is_some() { 403 } else { 413 }, "{len}");
            assert_eq!(status("bob", key, ordinary, len), 403, "{len}");
            assert_eq!(status("nobody", key, first, len), 404, "{len}");
        }
        assert_eq!(status("bob", key, ordinary, 2_000), 403);
    }
    assert_eq!(status("bob", right, first, MAX_ENVELOPE_LEN + 1), 413);
    // Control.
    for len in [MAX_STRANGERS_BYTES + 1, MAX_ENVELOPE_LEN] {
        assert_eq!((status("bob", right, first, len), status("bob", right, ordinary, len)), (201, 201));
    }
    assert_eq!(status("bob", wrong, first, MAX_STRANGERS_BYTES), 201);
}

#[test]
fn no_more_is_kept_of_a_message_than_its_sender_may_send() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let read = |len: usize, most| {
        let read = runtime.block_on(api::read(vec![7; len].into(), most));
        read.map(|(kept, len)| (kept.len(), len))
    };
    assert_eq!(read(3_000, 1_000).unwrap(), (1_000, 3_000));
    assert!(matches!(read(MAX_ENVELOPE_LEN + 1, 1_000), Err(Failure::TooLong)));
    // Control.
    assert_eq!(read(1_000, 1_000).unwrap(), (1_000, 1_000));
}

#[test]
fn a_long_first_message_with_a_wrong_key_waits_for_the_right_one() {
    let mut relay = Running::start(ORIGIN);
    let bob = relay.owner("bob");
    let (at, rng) = (UnixSeconds(now().cast_unsigned()), &mut relay.rng);
    let folder = Folder::new(relay.folder.path().join("alice"), None);
    folder.create(b"", Device::generate(at, rng), rng).unwrap();
    let mut stored = folder.open(Options::new(), rng).unwrap();
    let mut remote = Remote::new(Http::default(), &relay.base, "alice").unwrap();
    remote.register(&mut stored, &AccessKey::generate(rng), None, |_| {}).unwrap();
    let mut link = stored.connect(&mut remote, at, rng).unwrap();
    let peer = link.peer_of_account(b"bob", at, rng).unwrap();
    // Bob has another key by now.
    link.stored().store().set_peer_data(&peer, ACCESS, &[0; 32]).unwrap();
    let (mut outcomes, long) = (Vec::new(), vec![0; 2 * MAX_STRANGERS_BYTES]);
    let mut send = |link: &mut Connected<'_, _, _>, text: &[u8]| {
        let outcome = |_: &mut Stored<_>, event: Event<'_>| {
            match event {
                Event::Sent(_) => outcomes.push(Delivery::Taken),
                Event::Undelivered(_, delivery) => outcomes.push(delivery),
                _ => {}
            }
            Ok(())
        };
        drop(link.send(&peer, text, at, rng, outcome).unwrap());
    };
    send(&mut link, &long);
    // It does not block the queue.
    send(&mut link, b"short");
    // With Bob's key both long ones are taken.
    link.stored().store().set_peer_data(&peer, ACCESS, bob.key.expose()).unwrap();
    send(&mut link, &long);
    // Control: without a key a long one never is.
    assert!(link.stored().store().remove_peer_data(&peer, ACCESS).unwrap());
    send(&mut link, &long);
    let taken = Delivery::Taken;
    // The first one is tried again with the short one.
    assert_eq!(outcomes, [Delivery::KeyRefused, Delivery::KeyRefused, taken, taken, taken, Delivery::Never]);
}

#[test]
fn counts_are_written_even_if_nothing_can_be_deleted() {
    let relay = Running::start(ORIGIN);
    relay.status("GET", "/accounts/nobody/identity", None, b"");
    let path = relay.folder.path().join("relay.log");
    let mut log = std::fs::File::create(&path).unwrap();
    let mut upkeep = |now| relay.runtime.block_on(relay.server.upkeep(now, &mut log));
    // Control: the day is not over.
    assert!(matches!(upkeep(now()), (Ok(()), Ok(()))));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
    run(&*relay.server.database, |sql| sql.query("DROP TABLE accounts", &[]).map(drop)).unwrap();
    let (forgotten, written) = upkeep(now() + DAY);
    assert!(forgotten.is_err() && written.is_ok());
    assert!(std::fs::read_to_string(&path).unwrap().ends_with(" GET /accounts/{name}/identity 1\n"));
}

#[test]
fn a_login_for_one_server_does_not_log_in_at_another() {
    let mut relay = Running::start(ORIGIN);
    let other = Running::start("https://evil.example");
    let bob = relay.owner("bob");
    // The other server passes on a challenge, which the device signs for the server to which it is connected.
    assert_eq!(relay.log_in(&relay, &bob, "https://evil.example").0, 401);
    assert_eq!(relay.log_in(&other, &bob, ORIGIN).0, 401, "a challenge of another server");
    // Control.
    assert_eq!(relay.log_in(&relay, &bob, ORIGIN).0, 200);
}

#[test]
fn an_account_is_opened_only_by_the_device_whose_prekeys_it_gets() {
    let mut relay = Running::start(ORIGIN);
    let mut bob = relay.owner("bob");
    let body = relay.claim(&mut bob, ORIGIN, "bob2");
    let mallory = Device::generate(UnixSeconds(now().cast_unsigned()), &mut relay.rng);
    let (_, claim) = Claim::decode_open(&body).unwrap();
    let forged = claim.encode(ORIGIN, "bob2", |challenge| mallory.sign_login(challenge));
    assert_eq!(relay.status("PUT", "/accounts/bob2", None, &forged), 401, "by another device");
    assert_eq!(relay.status("PUT", "/accounts/bob3", None, &body), 401, "for another account");
    let elsewhere = relay.claim(&mut bob, "https://evil.example", "bob2");
    assert_eq!(relay.status("PUT", "/accounts/bob2", None, &elsewhere), 401, "for another server");
    let mut changed = body.clone();
    changed[64] ^= 1;
    assert_eq!(relay.status("PUT", "/accounts/bob2", None, &changed), 401, "with another access key");

    // With Bob's code, Mallory cannot give Bob's account to Carol's device.
    let (access, code) = (&[0; 32], &[0; 32]);
    let carol = &relay.claim(&mut bob, ORIGIN, "bob")[128..];
    let recovery = Claim::Recover { old_code: &CODE, access, code, publication: carol };
    let forged = recovery.encode(ORIGIN, "bob", |challenge| mallory.sign_login(challenge));
    assert_eq!(relay.status("POST", "/accounts/bob/recover", None, &forged), 401);
    // Control.
    assert_eq!(relay.status("PUT", "/accounts/bob2", None, &body), 201);
    let signed = recovery.encode(ORIGIN, "bob", |challenge| bob.device.sign_login(challenge));
    assert_eq!(relay.status("POST", "/accounts/bob/recover", None, &signed), 204);
    assert_eq!(relay.status("POST", "/accounts/bob/recover", None, &signed), 401, "used");
}

#[test]
fn a_publication_is_looked_at_only_if_it_may_be_published() {
    let mut relay = Running::start(ORIGIN);
    let (mut bob, mut mallory) = (relay.owner("bob"), relay.owner("mallory"));
    let token = relay.token(&bob);
    // What cannot be verified after the identity, and a claim that is not signed.
    let damaged = |mut body: Vec<u8>| {
        body.truncate(body.len() - 1);
        body
    };
    let [own, foreign] = [&mut bob, &mut mallory].map(|owner| relay.claim(owner, ORIGIN, "bob"));
    assert_eq!(relay.status("PUT", "/accounts/bob", None, &damaged(own.clone())), 409, "the name is taken");
    assert_eq!(relay.status("PUT", "/accounts/eve", None, &damaged(own.clone())), 401, "the claim is not signed");
    let recovery = [&[0; 64], &[9; 16][..], &own[64..]].concat();
    assert_eq!(relay.status("POST", "/accounts/bob/recover", None, &damaged(recovery)), 401, "a wrong code");
    let publish = |token: &str, body: &[u8]| relay.status("PUT", "/accounts/bob/prekeys", Some(token), body);
    assert_eq!(publish(&"00".repeat(32), &damaged(own[128..].to_vec())), 401, "a wrong token");
    assert_eq!(publish(&token, &damaged(foreign[128..].to_vec())), 409, "another identity");
    // Control: it is looked at, and then stored.
    assert_eq!(publish(&token, &damaged(own[128..].to_vec())), 400);
    assert_eq!(publish(&token, &own[128..]), 204);
}

#[test]
fn the_identity_is_given_out_without_a_prekey() {
    let mut relay = Running::start(ORIGIN);
    let bob = relay.owner("bob");
    let (status, identity) = relay.request("GET", "/accounts/bob/identity", None, b"");
    assert_eq!((status, &identity[..]), (200, &bob.device.identity().to_bytes()[..]));
    let left = || {
        run(&*relay.server.database, |sql| state::prekey_ids(sql, &AccountName::new("bob").unwrap(), now()))
            .unwrap()
            .len()
    };
    assert_eq!(left(), 3);
    // Control: a bundle uses one up, and is what a client can read.
    let (_, bundle) = relay.request("GET", "/accounts/bob/bundle", None, b"");
    assert!(Bundle::from_bytes(&RustCrypto, &bundle).unwrap().one_time_prekey().is_some());
    assert_eq!(left(), 2);
}

#[test]
fn deleting_and_forgetting_overwrite_what_they_delete() {
    let mut relay = Running::start(ORIGIN);
    let secret = b"a sealed file that is to be gone";
    let is_found = |relay: &Running| {
        ["relay.db", "relay.db-wal"].iter().any(|file| {
            let bytes = std::fs::read(relay.folder.path().join(file)).unwrap();
            bytes.windows(secret.len()).any(|window| window == secret)
        })
    };
    let path = format!("/accounts/bob/files/{}?offset=0", "0f".repeat(16));
    for forgets in [false, true] {
        let bob = relay.owner("bob");
        let token = relay.token(&bob);
        assert_eq!(relay.status("PUT", &path, Some(&token), secret), 204);
        // Control.
        assert!(is_found(&relay));
        if forgets {
            relay.server.forget(now() + 40 * DAY).unwrap();
        } else {
            assert_eq!(relay.status("DELETE", "/accounts/bob", Some(&token), b""), 204);
        }
        assert!(!is_found(&relay));
    }
}

#[test]
fn a_page_has_between_one_and_a_thousand_messages() {
    let mut relay = Running::start(ORIGIN);
    let bob = relay.owner("bob");
    let token = relay.token(&bob);
    let status = |query: &str| relay.status("GET", &format!("/accounts/bob/messages{query}"), Some(&token), b"");
    for query in ["?limit=0", "?limit=1001", "?limit=-1", "?limit=x"] {
        assert_eq!(status(query), 400, "{query}");
    }
    assert_eq!(status("?after=7"), 410);
    // Control.
    assert_eq!((status(""), status("?limit=1"), status("?limit=1000")), (200, 200, 200));
}

#[test]
fn the_log_counts_requests_and_names_nobody() {
    let mut relay = Running::start(ORIGIN);
    let bob = relay.owner("bob");
    drop(relay.token(&bob));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.log");
    let mut log = std::fs::File::create(&path).unwrap();
    let today = now() / DAY;
    relay.server.counts.write(today, &mut log).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "", "the day is not over");
    relay.server.counts.write(today + 2, &mut log).unwrap();
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(!written.contains("bob") && !written.contains("127.0.0.1"));
    // Control.
    assert!(written.contains(" POST /accounts/{name}/login 1\n"));
}

#[test]
fn a_method_that_is_made_up_is_neither_kept_nor_logged() {
    let running = Running::start(ORIGIN);
    let path = account_path("bob");
    let address = running.base.trim_start_matches("http://");
    for method in ["SECRET", "SECRETER"] {
        let mut connection = std::net::TcpStream::connect(address).unwrap();
        write!(connection, "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    }
    // Control: a request that there is, is counted by its own method.
    assert_eq!(running.status("DELETE", &path, None, b""), 401);
    let log = running.folder.path().join("relay.log");
    let tomorrow = now() / state::DAY + 1;
    running.server.counts.write(tomorrow, &mut std::fs::File::create(&log).unwrap()).unwrap();
    let log = std::fs::read_to_string(log).unwrap();
    assert!(!log.contains("SECRET") && log.contains("other /accounts/{name} 2\n"), "{log}");
    assert!(log.contains("DELETE /accounts/{name} 1\n"), "{log}");
}
