//! The address book of a phone as its companions read it, and who is on WhatsApp.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wacore::types::events::Event;
use wacore_binary::Jid;

use crate::support::{Companion, Simulated, simulator};

const ALICE: &str = "5511999990001";
const BOB: &str = "5511999990002";
const CAROL: &str = "5511999990003";

async fn put(simulated: &Simulated, contacts: Value) {
    let (status, body) = simulated.call("PUT", &format!("/phones/{ALICE}/contacts"), Some(contacts)).await;
    assert_eq!(status, 200, "{body}");
}

/// What a companion hears until this many people have names: full name, first name, LID.
async fn names(companion: &Companion, count: usize) -> BTreeMap<String, [Option<String>; 3]> {
    let mut names = BTreeMap::new();
    while names.len() < count {
        let (jid, action) = companion
            .event("a contact", |event| match event {
                Event::ContactUpdate(update) => Some((update.jid.user.to_string(), update.action.clone())),
                _ => None,
            })
            .await;
        names.insert(jid, [action.full_name, action.first_name, action.lid_jid]);
    }
    names
}

/// Waits for a name; of what the client has written itself it hears too.
async fn renamed(companion: &Companion, name: &str) {
    companion
        .event(name, |event| match event {
            Event::ContactUpdate(update) => (update.action.full_name.as_deref() == Some(name)).then_some(()),
            _ => None,
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_companion_reads_the_address_book_it_finds_and_what_becomes_of_it() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    let bob = simulated.phone(BOB).await;
    let lid = bob["lid"].as_str().map(ToOwned::to_owned);
    let named =
        |full: &str, first: &str, lid: &Option<String>| [Some(full.into()), Some(first.into()), lid.clone()];
    // Carol is no user of WhatsApp, only somebody with a number.
    put(
        &simulated,
        json!([{ "phoneNumber": BOB, "name": "Bob Builder" }, { "jid": CAROL, "name": "Carol" }]),
    )
    .await;
    let companion = Companion::new(&simulated).await;
    let qr = companion.qr().await;
    simulated.post(&format!("/phones/{ALICE}/scan"), json!({ "qr": qr })).await;
    let found = names(&companion, 2).await;
    assert_eq!(found[BOB], named("Bob Builder", "Bob", &lid));
    assert_eq!(found[CAROL], named("Carol", "Carol", &None));
    companion.connected().await;

    // One name changes and one goes: patches on top, whose MACs the client checks.
    put(&simulated, json!([{ "jid": bob["lid"], "name": "Robert Builder" }])).await;
    assert_eq!(names(&companion, 1).await[BOB], named("Robert Builder", "Robert", &lid));
    companion.has_read_contacts().await;
    put(&simulated, json!([{ "phoneNumber": BOB, "name": "Bob" }, { "phoneNumber": CAROL, "name": "C" }]))
        .await;
    let found = names(&companion, 2).await;
    assert_eq!(found[CAROL], named("C", "C", &None));
    companion.has_read_contacts().await;

    // A companion may write there too, and the phone goes on from what it wrote.
    let carol = Jid::pn(CAROL);
    companion.client.chat_actions().save_contact(&carol, Some("Caroline".into()), None, true).await.unwrap();
    put(&simulated, json!([{ "phoneNumber": CAROL, "name": "Carol again" }])).await;
    renamed(&companion, "Carol again").await;

    // And a newcomer reads all of it from the beginning.
    let second = Companion::new(&simulated).await;
    let qr = second.qr().await;
    simulated.post(&format!("/phones/{ALICE}/scan"), json!({ "qr": qr })).await;
    renamed(&second, "Carol again").await;
    let book = simulated.get(&format!("/phones/{ALICE}/contacts")).await;
    let jid = format!("{CAROL}@s.whatsapp.net");
    assert_eq!(book, json!({ "contacts": [{ "jid": jid, "lid": null, "name": "Carol again" }] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_learns_who_is_on_whatsapp() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    let bob = simulated.phone(BOB).await;
    let (companion, _) = Companion::linked(&simulated, ALICE).await;
    let asked = [Jid::pn(BOB), Jid::pn(CAROL)];
    let answers = companion.client.contacts().is_on_whatsapp(&asked).await.unwrap();
    let known: BTreeMap<_, _> =
        answers.iter().map(|answer| (answer.jid.user.to_string(), answer.is_registered)).collect();
    assert_eq!(known, BTreeMap::from([(BOB.to_owned(), true), (CAROL.to_owned(), false)]));
    let lid = answers.iter().find_map(|answer| answer.lid.clone()).unwrap();
    assert_eq!(bob["lid"], lid.to_string());
}
