//! Signatures, verified by the runtime's WebCrypto: native code, nothing added to the wasm.

use gateway_domain::jwt::{Algorithm, Key, Token};
use js_sys::{Array, JSON, Object, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch, js_namespace = ["crypto", "subtle"], js_name = importKey)]
    async fn import_key(
        format: &str,
        key: &JsValue,
        algorithm: &JsValue,
        extractable: bool,
        usages: &JsValue,
    ) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_namespace = ["crypto", "subtle"], js_name = verify)]
    async fn verify_with(
        algorithm: &JsValue,
        key: &JsValue,
        signature: &Uint8Array,
        signed: &Uint8Array,
    ) -> Result<JsValue, JsValue>;
}

/// Whether the key signed the token. The algorithm is the key's; a token that claims another was refused before.
pub async fn is_genuine(key: &Key, token: &Token) -> bool {
    verified(key, token).await.unwrap_or(false)
}

async fn verified(key: &Key, token: &Token) -> Result<bool, JsValue> {
    let members: &[(&str, &str)] = match key.algorithm {
        Algorithm::EdDsa => &[("name", "Ed25519")],
        Algorithm::Es256 => &[("name", "ECDSA"), ("namedCurve", "P-256"), ("hash", "SHA-256")],
        Algorithm::Rs256 => &[("name", "RSASSA-PKCS1-v1_5"), ("hash", "SHA-256")],
    };
    let algorithm = Object::new();
    for (name, value) in members {
        Reflect::set(&algorithm, &JsValue::from_str(name), &JsValue::from_str(value))?;
    }
    let jwk = JSON::parse(&key.jwk.to_string())?;
    let usages = Array::of1(&JsValue::from_str("verify"));
    let imported = import_key("jwk", &jwk, &algorithm, false, &usages).await?;
    let signature = Uint8Array::from(token.signature.as_slice());
    let signed = Uint8Array::from(token.signed.as_slice());
    Ok(verify_with(&algorithm, &imported, &signature, &signed).await? == JsValue::TRUE)
}
