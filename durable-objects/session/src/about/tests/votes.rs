//! Votes.

use super::*;

fn vote(journal: &Journal<NativeSql>, chat: &str, id: &str, options: &[&str]) -> Result<Message, Refused> {
    let options = options.iter().map(|option| (*option).to_owned()).collect();
    about(journal).vote(id, &Vote { chat: chat.into(), options, sender: None })
}

/// What a vote is for, to somebody who knows the poll's secret and by which names it was made.
fn opened(message: &Message, id: &str, creator: &str, voter: &str) -> Option<Vec<Vec<u8>>> {
    let vote = message.poll_update_message.as_option()?.vote.as_option()?;
    let sealed =
        PollVoteCiphertext { enc_payload: vote.enc_payload.as_deref()?, enc_iv: vote.enc_iv.as_deref()? };
    decrypt_poll_vote_with_secret(sealed, &SECRET, id, creator, voter).ok()
}

fn hashes(options: &[&str]) -> Vec<Vec<u8>> {
    options.iter().map(|option| compute_option_hash(option).to_vec()).collect()
}

#[test]
fn a_vote_is_read_by_who_asked_under_names_of_one_kind() {
    let journal = journal();
    for (chat, id, names, from_me, participant, creator, voter) in [
        (BOB, "bobs", &[BOB][..], false, None, BOB, OWN),
        (BOB, "mine", &[OWN, OWN_LID], true, None, OWN, OWN),
        (GROUP, "bobs", &[BOB_LID, BOB], false, Some(BOB_LID), BOB_LID, OWN_LID),
        (GROUP, "anns", &[ANN], false, Some(ANN), ANN, OWN),
        (GROUP, "hidden", &[HIDDEN], false, Some(HIDDEN), HIDDEN, OWN_LID),
        (GROUP, "mine", &[OWN, OWN_LID], true, Some(OWN_LID), OWN_LID, OWN_LID),
        (HIDDEN, "theirs", &[HIDDEN], false, None, HIDDEN, OWN_LID),
    ] {
        take(&journal, chat, id, names, &poll(None));
        for options in [&["Salad"][..], &["Cake", "Soup"], &[]] {
            let message = vote(&journal, chat, id, options).unwrap();
            let update = message.poll_update_message.as_option().unwrap();
            let expected = key(chat, id, from_me, participant);
            assert_eq!(update.poll_creation_message_key.as_option(), Some(&expected), "{chat} {id}");
            assert_eq!(update.sender_timestamp_ms, Some(1_700_000_000_000));
            assert_eq!(opened(&message, id, creator, voter), Some(hashes(options)), "{chat} {id}");
            let told = sent(&journal, chat, &format!("{chat}{id}{}", options.len()), &message);
            assert_eq!((&told["targetId"], &told["selectedOptions"]), (&json!(id), &json!(options)));
        }
    }
}

#[test]
fn a_number_without_a_hidden_id_votes_under_its_number() {
    let journal = journal();
    take(&journal, GROUP, "bobs", &[BOB_LID, BOB], &poll(None));
    let vote = Vote { chat: GROUP.into(), options: vec!["Soup".into()], sender: None };
    let message = About { own_lid: None, ..about(&journal) }.vote("bobs", &vote).unwrap();
    assert_eq!(opened(&message, "bobs", BOB, OWN), Some(hashes(&["Soup"])));
}

#[test]
fn a_vote_the_poll_doesn_t_take_is_refused() {
    let journal = conversation();
    take(&journal, BOB, "poll", &[BOB], &poll(None));
    let error = refused(vote(&journal, BOB, "poll", &["Soup", "Pie"]));
    let named = error.error.details.get("field");
    assert_eq!((error.error.code, named), (ErrorCode::ValidationError, Some(&json!("options[1]"))));
    let error = refused(vote(&journal, BOB, "poll", &["Soup", "Salad", "Cake"]));
    let named = error.error.details.get("field");
    assert_eq!((error.error.code, named), (ErrorCode::ValidationError, Some(&json!("options"))));
    take(&journal, BOB, "closed", &[BOB], &poll(Some(NOW)));
    take(&journal, BOB, "open", &[BOB], &poll(Some(NOW + 1_000)));
    assert_eq!(code(vote(&journal, BOB, "closed", &["Soup"])), ErrorCode::Conflict);
    assert!(vote(&journal, BOB, "open", &["Soup"]).is_ok());
    for id in ["bobs", "new"] {
        assert_eq!(code(vote(&journal, BOB, id, &["Soup"])), ErrorCode::NotFound, "{id}");
    }
    mark(&journal, "open", BOB, "revoked");
    assert_eq!(code(vote(&journal, BOB, "open", &["Soup"])), ErrorCode::Conflict);
}

#[test]
fn a_poll_whose_secret_is_not_known_can_t_be_voted_in() {
    let journal = journal();
    let secretless = Message { message_context_info: MessageField::none(), ..poll(None) };
    take(&journal, BOB, "secretless", &[BOB], &secretless);
    take(&journal, BOB, "gone", &[BOB], &poll(None));
    journal.sql().query("UPDATE message_detail SET raw = NULL WHERE id = 'gone'", &[]).unwrap();
    for id in ["secretless", "gone"] {
        assert_eq!(code(vote(&journal, BOB, id, &["Soup"])), ErrorCode::Conflict, "{id}");
    }
}
