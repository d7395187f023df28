// SPDX-License-Identifier: MIT OR Apache-2.0
//! The relay's state in one file of SQLite: for one server process.

use super::sql::{Answer, Database, Failure, Row, Sql, Value};
use super::state;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Transaction, TransactionBehavior, params_from_iter};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// A database in a file.
pub struct Sqlite(Mutex<Connection>);

impl Sqlite {
    /// Opens or makes the database. What the server has confirmed to a client is on disk. What is deleted is overwritten in the database at
    /// once, and in its log by [`erase`](Database::erase).
    pub fn open(path: &Path) -> rusqlite::Result<Self> {
        let mut connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "secure_delete", "ON")?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if !transaction.table_exists(None, "server")? {
            transaction.execute_batch(&state::SCHEMA.join(";"))?;
        }
        transaction.commit()?;
        Ok(Self(Mutex::new(connection)))
    }
}

impl Database for Sqlite {
    fn transaction(&self, work: &mut dyn FnMut(&mut dyn Sql) -> Answer<()>) -> Answer<()> {
        let mut connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        work(&mut transaction)?;
        Ok(transaction.commit()?)
    }

    fn erase(&self) -> Answer<()> {
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_busy = |row: &rusqlite::Row<'_>| row.get::<_, bool>(0);
        match connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], is_busy)? {
            false => Ok(()),
            true => Err(Failure::Database("another process reads the database".into())),
        }
    }
}

impl Sql for Transaction<'_> {
    fn query(&mut self, statement: &str, parameters: &[Value]) -> Answer<Vec<Row>> {
        // To SQLite, `$1` is a name and `?1` a place. It has no locks of rows: one transaction runs at a time.
        let mut statement = self.prepare_cached(&statement.replace('$', "?").replace(" FOR UPDATE", ""))?;
        let columns = statement.column_count();
        let mut found = statement.query(params_from_iter(parameters))?;
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            let values = (0..columns).map(|column| {
                Ok(match row.get_ref(column)? {
                    ValueRef::Integer(value) => Value::Int(value),
                    ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
                    ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
                    ValueRef::Null | ValueRef::Real(_) => Value::Null,
                })
            });
            rows.push(Row(values.collect::<rusqlite::Result<_>>()?));
        }
        Ok(rows)
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Null => ValueRef::Null,
        }))
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.into())
    }
}
