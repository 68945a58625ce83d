//! Which hosts there are, and the passes without which they take no file.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::Media;
use crate::account::{Device, DeviceAddress};
use crate::{clock, rng, stanza};

/// How long the hosts are good, in seconds.
const HOSTS_LIFETIME: u32 = 300;
/// How long a pass is.
const PASS_LIFETIME: u32 = 21_600;
/// How hosts are told apart, the first one primary: by a path, so that all are on one port.
const HOSTS: [&str; 2] = ["mmg/1", "mmg/2"];

struct Pass {
    device: DeviceAddress,
    /// In seconds since the epoch.
    until: u64,
}

/// All passes that were given out.
#[derive(Default)]
pub struct Passes {
    all: Mutex<HashMap<String, Pass>>,
    issued: AtomicU64,
}

impl Passes {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Pass>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn issue(&self, seed: u64, device: &DeviceAddress) -> String {
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}:{}/{number}", device.number, device.device);
        // Letters that mean something in a URL would have to be escaped, and whatsapp-rust doesn't.
        let pass = hex::encode(rng::bytes::<24>(&mut rng::derive(seed, "media pass", &name)));
        let until = clock::unix_seconds() + u64::from(PASS_LIFETIME);
        self.all().insert(pass.clone(), Pass { device: device.clone(), until });
        pass
    }

    /// Whose pass it is, as long as it is good.
    pub fn holder(&self, pass: &str) -> Option<DeviceAddress> {
        let all = self.all();
        let pass = all.get(pass)?;
        (clock::unix_seconds() < pass.until).then(|| pass.device.clone())
    }

    pub fn revoke(&self, pass: &str) {
        self.all().remove(pass);
    }

    pub fn clear(&self) {
        self.all().clear();
    }
}

/// `<media_conn>` for a device that has reached the simulator at `authority`.
pub fn conn(media: &Media, seed: u64, device: &Device, authority: &str) -> Node {
    let [primary, fallback] = HOSTS.map(|host| format!("{authority}/{host}"));
    let abilities = || [stanza::empty("upload"), stanza::empty("download")];
    NodeBuilder::new("media_conn")
        .attr("auth", media.passes.issue(seed, &device.address()))
        .attr("ttl", HOSTS_LIFETIME)
        .attr("auth_ttl", PASS_LIFETIME)
        .attr("max_buckets", 12u32)
        .children([
            NodeBuilder::new("host")
                .attr("hostname", primary.as_str())
                .attr("fallback_hostname", fallback.as_str())
                .attr("type", "primary")
                .children(abilities())
                .build(),
            NodeBuilder::new("host")
                .attr("hostname", fallback.as_str())
                .attr("type", "fallback")
                .children(abilities())
                .build(),
        ])
        .build()
}
