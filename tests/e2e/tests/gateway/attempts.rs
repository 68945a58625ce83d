//! Failed logins are limited, for an address and for a key's prefix, and nobody else pays for it.

use reqwest::Method;

use crate::harness::{
    Answer, Gateway, KeyState, Organization, Patience, any_address, eventually, send, tests,
};

tests![
    an_address_with_too_many_failed_logins_waits_and_is_heard_again,
    a_prefix_with_too_many_failed_logins_waits_from_every_address,
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
    let prefix = &owner.key[..6];
    let guess = async |n: usize| knock(&any_address(), &format!("{prefix}{n:030}")).await;
    let (tries, refused) = until_limited(guess).await;
    println!("    refused after {tries} failed logins, for {} s", pause(&refused));
    assert_eq!(refused.json()["error"]["code"], guess(999).await.json()["error"]["code"]);
    // Whose key it is goes on; so does everybody else.
    knock(&any_address(), &owner.key).await.expect(200);
    knock(&any_address(), &Organization::new().key).await.expect(200);
    // A key that was known and is switched off counts as any other.
    let disabled = owner.with_key(&[], KeyState::Disabled).key;
    knock(&any_address(), &disabled).await.expect_error(401, "unauthorized");
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
