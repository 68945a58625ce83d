//! What a message says.

use whatsapp_rust::proto_helpers::MessageExt;
use whatsapp_rust::waproto::whatsapp::Message;
use whatsapp_rust::waproto::whatsapp::message::buttons_response_message::Response;

use super::kinds::poll;

/// The text, or what stands for one: the caption, the question, the name.
pub fn of(content: &Message) -> Option<&str> {
    let found = [
        content.text_content(),
        content.get_caption(),
        content.ptv_message.as_option().and_then(|it| it.caption.as_deref()),
        content.live_location_message.as_option().and_then(|it| it.caption.as_deref()),
        content.location_message.as_option().and_then(|it| it.comment.as_deref()),
        poll(content).and_then(|it| it.name.as_deref()),
        dressed_up(content),
        content.event_message.as_option().and_then(|it| it.name.as_deref()),
        content.group_invite_message.as_option().and_then(|it| it.caption.as_deref()),
        content.product_message.as_option().and_then(|it| it.product.as_option()?.title.as_deref()),
        content.order_message.as_option().and_then(|it| it.message.as_deref()),
    ];
    found.into_iter().flatten().next()
}

/// What is written on buttons and lists, or was chosen there.
pub fn dressed_up(content: &Message) -> Option<&str> {
    let chosen = content.buttons_response_message.as_option().and_then(|it| it.response.as_ref());
    let found = [
        chosen.map(|Response::SelectedDisplayText(text)| text.as_str()),
        content.list_response_message.as_option().and_then(|it| it.title.as_deref()),
        content.template_button_reply_message.as_option().and_then(|it| it.selected_display_text.as_deref()),
        content.interactive_response_message.as_option().and_then(|it| it.body.as_option()?.text.as_deref()),
        content.buttons_message.as_option().and_then(|it| it.content_text.as_deref()),
        content.list_message.as_option().and_then(|it| it.description.as_deref()),
        content.interactive_message.as_option().and_then(|it| it.body.as_option()?.text.as_deref()),
        content.template_message.as_option().and_then(|it| {
            let template = it.hydrated_template.as_option()?;
            template.hydrated_content_text.as_deref()
        }),
    ];
    found.into_iter().flatten().next()
}
