//! The ways out of the process, seen from outside while something is not on disk yet.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use wacore_binary::consts::WA_CONN_HEADER;
use wacore_libsignal::protocol::KeyPair;
use wacore_noise::XxHandshakeState;
use wacore_noise::framing::{FrameDecoder, encode_frame};
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::ClientPayload;
use waproto::whatsapp::client_payload::DevicePairingRegistrationData;

use super::*;
use crate::rng;

/// How long nothing is nothing.
const QUIET: Duration = Duration::from_millis(200);
const DEADLINE: Duration = Duration::from_secs(30);

async fn health(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = b"GET /healthz HTTP/1.1\r\nhost: simulator\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// A client that wants to be linked: done once it has a frame behind the handshake.
async fn first_stanza(mut socket: WebSocketStream<MaybeTlsStream<TcpStream>>) {
    let key = KeyPair::generate(&mut rng::derive(0, "test", "noise"));
    let public = key.public_key.public_key_bytes().to_vec();
    let data = DevicePairingRegistrationData {
        e_ident: Some(public.clone()),
        e_skey_val: Some(public),
        e_skey_sig: Some(vec![0; 64]),
        ..Default::default()
    };
    let payload = ClientPayload { device_pairing_data: MessageField::some(data), ..Default::default() };
    let mut handshake = XxHandshakeState::new(key, payload.encode_to_vec(), &WA_CONN_HEADER).unwrap();
    let hello = handshake.build_client_hello().unwrap();
    socket.send(Frame::Binary(encode_frame(&hello, Some(&WA_CONN_HEADER)).unwrap().into())).await.unwrap();
    let mut decoder = FrameDecoder::new();
    decoder.feed(&socket.next().await.unwrap().unwrap().into_data());
    let hello = decoder.decode_frame().unwrap();
    let finish = handshake.read_server_hello_and_build_client_finish(&hello).unwrap();
    socket.send(Frame::Binary(encode_frame(&finish, None).unwrap().into())).await.unwrap();
    socket.next().await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_frames_nor_answers_leave_before_everything_is_on_disk() {
    let state = std::env::temp_dir().join(format!("wa-simulator-exits-{}", std::process::id()));
    let running = Simulator::start(Config { state: Some(state.clone()), ..Config::default() }).await.unwrap();
    // The upgrade is an answer as well; it has to be through.
    let (socket, _) = tokio_tungstenite::connect_async(running.chat_url()).await.unwrap();
    let (begun, has_begun) = std::sync::mpsc::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let store = running.world.store.clone();
    let unit = std::thread::spawn(move || {
        store.unit(|| {
            begun.send(()).unwrap();
            may_go_on.recv().unwrap();
        });
    });
    has_begun.recv().unwrap();
    let mut answer = tokio::spawn(health(running.address));
    let mut stanza = tokio::spawn(first_stanza(socket));
    assert!(tokio::time::timeout(QUIET, &mut answer).await.is_err(), "an answer");
    assert!(tokio::time::timeout(QUIET, &mut stanza).await.is_err(), "a frame");
    go_on.send(()).unwrap();
    unit.join().unwrap();
    let answer = tokio::time::timeout(DEADLINE, answer).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    tokio::time::timeout(DEADLINE, stanza).await.unwrap().unwrap();
    running.shutdown().await;
    let _ = std::fs::remove_dir_all(state);
}
