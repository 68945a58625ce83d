//! Answers to iqs: namespaces with a room of their own are handed on, the small ones are answered here, and one nobody
//! knows gets a plain result so that no client hangs on it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wacore::xml::DisplayableNode;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use crate::account::{Account, Device};
use crate::world::World;
use crate::{appstate, clock, groups, media, phone, prekeys, reachout, stanza, usync};

/// What a fresh account shows of itself.
const PRIVACY: [(&str, &str); 8] = [
    ("readreceipts", "all"),
    ("profile", "all"),
    ("status", "all"),
    ("online", "all"),
    ("last", "all"),
    ("groupadd", "all"),
    ("calladd", "all"),
    ("messages", "all"),
];

/// The answer to an iq of type `get` or `set`.
pub async fn answer(
    world: &Arc<World>,
    account: &Arc<Account>,
    device: &Arc<Device>,
    authority: &str,
    iq: &Node,
) -> Node {
    let xmlns = stanza::attr(iq, "xmlns");
    let asks = |child| iq.get_optional_child(child).is_some();
    match xmlns.as_str() {
        "w:p" | "urn:xmpp:ping" => {
            let mut result = stanza::result(iq, []);
            result.attrs.insert("t", clock::unix_seconds());
            result
        }
        "encrypt" => prekeys::answer(world, device, iq),
        "usync" => usync::answer(world, account, iq),
        "w:sync:app:state" => appstate::answer(account, device, iq),
        "abt" => {
            let props = NodeBuilder::new("props")
                .attr("protocol", "1")
                .attr("hash", "sim")
                .attr("refresh", 86_400u32);
            stanza::result(iq, [props.build()])
        }
        "blocklist" => stanza::result(iq, [stanza::empty("list")]),
        "privacy" if asks("privacy") => {
            let secret = account.reads_in_secret.load(Ordering::Relaxed);
            let categories = PRIVACY.map(|(name, value)| {
                let value = if secret && name == "readreceipts" { "none" } else { value };
                NodeBuilder::new("category").attr("name", name).attr("value", value).build()
            });
            stanza::result(iq, [NodeBuilder::new("privacy").children(categories).build()])
        }
        "w:mex" => reachout::answer(world, device, iq),
        "w:m" if asks("media_conn") => {
            stanza::result(iq, [media::conn(&world.media, world.seed, device, authority)])
        }
        "w:g2" => groups::answer(world, account, iq),
        "md" if asks("remove-companion-device") => {
            // The device says goodbye itself: it closes once it has its answer, and no later login is let in.
            if phone::linking::forget(world, account, device.id).await.is_none() {
                log::info!("{} was already unlinked", device.jid());
            }
            stanza::result(iq, [])
        }
        "passive" | "privacy" => stanza::result(iq, []),
        _ => {
            log::info!("plain result for {}", DisplayableNode(iq));
            stanza::result(iq, [])
        }
    }
}
