//! A linked device with nothing behind it: Noise, nodes and the answers WhatsApp insists on, but no Signal. Hundreds of
//! them fit where a few real clients do.

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use wacore::companion_reg::CompanionWebClientType;
use wacore::pair::{DeviceState, PairUtils};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::consts::WA_CONN_HEADER;
use wacore_binary::marshal::{marshal, unmarshal_ref};
use wacore_binary::{Jid, Node, NodeContent, NodeValue, Server, util};
use wacore_libsignal::protocol::KeyPair;
use wacore_noise::framing::{FrameDecoder, encode_frame};
use wacore_noise::{NoiseCipher, XxHandshakeState};
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::ClientPayload;
use waproto::whatsapp::client_payload::DevicePairingRegistrationData;

use crate::support::{DEADLINE, Simulated};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A device's keys, and who it has become.
pub struct RawDevice {
    state: DeviceState,
    pub number: String,
    device: u32,
}

/// A device that is logged in.
pub struct Line {
    sink: SplitSink<Socket, Frame>,
    stream: SplitStream<Socket>,
    decoder: FrameDecoder,
    write: (NoiseCipher, u32),
    read: (NoiseCipher, u32),
}

pub fn attr(node: &Node, name: &str) -> String {
    node.attrs.get(name).map(ToString::to_string).unwrap_or_default()
}

fn server() -> NodeValue {
    NodeValue::Jid(Jid::new("", Server::Pn))
}

impl RawDevice {
    /// Links a new device to a phone that exists.
    pub async fn link(simulated: &Simulated, number: &str) -> Self {
        let mut rng = rand::make_rng::<rand::rngs::StdRng>();
        let pair = KeyPair::generate(&mut rng);
        let state = DeviceState {
            identity_key: KeyPair::generate(&mut rng),
            noise_key: KeyPair::generate(&mut rng),
            adv_secret_key: [7; 32],
        };
        let signature = state
            .identity_key
            .private_key
            .calculate_signature(&pair.public_key.serialize(), &mut rng)
            .unwrap();
        let data = DevicePairingRegistrationData {
            e_regid: Some(vec![0, 0, 1, 1]),
            e_keytype: Some(vec![5]),
            e_ident: Some(state.identity_key.public_key.public_key_bytes().to_vec()),
            e_skey_id: Some(vec![0, 0, 1]),
            e_skey_val: Some(pair.public_key.public_key_bytes().to_vec()),
            e_skey_sig: Some(signature.to_vec()),
            ..Default::default()
        };
        let payload = ClientPayload { device_pairing_data: MessageField::some(data), ..Default::default() };
        let mut line = Line::open(simulated, &state.noise_key, &payload).await;
        let offered = line.until(|node| node.get_optional_child("pair-device").is_some()).await;
        let reference = offered.get_optional_child("pair-device").unwrap().children().unwrap()[0].clone();
        let Some(NodeContent::Bytes(reference)) = reference.content else { panic!("{reference:?}") };
        let reference = String::from_utf8(reference).unwrap();
        let qr = PairUtils::make_qr_data(&state, &reference, CompanionWebClientType::Chrome);
        let path = format!("/phones/{number}/scan");
        let (scanned, ()) = tokio::join!(simulated.post(&path, json!({ "qr": qr })), async {
            let success = line.until(|node| node.get_optional_child("pair-success").is_some()).await;
            let identity = success.get_optional_child("pair-success").unwrap();
            let identity = identity.get_optional_child("device-identity").unwrap();
            let Some(NodeContent::Bytes(identity)) = &identity.content else { panic!("{identity:?}") };
            let (signed, index) = PairUtils::do_pair_crypto(&state, identity).unwrap();
            let id = attr(&success, "id");
            line.send(&PairUtils::build_pair_success_response(&id, signed, index)).await;
        });
        let jid: Jid = scanned["deviceJid"].as_str().unwrap().parse().unwrap();
        Self { state, number: number.to_owned(), device: jid.device.into() }
    }

    pub fn jid(&self) -> Jid {
        Jid::pn_device(self.number.as_str(), u16::try_from(self.device).unwrap())
    }

    /// Logs in and takes in everything it is owed; the messages among it.
    pub async fn log_in(&self, simulated: &Simulated) -> (Line, Vec<Node>) {
        let payload = ClientPayload {
            username: self.number.parse().ok(),
            device: Some(self.device),
            ..Default::default()
        };
        let mut line = Line::open(simulated, &self.state.noise_key, &payload).await;
        line.until(|node| node.tag == "success").await;
        let active = NodeBuilder::new("active").build();
        line.ask("passive", "active", active).await;
        let pull = NodeBuilder::new("offline_batch").attr("count", 10_000u32).build();
        line.send(&NodeBuilder::new("ib").children([pull]).build()).await;
        let mut messages = Vec::new();
        loop {
            let node = line.next().await;
            if node.tag == "ib" && node.get_optional_child("offline").is_some() {
                return (line, messages);
            }
            if node.tag == "message" {
                messages.push(node);
            }
        }
    }
}

impl Line {
    async fn open(simulated: &Simulated, noise: &KeyPair, payload: &ClientPayload) -> Self {
        let (socket, _) = tokio_tungstenite::connect_async(simulated.running.chat_url()).await.unwrap();
        let (mut sink, mut stream) = socket.split();
        let mut handshake =
            XxHandshakeState::new(noise.clone(), payload.encode_to_vec(), &WA_CONN_HEADER).unwrap();
        let hello = handshake.build_client_hello().unwrap();
        sink.send(Frame::Binary(encode_frame(&hello, Some(&WA_CONN_HEADER)).unwrap().into())).await.unwrap();
        let mut decoder = FrameDecoder::new();
        let hello = frame(&mut decoder, &mut stream).await;
        let finish = handshake.read_server_hello_and_build_client_finish(&hello).unwrap();
        sink.send(Frame::Binary(encode_frame(&finish, None).unwrap().into())).await.unwrap();
        let done = handshake.finish().unwrap();
        let (write, read) = ((done.write_cipher, 0), (done.read_cipher, 0));
        Self { sink, stream, decoder, write, read }
    }

    pub async fn send(&mut self, node: &Node) {
        let (cipher, counter) = &mut self.write;
        let sealed = cipher.encrypt_with_counter(*counter, &marshal(node).unwrap()).unwrap();
        *counter += 1;
        self.sink.send(Frame::Binary(encode_frame(&sealed, None).unwrap().into())).await.unwrap();
    }

    /// The next stanza, acknowledged the way a client does that has no interest in it.
    pub async fn next(&mut self) -> Node {
        let mut frame = frame(&mut self.decoder, &mut self.stream).await;
        let (cipher, counter) = &mut self.read;
        cipher.decrypt_in_place_with_counter(*counter, &mut frame).unwrap();
        *counter += 1;
        let node = unmarshal_ref(&util::unpack(&frame).unwrap()).unwrap().to_owned();
        let from = node.attrs.get("from").cloned().unwrap_or_else(server);
        let id = attr(&node, "id");
        match node.tag.as_ref() {
            "message" => {
                let receipt = NodeBuilder::new("receipt").attr("to", from).attr("id", id);
                let peer = attr(&node, "category") == "peer";
                let receipt = if peer { receipt.attr("type", "peer_msg") } else { receipt };
                self.send(&receipt.build()).await;
            }
            "receipt" | "notification" => {
                let ack = NodeBuilder::new("ack").attr("class", node.tag.to_string());
                self.send(&ack.attr("id", id).attr("to", from).build()).await;
            }
            "iq" if attr(&node, "type") == "get" => {
                let pong = NodeBuilder::new("iq").attr("type", "result").attr("id", id).attr("to", from);
                self.send(&pong.build()).await;
            }
            _ => {}
        }
        node
    }

    /// The next one like this; others are forgotten.
    async fn until(&mut self, like: impl Fn(&Node) -> bool) -> Node {
        let search = async {
            loop {
                let node = self.next().await;
                if like(&node) {
                    return node;
                }
            }
        };
        tokio::time::timeout(DEADLINE, search).await.expect("the simulator is silent")
    }

    /// An iq of type `set` and its result.
    pub async fn ask(&mut self, xmlns: &'static str, id: &'static str, child: Node) {
        let iq = NodeBuilder::new("iq").attr("xmlns", xmlns).attr("type", "set").attr("id", id);
        self.send(&iq.attr("to", server()).children([child]).build()).await;
        self.until(|node| node.tag == "iq" && attr(node, "id") == id).await;
    }

    /// Publishes one-time prekeys that nobody has the other half of.
    pub async fn upload_keys(&mut self, count: u32) {
        let keys = (1..=count).map(|id| {
            let id = NodeBuilder::new("id").bytes(id.to_be_bytes()[1..].to_vec()).build();
            NodeBuilder::new("key")
                .children([id, NodeBuilder::new("value").bytes(vec![9; 32]).build()])
                .build()
        });
        let list = NodeBuilder::new("list").children(keys).build();
        self.ask("encrypt", "keys", list).await;
    }

    /// A message for one device; nobody will be able to read it.
    pub async fn send_message(&mut self, to: &Jid, id: &str, size: usize) {
        let enc = NodeBuilder::new("enc").attr("v", "2").attr("type", "msg").bytes(vec![5; size]).build();
        let participant = NodeBuilder::new("to").attr("jid", to.clone()).children([enc]).build();
        let message = NodeBuilder::new("message")
            .attr("to", to.to_non_ad())
            .attr("id", id)
            .attr("type", "text")
            .children([NodeBuilder::new("participants").children([participant]).build()]);
        self.send(&message.build()).await;
    }
}

async fn frame(decoder: &mut FrameDecoder, stream: &mut SplitStream<Socket>) -> bytes::BytesMut {
    loop {
        if let Some(frame) = decoder.decode_frame() {
            return frame;
        }
        decoder.feed(&stream.next().await.expect("hung up").unwrap().into_data());
    }
}
