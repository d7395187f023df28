// SPDX-License-Identifier: MIT OR Apache-2.0
//! The relay's state in PostgreSQL: many server processes share one database.

use super::sql::{Answer, Database, Failure, Row, Sql, Value};
use super::state;
use bytes::BytesMut;
use postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, Config, IsolationLevel, NoTls, Transaction, error::SqlState};
use std::error::Error;
use std::fmt::{Debug, Display, Formatter};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Number of times that a transaction is tried if the database ends it in favour of others.
const TRIES: u32 = 5;
/// Longest pause before the second try, in milliseconds; twice that before the third, and so on.
const PAUSE: u64 = 20;

/// A database server, with the connections that are not in use. There are as many as threads that wait for it.
pub struct Postgres {
    config: Config,
    idle: Mutex<Vec<Client>>,
}

/// What the database answered: its code, without the text, which may quote values.
struct Refused(postgres::Error);

impl Postgres {
    /// Connects, and makes the tables if there are none.
    pub fn open(url: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let database = Self { config: url.parse()?, idle: Mutex::default() };
        let mut client = database.connect()?;
        // Two servers may start at once.
        client.batch_execute("BEGIN; SELECT pg_advisory_xact_lock(1)")?;
        if client.query_one("SELECT to_regclass('server') IS NULL", &[])?.try_get(0)? {
            for statement in state::SCHEMA {
                client.batch_execute(&statement.replace(" WITHOUT ROWID", ""))?;
            }
            // PostgreSQL would compress values above 2 kB, in which an audit could not search.
            for (table, column) in state::LONG_COLUMNS {
                client.batch_execute(&format!("ALTER TABLE {table} ALTER COLUMN {column} SET STORAGE EXTERNAL"))?;
            }
        }
        client.batch_execute("COMMIT")?;
        database.idle.lock().unwrap_or_else(PoisonError::into_inner).push(client);
        Ok(database)
    }

    fn connect(&self) -> Result<Client, postgres::Error> {
        self.config.connect(NoTls)
    }
}

impl Database for Postgres {
    fn transaction(&self, work: &mut dyn FnMut(&mut dyn Sql) -> Answer<()>) -> Answer<()> {
        let mut tries = 1..TRIES;
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut client = idle.filter(|client| !client.is_closed()).map_or_else(|| self.connect(), Ok)?;
            let result = attempt(&mut client, work);
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(client);
            match (result, tries.next()) {
                (Err(Failure::Database(error)), Some(tried)) if is_conflict(&*error) => {
                    std::thread::sleep(Duration::from_millis(fastrand::u64(..PAUSE << tried)));
                }
                (result, _) => return result,
            }
        }
    }

    /// Does nothing: what was deleted is there until `VACUUM` and the next checkpoints, which the server's settings govern.
    fn erase(&self) -> Answer<()> {
        Ok(())
    }
}

fn attempt(client: &mut Client, work: &mut dyn FnMut(&mut dyn Sql) -> Answer<()>) -> Answer<()> {
    // Each statement sees what is committed: after the lock of the account's row, all about that account.
    let mut transaction = client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start()?;
    // Dropped without a commit, a transaction is rolled back.
    work(&mut transaction)?;
    Ok(transaction.commit()?)
}

/// Whether another transaction was in the way, so that this one can be tried again.
fn is_conflict(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    let code = error.downcast_ref::<Refused>().and_then(|refused| refused.0.code());
    code == Some(&SqlState::T_R_SERIALIZATION_FAILURE) || code == Some(&SqlState::T_R_DEADLOCK_DETECTED)
}

impl Sql for Transaction<'_> {
    fn query(&mut self, statement: &str, parameters: &[Value]) -> Answer<Vec<Row>> {
        let parameters: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(|value| value as _).collect();
        let rows = Transaction::query(self, statement, &parameters)?;
        let row = |row: &postgres::Row| {
            let values = row.columns().iter().enumerate().map(|(at, column)| {
                Ok(match *column.type_() {
                    Type::INT8 => row.try_get::<_, Option<i64>>(at)?.map_or(Value::Null, Value::Int),
                    Type::BYTEA => row.try_get::<_, Option<Vec<u8>>>(at)?.map_or(Value::Null, Value::Bytes),
                    _ => row.try_get::<_, Option<String>>(at)?.map_or(Value::Null, Value::Text),
                })
            });
            values.collect::<Result<_, postgres::Error>>().map(Row)
        };
        Ok(rows.iter().map(row).collect::<Result<_, _>>()?)
    }
}

impl ToSql for Value {
    fn to_sql(&self, of: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Int(value) => value.to_sql(of, out),
            Self::Bytes(bytes) => bytes.to_sql(of, out),
            Self::Text(text) => text.to_sql(of, out),
            Self::Null => Ok(IsNull::Yes),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl Debug for Refused {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        Display::fmt(self, f)
    }
}

impl Display for Refused {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self.0.code() {
            Some(code) => write!(f, "PostgreSQL has refused a statement with code {}", code.code()),
            None => write!(f, "PostgreSQL cannot be used: {}", self.0),
        }
    }
}

impl Error for Refused {}

impl From<postgres::Error> for Failure {
    fn from(error: postgres::Error) -> Self {
        Self::Database(Refused(error).into())
    }
}
