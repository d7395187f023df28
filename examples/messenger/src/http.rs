// SPDX-License-Identifier: MIT OR Apache-2.0
//! HTTP, by ureq: for the client, and for the strangers of the scenarios.

use crate::requests::{Failure, Request, Transport};
use std::time::Duration;
use ureq::{Agent, http};

/// A server that does not move for so long is not reachable.
const PATIENCE: Option<Duration> = Some(Duration::from_secs(30));

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
        let agent = |connections| {
            let config = Agent::config_builder().http_status_as_error(false).max_redirects(0);
            let config = config.timeout_connect(PATIENCE).timeout_recv_response(PATIENCE);
            let config = config.timeout_per_read(PATIENCE).timeout_per_write(PATIENCE);
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
