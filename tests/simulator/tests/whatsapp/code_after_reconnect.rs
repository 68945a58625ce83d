//! A pairing code belongs to a companion's key, not to its socket: it can be typed after the companion has connected
//! again, or while it is away. whatsapp-rust 0.7.0 forgets its code with the socket, so the second test keeps it
//! outside of the client, through the client's public interface.

use serde_json::json;
use wacore::libsignal::protocol::KeyPair;
use wacore::pair_code::PairCodeUtils;
use wacore::request::InfoQuery;
use wacore::store::commands::DeviceCommand;
use wacore::types::events::Event;
use wacore_binary::{Jid, Node, NodeContent, OwnedNodeRef, Server};
use whatsapp_rust::pair_code::PairCodeOptions;

use crate::support::{Companion, DEADLINE, simulator};

const ALICE: &str = "5511999990001";
const CODE: &str = "ABCD1234";

#[tokio::test(flavor = "multi_thread")]
async fn whatsapp_rust_forgets_its_code_with_its_socket() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    let companion = Companion::new(&simulated).await;
    let options = PairCodeOptions { phone_number: ALICE.to_owned(), ..Default::default() };
    let before = companion.qr().await;
    companion.client.pair_with_code(options.clone()).await.unwrap();
    assert!(companion.client.pair_with_code(options.clone()).await.is_err(), "one at a time");
    simulated.fault(json!({ "kind": "close", "code": 1011 })).await;
    let after = companion.qr().await;
    assert_ne!(before, after, "it has come back");
    let code = companion.client.pair_with_code(options).await.unwrap();
    simulated.post(&format!("/phones/{ALICE}/enter-code"), json!({ "code": code })).await;
    companion.connected().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_typed_while_its_companion_is_away_is_told_to_it_when_it_is_back() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    let companion = Companion::new(&simulated).await;
    let _lease = companion.client.acquire_raw_node_forwarding();
    companion.qr().await;
    let kept = Kept::show(&companion).await;

    let refused = simulated.fault(json!({ "kind": "connection_refused" })).await;
    simulated.fault(json!({ "kind": "close" })).await;
    companion.event("end of the socket", |event| matches!(event, Event::Disconnected(_)).then_some(())).await;
    let typed = async {
        let body = Some(json!({ "code": CODE }));
        simulated.call("POST", &format!("/phones/{ALICE}/enter-code"), body).await
    };
    let back = async {
        // Not before the phone has begun: it is told on the new socket.
        crate::support::until("the code to be typed", async || {
            let codes = simulated.get(&format!("/phones/{ALICE}/codes")).await;
            (codes["codes"][0]["attempts"] == 1).then_some(())
        })
        .await;
        assert_eq!(simulated.get("/connections").await["registrationsWaiting"], 0);
        simulated.delete(&format!("/faults/{refused}")).await;
        kept.answer(&companion).await;
    };
    let ((status, answer), ()) = tokio::join!(typed, back);
    assert_eq!((status, &answer["deviceJid"]), (200, &json!(format!("{ALICE}:1@s.whatsapp.net"))));
    companion.connected().await;
}

/// A code and what belongs to it.
struct Kept {
    ephemeral: KeyPair,
    reference: Vec<u8>,
}

impl Kept {
    async fn show(companion: &Companion) -> Self {
        let ephemeral = KeyPair::generate(&mut rand::make_rng::<rand::rngs::StdRng>());
        let public = ephemeral.public_key.public_key_bytes().try_into().unwrap();
        let device = companion.client.persistence_manager().get_device_snapshot();
        let noise = device.noise_key.public_key.public_key_bytes().try_into().unwrap();
        let wrapped = PairCodeUtils::encrypt_ephemeral_pub(&public, CODE);
        let hello = PairCodeUtils::build_companion_hello_iq(
            ALICE,
            &noise,
            &wrapped,
            "1",
            "Chrome (Linux)",
            true,
            String::new(),
        );
        let answer = ask(companion, &hello).await;
        Self { ephemeral, reference: PairCodeUtils::parse_companion_hello_response(answer.get()).unwrap() }
    }

    async fn answer(&self, companion: &Companion) {
        let hello = companion.event("primary_hello", |event| match event {
            Event::RawNode(node) => {
                let part = |tag| {
                    let hello = node.get().get_optional_child("link_code_companion_reg")?;
                    hello.get_optional_child(tag)?.content_bytes().map(<[u8]>::to_vec)
                };
                let wrapped = part("link_code_pairing_wrapped_primary_ephemeral_pub")?;
                Some((wrapped, part("primary_identity_pub")?, part("link_code_pairing_ref")?))
            }
            _ => None,
        });
        let (wrapped, identity, reference) = hello.await;
        assert_eq!(reference, self.reference);
        let identity = identity.try_into().unwrap();
        let device = companion.client.persistence_manager().get_device_snapshot();
        let primary = PairCodeUtils::decrypt_primary_ephemeral_pub(&wrapped, CODE).unwrap();
        let (bundle, adv_secret) =
            PairCodeUtils::prepare_key_bundle(&self.ephemeral, &primary, &identity, &device.identity_key)
                .unwrap();
        companion
            .client
            .persistence_manager()
            .process_command(DeviceCommand::SetAdvSecretKey(adv_secret))
            .await;
        let own = device.identity_key.public_key.public_key_bytes().try_into().unwrap();
        let finish = PairCodeUtils::build_companion_finish_iq(ALICE, bundle, &own, &reference, String::new());
        ask(companion, &finish).await;
    }
}

async fn ask(companion: &Companion, iq: &Node) -> std::sync::Arc<OwnedNodeRef> {
    let content = NodeContent::Nodes(iq.children().unwrap().to_vec());
    let query = InfoQuery::set("md", Jid::new("", Server::Pn), Some(content));
    tokio::time::timeout(DEADLINE, companion.client.send_iq(query)).await.expect("no answer").unwrap()
}
