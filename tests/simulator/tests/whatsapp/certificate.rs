//! The certificate chain as a client sees it that trusts nothing but the published root: our own Noise initiator,
//! with libsignal's `XEdDSA` and none of the simulator's code.

use futures::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message as Frame;
use wacore_binary::consts::{NOISE_PATTERN_XX, WA_CONN_HEADER};
use wacore_libsignal::protocol::{KeyPair, PublicKey};
use wacore_noise::NoiseHandshake;
use wacore_noise::framing::{FrameDecoder, encode_frame};
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::cert_chain::NoiseCertificate;
use waproto::whatsapp::cert_chain::noise_certificate::Details;
use waproto::whatsapp::handshake_message::ClientHello;
use waproto::whatsapp::{CertChain, HandshakeMessage};

use crate::support::{Companion, Simulated, simulator};

const ALICE: &str = "5511999990001";

/// What the server showed: its static key, and its chain.
struct Shown {
    server_static: Vec<u8>,
    chain: CertChain,
}

async fn shake_hands(simulated: &Simulated) -> Shown {
    let (mut socket, _) = tokio_tungstenite::connect_async(simulated.running.chat_url()).await.unwrap();
    let ephemeral = KeyPair::generate(&mut rand::make_rng::<rand::rngs::StdRng>());
    let public = ephemeral.public_key.public_key_bytes();
    let hello = ClientHello { ephemeral: Some(public.to_vec()), ..Default::default() };
    let hello =
        HandshakeMessage { client_hello: MessageField::some(hello), ..Default::default() }.encode_to_vec();
    socket.send(Frame::Binary(encode_frame(&hello, Some(&WA_CONN_HEADER)).unwrap().into())).await.unwrap();
    let mut decoder = FrameDecoder::new();
    let frame = loop {
        if let Some(frame) = decoder.decode_frame() {
            break frame;
        }
        decoder.feed(&socket.next().await.unwrap().unwrap().into_data());
    };
    let hello = HandshakeMessage::decode_from_slice(&frame).unwrap().server_hello.into_option().unwrap();
    let server_ephemeral = hello.ephemeral.unwrap();
    let own = ephemeral.private_key.serialize();
    let mut noise = NoiseHandshake::new(NOISE_PATTERN_XX, &WA_CONN_HEADER).unwrap();
    noise.authenticate(public);
    noise.authenticate(&server_ephemeral);
    noise.mix_shared_secret(own, &server_ephemeral).unwrap();
    let server_static = noise.decrypt(&hello.r#static.unwrap()).unwrap();
    noise.mix_shared_secret(own, &server_static).unwrap();
    let chain = noise.decrypt(&hello.payload.unwrap()).unwrap();
    Shown { server_static, chain: CertChain::decode_from_slice(&chain).unwrap() }
}

/// What a strict client checks, and what it finds wrong.
fn check(shown: &Shown, root: &[u8]) -> Result<(), &'static str> {
    let verify = |certificate: &NoiseCertificate, issuer: &[u8]| {
        let key = PublicKey::from_djb_public_key_bytes(issuer).unwrap();
        let details = certificate.details.as_deref().unwrap();
        let valid = key.verify_signature(details, certificate.signature.as_deref().unwrap());
        (Details::decode_from_slice(details).unwrap(), valid)
    };
    let (intermediate, valid) = verify(shown.chain.intermediate.as_option().unwrap(), root);
    if !valid {
        return Err("the intermediate is not signed by the root");
    }
    let (leaf, valid) = verify(shown.chain.leaf.as_option().unwrap(), intermediate.key.as_deref().unwrap());
    if !valid {
        return Err("the leaf is not signed by the intermediate");
    }
    if (intermediate.issuer_serial, leaf.issuer_serial) != (Some(0), intermediate.serial) {
        return Err("the serials don't chain");
    }
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let dates = |details: &Details| details.not_before < Some(now) && details.not_after > Some(now);
    if !dates(&intermediate) || !dates(&leaf) {
        return Err("not valid today");
    }
    if leaf.key.as_deref() != Some(&shown.server_static) {
        return Err("the leaf names another key");
    }
    Ok(())
}

async fn published_root(simulated: &Simulated) -> Vec<u8> {
    let root = simulated.get("/certificate").await["rootPublicKey"].as_str().unwrap().to_owned();
    let root = hex::decode(root).unwrap();
    assert_eq!(root, simulated.running.root_public_key);
    root
}

#[tokio::test]
async fn the_chain_verifies_under_the_published_root_and_under_no_other() {
    let simulated = simulator().await;
    let root = published_root(&simulated).await;
    let shown = shake_hands(&simulated).await;
    assert_eq!(check(&shown, &root), Ok(()));
    assert_eq!(
        check(&shown, &wacore_noise::WA_CERT_PUB_KEY),
        Err("the intermediate is not signed by the root"),
        "WhatsApp's own root must not have signed it"
    );
    let mut tampered = shown;
    tampered.chain.leaf.modify(|leaf| leaf.signature.as_mut().unwrap()[0] ^= 1);
    assert_eq!(check(&tampered, &root), Err("the leaf is not signed by the intermediate"));
}

#[tokio::test]
async fn a_wrong_certificate_is_one_a_strict_client_refuses() {
    let simulated = simulator().await;
    let root = published_root(&simulated).await;
    simulated.fault(json!({ "kind": "wrong_certificate", "count": 1 })).await;
    let shown = shake_hands(&simulated).await;
    assert_eq!(check(&shown, &root), Err("the intermediate is not signed by the root"));
    simulated.fault(json!({ "kind": "wrong_certificate", "mode": "leaf_key", "count": 1 })).await;
    let shown = shake_hands(&simulated).await;
    assert_eq!(check(&shown, &root), Err("the leaf names another key"));
    assert_eq!(check(&shake_hands(&simulated).await, &root), Ok(()));
}

#[tokio::test]
async fn a_rotated_key_is_under_the_same_root() {
    let simulated = simulator().await;
    let root = published_root(&simulated).await;
    let before = shake_hands(&simulated).await.server_static;
    simulated.call("POST", "/certificate/rotate", None).await;
    let shown = shake_hands(&simulated).await;
    assert_ne!(shown.server_static, before);
    assert_eq!(check(&shown, &root), Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn ik_falls_back_to_xx_when_the_server_key_has_rotated_or_ik_is_refused() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    let (companion, jid) = Companion::linked(&simulated, ALICE).await;
    let companion = companion.stop().await;
    simulated.call("POST", "/certificate/rotate", None).await;
    let companion = companion.start().await;
    companion.connected().await;
    assert_eq!(simulated.device(&jid).await.unwrap()["lastHandshake"], "XXfallback");

    // The client has kept the new key: IK again, unless the server doesn't want it.
    let companion = companion.stop().await.start().await;
    companion.connected().await;
    assert_eq!(simulated.device(&jid).await.unwrap()["lastHandshake"], "IK");
    let companion = companion.stop().await;
    simulated.fault(json!({ "kind": "ik_refused", "count": 1 })).await;
    let companion = companion.start().await;
    companion.connected().await;
    assert_eq!(simulated.device(&jid).await.unwrap()["lastHandshake"], "XXfallback");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_leaf_key_differs_never_logs_in() {
    let simulated = simulator().await;
    let fault = simulated.fault(json!({ "kind": "wrong_certificate", "mode": "leaf_key" })).await;
    let companion = Companion::new(&simulated).await;
    crate::support::until("a failed handshake", async || {
        let handshakes = simulated.get("/connections").await["handshakes"].clone();
        (handshakes["failed"].as_u64() >= Some(1) && handshakes["finished"] == 0).then_some(())
    })
    .await;
    simulated.delete(&format!("/faults/{fault}")).await;
    companion.qr().await;
}
