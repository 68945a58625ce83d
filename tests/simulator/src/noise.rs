//! The responder's half of the Noise handshake, without I/O: XX for a first contact, IK for a client that kept our
//! static key, and `XXfallback` when that key is no longer the right one (or we don't want IK).

use anyhow::{Context as _, Result, bail};
use rand::rngs::StdRng;
use wacore_binary::consts::{NOISE_PATTERN_IK, NOISE_PATTERN_XX, NOISE_PATTERN_XXFALLBACK, WA_CONN_HEADER};
use wacore_libsignal::protocol::KeyPair;
use wacore_noise::{NoiseCipher, NoiseHandshake};
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::HandshakeMessage;
use waproto::whatsapp::handshake_message::{ClientHello, ServerHello};

use crate::certificate::ServerIdentity;

/// How a connection came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Pattern {
    /// A full handshake.
    #[serde(rename = "XX")]
    Xx,
    /// A resume with the server key the client kept.
    #[serde(rename = "IK")]
    Ik,
    /// A resume that became a full handshake.
    #[serde(rename = "XXfallback")]
    XxFallback,
}

/// A finished handshake.
pub struct Established {
    pub pattern: Pattern,
    /// The client's static key: the device's proof of being itself.
    pub client_static: [u8; 32],
    /// The encoded `ClientPayload`.
    pub payload: Vec<u8>,
    pub read: NoiseCipher,
    pub write: NoiseCipher,
}

/// What follows from a `ClientHello`.
pub enum Answered {
    /// IK: the `ServerHello` ends it.
    Established(Vec<u8>, Box<Established>),
    /// XX or `XXfallback`: after the `ServerHello` the client finishes.
    AwaitingFinish(Vec<u8>, Box<HalfOpen>),
}

/// XX between `ServerHello` and `ClientFinish`.
pub struct HalfOpen {
    pattern: Pattern,
    noise: NoiseHandshake,
    ephemeral: KeyPair,
}

/// Reads a `ClientHello`.
pub fn answer(hello: &[u8], identity: &ServerIdentity, ik: bool, rng: &mut StdRng) -> Result<Answered> {
    let message = HandshakeMessage::decode_from_slice(hello).context("handshake message")?;
    let hello = message.client_hello.into_option().context("no ClientHello")?;
    let client_ephemeral = key(hello.ephemeral.as_deref())?;
    let resumes = hello.r#static.is_some();
    if resumes
        && ik
        && let Ok((noise, client_static, payload)) = read_ik(&hello, &client_ephemeral, identity)
    {
        return accept_ik(noise, client_static, payload, &client_ephemeral, identity, rng);
    }
    let pattern = if resumes { Pattern::XxFallback } else { Pattern::Xx };
    let (hello, half_open) = offer_xx(pattern, &client_ephemeral, identity, rng)?;
    Ok(Answered::AwaitingFinish(hello, Box::new(half_open)))
}

fn read_ik(
    hello: &ClientHello,
    client_ephemeral: &[u8; 32],
    identity: &ServerIdentity,
) -> Result<(NoiseHandshake, [u8; 32], Vec<u8>)> {
    let own = identity.key_pair.private_key.serialize();
    let mut noise = NoiseHandshake::new(NOISE_PATTERN_IK, &WA_CONN_HEADER)?;
    noise.authenticate(identity.key_pair.public_key.public_key_bytes());
    noise.authenticate(client_ephemeral);
    noise.mix_shared_secret(own, client_ephemeral)?;
    let client_static = noise.decrypt(hello.r#static.as_deref().context("no static")?)?;
    let client_static = key(Some(&client_static))?;
    noise.mix_shared_secret(own, &client_static)?;
    let payload = noise.decrypt(hello.payload.as_deref().context("no payload")?)?;
    Ok((noise, client_static, payload))
}

fn accept_ik(
    mut noise: NoiseHandshake,
    client_static: [u8; 32],
    payload: Vec<u8>,
    client_ephemeral: &[u8; 32],
    identity: &ServerIdentity,
    rng: &mut StdRng,
) -> Result<Answered> {
    let ephemeral = KeyPair::generate(rng);
    let public = ephemeral.public_key.public_key_bytes();
    noise.authenticate(public);
    noise.mix_shared_secret(ephemeral.private_key.serialize(), client_ephemeral)?;
    noise.mix_shared_secret(ephemeral.private_key.serialize(), &client_static)?;
    // No `static`: its absence is how the client knows that IK was accepted.
    let hello = encode_hello(public.to_vec(), None, noise.encrypt(&identity.chain)?);
    let established = established(Pattern::Ik, noise, client_static, payload)?;
    Ok(Answered::Established(hello, Box::new(established)))
}

fn offer_xx(
    pattern: Pattern,
    client_ephemeral: &[u8; 32],
    identity: &ServerIdentity,
    rng: &mut StdRng,
) -> Result<(Vec<u8>, HalfOpen)> {
    let name = if pattern == Pattern::Xx { NOISE_PATTERN_XX } else { NOISE_PATTERN_XXFALLBACK };
    let mut noise = NoiseHandshake::new(name, &WA_CONN_HEADER)?;
    noise.authenticate(client_ephemeral);
    let ephemeral = KeyPair::generate(rng);
    let public = ephemeral.public_key.public_key_bytes().to_vec();
    noise.authenticate(&public);
    noise.mix_shared_secret(ephemeral.private_key.serialize(), client_ephemeral)?;
    let own_static = noise.encrypt(identity.key_pair.public_key.public_key_bytes())?;
    noise.mix_shared_secret(identity.key_pair.private_key.serialize(), client_ephemeral)?;
    let chain = noise.encrypt(&identity.chain)?;
    Ok((encode_hello(public, Some(own_static), chain), HalfOpen { pattern, noise, ephemeral }))
}

impl HalfOpen {
    /// Reads the `ClientFinish`.
    pub fn finish(mut self, finish: &[u8]) -> Result<Established> {
        let message = HandshakeMessage::decode_from_slice(finish).context("handshake message")?;
        let finish = message.client_finish.into_option().context("no ClientFinish")?;
        let client_static = self.noise.decrypt(finish.r#static.as_deref().context("no static")?)?;
        let client_static = key(Some(&client_static))?;
        self.noise.mix_shared_secret(self.ephemeral.private_key.serialize(), &client_static)?;
        let payload = self.noise.decrypt(finish.payload.as_deref().context("no payload")?)?;
        established(self.pattern, self.noise, client_static, payload)
    }
}

fn established(
    pattern: Pattern,
    noise: NoiseHandshake,
    client_static: [u8; 32],
    payload: Vec<u8>,
) -> Result<Established> {
    // The pair comes in the initiator's order: what it writes with, we read with.
    let (read, write) = noise.finish()?;
    Ok(Established { pattern, client_static, payload, read, write })
}

fn encode_hello(ephemeral: Vec<u8>, own_static: Option<Vec<u8>>, payload: Vec<u8>) -> Vec<u8> {
    let hello = ServerHello {
        ephemeral: Some(ephemeral),
        r#static: own_static,
        payload: Some(payload),
        ..Default::default()
    };
    HandshakeMessage { server_hello: MessageField::some(hello), ..Default::default() }.encode_to_vec()
}

fn key(bytes: Option<&[u8]>) -> Result<[u8; 32]> {
    let Some(bytes) = bytes else { bail!("a key is missing") };
    bytes.try_into().ok().context("a key is not 32 bytes")
}
