// SPDX-License-Identifier: MIT OR Apache-2.0
//! A TCP proxy before the relay that understands enough of HTTP to fail at a chosen request: it cuts the connection before
//! the relay has the request, in its midst, or after the relay has answered, or it answers instead of the relay.

use anyhow::{Context, Result, bail};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The longest head of a request or answer, in bytes.
const MAX_HEAD_LEN: usize = 64 << 10;
/// Bodies up to this length are kept for the oracles: a list of prekey ids, or a bundle.
const KEPT_LEN: usize = 16 << 10;
/// A connection that is silent for this long is given up.
const SILENCE: Duration = Duration::from_secs(60);

/// What is done with a request.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// Closes the connection. The relay does not see the request.
    CutBefore,
    /// Forwards this many bytes of the request's body and closes both connections.
    CutBody(usize),
    /// Forwards the request, waits until the relay has answered, and closes the connection.
    CutAfter,
    /// Forwards this many bytes of the answer's body and closes the connection.
    CutAnswer(usize),
    /// Answers in place of the relay, which does not see the request.
    Answer(u16, Vec<u8>),
}

/// To which requests an action applies.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) method: &'static str,
    /// The path ends with this; or begins with it, if it ends with a slash.
    pub(crate) path: String,
    /// Number of such requests that pass first.
    pub(crate) skip: usize,
    /// Number of requests after them to which the action applies.
    pub(crate) times: usize,
    pub(crate) action: Action,
}

/// A request that passed, with its answer.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) method: String,
    /// Without the query.
    pub(crate) path: String,
    pub(crate) request_len: usize,
    /// The request's body, if it is short.
    pub(crate) request: Vec<u8>,
    /// The answer's body, if it is short.
    pub(crate) answer: Vec<u8>,
}

#[derive(Default)]
struct State {
    server: Option<SocketAddr>,
    rules: Vec<Rule>,
    exchanges: Vec<Exchange>,
    /// Whether paths lose their escapes.
    unescapes: bool,
}

impl State {
    fn such<'a>(&'a self, method: &'a str, path: &'a str) -> impl Iterator<Item = &'a Exchange> {
        self.exchanges.iter().filter(move |seen| seen.method == method && is_at(&seen.path, path))
    }
}

/// Whether a path ends with this; or begins with it, if it ends with a slash.
fn is_at(path: &str, wanted: &str) -> bool {
    if wanted.ends_with('/') { path.starts_with(wanted) } else { path.ends_with(wanted) }
}

/// A running proxy. Its address stays the same when the relay is started again at another one.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    pub(crate) fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                // The client sees that its connection was closed, and reports it.
                thread::spawn(move || drop(serve(client, &state)));
            }
        });
        Ok(Self { address, state })
    }

    /// Sets the relay's address.
    pub(crate) fn forward_to(&self, server: SocketAddr) {
        self.state().server = Some(server);
    }

    /// Forwards paths without their escapes from now on.
    pub(crate) fn unescape(&self) {
        self.state().unescapes = true;
    }

    /// Adds a rule. The first one that applies to a request decides.
    pub(crate) fn add(&self, rule: Rule) {
        self.state().rules.push(rule);
    }

    /// Adds a rule for all requests.
    pub(crate) fn always(&self, method: &'static str, path: impl Into<String>, action: Action) {
        self.add(Rule { method, path: path.into(), skip: 0, times: usize::MAX, action });
    }

    /// Adds a rule for the next request.
    pub(crate) fn once(&self, method: &'static str, path: impl Into<String>, action: Action) {
        self.add(Rule { method, path: path.into(), skip: 0, times: 1, action });
    }

    /// Removes all rules. Returns whether each has applied as often as it should have.
    pub(crate) fn clear(&self) -> bool {
        let rules = std::mem::take(&mut self.state().rules);
        rules.iter().all(|rule| rule.times == 0 || rule.times > usize::MAX / 2)
    }

    /// Returns the exchanges so far of a method and a path, which is as in a [`Rule`].
    pub(crate) fn exchanges(&self, method: &str, path: &str) -> Vec<Exchange> {
        self.state().such(method, path).cloned().collect()
    }

    /// Returns the number of bytes of the bodies of such requests.
    pub(crate) fn bytes_sent(&self, method: &str, path: &str) -> usize {
        self.state().such(method, path).map(|seen| seen.request_len).sum()
    }

    /// Returns the number of bytes of the longest body of such requests.
    pub(crate) fn longest(&self, method: &str, path: &str) -> usize {
        self.state().such(method, path).map(|seen| seen.request_len).max().unwrap_or_default()
    }

    /// Returns the number of such requests.
    pub(crate) fn count(&self, method: &str, path: &str) -> usize {
        self.state().such(method, path).count()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves the requests of one connection.
fn serve(mut client: TcpStream, state: &Mutex<State>) -> Result<()> {
    client.set_nodelay(true)?;
    client.set_read_timeout(Some(SILENCE))?;
    let mut server = None;
    while let Some(mut request) = Message::read(&mut client)? {
        let (method, path) = request.target()?;
        let (action, address) = {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.unescapes {
                request.head = unescape(&request.head);
            }
            (take_action(&mut state.rules, &method, &path), state.server)
        };
        let answer = match &action {
            Some(Action::CutBefore) => return Ok(client.shutdown(Shutdown::Both)?),
            Some(Action::Answer(status, body)) => Message::answer(*status, body),
            _ => {
                let to_server = match &mut server {
                    Some(server) => server,
                    None => {
                        let connected = TcpStream::connect(address.context("no relay")?)?;
                        connected.set_nodelay(true)?;
                        connected.set_read_timeout(Some(SILENCE))?;
                        server.insert(connected)
                    }
                };
                if let Some(Action::CutBody(len)) = action {
                    to_server.write_all(&request.head)?;
                    to_server.write_all(request.body.get(..len).unwrap_or(&request.body))?;
                    to_server.shutdown(Shutdown::Both)?;
                    return Ok(client.shutdown(Shutdown::Both)?);
                }
                to_server.write_all(&request.head)?;
                to_server.write_all(&request.body)?;
                Message::read(to_server)?.context("the relay closed the connection")?
            }
        };
        let kept = |body: &[u8]| if body.len() <= KEPT_LEN { body.to_vec() } else { Vec::new() };
        let exchange = Exchange {
            method,
            path,
            request_len: request.body.len(),
            request: kept(&request.body),
            answer: kept(&answer.body),
        };
        state.lock().unwrap_or_else(PoisonError::into_inner).exchanges.push(exchange);
        match action {
            Some(Action::CutAfter) => return Ok(client.shutdown(Shutdown::Both)?),
            Some(Action::CutAnswer(len)) => {
                client.write_all(&answer.head)?;
                client.write_all(answer.body.get(..len).unwrap_or(&answer.body))?;
                return Ok(client.shutdown(Shutdown::Both)?);
            }
            _ => {
                client.write_all(&answer.head)?;
                client.write_all(&answer.body)?;
            }
        }
    }
    Ok(())
}

/// Replaces each escape of a head by the byte that it stands for.
fn unescape(head: &[u8]) -> Vec<u8> {
    let (mut plain, mut rest) = (Vec::new(), head);
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        plain.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    plain
}

/// Returns what the rules say about a request, and counts it.
fn take_action(rules: &mut [Rule], method: &str, path: &str) -> Option<Action> {
    for rule in rules.iter_mut().filter(|rule| rule.method == method && is_at(path, &rule.path)) {
        if rule.skip > 0 {
            rule.skip = rule.skip.saturating_sub(1);
        } else if rule.times > 0 {
            rule.times = rule.times.saturating_sub(1);
            return Some(rule.action.clone());
        }
    }
    None
}

/// A request or an answer.
struct Message {
    /// Up to and with the empty line.
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Message {
    /// Reads one, or `None` if the connection ends before it.
    fn read(from: &mut TcpStream) -> Result<Option<Self>> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 1 << 14];
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at.saturating_add(4);
            }
            if bytes.len() > MAX_HEAD_LEN {
                bail!("the head is too long");
            }
            match from.read(&mut buffer) {
                Ok(0) if bytes.is_empty() => return Ok(None),
                Ok(0) => bail!("closed within a head"),
                Ok(len) => bytes.extend_from_slice(buffer.get(..len).unwrap_or_default()),
                Err(error) if bytes.is_empty() && error.kind() == ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        };
        let mut body = bytes.split_off(end);
        let head = String::from_utf8(bytes)?;
        let lower = head.to_ascii_lowercase();
        let header = |name: &str| {
            lower
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                .map(|value| value.trim().to_owned())
        };
        if header("transfer-encoding").is_some() || header("expect").is_some() {
            bail!("not understood: a chunked body, or an expectation");
        }
        let len: usize = header("content-length").map_or(Ok(0), |len| len.parse())?;
        let mut rest = vec![0; len.saturating_sub(body.len())];
        from.read_exact(&mut rest)?;
        body.append(&mut rest);
        Ok(Some(Self { head: head.into_bytes(), body }))
    }

    fn answer(status: u16, body: &[u8]) -> Self {
        let head = format!("HTTP/1.1 {status} Proxy\r\ncontent-length: {}\r\n\r\n", body.len());
        Self { head: head.into_bytes(), body: body.to_vec() }
    }

    /// The method and the path of a request.
    fn target(&self) -> Result<(String, String)> {
        let line = self.first_line()?;
        let mut words = line.split(' ');
        let (method, target) = (words.next().context("no method")?, words.next().context("no path")?);
        let path = target.split('?').next().unwrap_or(target);
        Ok((method.to_owned(), path.to_owned()))
    }

    fn first_line(&self) -> Result<&str> {
        std::str::from_utf8(&self.head)?.lines().next().context("an empty head")
    }
}
