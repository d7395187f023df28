// SPDX-License-Identifier: MIT OR Apache-2.0
//! The requests of README.md's table: what they contain is parsed here, and `state`, `mailbox` and `files` do what they ask
//! for. Nothing that takes long is done before it is known that the sender may ask for it.

use super::challenge::random;
use super::server::{Counts, Owner, Server, now};
use super::sql::{Answer, Failure};
use super::{files, mailbox, state};
use axum::Router;
use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::handler::Handler;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use data_encoding::HEXLOWER;
use noescrow::device::login_challenge;
use noescrow::primitives::RustCrypto;
use noescrow::relay::{AccountName, Envelope, MAX_ENVELOPE_LEN, MAX_STRANGERS_BYTES};
use noescrow::{AccessKey, AccessKeyHash, IDENTITY_LEN, Identity, PUBLICATION_LEN, Publication, is_first_message};
use noescrow_messenger::{
    ACCESS_KEY, Claim, FILE_ID_LEN, HASH_LEN, LOGIN_LEN, MAX_CLAIM_LEN, MAX_PAGE, PART_LEN, SIGNATURE_LEN, TOKEN_LEN,
    decode_ids, decode_login, decode_numbers, encode_ids, encode_logged_in, encode_messages, recovery_hash, sha256,
};
use serde::Deserialize;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

type Shared = State<Arc<Server>>;
type Name = Path<String>;

const NONCE_LEN: usize = noescrow::messenger::LOGIN_NONCE_LEN;
const DONE: StatusCode = StatusCode::NO_CONTENT;

/// The routes. Each accepts as long a body as it needs.
pub fn routes(server: Arc<Server>) -> Router {
    let page = usize::from(MAX_PAGE);
    Router::new()
        .route("/accounts/{name}", put(open.layer(limit(MAX_CLAIM_LEN))).delete(delete_account))
        .route("/accounts/{name}/recover", post(recover.layer(limit(MAX_CLAIM_LEN))))
        .route("/accounts/{name}/challenge", post(challenge))
        .route("/accounts/{name}/login", post(log_in.layer(limit(LOGIN_LEN))))
        .route("/accounts/{name}/nonce", put(set_nonce.layer(limit(NONCE_LEN))))
        .route("/accounts/{name}/access", put(set_access.layer(limit(HASH_LEN))))
        .route("/accounts/{name}/identity", get(identity))
        .route("/accounts/{name}/bundle", get(bundle))
        .route("/accounts/{name}/prekeys", get(prekeys).put(publish.layer(limit(PUBLICATION_LEN))))
        .route("/accounts/{name}/prekeys/withdraw", post(withdraw.layer(limit(4 * page))))
        .route("/accounts/{name}/messages", get(pending).post(deliver))
        .route("/accounts/{name}/messages/acknowledge", post(acknowledge.layer(limit(8 * page))))
        .route(
            "/accounts/{name}/files/{id}",
            get(file_length).put(upload.layer(limit(PART_LEN))).merge(delete(delete_file)),
        )
        .route("/files/{id}", get(download))
        .route_layer(from_fn_with_state(server.clone(), Counts::count))
        .with_state(server)
}

fn limit(len: usize) -> DefaultBodyLimit {
    DefaultBodyLimit::max(len)
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Length(held) => return (StatusCode::PRECONDITION_FAILED, held.to_be_bytes()).into_response(),
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::AccessKey => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Conflict => StatusCode::CONFLICT,
            Self::Gone => StatusCode::GONE,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Full => StatusCode::TOO_MANY_REQUESTS,
            Self::Database(error) => {
                eprintln!("relay: {error}");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        status.into_response()
    }
}

fn name(name: &str) -> Answer<AccountName> {
    AccountName::new(name).map_err(|_| Failure::Malformed)
}

fn array<const N: usize>(body: &[u8]) -> Answer<[u8; N]> {
    body.try_into().map_err(|_| Failure::Malformed)
}

fn file_id(id: &str) -> Answer<[u8; FILE_ID_LEN]> {
    array(&HEXLOWER.decode(id.as_bytes()).map_err(|_| Failure::Malformed)?)
}

/// Verifies a publication, up to 1,000 prekeys.
fn publication(bytes: &[u8]) -> Answer<Publication> {
    Publication::from_bytes(&RustCrypto, bytes).map_err(|_| Failure::Malformed)
}

/// Verifies the publication of a claim, and first that its identity has signed the claim.
fn claimed(
    server: &Server,
    account: &AccountName,
    claim: Claim<'_>,
    signature: &[u8; SIGNATURE_LEN],
    bytes: &[u8],
) -> Answer<Publication> {
    let identity = bytes.first_chunk().ok_or(Failure::Malformed)?;
    let identity = Identity::from_bytes(&RustCrypto, identity).map_err(|_| Failure::Malformed)?;
    server.verify(&identity, signature, |name| claim.challenge(name, account.as_str()))?;
    publication(bytes)
}

async fn open(State(server): Shared, Path(account): Name, body: Bytes) -> Answer<StatusCode> {
    let account = name(&account)?;
    let open = move |server: &Server| {
        let (signature, claim) = Claim::decode_open(&body).ok_or(Failure::Malformed)?;
        let Claim::Open { access, code, publication } = claim else { return Err(Failure::Malformed) };
        server.run(|sql| state::check_free(sql, &account))?;
        let publication = claimed(server, &account, claim, signature, publication)?;
        let access = AccessKeyHash::from_bytes(*access);
        server.run(|sql| state::open(sql, &account, &access, code, &publication, now()))
    };
    server.wait(open).await.map(|()| StatusCode::CREATED)
}

async fn recover(State(server): Shared, Path(account): Name, body: Bytes) -> Answer<StatusCode> {
    let account = name(&account)?;
    let recover = move |server: &Server| {
        let (signature, claim) = Claim::decode_recover(&body).ok_or(Failure::Malformed)?;
        let Claim::Recover { old_code, access, code, publication } = claim else { return Err(Failure::Malformed) };
        let old_code = recovery_hash(old_code);
        server.run(|sql| state::check_code(sql, &account, &old_code))?;
        let publication = claimed(server, &account, claim, signature, publication)?;
        let access = AccessKeyHash::from_bytes(*access);
        server.run(|sql| state::recover(sql, &account, [&old_code, code], &access, &publication, now()))
    };
    server.wait(recover).await.map(|()| DONE)
}

async fn delete_account(State(server): Shared, owner: Owner) -> Answer<StatusCode> {
    let delete = move |server: &Server| {
        server.owned(&owner, state::delete)?;
        server.database.erase()
    };
    server.wait(delete).await.map(|()| DONE)
}

async fn challenge(State(server): Shared, Path(account): Name) -> Answer<Vec<u8>> {
    Ok(server.challenges.challenge(&name(&account)?, now())?.to_vec())
}

async fn log_in(State(server): Shared, Path(account): Name, body: Bytes) -> Answer<Vec<u8>> {
    let account = name(&account)?;
    let (nonce, signature) = decode_login(&body).ok_or(Failure::Malformed)?;
    let until = server.challenges.check(&account, &nonce, now())?;
    let log_in = move |server: &Server| {
        let bytes = server.run(|sql| state::identity(sql, &account))?;
        let identity = Identity::from_bytes(&RustCrypto, &array(&bytes)?).map_err(|_| Failure::Malformed)?;
        let challenge = |name: &str| login_challenge(name.as_bytes(), account.as_str().as_bytes(), &nonce);
        server.verify(&identity, &signature, challenge)?;
        let token = random::<TOKEN_LEN>()?;
        let hash = sha256(&token);
        let nonce = server.run(|sql| state::log_in(sql, &account, &bytes, (nonce, until), hash, now()))?;
        Ok(encode_logged_in(&token, nonce.as_ref()))
    };
    server.wait(log_in).await
}

async fn set_nonce(State(server): Shared, owner: Owner, body: Bytes) -> Answer<StatusCode> {
    let nonce = array(&body)?;
    server.wait(move |server| server.owned(&owner, |sql, name| state::set_nonce(sql, name, nonce))).await.map(|()| DONE)
}

async fn set_access(State(server): Shared, owner: Owner, body: Bytes) -> Answer<StatusCode> {
    let access = AccessKeyHash::from_bytes(array(&body)?);
    let set = move |server: &Server| server.owned(&owner, |sql, name| state::set_access(sql, name, &access));
    server.wait(set).await.map(|()| DONE)
}

async fn identity(State(server): Shared, Path(account): Name) -> Answer<Vec<u8>> {
    let account = name(&account)?;
    server.wait(move |server| server.run(|sql| state::identity(sql, &account))).await
}

async fn bundle(State(server): Shared, Path(account): Name) -> Answer<Vec<u8>> {
    let account = name(&account)?;
    server.wait(move |server| server.run(|sql| state::fetch(sql, &account, now()))).await
}

async fn prekeys(State(server): Shared, owner: Owner) -> Answer<Vec<u8>> {
    let list = move |server: &Server| server.owned(&owner, |sql, name| state::prekey_ids(sql, name, now()));
    Ok(encode_ids(&server.wait(list).await?))
}

async fn publish(State(server): Shared, owner: Owner, body: Bytes) -> Answer<StatusCode> {
    let publish = move |server: &Server| {
        // Before the publication is verified, which takes longer. All this is checked again in the transaction.
        let identity = body.get(..IDENTITY_LEN).unwrap_or_default();
        server.owned(&owner, |sql, name| state::check_identity(sql, name, identity))?;
        let publication = publication(&body)?;
        server.owned(&owner, |sql, name| state::publish(sql, name, &publication, now()))
    };
    server.wait(publish).await.map(|()| DONE)
}

async fn withdraw(State(server): Shared, owner: Owner, body: Bytes) -> Answer<StatusCode> {
    let ids = decode_ids(&body).ok_or(Failure::Malformed)?;
    server.wait(move |server| server.owned(&owner, |sql, name| state::withdraw(sql, name, &ids))).await.map(|()| DONE)
}

async fn deliver(State(server): Shared, Path(account): Name, headers: HeaderMap, body: Body) -> Answer<StatusCode> {
    let account = name(&account)?;
    let key = headers.get(ACCESS_KEY).and_then(|value| HEXLOWER.decode(value.as_bytes()).ok());
    let key = key.and_then(|bytes| Some(AccessKey::from_bytes(bytes.try_into().ok()?)));
    // Before the body is read. The key is checked again in the transaction.
    let check = move |server: &Server| {
        let is_admitted = server.run(|sql| mailbox::admits(sql, &account, key.as_ref()))?;
        Ok((is_admitted, account, key))
    };
    let checked = server.clone().wait(check).await;
    let access = match &checked {
        Ok((true, ..)) => Access::Right,
        Ok((false, _, Some(_))) => Access::Wrong,
        _ => Access::None,
    };
    let envelope = message(body, access).await;
    let ((_, account, key), envelope) = (checked?, envelope?);
    let number = u64::from_be_bytes(random()?);
    let deliver = move |server: &Server| {
        server.run(|sql| mailbox::deliver(sql, &account, &envelope, key.as_ref(), number, now()))
    };
    server.wait(deliver).await.map(|()| StatusCode::CREATED)
}

/// The access key with which a message comes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Right,
    Wrong,
    None,
}

/// Reads a message. A stranger's that is longer than strangers' mailbox will never be taken: its sender must not try again
/// later. Who has a wrong key may get the right one, with which it is.
async fn message(body: Body, access: Access) -> Answer<Envelope> {
    let most = if access == Access::Right { MAX_ENVELOPE_LEN } else { MAX_STRANGERS_BYTES };
    let (kept, len) = read(body, most).await?;
    match (is_first_message(&kept), access) {
        (Ok(false), Access::Wrong | Access::None) => Err(Failure::AccessKey),
        (Ok(true), Access::Wrong) if len > most => Err(Failure::AccessKey),
        _ if len > most => Err(Failure::TooLong),
        _ => Envelope::new(kept).map_err(|_| Failure::Malformed),
    }
}

/// Reads a body. Returns its first bytes, `most` of them, and its length. The rest is read as well: a sender whose request is
/// not read to its end may not see the answer.
pub async fn read(mut body: Body, most: usize) -> Answer<(Vec<u8>, usize)> {
    let (mut kept, mut len) = (Vec::new(), 0_usize);
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let Ok(data) = frame.map_err(|_| Failure::Malformed)?.into_data() else { continue };
        len = len.saturating_add(data.len());
        if len > MAX_ENVELOPE_LEN {
            return Err(Failure::TooLong);
        }
        let room = most.saturating_sub(kept.len()).min(data.len());
        kept.extend_from_slice(&data[..room]);
    }
    Ok((kept, len))
}

#[derive(Deserialize)]
struct Page {
    limit: Option<u16>,
    after: Option<u64>,
}

async fn pending(State(server): Shared, owner: Owner, Query(Page { limit, after }): Query<Page>) -> Answer<Vec<u8>> {
    let limit = limit.unwrap_or(MAX_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Failure::Malformed);
    }
    let list =
        move |server: &Server| server.owned(&owner, |sql, name| mailbox::pending(sql, name, limit, after, now()));
    Ok(encode_messages(&server.wait(list).await?))
}

async fn acknowledge(State(server): Shared, owner: Owner, body: Bytes) -> Answer<StatusCode> {
    let numbers = decode_numbers(&body).ok_or(Failure::Malformed)?;
    let delete = move |server: &Server| server.owned(&owner, |sql, name| mailbox::acknowledge(sql, name, &numbers));
    server.wait(delete).await.map(|()| DONE)
}

#[derive(Deserialize)]
struct Place {
    offset: u64,
}

/// The path of an account's file.
type NamedFile = Path<(String, String)>;

async fn file_length(State(server): Shared, owner: Owner, Path((_, id)): NamedFile) -> Answer<Vec<u8>> {
    let id = file_id(&id)?;
    let length = server.wait(move |server| server.owned(&owner, |sql, name| files::length(sql, name, id))).await?;
    Ok(length.to_be_bytes().to_vec())
}

async fn upload(
    State(server): Shared,
    owner: Owner,
    Path((_, id)): NamedFile,
    Query(Place { offset }): Query<Place>,
    body: Bytes,
) -> Answer<StatusCode> {
    let id = file_id(&id)?;
    let append =
        move |server: &Server| server.owned(&owner, |sql, name| files::append(sql, name, id, offset, &body, now()));
    server.wait(append).await.map(|()| DONE)
}

async fn delete_file(State(server): Shared, owner: Owner, Path((_, id)): NamedFile) -> Answer<StatusCode> {
    let id = file_id(&id)?;
    server.wait(move |server| server.owned(&owner, |sql, name| files::delete(sql, name, id))).await.map(|()| DONE)
}

async fn download(
    State(server): Shared,
    Path(id): Path<String>,
    Query(Place { offset }): Query<Place>,
) -> Answer<Vec<u8>> {
    let id = file_id(&id)?;
    server.wait(move |server| server.run(|sql| files::read(sql, id, offset))).await
}
