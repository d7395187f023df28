// SPDX-License-Identifier: MIT OR Apache-2.0
//! The server: its database, its names, and whose requests it serves.

use super::challenge::ChallengeKey;
use super::sql::{self, Answer, Database, Failure, Sql};
use super::state;
use axum::extract::{FromRequestParts, MatchedPath, Path, Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use data_encoding::HEXLOWER;
use noescrow::Identity;
use noescrow::primitives::RustCrypto;
use noescrow::relay::AccountName;
use noescrow_messenger::{HASH_LEN, SIGNATURE_LEN, sha256};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

pub struct Server {
    pub database: Box<dyn Database>,
    pub challenges: ChallengeKey,
    /// The origins under which clients reach it.
    pub names: Vec<String>,
    pub counts: Counts,
}

/// Number of requests of each kind on each day. An access log with names, times and addresses would be held, and so would
/// have to be disclosed.
#[derive(Default)]
pub struct Counts(Mutex<BTreeMap<(i64, String), u64>>);

/// The account of a request, and the hash of the token by which its sender claims to be the owner.
#[derive(Clone)]
pub struct Owner {
    account: AccountName,
    token: [u8; HASH_LEN],
}

/// The time in seconds.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    #[cfg(feature = "broken")]
    let now = now.saturating_add(super::broken::ahead());
    now
}

impl Server {
    /// Does what may wait, or takes long, on a thread of its own.
    pub async fn wait<T: Send + 'static>(
        self: Arc<Self>,
        work: impl FnOnce(&Self) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        let ran = tokio::task::spawn_blocking(move || work(&self)).await;
        ran.map_err(|error| Failure::Database(error.into()))?
    }

    /// Runs a transaction.
    pub fn run<T>(&self, work: impl FnMut(&mut dyn Sql) -> Answer<T>) -> Answer<T> {
        sql::run(&*self.database, work)
    }

    /// Runs a transaction for an account's owner: that it is the owner is checked in the same transaction.
    pub fn owned<T>(
        &self,
        Owner { account, token }: &Owner,
        mut work: impl FnMut(&mut dyn Sql, &AccountName) -> Answer<T>,
    ) -> Answer<T> {
        self.run(|sql| {
            state::check_login(sql, account, token, now())?;
            work(sql, account)
        })
    }

    /// Verifies the signature of an identity over what is to be signed for one of the server's names.
    pub fn verify(
        &self,
        identity: &Identity,
        signature: &[u8; SIGNATURE_LEN],
        challenge: impl Fn(&str) -> [u8; HASH_LEN],
    ) -> Answer<()> {
        let is_for = |name: &String| identity.verify_login(&RustCrypto, &challenge(name), signature).is_ok();
        if self.names.iter().any(is_for) { Ok(()) } else { Err(Failure::Unauthorized) }
    }

    /// Does what is due each hour: deletes what need not be held any longer, and writes the counts of past days. If one of
    /// the two fails, the other is done.
    pub async fn upkeep(self: &Arc<Self>, now: i64, log: &mut File) -> (Answer<()>, std::io::Result<()>) {
        let forgotten = self.clone().wait(move |server| server.forget(now)).await;
        (forgotten, self.counts.write(now / state::DAY, log))
    }

    /// Deletes what need not be held any longer, account by account.
    pub fn forget(&self, now: i64) -> Answer<()> {
        let mut last = String::new();
        loop {
            let names = self.run(|sql| state::names(sql, &last))?;
            let Some(name) = names.last() else { break };
            last = name.as_str().into();
            for name in &names {
                self.run(|sql| state::forget(sql, name, now))?;
            }
        }
        self.database.erase()
    }
}

impl Counts {
    /// Counts a request by its method and its route, which has no names. Anybody can invent a method: those are counted
    /// together.
    pub async fn count(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
        let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
        let known = [Method::GET, Method::PUT, Method::POST, Method::DELETE];
        let method = known.iter().find(|method| *method == request.method()).map_or("other", Method::as_str);
        let kind = (now() / state::DAY, format!("{method} {route}"));
        *server.counts.0.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default() += 1;
        next.run(request).await
    }

    /// Writes the counts of the days before `today`.
    pub fn write(&self, today: i64, log: &mut File) -> std::io::Result<()> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(((day, kind), count)) = counts.first_key_value().filter(|((day, _), _)| *day < today) {
            writeln!(log, "{day} {kind} {count}")?;
            counts.pop_first();
        }
        Ok(())
    }
}

impl FromRequestParts<Arc<Server>> for Owner {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, server: &Arc<Server>) -> Answer<Self> {
        let path = Path::<HashMap<String, String>>::from_request_parts(parts, server).await;
        let name = path.ok().and_then(|Path(mut path)| path.remove("name")).ok_or(Failure::Malformed)?;
        let token = parts.headers.get("authorization").and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| HEXLOWER.decode(value.strip_prefix("Bearer ")?.as_bytes()).ok());
        let token = sha256(&token.ok_or(Failure::Unauthorized)?);
        Ok(Self { account: AccountName::new(&name).map_err(|_| Failure::Malformed)?, token })
    }
}
