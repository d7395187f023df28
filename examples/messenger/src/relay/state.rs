// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the relay holds, and does with it: the rules of `noescrow::relay`, over tables. Each function is one transaction.
//!
//! Times are days, or periods of ten minutes, except the end of a challenge and of a login, which is a second.

use super::sql::{Answer, Failure, Row, Sql, Value};
use noescrow::primitives::RustCrypto;
use noescrow::relay::{
    AccountName, Envelope, MAX_CONTACTS, MAX_ONE_TIME_PREKEYS, MAX_QUEUE_BYTES, MAX_QUEUE_LEN, MAX_STRANGERS_BYTES,
    MAX_STRANGERS_LEN, ONE_TIME_BURST, ONE_TIME_INTERVAL, RETENTION,
};
use noescrow::{AccessKey, AccessKeyHash, Bundle, Identity, Prekey, Publication, is_first_message};
use noescrow_messenger::{HASH_LEN, MAX_FILE_LEN, Numbered, PAGE_LEN, PART_LEN, sha256};
use std::net::IpAddr;

const DAY: i64 = 86_400;
/// How long a challenge can be answered, in seconds.
const CHALLENGE_KEPT: i64 = 60;
/// Number of challenges of an account that can be answered at a time; the oldest gives way. Its owner needs one: to keep
/// the owner from logging in, somebody must ask for this many between the owner's two requests.
const CHALLENGES: i64 = 256;
/// How long a login lasts, in seconds.
const LOGIN_KEPT: i64 = 3_600;

/// The tables, for SQLite and PostgreSQL. Rows have no numbers of their own, which would count what was ever inserted.
/// A message's place counts from when the mailbox was last empty; its number is random.
pub const SCHEMA: [&str; 8] = [
    "CREATE TABLE IF NOT EXISTS accounts (name TEXT PRIMARY KEY, opened BIGINT, access BYTEA, code BYTEA,
        identity BYTEA, signed_prekey BYTEA, full_again BIGINT, nonce BYTEA) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS prekeys (account TEXT, id BIGINT, expiry BIGINT, prekey BYTEA,
        PRIMARY KEY (account, id)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS messages (account TEXT, place BIGINT, number BIGINT, day BIGINT, with_key BIGINT,
        id BYTEA, envelope BYTEA, PRIMARY KEY (account, place), UNIQUE (account, number), UNIQUE (account, id))
        WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS contacts (account TEXT, day BIGINT, address TEXT,
        PRIMARY KEY (account, day, address)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS challenges (account TEXT, challenge BYTEA, expiry BIGINT,
        PRIMARY KEY (account, challenge)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS logins (account TEXT, token BYTEA, expiry BIGINT,
        PRIMARY KEY (account, token)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS files (id BYTEA PRIMARY KEY, account TEXT, day BIGINT, len BIGINT) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS parts (file BYTEA, place BIGINT, bytes BYTEA, PRIMARY KEY (file, place)) WITHOUT ROWID",
];

/// The columns with values of more than 2 kB.
pub const LONG_COLUMNS: [(&str, &str); 4] =
    [("accounts", "signed_prekey"), ("prekeys", "prekey"), ("messages", "envelope"), ("parts", "bytes")];

/// The time, and the owner's address, which is recorded with the day.
#[derive(Clone, Copy)]
pub struct Contact {
    pub now: i64,
    pub address: IpAddr,
}

fn text(account: &AccountName) -> Value {
    account.as_str().into()
}

fn foreign(_: noescrow::error::DecodeError) -> Failure {
    Failure::Database("not what this program has written".into())
}

fn one(rows: Vec<Row>) -> Answer<Row> {
    rows.into_iter().next().ok_or(Failure::NotFound)
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn expiry(prekey: &Prekey) -> i64 {
    i64::try_from(prekey.expiry().0).unwrap_or(i64::MAX)
}

/// Opens an account. `code` is the hash of its recovery code.
pub fn open(
    sql: &mut dyn Sql,
    account: &AccountName,
    access: &AccessKeyHash,
    code: &[u8; HASH_LEN],
    publication: &Publication,
    contact: Contact,
) -> Answer<()> {
    let opened = sql.query(
        "INSERT INTO accounts VALUES ($1, $2, $3, $4, $5, $6, 0, NULL) ON CONFLICT DO NOTHING RETURNING opened",
        &[
            text(account),
            (contact.now / DAY).into(),
            access.to_bytes().into(),
            (*code).into(),
            publication.identity.to_bytes().into(),
            publication.signed_prekey.to_bytes().into(),
        ],
    )?;
    if opened.is_empty() {
        return Err(Failure::Conflict);
    }
    publish(sql, account, publication, contact)
}

/// Gives the account to another identity: its owner has lost the device. What nobody can read any more is deleted.
pub fn recover(
    sql: &mut dyn Sql,
    account: &AccountName,
    code: &[u8; HASH_LEN],
    access: &AccessKeyHash,
    publication: &Publication,
    contact: Contact,
) -> Answer<()> {
    let replaced = sql.query(
        "UPDATE accounts SET access = $3, identity = $4, nonce = NULL WHERE name = $1 AND code = $2 RETURNING name",
        &[text(account), (*code).into(), access.to_bytes().into(), publication.identity.to_bytes().into()],
    )?;
    if replaced.is_empty() {
        return Err(Failure::Forbidden);
    }
    for table in ["prekeys", "messages", "challenges", "logins"] {
        sql.query(&format!("DELETE FROM {table} WHERE account = $1"), &[text(account)])?;
    }
    publish(sql, account, publication, contact)
}

/// Deletes everything that is held of an account.
pub fn delete(sql: &mut dyn Sql, account: &AccountName) -> Answer<()> {
    sql.query("DELETE FROM parts WHERE file IN (SELECT id FROM files WHERE account = $1)", &[text(account)])?;
    for table in ["prekeys", "messages", "contacts", "challenges", "logins", "files"] {
        sql.query(&format!("DELETE FROM {table} WHERE account = $1"), &[text(account)])?;
    }
    sql.query("DELETE FROM accounts WHERE name = $1", &[text(account)]).map(drop)
}

/// Stores a challenge for the account's owner to sign.
pub fn challenge(sql: &mut dyn Sql, account: &AccountName, challenge: [u8; 32], now: i64) -> Answer<()> {
    one(sql.query("SELECT opened FROM accounts WHERE name = $1", &[text(account)])?)?;
    sql.query("DELETE FROM challenges WHERE account = $1 AND expiry <= $2", &[text(account), now.into()])?;
    let oldest = "DELETE FROM challenges WHERE account = $1 AND challenge NOT IN (SELECT challenge FROM challenges
        WHERE account = $1 ORDER BY expiry DESC LIMIT $2)";
    sql.query(oldest, &[text(account), (CHALLENGES - 1).into()])?;
    let row = [text(account), challenge.into(), (now + CHALLENGE_KEPT).into()];
    sql.query("INSERT INTO challenges VALUES ($1, $2, $3)", &row).map(drop)
}

/// Logs the owner in who has signed a challenge, and returns the login nonce. `token` is the hash of the new token.
pub fn log_in(
    sql: &mut dyn Sql,
    account: &AccountName,
    challenge: &[u8; 32],
    signature: &[u8; 64],
    token: [u8; HASH_LEN],
    now: i64,
) -> Answer<Option<Vec<u8>>> {
    let owner = sql.query("SELECT identity, nonce FROM accounts WHERE name = $1", &[text(account)])?;
    let owner = one(owner).map_err(|_| Failure::Forbidden)?;
    let identity = Identity::from_bytes(&RustCrypto, &owner.array(0)?).map_err(foreign)?;
    identity.verify_login(&RustCrypto, challenge, signature).map_err(|_| Failure::Forbidden)?;
    let used = sql.query(
        "DELETE FROM challenges WHERE account = $1 AND challenge = $2 AND expiry > $3 RETURNING expiry",
        &[text(account), (*challenge).into(), now.into()],
    )?;
    if used.is_empty() {
        return Err(Failure::Forbidden);
    }
    sql.query("DELETE FROM logins WHERE account = $1 AND expiry <= $2", &[text(account), now.into()])?;
    let row = [text(account), token.into(), (now + LOGIN_KEPT).into()];
    sql.query("INSERT INTO logins VALUES ($1, $2, $3)", &row)?;
    Ok(owner.optional_bytes(1)?.map(<[u8]>::to_vec))
}

/// Checks that a request comes from the account's owner.
pub fn check_login(sql: &mut dyn Sql, account: &AccountName, token: [u8; HASH_LEN], now: i64) -> Answer<()> {
    let known = sql.query(
        "SELECT expiry FROM logins WHERE account = $1 AND token = $2 AND expiry > $3",
        &[text(account), token.into(), now.into()],
    )?;
    if known.is_empty() { Err(Failure::Forbidden) } else { Ok(()) }
}

/// Replaces the login nonce.
pub fn set_nonce(sql: &mut dyn Sql, account: &AccountName, nonce: [u8; 16]) -> Answer<()> {
    sql.query("UPDATE accounts SET nonce = $2 WHERE name = $1", &[text(account), nonce.into()]).map(drop)
}

/// Replaces the hash of the access key, after somebody was blocked.
pub fn set_access(sql: &mut dyn Sql, account: &AccountName, access: &AccessKeyHash) -> Answer<()> {
    let row = [text(account), access.to_bytes().into()];
    sql.query("UPDATE accounts SET access = $2 WHERE name = $1", &row).map(drop)
}

/// Returns a bundle. A one-time prekey is handed out once, never after it expired, and not faster than
/// [`ONE_TIME_BURST`] and [`ONE_TIME_INTERVAL`] permit.
pub fn fetch(sql: &mut dyn Sql, account: &AccountName, now: i64) -> Answer<Bundle> {
    let known =
        one(sql.query("SELECT identity, signed_prekey, full_again FROM accounts WHERE name = $1", &[text(account)])?)?;
    let identity = Identity::from_bytes(&RustCrypto, &known.array(0)?).map_err(foreign)?;
    let signed = Prekey::from_bytes(&RustCrypto, &identity, &known.array(1)?).map_err(foreign)?;
    let period = now / i64::try_from(ONE_TIME_INTERVAL.as_secs()).unwrap_or(i64::MAX);
    let burst = i64::try_from(ONE_TIME_BURST).unwrap_or(i64::MAX);
    let full_again = known.int(2)?.clamp(period, period + burst);
    let taken = match full_again - period < burst && expiry(&signed) >= now {
        true => sql.query(
            "DELETE FROM prekeys WHERE account = $1 AND id = (SELECT id FROM prekeys WHERE account = $1
             AND expiry >= $2 ORDER BY expiry, id LIMIT 1) RETURNING prekey",
            &[text(account), now.into()],
        )?,
        false => Vec::new(),
    };
    let one_time = taken.first().map(|row| Prekey::from_bytes(&RustCrypto, &identity, &row.array(0)?).map_err(foreign));
    if one_time.is_some() {
        let row = [text(account), (full_again + 1).into()];
        sql.query("UPDATE accounts SET full_again = $2 WHERE name = $1", &row)?;
    }
    Bundle::new(identity, signed, one_time.transpose()?).map_err(foreign)
}

/// Returns the ids of the one-time prekeys that can be handed out.
pub fn prekey_ids(sql: &mut dyn Sql, account: &AccountName, now: i64) -> Answer<Vec<u32>> {
    let statement = "SELECT id FROM prekeys WHERE account = $1 AND expiry >= $2 ORDER BY id";
    let rows = sql.query(statement, &[text(account), now.into()])?;
    rows.iter().map(|row| Ok(u32::try_from(row.int(0)?).unwrap_or_default())).collect()
}

/// Stores a publication. Prekeys that are held already are not stored twice.
pub fn publish(sql: &mut dyn Sql, account: &AccountName, publication: &Publication, contact: Contact) -> Answer<()> {
    let held = one(sql.query("SELECT identity FROM accounts WHERE name = $1", &[text(account)])?)?;
    if held.bytes(0)? != publication.identity.to_bytes() {
        return Err(Failure::Conflict);
    }
    let row = [text(account), publication.signed_prekey.to_bytes().into()];
    sql.query("UPDATE accounts SET signed_prekey = $2 WHERE name = $1", &row)?;
    for prekey in &publication.one_time_prekeys {
        let (id, bytes) = (Value::Int(prekey.id().into()), prekey.to_bytes());
        let same_id = "SELECT prekey FROM prekeys WHERE account = $1 AND id = $2";
        match sql.query(same_id, &[text(account), id.clone()])?.first() {
            Some(row) if row.bytes(0)? == bytes => {}
            Some(_) => return Err(Failure::Conflict),
            None => {
                let row = [text(account), id, expiry(prekey).into(), bytes.into()];
                sql.query("INSERT INTO prekeys VALUES ($1, $2, $3, $4)", &row)?;
            }
        }
    }
    let held = one(sql.query("SELECT count(*) FROM prekeys WHERE account = $1", &[text(account)])?)?;
    if held.int(0)? > count(MAX_ONE_TIME_PREKEYS) {
        return Err(Failure::Full);
    }
    record_contact(sql, account, contact)
}

/// Deletes one-time prekeys that the device does not have, or does not want to be used.
pub fn withdraw(sql: &mut dyn Sql, account: &AccountName, ids: &[u32]) -> Answer<()> {
    for id in ids {
        let row = [text(account), Value::Int((*id).into())];
        sql.query("DELETE FROM prekeys WHERE account = $1 AND id = $2", &row)?;
    }
    Ok(())
}

/// Queues a message, once. `number` is random.
pub fn deliver(
    sql: &mut dyn Sql,
    account: &AccountName,
    envelope: &Envelope,
    key: Option<&AccessKey>,
    number: i64,
    now: i64,
) -> Answer<()> {
    let known = one(sql.query("SELECT access FROM accounts WHERE name = $1", &[text(account)])?)?;
    let access = AccessKeyHash::from_bytes(known.array(0)?);
    let with_key = key.is_some_and(|key| access.admits(key));
    if !with_key && !is_first_message(envelope.as_bytes()).unwrap_or_default() {
        return Err(Failure::Forbidden);
    }
    let id = Value::from(&sha256(envelope.as_bytes())[..16]);
    let same = "SELECT day FROM messages WHERE account = $1 AND id = $2";
    if !sql.query(same, &[text(account), id.clone()])?.is_empty() {
        return Ok(());
    }
    let (most, most_bytes) = match with_key {
        true => (MAX_QUEUE_LEN, MAX_QUEUE_BYTES),
        false => (MAX_STRANGERS_LEN, MAX_STRANGERS_BYTES),
    };
    let used = one(sql.query(
        "SELECT count(*), CAST(coalesce(sum(length(envelope)), 0) AS BIGINT) FROM messages
         WHERE account = $1 AND with_key = $2",
        &[text(account), i64::from(with_key).into()],
    )?)?;
    if used.int(0)? >= count(most) || used.int(1)?.saturating_add(count(envelope.as_bytes().len())) > count(most_bytes)
    {
        return Err(Failure::Full);
    }
    let last = "SELECT coalesce(max(place), 0) FROM messages WHERE account = $1";
    let place = one(sql.query(last, &[text(account)])?)?.int(0)?.saturating_add(1);
    let row = [
        text(account),
        place.into(),
        number.into(),
        (now / DAY).into(),
        i64::from(with_key).into(),
        id,
        envelope.as_bytes().into(),
    ];
    sql.query("INSERT INTO messages VALUES ($1, $2, $3, $4, $5, $6, $7)", &row).map(drop)
}

/// Returns up to `limit` messages of [`PAGE_LEN`] bytes in all, oldest first, those after the one with the number `after`.
pub fn pending(
    sql: &mut dyn Sql,
    account: &AccountName,
    limit: i64,
    after: Option<u64>,
    contact: Contact,
) -> Answer<Vec<Numbered>> {
    record_contact(sql, account, contact)?;
    let mut place = match after {
        Some(number) => {
            let row = [text(account), number.cast_signed().into()];
            let found = sql.query("SELECT place FROM messages WHERE account = $1 AND number = $2", &row)?;
            found.first().map_or(Ok(0), |row| row.int(0))?
        }
        None => 0,
    };
    let (mut messages, mut bytes) = (Vec::new(), 0);
    // One by one, so that no more is loaded than is sent.
    while count(messages.len()) < limit && bytes < PAGE_LEN {
        let next =
            "SELECT place, number, envelope FROM messages WHERE account = $1 AND place > $2 ORDER BY place LIMIT 1";
        let Some(row) = sql.query(next, &[text(account), place.into()])?.into_iter().next() else { break };
        place = row.int(0)?;
        let envelope = row.bytes(2)?.to_vec();
        bytes += envelope.len();
        messages.push((row.int(1)?.cast_unsigned(), envelope));
    }
    Ok(messages)
}

/// Deletes messages that the owner has safely received.
pub fn acknowledge(sql: &mut dyn Sql, account: &AccountName, numbers: &[u64]) -> Answer<()> {
    for number in numbers {
        let row = [text(account), number.cast_signed().into()];
        sql.query("DELETE FROM messages WHERE account = $1 AND number = $2", &row)?;
    }
    Ok(())
}

/// Appends to a file, which the first part begins.
pub fn append(
    sql: &mut dyn Sql,
    account: &AccountName,
    file: [u8; 16],
    offset: u64,
    part: &[u8],
    now: i64,
) -> Answer<()> {
    // Its owner may have deleted it since the login was checked.
    one(sql.query("SELECT opened FROM accounts WHERE name = $1", &[text(account)])?)?;
    let row = [file.into(), text(account), (now / DAY).into()];
    sql.query("INSERT INTO files VALUES ($1, $2, $3, 0) ON CONFLICT DO NOTHING", &row)?;
    let held = one(sql.query("SELECT len, account FROM files WHERE id = $1", &[file.into()])?)?;
    let len = held.int(0)?.cast_unsigned();
    if held.0.get(1) != Some(&text(account)) {
        return Err(Failure::Conflict);
    }
    if len != offset {
        return Err(Failure::Length(len));
    }
    let longer = len.saturating_add(part.len() as u64);
    if part.len() > PART_LEN || longer > MAX_FILE_LEN {
        return Err(Failure::TooLong);
    }
    if part.is_empty() {
        return Ok(());
    }
    sql.query("INSERT INTO parts VALUES ($1, $2, $3)", &[file.into(), len.cast_signed().into(), part.into()])?;
    sql.query("UPDATE files SET len = $2 WHERE id = $1", &[file.into(), longer.cast_signed().into()]).map(drop)
}

/// Returns a part of a file from `offset` on, which is empty at its end.
pub fn read(sql: &mut dyn Sql, file: [u8; 16], offset: u64) -> Answer<Vec<u8>> {
    let held = one(sql.query("SELECT len FROM files WHERE id = $1", &[file.into()])?)?;
    if offset >= held.int(0)?.cast_unsigned() {
        return Ok(Vec::new());
    }
    let part = "SELECT place, bytes FROM parts WHERE file = $1 AND place <= $2 ORDER BY place DESC LIMIT 1";
    let part = one(sql.query(part, &[file.into(), offset.cast_signed().into()])?)?;
    let from = usize::try_from(offset.saturating_sub(part.int(0)?.cast_unsigned())).unwrap_or(usize::MAX);
    Ok(part.bytes(1)?.get(from..).unwrap_or_default().to_vec())
}

/// Deletes what need not be held any longer.
pub fn forget(sql: &mut dyn Sql, now: i64) -> Answer<()> {
    let oldest = Value::Int(now / DAY - i64::try_from(RETENTION.as_secs()).unwrap_or(i64::MAX) / DAY);
    sql.query("DELETE FROM parts WHERE file IN (SELECT id FROM files WHERE day < $1)", std::slice::from_ref(&oldest))?;
    for table in ["messages", "contacts", "files"] {
        sql.query(&format!("DELETE FROM {table} WHERE day < $1"), std::slice::from_ref(&oldest))?;
    }
    for table in ["prekeys", "challenges", "logins"] {
        sql.query(&format!("DELETE FROM {table} WHERE expiry < $1"), &[now.into()])?;
    }
    let period = now / i64::try_from(ONE_TIME_INTERVAL.as_secs()).unwrap_or(i64::MAX);
    sql.query("UPDATE accounts SET full_again = 0 WHERE full_again <= $1", &[period.into()]).map(drop)
}

/// Records the owner's address once a day, and the last [`MAX_CONTACTS`].
fn record_contact(sql: &mut dyn Sql, account: &AccountName, contact: Contact) -> Answer<()> {
    let row = [text(account), (contact.now / DAY).into(), contact.address.to_string().as_str().into()];
    sql.query(
        "INSERT INTO contacts SELECT name, CAST($2 AS BIGINT), CAST($3 AS TEXT) FROM accounts WHERE name = $1
        ON CONFLICT DO NOTHING",
        &row,
    )?;
    let oldest = "DELETE FROM contacts WHERE account = $1 AND (day, address) NOT IN (SELECT day, address FROM contacts
        WHERE account = $1 ORDER BY day DESC, address LIMIT $2)";
    sql.query(oldest, &[text(account), count(MAX_CONTACTS).into()]).map(drop)
}
