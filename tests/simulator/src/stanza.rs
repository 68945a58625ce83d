//! Reading and building nodes: the few shapes every room needs.

use anyhow::Result;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::marshal::{marshal_auto, unmarshal_ref};
use wacore_binary::{Jid, Node, NodeContent, NodeValue, Server, util};

use crate::clock;

/// A node as it is kept: the way it goes over the wire.
pub fn to_bytes(node: &Node) -> Vec<u8> {
    marshal_auto(node).unwrap_or_else(|error| {
        log::error!("a node could not be encoded: {error}");
        Vec::new()
    })
}

/// A node that was kept.
pub fn from_bytes(bytes: &[u8]) -> Result<Node> {
    Ok(unmarshal_ref(&util::unpack(bytes)?)?.to_owned())
}

/// The server's own JID as WhatsApp writes it: a pair with an empty user. Baileys compares with exactly that form and
/// ignores a stanza whose `from` is the plain string `s.whatsapp.net`.
pub fn server() -> NodeValue {
    NodeValue::Jid(Jid::new("", Server::Pn))
}

/// An attribute as text, empty when absent.
pub fn attr(node: &Node, name: &str) -> String {
    opt(node, name).unwrap_or_default()
}

/// An attribute as text.
pub fn opt(node: &Node, name: &str) -> Option<String> {
    node.attrs.get(name).map(ToString::to_string)
}

/// An attribute as a JID.
pub fn jid(node: &Node, name: &str) -> Option<Jid> {
    node.attrs.get(name).and_then(NodeValue::to_jid)
}

/// The first child, whatever its tag.
pub fn first_child(node: &Node) -> Option<&Node> {
    node.children().and_then(<[Node]>::first)
}

/// A node's content as bytes; short byte strings that happen to be dictionary tokens come back as strings.
pub fn content(node: &Node) -> &[u8] {
    match &node.content {
        Some(NodeContent::Bytes(bytes)) => bytes,
        Some(NodeContent::String(text)) => text.as_bytes(),
        _ => &[],
    }
}

/// The bytes of a child, empty when there is none.
pub fn child_content<'n>(node: &'n Node, tag: &str) -> &'n [u8] {
    node.get_optional_child(tag).map_or(&[], content)
}

/// A big-endian number of up to four bytes, as ids of keys are written.
pub fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

/// A key id in its three bytes.
pub fn key_id(id: u32) -> Vec<u8> {
    id.to_be_bytes().get(1..).unwrap_or_default().to_vec()
}

/// A childless node.
pub fn empty(tag: &'static str) -> Node {
    NodeBuilder::new(tag).build()
}

/// A node with bytes in it.
pub fn with_bytes(tag: &'static str, bytes: impl Into<Vec<u8>>) -> Node {
    NodeBuilder::new(tag).bytes(bytes).build()
}

/// The positive answer to an iq.
pub fn result(request: &Node, children: impl IntoIterator<Item = Node>) -> Node {
    let from = request.attrs.get("to").cloned().unwrap_or_else(server);
    let from = if from.as_str() == "s.whatsapp.net" { server() } else { from };
    let builder =
        NodeBuilder::new("iq").attr("from", from).attr("id", attr(request, "id")).attr("type", "result");
    let mut children = children.into_iter().peekable();
    if children.peek().is_some() { builder.children(children).build() } else { builder.build() }
}

/// The negative answer to an iq.
pub fn error(request: &Node, code: u16, text: &str) -> Node {
    NodeBuilder::new("iq")
        .attr("from", server())
        .attr("id", attr(request, "id"))
        .attr("type", "error")
        .children([NodeBuilder::new("error").attr("code", code).attr("text", text).build()])
        .build()
}

/// `<ib>` with one child.
pub fn ib(child: Node) -> Node {
    NodeBuilder::new("ib").attr("from", server()).children([child]).build()
}

/// `<stream:error code>`.
pub fn stream_error(code: u16) -> Node {
    NodeBuilder::new("stream:error").attr("code", code).build()
}

/// `<stream:error><conflict type>`; a removed device also gets the code 401.
pub fn conflict(kind: &str, code: Option<u16>) -> Node {
    let builder = NodeBuilder::new("stream:error");
    let builder = if let Some(code) = code { builder.attr("code", code) } else { builder };
    builder.children([NodeBuilder::new("conflict").attr("type", kind).build()]).build()
}

/// `<failure reason>`.
pub fn failure(reason: u16) -> Node {
    refusal(reason, None, None)
}

/// `<failure reason>` with a ban's reason and its length in seconds.
pub fn refusal(reason: u16, code: Option<u16>, expire: Option<u64>) -> Node {
    let mut node = NodeBuilder::new("failure").attr("reason", reason).attr("location", "sim");
    if let Some(code) = code {
        node = node.attr("code", code);
    }
    if let Some(expire) = expire {
        node = node.attr("expire", expire);
    }
    node.build()
}

/// The server's `<ack>` for a stanza a client sent.
pub fn ack(of: &Node) -> Node {
    let mut node = NodeBuilder::new("ack")
        .attr("class", of.tag.to_string())
        .attr("id", attr(of, "id"))
        .attr("from", of.attrs.get("to").cloned().unwrap_or_else(server))
        .attr("t", clock::unix_seconds());
    // A client matches its own device-list hash against the one in the ack.
    for name in ["type", "participant", "phash"] {
        let wanted = name != "type" || of.tag != "message";
        if wanted && let Some(value) = of.attrs.get(name) {
            node = node.attr(name, value.clone());
        }
    }
    node.build()
}
