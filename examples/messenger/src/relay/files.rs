// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sealed files, in parts. Whoever knows a file's id may fetch it; its account is held for the quota and for deletion.

use super::sql::{Answer, Failure, Sql};
use super::state::{DAY, count, one, text};
use noescrow::relay::AccountName;
use noescrow_messenger::{FILE_ID_LEN, MAX_FILE_LEN, MAX_FILES, MAX_FILES_LEN, PART_LEN};

type FileId = [u8; FILE_ID_LEN];

/// Returns the length that is held of the account's file, 0 of a new one.
pub fn length(sql: &mut dyn Sql, account: &AccountName, file: FileId) -> Answer<u64> {
    match sql.query("SELECT len, account FROM files WHERE id = $1", &[file.into()])?.first() {
        Some(held) if held.0.get(1) != Some(&text(account)) => Err(Failure::Conflict),
        Some(held) => Ok(held.int(0)?.cast_unsigned()),
        None => Ok(0),
    }
}

/// Appends to a file, which the first part begins. All parts but the last have [`PART_LEN`] bytes. A file is held for a
/// day longer than a message that is sent after its last part.
pub fn append(
    sql: &mut dyn Sql,
    account: &AccountName,
    file: FileId,
    offset: u64,
    part: &[u8],
    now: i64,
) -> Answer<()> {
    if part.is_empty() {
        return Err(Failure::Malformed);
    }
    let row = [file.into(), text(account), (now / DAY + 1).into()];
    sql.query("INSERT INTO files VALUES ($1, $2, $3, 0) ON CONFLICT DO NOTHING", &row)?;
    let len = length(sql, account, file)?;
    if len != offset || !len.is_multiple_of(PART_LEN as u64) {
        return Err(Failure::Length(len));
    }
    let longer = len.saturating_add(part.len() as u64);
    if part.len() > PART_LEN || longer > MAX_FILE_LEN {
        return Err(Failure::TooLong);
    }
    let all = "SELECT count(*), CAST(sum(len) AS BIGINT) FROM files WHERE account = $1";
    let all = one(sql.query(all, &[text(account)])?)?;
    if all.int(0)? > count(MAX_FILES) || all.int(1)?.cast_unsigned().saturating_add(part.len() as u64) > MAX_FILES_LEN {
        return Err(Failure::Full);
    }
    sql.query("INSERT INTO parts VALUES ($1, $2, $3)", &[file.into(), len.cast_signed().into(), part.into()])?;
    let row = [file.into(), longer.cast_signed().into(), (now / DAY + 1).into()];
    sql.query("UPDATE files SET len = $2, day = $3 WHERE id = $1", &row).map(drop)
}

/// Returns a part of a file from `offset` on, which is empty at its end.
pub fn read(sql: &mut dyn Sql, file: FileId, offset: u64) -> Answer<Vec<u8>> {
    let held = one(sql.query("SELECT len FROM files WHERE id = $1", &[file.into()])?)?;
    if offset >= held.int(0)?.cast_unsigned() {
        return Ok(Vec::new());
    }
    let within = offset % PART_LEN as u64;
    let place = (offset - within).cast_signed();
    let part = one(sql.query("SELECT bytes FROM parts WHERE file = $1 AND place = $2", &[file.into(), place.into()])?)?;
    Ok(part.bytes(0)?.get(usize::try_from(within).unwrap_or(usize::MAX)..).unwrap_or_default().to_vec())
}

/// Deletes one of the account's files.
pub fn delete(sql: &mut dyn Sql, account: &AccountName, file: FileId) -> Answer<()> {
    let deleted = "DELETE FROM files WHERE id = $1 AND account = $2 RETURNING id";
    if !sql.query(deleted, &[file.into(), text(account)])?.is_empty() {
        sql.query("DELETE FROM parts WHERE file = $1", &[file.into()])?;
    }
    Ok(())
}
