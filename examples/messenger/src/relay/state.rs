// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the relay holds of accounts, and does with it: the rules of `noescrow::relay`, over tables. Each function is part of
//! one transaction, or all of it.
//!
//! Times are days, or periods of ten minutes, except the end of a challenge and of a login, which is a second.

use super::challenge::{KEY_LEN, random};
use super::mailbox;
use super::sql::{Answer, Failure, Row, Sql, Value};
use noescrow::device::CHALLENGE_NONCE_LEN;
use noescrow::messenger::LOGIN_NONCE_LEN;
use noescrow::relay::{AccountName, MAX_ONE_TIME_PREKEYS, ONE_TIME_BURST, ONE_TIME_INTERVAL, RETENTION};
use noescrow::{AccessKeyHash, Prekey, Publication};
use noescrow_messenger::HASH_LEN;
use std::collections::{BTreeMap, BTreeSet};

/// A day, in seconds.
pub const DAY: i64 = 86_400;
/// How long a login lasts, in seconds.
const LOGIN_KEPT: i64 = 3_600;
/// Number of names that are read at once.
const NAMES: i64 = 1_000;

/// The version of the tables. A server does not begin to use tables of another version.
const VERSION: i64 = 1;

/// The tables, for SQLite and PostgreSQL. Rows have no numbers of their own, which would count what was ever inserted.
/// A message's place counts from when the mailbox was last empty; its number is random.
pub const SCHEMA: [&str; 8] = [
    "CREATE TABLE server (id BIGINT PRIMARY KEY, version BIGINT, challenge_key BYTEA) WITHOUT ROWID",
    "CREATE TABLE accounts (name TEXT PRIMARY KEY, opened BIGINT, access BYTEA, code BYTEA, identity BYTEA,
        signed_expiry BIGINT, signed_prekey BYTEA, full_again BIGINT, nonce BYTEA, next_place BIGINT, queued BIGINT,
        queued_bytes BIGINT, strangers BIGINT, strangers_bytes BIGINT) WITHOUT ROWID",
    "CREATE TABLE prekeys (account TEXT, id BIGINT, expiry BIGINT, prekey BYTEA, PRIMARY KEY (account, id)) WITHOUT ROWID",
    "CREATE TABLE messages (account TEXT, place BIGINT, number BIGINT, day BIGINT, with_key BIGINT, id BYTEA,
        envelope BYTEA, PRIMARY KEY (account, place), UNIQUE (account, number), UNIQUE (account, id)) WITHOUT ROWID",
    "CREATE TABLE used_challenges (account TEXT, challenge BYTEA, expiry BIGINT, PRIMARY KEY (account, challenge))
        WITHOUT ROWID",
    "CREATE TABLE logins (account TEXT, token BYTEA, expiry BIGINT, PRIMARY KEY (account, token)) WITHOUT ROWID",
    "CREATE TABLE files (id BYTEA PRIMARY KEY, account TEXT, day BIGINT, len BIGINT) WITHOUT ROWID;
        CREATE INDEX files_of ON files (account)",
    "CREATE TABLE parts (file BYTEA, place BIGINT, bytes BYTEA, PRIMARY KEY (file, place)) WITHOUT ROWID",
];

/// The columns with values of more than 2 kB.
pub const LONG_COLUMNS: [(&str, &str); 4] =
    [("accounts", "signed_prekey"), ("prekeys", "prekey"), ("messages", "envelope"), ("parts", "bytes")];

/// A value of a name.
pub fn text(account: &AccountName) -> Value {
    account.as_str().into()
}

/// The first row.
pub fn one(rows: Vec<Row>) -> Answer<Row> {
    rows.into_iter().next().ok_or(Failure::NotFound)
}

/// A number as the database has it.
pub fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn expiry(prekey: &Prekey) -> i64 {
    i64::try_from(prekey.expiry().0).unwrap_or(i64::MAX)
}

/// The period of ten minutes.
fn period(now: i64) -> i64 {
    now / i64::try_from(ONE_TIME_INTERVAL.as_secs()).unwrap_or(i64::MAX)
}

/// Checks the version of the tables, and returns the server's own key, which the first server makes.
pub fn challenge_key(sql: &mut dyn Sql) -> Answer<[u8; KEY_LEN]> {
    let first = [VERSION.into(), random::<KEY_LEN>()?.into()];
    sql.query("INSERT INTO server VALUES (1, $1, $2) ON CONFLICT DO NOTHING", &first)?;
    let held = one(sql.query("SELECT version, challenge_key FROM server", &[])?)?;
    match held.int(0)? {
        VERSION => held.array(1),
        _ => Err(Failure::Database("the tables are of another version".into())),
    }
}

/// Returns columns of an account, which stays locked until the transaction ends.
pub fn lock(sql: &mut dyn Sql, account: &AccountName, columns: &str) -> Answer<Row> {
    one(sql.query(&format!("SELECT {columns} FROM accounts WHERE name = $1 FOR UPDATE"), &[text(account)])?)
}

/// Checks that a request comes from the account's owner, who stays the owner until the transaction ends.
pub fn check_login(sql: &mut dyn Sql, account: &AccountName, token: &[u8; HASH_LEN], now: i64) -> Answer<()> {
    lock(sql, account, "name").map_err(|failure| match failure {
        Failure::NotFound => Failure::Unauthorized,
        other => other,
    })?;
    let known = "SELECT expiry FROM logins WHERE account = $1 AND token = $2 AND expiry > $3";
    match sql.query(known, &[text(account), (*token).into(), now.into()])?.is_empty() {
        true => Err(Failure::Unauthorized),
        false => Ok(()),
    }
}

/// Checks that an account can be opened, before its publication is looked at.
pub fn check_free(sql: &mut dyn Sql, account: &AccountName) -> Answer<()> {
    let known = sql.query("SELECT name FROM accounts WHERE name = $1", &[text(account)])?;
    if known.is_empty() { Ok(()) } else { Err(Failure::Conflict) }
}

/// Checks the hash of a recovery code, before the publication that comes with it is looked at.
pub fn check_code(sql: &mut dyn Sql, account: &AccountName, code: &[u8; HASH_LEN]) -> Answer<()> {
    let known = lock(sql, account, "code")?;
    if known.bytes(0)? == code { Ok(()) } else { Err(Failure::Unauthorized) }
}

/// Checks that an account is an identity's, before a publication of that identity is looked at.
pub fn check_identity(sql: &mut dyn Sql, account: &AccountName, identity: &[u8]) -> Answer<()> {
    if lock(sql, account, "identity")?.bytes(0)? == identity { Ok(()) } else { Err(Failure::Conflict) }
}

/// Opens an account. `code` is the hash of its recovery code.
pub fn open(
    sql: &mut dyn Sql,
    account: &AccountName,
    access: &AccessKeyHash,
    code: &[u8; HASH_LEN],
    publication: &Publication,
    now: i64,
) -> Answer<()> {
    let row = [
        text(account),
        (now / DAY).into(),
        access.to_bytes().into(),
        (*code).into(),
        publication.identity.to_bytes().into(),
    ];
    let open = "INSERT INTO accounts VALUES ($1, $2, $3, $4, $5, 0, NULL, 0, NULL, 0, 0, 0, 0, 0)
        ON CONFLICT DO NOTHING RETURNING opened";
    if sql.query(open, &row)?.is_empty() {
        return Err(Failure::Conflict);
    }
    publish(sql, account, publication, now)
}

/// Gives the account to another identity: its owner has lost the device. What nobody can read any more is deleted. `code`
/// and `next_code` are the hashes of the recovery code, which is used up, and of the one that replaces it.
pub fn recover(
    sql: &mut dyn Sql,
    account: &AccountName,
    [code, next_code]: [&[u8; HASH_LEN]; 2],
    access: &AccessKeyHash,
    publication: &Publication,
    now: i64,
) -> Answer<()> {
    check_code(sql, account, code)?;
    let row = [text(account), (*next_code).into(), access.to_bytes().into(), publication.identity.to_bytes().into()];
    let replace = "UPDATE accounts SET code = $2, access = $3, identity = $4, nonce = NULL, next_place = 0, queued = 0,
        queued_bytes = 0, strangers = 0, strangers_bytes = 0 WHERE name = $1";
    sql.query(replace, &row)?;
    for table in ["prekeys", "messages", "logins"] {
        sql.query(&format!("DELETE FROM {table} WHERE account = $1"), &[text(account)])?;
    }
    publish(sql, account, publication, now)
}

/// Deletes everything that is held of an account.
pub fn delete(sql: &mut dyn Sql, account: &AccountName) -> Answer<()> {
    sql.query("DELETE FROM parts WHERE file IN (SELECT id FROM files WHERE account = $1)", &[text(account)])?;
    for table in ["prekeys", "messages", "used_challenges", "logins", "files"] {
        sql.query(&format!("DELETE FROM {table} WHERE account = $1"), &[text(account)])?;
    }
    sql.query("DELETE FROM accounts WHERE name = $1", &[text(account)]).map(drop)
}

/// Returns the account's identity.
pub fn identity(sql: &mut dyn Sql, account: &AccountName) -> Answer<Vec<u8>> {
    let known = one(sql.query("SELECT identity FROM accounts WHERE name = $1", &[text(account)])?)?;
    Ok(known.bytes(0)?.to_vec())
}

/// Logs the owner in, whose `identity` has signed a challenge that is valid until `until`, and returns the login nonce.
/// `token` is the hash of the new token.
pub fn log_in(
    sql: &mut dyn Sql,
    account: &AccountName,
    identity: &[u8],
    (challenge, until): ([u8; CHALLENGE_NONCE_LEN], i64),
    token: [u8; HASH_LEN],
    now: i64,
) -> Answer<Option<[u8; LOGIN_NONCE_LEN]>> {
    let owner = lock(sql, account, "identity, nonce")?;
    // The account may be another identity's since the signature was verified.
    if owner.bytes(0)? != identity {
        return Err(Failure::Unauthorized);
    }
    for table in ["used_challenges", "logins"] {
        let old = format!("DELETE FROM {table} WHERE account = $1 AND expiry <= $2");
        sql.query(&old, &[text(account), now.into()])?;
    }
    let row = [text(account), challenge.into(), until.into()];
    let first = "INSERT INTO used_challenges VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING expiry";
    if sql.query(first, &row)?.is_empty() {
        return Err(Failure::Unauthorized);
    }
    let row = [text(account), token.into(), (now + LOGIN_KEPT).into()];
    sql.query("INSERT INTO logins VALUES ($1, $2, $3)", &row)?;
    owner.optional_bytes(1)?.map(|_| owner.array(1)).transpose()
}

/// Replaces the login nonce.
pub fn set_nonce(sql: &mut dyn Sql, account: &AccountName, nonce: [u8; LOGIN_NONCE_LEN]) -> Answer<()> {
    sql.query("UPDATE accounts SET nonce = $2 WHERE name = $1", &[text(account), nonce.into()]).map(drop)
}

/// Replaces the hash of the access key, after somebody was blocked.
pub fn set_access(sql: &mut dyn Sql, account: &AccountName, access: &AccessKeyHash) -> Answer<()> {
    let row = [text(account), access.to_bytes().into()];
    sql.query("UPDATE accounts SET access = $2 WHERE name = $1", &row).map(drop)
}

/// Returns an encoded bundle, of what was verified when it was published. A one-time prekey is handed out once, never after
/// it expired, and not faster than [`ONE_TIME_BURST`] and [`ONE_TIME_INTERVAL`] permit.
pub fn fetch(sql: &mut dyn Sql, account: &AccountName, now: i64) -> Answer<Vec<u8>> {
    let known = lock(sql, account, "identity, signed_prekey, signed_expiry, full_again")?;
    let (period, burst) = (period(now), i64::try_from(ONE_TIME_BURST).unwrap_or(i64::MAX));
    // After a reading of the clock that was too late, the rate is the lowest, and not zero for ever.
    let full_again = known.int(3)?.clamp(period, period + burst);
    let taken = match full_again - period < burst && known.int(2)? >= now {
        true => sql.query(
            "DELETE FROM prekeys WHERE account = $1 AND id = (SELECT id FROM prekeys WHERE account = $1
             AND expiry >= $2 ORDER BY expiry, id LIMIT 1) RETURNING prekey",
            &[text(account), now.into()],
        )?,
        false => Vec::new(),
    };
    let next = if taken.is_empty() { full_again.min(known.int(3)?) } else { full_again + 1 };
    if next != known.int(3)? {
        sql.query("UPDATE accounts SET full_again = $2 WHERE name = $1", &[text(account), next.into()])?;
    }
    let mut bundle = [known.bytes(0)?, known.bytes(1)?, &[u8::from(!taken.is_empty())]].concat();
    for prekey in &taken {
        bundle.extend(prekey.bytes(0)?);
    }
    Ok(bundle)
}

/// Deletes the period of past requests for prekeys if the limit does not need it.
pub fn forget_requests(sql: &mut dyn Sql, account: &AccountName, now: i64) -> Answer<()> {
    let past = "UPDATE accounts SET full_again = 0 WHERE name = $1 AND full_again BETWEEN 1 AND $2";
    sql.query(past, &[text(account), period(now).into()]).map(drop)
}

/// Returns the ids of the one-time prekeys that can be handed out.
pub fn prekey_ids(sql: &mut dyn Sql, account: &AccountName, now: i64) -> Answer<Vec<u32>> {
    let statement = "SELECT id FROM prekeys WHERE account = $1 AND expiry >= $2 ORDER BY id";
    let rows = sql.query(statement, &[text(account), now.into()])?;
    rows.iter().map(|row| Ok(u32::try_from(row.int(0)?).unwrap_or_default())).collect()
}

/// Stores a publication. Prekeys that are held already are not stored twice. Expired ones give way if room is needed.
pub fn publish(sql: &mut dyn Sql, account: &AccountName, publication: &Publication, now: i64) -> Answer<()> {
    check_identity(sql, account, &publication.identity.to_bytes())?;
    let rows = sql.query("SELECT id, expiry, prekey FROM prekeys WHERE account = $1", &[text(account)])?;
    let mut held = BTreeMap::new();
    for row in &rows {
        held.insert(row.int(0)?, (row.int(1)?, row.bytes(2)?));
    }
    let id = |prekey: &Prekey| i64::from(prekey.id());
    let is_held = |prekey: &&Prekey| held.get(&id(prekey)).is_some_and(|(_, bytes)| *bytes == prekey.to_bytes());
    let new: Vec<&Prekey> = publication.one_time_prekeys.iter().filter(|prekey| !is_held(prekey)).collect();
    if held.len() + new.len() > MAX_ONE_TIME_PREKEYS {
        sql.query("DELETE FROM prekeys WHERE account = $1 AND expiry < $2", &[text(account), now.into()])?;
        held.retain(|_, (expiry, _)| *expiry >= now);
    }
    if held.len() + new.len() > MAX_ONE_TIME_PREKEYS {
        return Err(Failure::Full);
    }
    let signed = &publication.signed_prekey;
    let mut ids: BTreeSet<i64> = held.into_keys().collect();
    if !new.iter().copied().chain([signed]).all(|prekey| ids.insert(id(prekey))) {
        return Err(Failure::Conflict);
    }
    for prekey in new {
        let row = [text(account), id(prekey).into(), expiry(prekey).into(), prekey.to_bytes().into()];
        sql.query("INSERT INTO prekeys VALUES ($1, $2, $3, $4)", &row)?;
    }
    let row = [text(account), expiry(signed).into(), signed.to_bytes().into()];
    let replace = "UPDATE accounts SET signed_expiry = $2, signed_prekey = $3 WHERE name = $1";
    sql.query(replace, &row).map(drop)
}

/// Deletes one-time prekeys that the device does not have, or does not want to be used.
pub fn withdraw(sql: &mut dyn Sql, account: &AccountName, ids: &[u32]) -> Answer<()> {
    for id in ids {
        let row = [text(account), i64::from(*id).into()];
        sql.query("DELETE FROM prekeys WHERE account = $1 AND id = $2", &row)?;
    }
    Ok(())
}

/// Returns the next names of accounts, in their order.
pub fn names(sql: &mut dyn Sql, after: &str) -> Answer<Vec<AccountName>> {
    let next = "SELECT name FROM accounts WHERE name > $1 ORDER BY name LIMIT $2";
    let rows = sql.query(next, &[after.into(), NAMES.into()])?;
    rows.iter().map(|row| AccountName::new(row.text(0)?).map_err(|error| Failure::Database(error.into()))).collect()
}

/// Deletes what need not be held of an account any longer.
pub fn forget(sql: &mut dyn Sql, account: &AccountName, now: i64) -> Answer<()> {
    let locked = lock(sql, account, "name");
    if matches!(locked, Err(Failure::NotFound)) {
        return Ok(());
    }
    locked?;
    let oldest = now / DAY - i64::try_from(RETENTION.as_secs()).unwrap_or(i64::MAX) / DAY;
    mailbox::forget(sql, account, oldest)?;
    let old_files = "SELECT id FROM files WHERE account = $1 AND day < $2";
    let row = [text(account), oldest.into()];
    sql.query(&format!("DELETE FROM parts WHERE file IN ({old_files})"), &row)?;
    sql.query(&format!("DELETE FROM files WHERE id IN ({old_files})"), &row)?;
    for table in ["prekeys", "used_challenges", "logins"] {
        let old = format!("DELETE FROM {table} WHERE account = $1 AND expiry < $2");
        sql.query(&old, &[text(account), now.into()])?;
    }
    forget_requests(sql, account, now)
}
