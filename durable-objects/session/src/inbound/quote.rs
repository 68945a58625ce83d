//! What a message answers, and whom it mentions.

use std::collections::BTreeMap;

use gateway_domain::event::{MentionData, MessagePayload};
use whatsapp_rust::waproto::whatsapp::ContextInfo;

use super::{content, limits, words};

/// Fills in what is quoted, and returns the chat that is from, if it is another.
pub fn fill(payload: &mut MessagePayload, context: &ContextInfo) -> Option<String> {
    payload.quoted_message_id = Some(limits::id(context.stanza_id.as_ref())?);
    payload.quoted_sender_jid = context.participant.as_deref().and_then(limits::jid);
    payload.quoted_body = context.quoted_message.as_option().and_then(|quoted| {
        let text = words::of(content::unwrap(quoted))?;
        Some(limits::clip(text, limits::QUOTE))
    });
    context.remote_jid.as_deref().and_then(limits::jid)
}

/// Who is mentioned, as the text has them after its `@`.
pub fn mentions(context: &ContextInfo) -> BTreeMap<String, MentionData> {
    let mentioned = context.mentioned_jid.iter().take(limits::MENTIONS).filter_map(|jid| limits::jid(jid));
    mentioned.map(|jid| (jid, MentionData::default())).collect()
}
