// SPDX-License-Identifier: MIT OR Apache-2.0
//! An account's mailbox. Its length and its bytes are in the account's row, once for messages with the access key and once
//! for strangers' first messages.

use super::sql::{Answer, Failure, Sql, Value};
use super::state::{DAY, count, forget_requests, lock, one, text};
use noescrow::relay::{AccountName, Envelope, MAX_QUEUE_BYTES, MAX_QUEUE_LEN, MAX_STRANGERS_BYTES, MAX_STRANGERS_LEN};
use noescrow::{AccessKey, AccessKeyHash, is_first_message};
use noescrow_messenger::{Numbered, PAGE_LEN, sha256};

/// Returns whether this is the account's access key.
pub fn admits(sql: &mut dyn Sql, account: &AccountName, key: Option<&AccessKey>) -> Answer<bool> {
    let known = one(sql.query("SELECT access FROM accounts WHERE name = $1", &[text(account)])?)?;
    let access = AccessKeyHash::from_bytes(known.array(0)?);
    Ok(key.is_some_and(|key| access.admits(key)))
}

/// Queues a message, once. `number` is random.
pub fn deliver(
    sql: &mut dyn Sql,
    account: &AccountName,
    envelope: &Envelope,
    key: Option<&AccessKey>,
    number: u64,
    now: i64,
) -> Answer<()> {
    let known = lock(sql, account, "access, next_place, queued, queued_bytes, strangers, strangers_bytes")?;
    let access = AccessKeyHash::from_bytes(known.array(0)?);
    let with_key = key.is_some_and(|key| access.admits(key));
    if !with_key && !is_first_message(envelope.as_bytes()).unwrap_or_default() {
        return Err(Failure::AccessKey);
    }
    let id = Value::from(&sha256(envelope.as_bytes())[..16]);
    if !sql.query("SELECT day FROM messages WHERE account = $1 AND id = $2", &[text(account), id.clone()])?.is_empty() {
        return Ok(());
    }
    let (len, bytes, most, most_bytes, columns) = match with_key {
        true => (known.int(2)?, known.int(3)?, MAX_QUEUE_LEN, MAX_QUEUE_BYTES, ["queued", "queued_bytes"]),
        false => {
            (known.int(4)?, known.int(5)?, MAX_STRANGERS_LEN, MAX_STRANGERS_BYTES, ["strangers", "strangers_bytes"])
        }
    };
    let longer = bytes.saturating_add(count(envelope.as_bytes().len()));
    if len >= count(most) || longer > count(most_bytes) {
        return Err(Failure::Full);
    }
    let (mut number, used) = (number, "SELECT day FROM messages WHERE account = $1 AND number = $2");
    while !sql.query(used, &[text(account), number.cast_signed().into()])?.is_empty() {
        number = number.wrapping_add(1);
    }
    let row = [
        text(account),
        known.int(1)?.into(),
        number.cast_signed().into(),
        (now / DAY).into(),
        i64::from(with_key).into(),
        id,
        envelope.as_bytes().into(),
    ];
    sql.query("INSERT INTO messages VALUES ($1, $2, $3, $4, $5, $6, $7)", &row)?;
    let [len, bytes] = columns;
    let counted =
        format!("UPDATE accounts SET next_place = next_place + 1, {len} = {len} + 1, {bytes} = $2 WHERE name = $1");
    sql.query(&counted, &[text(account), longer.into()]).map(drop)
}

/// Returns up to `limit` messages, none after [`PAGE_LEN`] bytes, oldest first, those after the one with the number
/// `after`.
pub fn pending(
    sql: &mut dyn Sql,
    account: &AccountName,
    limit: u16,
    after: Option<u64>,
    now: i64,
) -> Answer<Vec<Numbered>> {
    forget_requests(sql, account, now)?;
    let mut place = -1;
    if let Some(number) = after {
        let row = [text(account), number.cast_signed().into()];
        let found = sql.query("SELECT place FROM messages WHERE account = $1 AND number = $2", &row)?;
        place = found.first().ok_or(Failure::Gone)?.int(0)?;
    }
    let (mut messages, mut bytes) = (Vec::new(), 0);
    // One by one, so that no more is loaded than is sent.
    while messages.len() < usize::from(limit) && bytes < PAGE_LEN {
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
    let numbers = numbers.iter().map(|number| Value::Int(number.cast_signed()));
    remove(sql, account, "number = $2", numbers)
}

/// Deletes messages that nobody has fetched since `oldest`, a day.
pub fn forget(sql: &mut dyn Sql, account: &AccountName, oldest: i64) -> Answer<()> {
    remove(sql, account, "day < $2", [oldest.into()])
}

/// Deletes the messages that fulfil the condition for one of the values, and counts them off.
fn remove(
    sql: &mut dyn Sql,
    account: &AccountName,
    condition: &str,
    values: impl IntoIterator<Item = Value>,
) -> Answer<()> {
    let delete = format!(
        "DELETE FROM messages WHERE account = $1 AND {condition} RETURNING with_key, CAST(length(envelope) AS BIGINT)"
    );
    let mut gone = [0_i64; 4];
    for value in values {
        for row in sql.query(&delete, &[text(account), value])? {
            let (len, bytes) = if row.int(0)? == 1 { (0, 1) } else { (2, 3) };
            gone[len] += 1;
            gone[bytes] += row.int(1)?;
        }
    }
    let row = [text(account), gone[0].into(), gone[1].into(), gone[2].into(), gone[3].into()];
    // Places would count what was ever delivered, and begin anew when the mailbox is empty.
    let counted = "UPDATE accounts SET queued = queued - $2, queued_bytes = queued_bytes - $3,
        strangers = strangers - $4, strangers_bytes = strangers_bytes - $5,
        next_place = CASE WHEN queued + strangers = $2 + $4 THEN 0 ELSE next_place END WHERE name = $1";
    if gone == [0; 4] { Ok(()) } else { sql.query(counted, &row).map(drop) }
}
