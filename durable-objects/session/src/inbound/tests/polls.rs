//! Polls with an end, and the votes in them, from the message to the recap.

use gateway_domain::event::PollRecapPayload;
use gateway_sql::native::NativeSql;
use serde_json::json;
use whatsapp_rust::types::message::MessageInfo;
use whatsapp_rust::waproto::whatsapp::Message;

use super::about::revocation;
use super::known::{GROUP, ballot, journal, meet, poll, take};
use super::{bob, info, own, with_id};
use crate::journal::Journal;
use crate::polls::{Polls, TIMER};

/// The messages of the tests are of this second.
const NOW: u64 = 1_700_000_000_000;
const END: u64 = NOW + 60_000;

fn ending(seconds: u64) -> Message {
    let mut message = poll();
    let created = message.poll_creation_message_v3.as_option_mut().unwrap();
    created.end_time = Some(i64::try_from(seconds).unwrap());
    message
}

fn close(journal: &Journal<NativeSql>) -> Vec<PollRecapPayload> {
    Polls::new(journal.sql()).close(END).unwrap()
}

fn member(id: &str, lid: &str, phone: &str) -> MessageInfo {
    let mut info = with_id(id, info(GROUP, lid));
    info.source.sender_alt = Some(phone.parse().unwrap());
    info
}

#[test]
fn votes_in_a_poll_of_a_group_are_counted_by_person() {
    let journal = journal();
    meet(&journal);
    take(&journal, &ending(END / 1_000), &member("P", "777@lid", "4915@s.whatsapp.net"));
    assert!(journal.timers().timer(TIMER).unwrap().is_some_and(|due| due >= END));
    // Twice the same person, by two names, and who asked.
    let ann = member("A", "778@lid", "4918@s.whatsapp.net");
    take(&journal, &ballot(&["Salad"], "777@lid", "778@lid"), &ann);
    let bare = with_id("B", info(GROUP, "4918@s.whatsapp.net"));
    take(&journal, &ballot(&["Soup"], "4915@s.whatsapp.net", "4918@s.whatsapp.net"), &bare);
    take(&journal, &ballot(&["Soup", "Salad"], "777@lid", "777@lid"), &with_id("C", info(GROUP, "777@lid")));
    // Neither what can't be read nor what comes from nowhere.
    take(&journal, &ballot(&["Soup"], "777@lid", "999@lid"), &with_id("D", info(GROUP, "779@lid")));
    take(&journal, &ballot(&["Cake"], "777@lid", "779@lid"), &with_id("E", info(GROUP, "779@lid")));
    let recaps = close(&journal);
    assert_eq!(
        json!(recaps),
        json!([{
            "chatJid": GROUP, "pollMessageId": "P", "name": "Lunch?", "selectableCount": 0, "endTime": END,
            "hideVotes": false, "totalVotes": 2,
            "options": [{"option": "Soup", "count": 2}, {"option": "Salad", "count": 1}],
            "voters": [
                {"voterId": "4915@s.whatsapp.net", "displayName": "Robert", "selectedOptions": ["Soup", "Salad"]},
                {"voterId": "4918@s.whatsapp.net", "displayName": "4918", "selectedOptions": ["Soup"]},
            ],
        }])
    );
    // Delivered again, it is not opened again.
    take(&journal, &ending(END / 1_000), &member("P", "777@lid", "4915@s.whatsapp.net"));
    assert_eq!(close(&journal), []);
}

#[test]
fn a_poll_of_this_number_from_another_device_is_kept_too() {
    let journal = journal();
    let mine = own(info("4915@s.whatsapp.net", "49700:2@s.whatsapp.net"));
    take(&journal, &ending(END), &with_id("P", mine.clone()));
    take(&journal, &ballot(&["Soup"], "700@lid", "4915@s.whatsapp.net"), &with_id("A", bob()));
    take(&journal, &ballot(&["Salad"], "700@lid", "700@lid"), &with_id("B", mine.clone()));
    take(&journal, &ballot(&[], "700@lid", "700@lid"), &with_id("C", mine));
    let recap = close(&journal).remove(0);
    assert_eq!((recap.chat_jid.as_str(), recap.total_votes), ("4915@s.whatsapp.net", 1));
    assert_eq!(recap.options[0].count, 1);
}

#[test]
fn a_poll_without_an_end_or_taken_back_has_no_recap() {
    let journal = journal();
    take(&journal, &poll(), &with_id("P", bob()));
    take(&journal, &ballot(&["Soup"], "4915@s.whatsapp.net", "4915@s.whatsapp.net"), &with_id("A", bob()));
    take(&journal, &ending(END), &with_id("Q", bob()));
    take(&journal, &revocation("Q"), &with_id("B", bob()));
    assert_eq!(close(&journal), []);
}
