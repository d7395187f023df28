// SPDX-License-Identifier: MIT OR Apache-2.0
//! HTTP, by ureq: for the client, and for the strangers of the scenarios.

use crate::requests::{Failure, Request, Transport};
use std::time::Duration;
use ureq::{Agent, http};

/// A server that does not move for so long is not reachable.
const PATIENCE: Duration = Duration::from_secs(30);
/// A request takes no longer, however its answer trickles: meanwhile other processes wait for the locks of this one. The
/// longest answer, 24 MiB, arrives in this time at 42 kB a second.
const TOTAL: Duration = Duration::from_secs(600);

/// A transport over HTTP.
#[derive(Debug)]
pub struct Http {
    /// For requests as the account.
    own: Agent,
    /// For all others. Its connections are not kept, because they would link the messages of one sender.
    anonymous: Agent,
}

impl Default for Http {
    fn default() -> Self {
        Self::new(PATIENCE, TOTAL)
    }
}

impl Http {
    /// Waits for so long until the server moves, and until a request has its whole answer.
    fn new(patience: Duration, total: Duration) -> Self {
        let (patience, total) = (Some(patience), Some(total));
        let agent = |connections| {
            let config = Agent::config_builder().http_status_as_error(false).max_redirects(0);
            let config = config.timeout_connect(patience).timeout_recv_response(patience).timeout_global(total);
            let config = config.timeout_per_read(patience).timeout_per_write(patience);
            config.max_idle_connections(connections).build().new_agent()
        };
        Self { own: agent(1), anonymous: agent(0) }
    }
}

impl Transport for Http {
    fn exchange(&mut self, request: Request<'_>) -> Result<(u16, Vec<u8>), Failure> {
        let Request { method, url, header: (name, value), is_owners, body, max_answer_len } = request;
        let agent = if is_owners { &self.own } else { &self.anonymous };
        let mut answer = agent.run(http::Request::builder().method(method).uri(url).header(name, value).body(body)?)?;
        let body = answer.body_mut().with_config().limit(u64::try_from(max_answer_len)?).read_to_vec()?;
        Ok((answer.status().as_u16(), body))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics fails")]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread::{sleep, spawn};

    /// Length in bytes of the answer, one byte every 10 ms.
    const LEN: usize = 100;

    #[test]
    fn an_answer_that_trickles_ends_with_the_total_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
                write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {LEN}\r\n\r\n").unwrap();
                // Until the client has left.
                (0..LEN).try_for_each(|_| stream.write_all(b"a").map(|()| sleep(Duration::from_millis(10)))).ok();
            }
        });
        let ask = |total| {
            let request = Request {
                method: "GET",
                url: url.clone(),
                header: ("accept", "*/*".into()),
                is_owners: true,
                body: b"",
                max_answer_len: LEN,
            };
            Http::new(PATIENCE, total).exchange(request)
        };
        // The server never stops for longer than it may.
        let failure = ask(Duration::from_millis(100)).unwrap_err();
        assert!(failure.to_string().contains("timeout"), "{failure}");
        // Control: the same answer, within the time.
        assert_eq!(ask(TOTAL).unwrap(), (200, vec![b'a'; LEN]));
    }
}
