// SPDX-License-Identifier: MIT OR Apache-2.0
//! [`Database`]: the little of SQL that the relay needs, which SQLite and PostgreSQL both understand. What the relay does
//! is written once, in `state`; a database only runs transactions.

use std::error::Error;

/// Why a request failed. Everything but [`Database`](Self::Database) is the client's concern.
#[derive(Debug)]
pub enum Failure {
    /// The request is malformed.
    Malformed,
    /// The login, the signature or the recovery code is missing or wrong.
    Unauthorized,
    /// The access key is missing or wrong.
    AccessKey,
    /// There is no such account or file.
    NotFound,
    /// It exists already, or contradicts what exists.
    Conflict,
    /// The message after which the list was to begin does not wait any more.
    Gone,
    /// A part is not where the file, of this length, continues.
    Length(u64),
    /// The message or file is too long.
    TooLong,
    /// A quota is used up.
    Full,
    /// The database failed, or has an entry that this program did not write.
    Database(Box<dyn Error + Send + Sync>),
}

/// What a request comes to.
pub type Answer<T> = Result<T, Failure>;

/// A value of a column or parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Int(i64),
    Bytes(Vec<u8>),
    Text(String),
    Null,
}

/// A row of a result.
pub struct Row(pub Vec<Value>);

/// A transaction.
pub trait Sql {
    /// Runs a statement, and returns its rows. Parameters are `$1` and so on.
    fn query(&mut self, statement: &str, parameters: &[Value]) -> Answer<Vec<Row>>;
}

/// A database that many threads, and with PostgreSQL many processes, may share.
pub trait Database: Send + Sync {
    /// Runs `work` in a transaction, and commits it if it succeeds. `work` may run more than once. It locks the row of the
    /// account that it is about, with `FOR UPDATE`: transactions about one account run one after the other.
    fn transaction(&self, work: &mut dyn FnMut(&mut dyn Sql) -> Answer<()>) -> Answer<()>;

    /// Overwrites what was deleted, as far as the database can do so at once.
    fn erase(&self) -> Answer<()>;
}

/// Runs `work` in a transaction of `database`, and returns what it returns.
pub fn run<T>(database: &dyn Database, mut work: impl FnMut(&mut dyn Sql) -> Answer<T>) -> Answer<T> {
    let mut answer = None;
    database.transaction(&mut |sql| {
        answer = Some(work(sql)?);
        Ok(())
    })?;
    answer.ok_or_else(|| Failure::Database("the transaction did nothing".into()))
}

impl Row {
    fn foreign() -> Failure {
        Failure::Database("a column of another type".into())
    }

    /// Returns an integer.
    pub fn int(&self, column: usize) -> Answer<i64> {
        match self.0.get(column) {
            Some(Value::Int(value)) => Ok(*value),
            _ => Err(Self::foreign()),
        }
    }

    /// Returns bytes, or none if the column is null.
    pub fn optional_bytes(&self, column: usize) -> Answer<Option<&[u8]>> {
        match self.0.get(column) {
            Some(Value::Bytes(bytes)) => Ok(Some(bytes)),
            Some(Value::Null) => Ok(None),
            _ => Err(Self::foreign()),
        }
    }

    /// Returns bytes.
    pub fn bytes(&self, column: usize) -> Answer<&[u8]> {
        self.optional_bytes(column)?.ok_or_else(Self::foreign)
    }

    /// Returns text.
    pub fn text(&self, column: usize) -> Answer<&str> {
        match self.0.get(column) {
            Some(Value::Text(text)) => Ok(text),
            _ => Err(Self::foreign()),
        }
    }

    /// Returns an array.
    pub fn array<const N: usize>(&self, column: usize) -> Answer<[u8; N]> {
        self.bytes(column)?.try_into().map_err(|_| Self::foreign())
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl<const N: usize> From<[u8; N]> for Value {
    fn from(bytes: [u8; N]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
