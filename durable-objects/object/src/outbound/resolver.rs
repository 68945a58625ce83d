//! Whether a host's name leads into a network (DNS over HTTPS, as JSON). Workers can't look names up, and on Cloudflare
//! they can't reach private networks; so who can't be asked forbids nothing.

use std::cell::RefCell;
use std::time::Duration;

use gateway_domain::outbound_address::{is_public, resolved};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use worker::{Headers, Request, RequestInit};

use super::{Answered, End, within};
use crate::clock;

/// How long a resolver may take.
const TIMEOUT: Duration = Duration::from_secs(3);
/// How long an answer is believed.
const BELIEVED_MS: u64 = 60_000;
const MAX_ANSWER_BYTES: usize = 64 * 1_024;

/// Asks, and remembers the answer for a while.
pub struct Resolver {
    url: String,
    known: RefCell<Option<Known>>,
}

struct Known {
    name: String,
    until: u64,
    leads_inside: bool,
}

impl Resolver {
    /// One that asks there.
    pub fn at(url: String) -> Self {
        Self { url, known: RefCell::default() }
    }

    /// Whether any of the name's addresses is one of a private network.
    pub async fn leads_inside(&self, name: &str) -> bool {
        let known = self.known.borrow().as_ref().and_then(|known| {
            (known.name == name && known.until > clock::now()).then_some(known.leads_inside)
        });
        if let Some(leads_inside) = known {
            return leads_inside;
        }
        let (v4, v6) = futures::join!(self.ask(name, "A"), self.ask(name, "AAAA"));
        let answers: Vec<Vec<u8>> = [v4, v6]
            .into_iter()
            .filter_map(|answer| answer.inspect_err(|error| worker::console_warn!("resolver: {error}")).ok())
            .collect();
        if answers.is_empty() {
            return false;
        }
        let leads_inside = answers.iter().any(|answer| !resolved(answer).into_iter().all(is_public));
        self.known.replace(Some(Known {
            name: name.to_owned(),
            until: clock::now() + BELIEVED_MS,
            leads_inside,
        }));
        leads_inside
    }

    async fn ask(&self, name: &str, kind: &str) -> Result<Vec<u8>, String> {
        let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
        let joint = if self.url.contains('?') { '&' } else { '?' };
        let url = format!("{}{joint}name={name}&type={kind}", self.url);
        let request = || {
            let headers = Headers::new();
            headers.set("accept", "application/dns-json")?;
            let mut init = RequestInit::new();
            init.with_headers(headers);
            Request::new_with_init(&url, &init)
        };
        let request = request().map_err(|error: worker::Error| error.to_string())?;
        let asked = async {
            let mut answered = Answered::to(request).await.map_err(|error| error.to_string())?;
            if answered.status() != 200 {
                return Err(format!("status {}", answered.status()));
            }
            let mut answer = Vec::new();
            match answered.read(&mut answer, MAX_ANSWER_BYTES).await {
                End::Whole => Ok(answer),
                End::More | End::Broken | End::Refused => Err("the answer is not whole".to_owned()),
            }
        };
        within(TIMEOUT, asked).await.unwrap_or_else(|| Err(format!("nothing within {} s", TIMEOUT.as_secs())))
    }
}
