//! Failed logins are limited, for an address and for a key's prefix, and nobody else pays for it.

use reqwest::Method;
use serde_json::json;

use crate::harness::{
    Answer, Gateway, KeyState, Organization, Patience, any_address, eventually, send, tests,
};

tests![
    an_address_with_too_many_failed_logins_waits_and_is_heard_again,
    a_prefix_with_too_many_failed_logins_waits_from_every_address,
    a_key_of_our_shape_is_looked_up_whatever_strangers_guess,
    a_key_with_a_typo_in_it_says_nothing_of_its_prefix,
    no_credentials_are_no_failed_login,
];

/// More than the limits in wrangler.toml, also when a window of the counter ends in between.
const TOO_MANY: usize = 130;

/// Knocks with a key from an address.
async fn knock(address: &str, key: &str) -> Answer {
    let request = Gateway::shared().request_from(address, Method::GET, "/api/v1/sessions");
    send(request.header("x-api-key", key)).await
}

/// The first answer that is no 401, and how many came before.
async fn until_limited(mut knock: impl AsyncFnMut(usize) -> Answer) -> (usize, Answer) {
    for tries in 0..TOO_MANY {
        let answer = knock(tries).await;
        if answer.status != 401 {
            return (tries, answer);
        }
    }
    panic!("{TOO_MANY} failed logins are not too many");
}

/// The seconds a refused caller is told to wait.
fn pause(answer: &Answer) -> u64 {
    let error = answer.expect_error(429, "rate_limited");
    let seconds = error["details"]["retryAfterSeconds"].as_u64().unwrap();
    assert_eq!(answer.header("retry-after"), Some(seconds.to_string().as_str()));
    assert!((1..=60).contains(&seconds), "{seconds}");
    seconds
}

async fn an_address_with_too_many_failed_logins_waits_and_is_heard_again() {
    let (known, new) = (Organization::new(), Organization::new());
    let address = any_address();
    knock(&address, &known.key).await.expect(200);
    // Each with another prefix, as a guesser has.
    let (tries, refused) = until_limited(async |n| knock(&address, &format!("{n:06}guess")).await).await;
    let seconds = pause(&refused);
    println!("    refused after {tries} failed logins, for {seconds} s");
    // Not even a look: a key that opens the door is refused as one that doesn't …
    pause(&knock(&address, &new.key).await);
    pause(&knock(&address, "never minted").await);
    // … but neither neighbours who were let in before, nor callers from elsewhere, nor what is public.
    knock(&address, &known.key).await.expect(200);
    knock(&any_address(), &new.key).await.expect(200);
    send(Gateway::shared().request_from(&address, Method::GET, "/readyz")).await.expect(200);
    // Then it is heard again, with a key that isn't known here.
    let patience = Patience::seconds(seconds + 10);
    let late = Organization::new();
    eventually("the address to be heard again", patience, async || {
        let answer = knock(&address, &late.key).await;
        if answer.status == 200 { Ok(()) } else { Err(format!("{} {}", answer.status, answer.text())) }
    })
    .await;
}

async fn a_prefix_with_too_many_failed_logins_waits_from_every_address() {
    let owner = Organization::new();
    knock(&any_address(), &owner.key).await.expect(200);
    let prefix = &owner.key[..12];
    let guess = async |n: usize| knock(&any_address(), &format!("{prefix}{n:030}")).await;
    let (tries, refused) = until_limited(guess).await;
    println!("    refused after {tries} failed logins, for {} s", pause(&refused));
    assert_eq!(refused.json()["error"]["code"], guess(999).await.json()["error"]["code"]);
    // Whose key it is goes on; so does everybody else, also with the same beginning as far as a key shows it.
    knock(&any_address(), &owner.key).await.expect(200);
    knock(&any_address(), &format!("{}another", &owner.key[..11])).await.expect_error(401, "unauthorized");
    knock(&any_address(), &Organization::new().key).await.expect(200);
    // A key that was known and is switched off counts as any other.
    let disabled = owner.with_key(&[], KeyState::Disabled).key;
    knock(&any_address(), &disabled).await.expect_error(401, "unauthorized");
}

/// A new key of an organization, in our own shape.
async fn our_shape(organization: &Organization) -> String {
    let body = json!({"name": "ours", "permissions": ["manage"]});
    let made = organization.post_json("/api/v1/api-keys", &body).await.expect(201);
    made["key"].as_str().unwrap().to_owned()
}

/// A key of our shape that nobody minted, with a right checksum (CRC-32 in base62); `wa_` and three letters begin it.
fn guessed(beginning: &str, n: usize) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let body = format!("{beginning}{n:029}");
    let step = |sum: u32, _| (sum >> 1) ^ (0xEDB8_8320 * (sum & 1));
    let mut sum = !body.bytes().fold(u32::MAX, |sum, byte| (0..8).fold(sum ^ u32::from(byte), step));
    let mut letters = [0; 6];
    for letter in letters.iter_mut().rev() {
        *letter = ALPHABET[(sum % 62) as usize];
        sum /= 62;
    }
    format!("{body}_{}", std::str::from_utf8(&letters).unwrap())
}

async fn a_key_of_our_shape_is_looked_up_whatever_strangers_guess() {
    let organization = Organization::new();
    let key = our_shape(&organization).await;
    let guess = async |n: usize| knock(&any_address(), &guessed(&key[..6], n)).await;
    pause(&until_limited(guess).await.1);
    pause(&guess(999).await);
    // This isolate has never seen it: only a look tells it from a guess.
    knock(&any_address(), &key).await.expect(200);
    pause(&guess(1_000).await);
}

async fn a_key_with_a_typo_in_it_says_nothing_of_its_prefix() {
    let organization = Organization::new();
    let key = our_shape(&organization).await;
    let typo = |n: usize| format!("{}{n:029}{}", &key[..6], &key[35..]);
    for n in 0..TOO_MANY {
        knock(&any_address(), &typo(n)).await.expect_error(401, "unauthorized");
    }
    // Of the address it does.
    let address = any_address();
    pause(&until_limited(async |n| knock(&address, &typo(n)).await).await.1);
    pause(&knock(&address, &our_shape(&organization).await).await);
}

async fn no_credentials_are_no_failed_login() {
    let address = any_address();
    let gateway = Gateway::shared();
    for _ in 0..TOO_MANY {
        let answer = send(gateway.request_from(&address, Method::GET, "/api/v1/sessions")).await;
        answer.expect_error(401, "unauthorized");
    }
    knock(&address, &Organization::new().key).await.expect(200);
}
