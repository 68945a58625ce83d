//! What browsers are told: whose pages may read answers, and that answers are data, not pages.

use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::harness::{Answer, Gateway, Organization, send, tests, with_json};

tests![
    pages_of_a_configured_origin_may_read_answers,
    pages_of_other_origins_may_not,
    a_preflight_is_answered_for_configured_origins_only,
    every_answer_says_that_it_is_no_page,
    a_stream_says_so_too,
];

/// The one in `CORS_ORIGINS`: tooling/test-sections.ts.
const CONFIGURED: &str = "https://app.example.com";
/// What is not the configured origin, however much it looks like it.
const OTHERS: [&str; 15] = [
    "https://elsewhere.example",
    "null",
    "*",
    "",
    "https://app.example.com.evil.example",
    "https://evil-app.example.com",
    "https://sub.app.example.com",
    "https://app.example.co",
    "https://app.example.com:8443",
    "https://app.example.com:443",
    "http://app.example.com",
    "https://app.example.com/",
    "https://APP.example.com",
    "https://app.example.com,https://elsewhere.example",
    "https://app.example.com https://elsewhere.example",
];
const LIST: &str = "/api/v1/sessions";

fn from(request: RequestBuilder, origin: &str) -> RequestBuilder {
    request.header("origin", origin)
}

async fn preflight(origin: &str, path: &str) -> Answer {
    let request = from(Gateway::shared().request(Method::OPTIONS, path), origin);
    let request = request.header("access-control-request-method", "POST");
    send(request.header("access-control-request-headers", "authorization, content-type")).await
}

/// What a browser is told about reading from other pages.
fn cors(answer: &Answer) -> Vec<&str> {
    answer.headers.keys().map(HeaderName::as_str).filter(|name| name.starts_with("access-control-")).collect()
}

/// The headers every answer carries, each once.
fn assert_secured(what: &str, headers: &HeaderMap) {
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ("strict-transport-security", "max-age=31536000"),
    ] {
        let values: Vec<_> = headers.get_all(name).iter().collect();
        assert_eq!(values, [value], "{what}: {name}");
    }
    let kept: Vec<&str> =
        headers.get_all("cache-control").iter().map(|value| value.to_str().unwrap()).collect();
    assert!(kept.len() == 1 && (kept == ["no-store"] || kept == ["no-cache"]), "{what}: {kept:?}");
    let varies = headers.get_all("vary").iter().any(|value| {
        value.to_str().unwrap().split(',').any(|name| name.trim().eq_ignore_ascii_case("origin"))
    });
    assert!(varies, "{what}: {headers:?}");
}

async fn pages_of_a_configured_origin_may_read_answers() {
    let organization = Organization::new();
    let gateway = Gateway::shared();
    for (request, status) in [
        (organization.request(Method::GET, LIST), 200),
        (gateway.request(Method::GET, LIST), 401),
        (organization.request(Method::GET, "/api/v1/nothing"), 404),
        (organization.request(Method::GET, "/api/v1/sessions?limit=x"), 400),
        (gateway.request(Method::GET, "/healthz"), 200),
    ] {
        let answer = send(from(request, CONFIGURED)).await;
        answer.expect(status);
        assert_eq!(answer.header("access-control-allow-origin"), Some(CONFIGURED), "{}", answer.call);
        assert_eq!(
            answer.header("access-control-expose-headers"),
            Some("x-request-id, retry-after, ratelimit, ratelimit-policy, idempotency-replayed")
        );
        // Credentials are headers a page sets itself, never cookies of the browser's.
        assert_eq!(answer.header("access-control-allow-credentials"), None);
    }
}

async fn pages_of_other_origins_may_not() {
    let organization = Organization::new();
    for origin in OTHERS {
        let answer = send(from(organization.request(Method::GET, LIST), origin)).await;
        answer.expect(200);
        assert_eq!(cors(&answer), [""; 0], "{origin:?}");
        assert_secured(origin, &answer.headers);
    }
    let answer = organization.get(LIST).await;
    assert_eq!(cors(&answer), [""; 0], "without an origin");
    let both = from(from(organization.request(Method::GET, LIST), "https://elsewhere.example"), CONFIGURED);
    let answer = send(both).await;
    assert_eq!(cors(&answer), [""; 0], "two origins: {}", answer.text());
}

async fn a_preflight_is_answered_for_configured_origins_only() {
    for path in [LIST, "/api/v1/sessions/01ARZ3NDEKTSV4RRFFQ69G5FAV:start", "/api/v1/nothing"] {
        let answer = preflight(CONFIGURED, path).await;
        answer.expect(204);
        assert_eq!(answer.header("access-control-allow-origin"), Some(CONFIGURED));
        let allowed =
            |name: &str| answer.header(name).unwrap().split(", ").map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(allowed("access-control-allow-methods"), ["GET", "POST", "PUT", "PATCH", "DELETE"]);
        for header in ["authorization", "x-api-key", "content-type", "last-event-id", "idempotency-key"] {
            assert!(allowed("access-control-allow-headers").contains(&header.to_owned()), "{header}");
        }
        assert_secured("a preflight", &answer.headers);
    }
    for origin in OTHERS {
        let answer = preflight(origin, LIST).await;
        answer.expect_error(405, "validation_error");
        assert_eq!(cors(&answer), [""; 0], "{origin:?}");
        assert_secured(origin, &answer.headers);
    }
    // OPTIONS is no preflight without the method that is to follow.
    let answer = send(from(Gateway::shared().request(Method::OPTIONS, LIST), CONFIGURED)).await;
    answer.expect_error(405, "validation_error");
}

async fn every_answer_says_that_it_is_no_page() {
    let organization = Organization::new();
    let gateway = Gateway::shared();
    let body = json!({"no such field": 1});
    for (what, request, status) in [
        ("a list", organization.request(Method::GET, LIST), 200),
        ("a new thing", with_json(organization.request(Method::POST, LIST), &json!({})), 201),
        ("nobody", gateway.request(Method::GET, LIST), 401),
        ("a super_admin's", organization.request(Method::GET, "/api/v1/admin/sessions"), 403),
        ("nothing", organization.request(Method::GET, "/api/v1/sessions/x"), 404),
        ("no path", gateway.request(Method::GET, "/nowhere"), 404),
        ("a verb spelled our way", gateway.request(Method::POST, "/api/v1/sessions/x/!start"), 404),
        ("no method", gateway.request(Method::DELETE, LIST), 405),
        ("a bad body", with_json(organization.request(Method::POST, LIST), &body), 400),
        ("the document", gateway.request(Method::GET, "/api/v1/openapi.json"), 200),
        ("health", gateway.request(Method::GET, "/healthz"), 200),
        ("health without a body", gateway.request(Method::HEAD, "/healthz"), 200),
    ] {
        let answer = send(request).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        assert_secured(what, &answer.headers);
    }
}

async fn a_stream_says_so_too() {
    let organization = Organization::new();
    let session = organization.session(&json!({"start": true})).await;
    let request = organization.request(Method::GET, &session.path("/events"));
    let stream = from(request.header("accept", "text/event-stream"), CONFIGURED).send().await.unwrap();
    assert_eq!(stream.status(), 200);
    assert!(stream.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"));
    assert_eq!(stream.headers()["access-control-allow-origin"], CONFIGURED);
    assert_secured("a stream", stream.headers());
}
