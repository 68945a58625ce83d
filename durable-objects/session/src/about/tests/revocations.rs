//! What is taken back.

use super::*;

fn revoke(
    journal: &Journal<NativeSql>,
    chat: &str,
    id: &str,
    sender: Option<&str>,
) -> Result<Message, Refused> {
    let sender = sender.map(str::to_owned);
    about(journal).revoke(id, &Revoke { chat: chat.into(), sender })
}

#[test]
fn ones_own_message_is_taken_back_anywhere_and_another_s_in_a_group() {
    let journal = conversation();
    for (chat, id, sender, from_me, participant) in [
        (BOB, "mine", None, true, None),
        (BOB_LID, "mine", None, true, None),
        (GROUP, "mine", None, true, None),
        (GROUP, "mine", Some(OWN), true, None),
        (BOB, "new", Some(OWN), true, None),
        (GROUP, "new", Some(OWN_LID), true, None),
        (GROUP, "bobs", None, false, Some(BOB_LID)),
        (GROUP, "bobs", Some(BOB), false, Some(BOB_LID)),
        (GROUP, "anns", None, false, Some(ANN)),
        (GROUP, "new", Some(HIDDEN), false, Some(HIDDEN)),
    ] {
        let message = revoke(&journal, chat, id, sender).unwrap();
        let expected = ProtocolMessage {
            key: MessageField::some(key(chat, id, from_me, participant)),
            r#type: Some(Type::REVOKE),
            ..ProtocolMessage::default()
        };
        assert_eq!(message.protocol_message.as_option(), Some(&expected), "{chat} {id} {sender:?}");
    }
    sent(&journal, GROUP, "R", &revoke(&journal, GROUP, "mine", None).unwrap());
    assert!(journal.messages().find([Some(GROUP), None], "mine").unwrap()[0].revoked);
}

#[test]
fn another_s_message_can_t_be_taken_back_in_a_chat_of_two_and_an_unknown_one_nowhere() {
    let journal = conversation();
    for (chat, id, sender, expected) in [
        (BOB, "bobs", None, ErrorCode::Conflict),
        (BOB, "bobs", Some(BOB), ErrorCode::Conflict),
        (BOB_LID, "bobs", None, ErrorCode::Conflict),
        (BOB, "new", Some(BOB), ErrorCode::Conflict),
        (BOB, "new", None, ErrorCode::NotFound),
        (GROUP, "new", None, ErrorCode::NotFound),
    ] {
        assert_eq!(code(revoke(&journal, chat, id, sender)), expected, "{chat} {id} {sender:?}");
    }
}
