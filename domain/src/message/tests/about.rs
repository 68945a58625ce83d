//! What is done with a message.

use super::*;
use crate::event::PollData;

fn edit(body: &Value) -> Result<Edit, Refusal> {
    read::<EditMessageInputBody>(body)?.into_edit().map_err(|error| refusal(&error))
}

fn revoke(body: &Value) -> Result<Revoke, Refusal> {
    read::<RevokeMessageInputBody>(body)?.into_revoke().map_err(|error| refusal(&error))
}

fn react(body: &Value) -> Result<Reaction, Refusal> {
    read::<ReactionInputBody>(body)?.into_reaction().map_err(|error| refusal(&error))
}

fn take_back(body: &Value) -> Result<Reaction, Refusal> {
    read::<ReactionInputBody>(body)?.into_removal().map_err(|error| refusal(&error))
}

fn forward(body: &Value) -> Result<Forward, Refusal> {
    read::<ForwardInputBody>(body)?.into_forward().map_err(|error| refusal(&error))
}

fn vote(body: &Value) -> Result<Vote, Refusal> {
    read::<VoteInputBody>(body)?.into_vote().map_err(|error| refusal(&error))
}

#[test]
fn every_operation_is_within_a_chat() {
    let all = |chat: &Value| {
        let text = json!({"chat": chat, "text": "x"});
        let emoji = json!({"chat": chat, "emoji": "👍"});
        let options = json!({"chat": chat, "options": []});
        [
            edit(&text).map(|it| it.chat),
            revoke(&json!({"chat": chat})).map(|it| it.chat),
            react(&emoji).map(|it| it.chat),
            take_back(&emoji).map(|it| it.chat),
            forward(&json!({"chat": chat, "to": BOB})).map(|it| it.chat),
            vote(&options).map(|it| it.chat),
        ]
    };
    for (chat, canonical) in [(BOB, BOB_JID), ("4915112345678:1@c.us", BOB_JID), (GROUP, GROUP)] {
        assert_eq!(all(&json!(chat)), [(); 6].map(|()| Ok(canonical.to_owned())));
    }
    for wrong in [json!(null), json!(""), json!("x"), json!("status@broadcast")] {
        assert_eq!(all(&wrong), [(); 6].map(|()| invalid("chat")), "{wrong}");
    }
    assert_eq!(all(&json!(1)), [(); 6].map(|()| invalid("unreadable")));
    // A channel's post can be passed on; all else would go out as another post.
    let mut channel = [(); 6].map(|()| missing("chat"));
    channel[4] = Ok(CHANNEL.to_owned());
    assert_eq!(all(&json!(CHANNEL)), channel);
}

#[test]
fn who_wrote_it_is_a_person() {
    let all = |sender: &Value| {
        let body = json!({"chat": GROUP, "sender": sender});
        let more = |name: &str, value: Value| with(&body, &format!("/{name}"), value);
        [
            revoke(&body).map(|it| it.sender),
            react(&more("emoji", json!("👍"))).map(|it| it.sender),
            take_back(&body).map(|it| it.sender),
            forward(&more("to", json!(BOB))).map(|it| it.sender),
            vote(&more("options", json!([]))).map(|it| it.sender),
        ]
    };
    assert_eq!(all(&json!(null)), [(); 5].map(|()| Ok(None)));
    assert_eq!(all(&json!("4915112345678@c.us")), [(); 5].map(|()| Ok(Some(BOB_JID.to_owned()))));
    for wrong in ["", "x", GROUP, CHANNEL] {
        assert_eq!(all(&json!(wrong)), [(); 5].map(|()| invalid("sender")), "{wrong}");
    }
    assert_eq!(edit(&json!({"chat": GROUP, "text": "x", "sender": BOB})), invalid("unreadable"));
}

#[test]
fn an_edit_has_a_text() {
    let text = |text: Value| edit(&json!({"chat": BOB, "text": text})).map(|it| it.text);
    assert_eq!(text(json!("new")), Ok("new".to_owned()));
    assert!(text(json!("é".repeat(65_536))).is_ok());
    for wrong in [json!(null), json!(""), json!(" \n"), json!("é".repeat(65_537))] {
        assert_eq!(text(wrong), invalid("text"));
    }
}

#[test]
fn a_reaction_is_one_emoji_and_nothing_when_it_is_taken_back() {
    let add = |emoji: Value| react(&json!({"chat": BOB, "emoji": emoji})).map(|it| it.emoji);
    let remove = |emoji: Value| take_back(&json!({"chat": BOB, "emoji": emoji})).map(|it| it.emoji);
    for emoji in ["👍", "❤️", "👩🏻‍❤️‍💋‍👨🏼"] {
        assert_eq!(add(json!(emoji)), Ok(emoji.to_owned()));
        assert_eq!(remove(json!(emoji)), Ok(String::new()));
    }
    for wrong in ["x", "👍👍", "👍 "] {
        assert_eq!(
            (add(json!(wrong)), remove(json!(wrong))),
            (invalid("emoji"), invalid("emoji")),
            "{wrong}"
        );
    }
    for nothing in [json!(null), json!("")] {
        assert_eq!((add(nothing.clone()), remove(nothing)), (invalid("emoji"), Ok(String::new())));
    }
}

#[test]
fn a_message_is_passed_on_to_one_chat() {
    let to = |to: Value| forward(&json!({"chat": BOB, "to": to})).map(|it| it.to);
    assert_eq!(to(json!(GROUP)), Ok(GROUP.to_owned()));
    assert_eq!(to(json!(BOB)), Ok(BOB_JID.to_owned()));
    assert_eq!(to(json!(CHANNEL)), missing("to"));
    for wrong in [json!(null), json!(""), json!("status@broadcast")] {
        assert_eq!(to(wrong), invalid("to"));
    }
    assert_eq!(to(json!([BOB])), invalid("unreadable"));
}

#[test]
fn a_vote_is_for_options_of_the_poll() {
    let cast = |options: Value| vote(&json!({"chat": GROUP, "options": options}));
    assert_eq!(cast(json!(null)), invalid("options"));
    assert_eq!(cast(json!(["a", "a"])), invalid("options[1]"));
    assert_eq!(cast(json!(["a", ""])), invalid("options[1]"));
    assert!(cast(json!(["é".repeat(100)])).is_ok());
    assert_eq!(cast(json!(["é".repeat(101)])), invalid("options[0]"));
    let numbers = |count: usize| json!((0..count).map(|number| number.to_string()).collect::<Vec<_>>());
    assert!(cast(numbers(12)).is_ok());
    assert_eq!(cast(numbers(13)), invalid("options"));
    assert_eq!(cast(json!([0])), invalid("unreadable"));

    let poll = |selectable_count: u32, end_time: Option<u64>| PollData {
        name: "Tea?".into(),
        options: vec!["yes".into(), "no".into()],
        selectable_count,
        end_time,
        hide_votes: None,
    };
    let check = |options: Value, poll: &PollData| {
        cast(options).unwrap().check(poll, NOW).map_err(|error| refusal(&error))
    };
    for fine in [json!([]), json!(["yes"]), json!(["no", "yes"])] {
        assert_eq!(check(fine, &poll(0, Some(NOW + 1))), Ok(()));
    }
    assert_eq!(check(json!(["yes", "no"]), &poll(1, None)), invalid("options"));
    assert_eq!(check(json!(["yes", "perhaps"]), &poll(0, None)), invalid("options[1]"));
    assert_eq!(check(json!(["yes"]), &poll(0, Some(NOW))), Err((ErrorCode::Conflict, String::new())));
}
