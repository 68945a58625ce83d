//! Requests to addresses that callers name: where they may go, and how they are kept from costing what the other side
//! likes. Webhooks are sent so, and files to send are fetched so.

mod answered;
mod resolver;

pub use answered::{Answered, End, Pieces, within};
use gateway_domain::configuration::{self, Read};
use gateway_domain::outbound_address::{OutboundAddress, Reach, Refused};
use resolver::Resolver;
use worker::Env;

use crate::environment::variable;

/// Who requests say they are.
pub const USER_AGENT: &str = concat!("whatsapp-gateway/", env!("CARGO_PKG_VERSION"));

/// `ALLOW_PRIVATE_WEBHOOKS`: which hosts may be asked.
#[must_use]
pub fn reach(env: &Env) -> Read<Reach> {
    let given = variable(env, "ALLOW_PRIVATE_WEBHOOKS");
    configuration::private_webhooks(given.as_deref(), cfg!(feature = "simulator"))
}

/// `DNS_OVER_HTTPS_URL`: whom to ask for a host's addresses.
#[must_use]
pub fn resolver(env: &Env) -> Read<String> {
    let given = variable(env, "DNS_OVER_HTTPS_URL");
    let (url, wrong) = configuration::resolver(given.as_deref());
    (url.to_owned(), wrong)
}

/// What the deployment lets through.
pub struct Outbound {
    reach: Reach,
    resolver: Resolver,
}

impl Outbound {
    /// As the variables have it. What can't be used is named by `GET /readyz`; here the default holds.
    #[must_use]
    pub fn of(env: &Env) -> Self {
        Self { reach: reach(env).0, resolver: Resolver::at(resolver(env).0) }
    }

    /// Which hosts may be asked.
    #[must_use]
    pub const fn reach(&self) -> Reach {
        self.reach
    }

    /// Looks the host up. To be asked right before every request: names move.
    ///
    /// # Errors
    /// When one of its addresses is in a private network.
    pub async fn look_up(&self, address: &OutboundAddress) -> Result<(), Refused> {
        match (self.reach, address.name()) {
            (Reach::Public, Some(name)) if self.resolver.leads_inside(name).await => {
                Err(Refused("The host has an address that is not on the internet."))
            }
            _ => Ok(()),
        }
    }
}
