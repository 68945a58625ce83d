//! Bytes no well-behaved client sends: always the error envelope and the right code, never a 5xx, never a hang.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Gateway, Organization, Session, nonsense, raw, send, tests, with_json};

tests![
    bodies_that_are_no_json_are_refused,
    every_field_of_the_wrong_type_is_named,
    bodies_beyond_the_limit_are_refused,
    ids_that_are_no_ids_name_nothing,
    absurd_queries_are_refused,
    paths_and_methods_nobody_offers_are_refused,
    verbs_are_spelled_with_one_colon_and_known,
    request_ids_are_echoed_or_minted,
    nonsense_on_the_wire_gets_an_answer,
    many_at_once_are_all_answered,
];

/// A hang is a failure.
const PATIENCE: Duration = Duration::from_secs(10);

/// Counts cases and judges what every refusal must be.
struct Cases {
    organization: Organization,
    session: Session,
    run: usize,
}

impl Cases {
    async fn new() -> Self {
        let organization = Organization::new();
        let session = organization.session(&json!({})).await;
        Self { organization, session, run: 0 }
    }

    async fn body(&mut self, method: &Method, path: &str, kind: Option<&str>, body: Vec<u8>) -> Answer {
        self.run += 1;
        let mut request = self.organization.request(method.clone(), path).timeout(PATIENCE).body(body);
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        send(request).await
    }

    async fn json(&mut self, method: &Method, path: &str, body: &Value) -> Answer {
        self.body(method, path, Some("application/json"), body.to_string().into_bytes()).await
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.run += 1;
        send(self.organization.request(Method::GET, path).timeout(PATIENCE)).await
    }

    /// Nothing of all that left a trace.
    async fn done(self, what: &str) {
        let list = self.organization.get("/api/v1/sessions").await.expect(200);
        let rows = list["data"].as_array().unwrap();
        assert_eq!(rows.len(), 1, "a refused request made a session");
        assert_eq!((&rows[0]["status"], &rows[0]["label"]), (&json!("stopped"), &Value::Null));
        println!("    {} cases of {what}", self.run);
    }

    /// The operations that take a body, with one that would be taken.
    fn takers(&self) -> [(Method, String, Value); 3] {
        let text = json!({"type": "text", "to": "4915112345678", "text": "hi"});
        [
            (Method::POST, "/api/v1/sessions".to_owned(), json!({})),
            (Method::PATCH, self.session.path(""), json!({})),
            (Method::POST, self.session.path("/messages"), text),
        ]
    }
}

async fn bodies_that_are_no_json_are_refused() {
    let mut cases = Cases::new().await;
    let deep = "[".repeat(100_000).into_bytes();
    let deep_object = "{\"a\":".repeat(10_000).into_bytes();
    let broken: Vec<Vec<u8>> = vec![
        b"{".to_vec(),
        b"}".to_vec(),
        b"{\"label\"".to_vec(),
        b"{\"label\":}".to_vec(),
        b"{'label':'x'}".to_vec(),
        b"{\"label\":\"x\",}".to_vec(),
        b"{label:1}".to_vec(),
        b"nul".to_vec(),
        b"NaN".to_vec(),
        b"label=x".to_vec(),
        b"<xml/>".to_vec(),
        b"{} {}".to_vec(),
        b"{}x".to_vec(),
        b"{}\0".to_vec(),
        b"\0".to_vec(),
        b"\xef\xbb\xbf{}".to_vec(),
        b"{\"label\":\"\xff\xfe\"}".to_vec(),
        b"\xc3\x28".to_vec(),
        b"{\"label\":\"\xed\xa0\x80\"}".to_vec(),
        b"{\"label\":\"\\ud800\"}".to_vec(),
        b"{\"label\":\"\\x\"}".to_vec(),
        b"{\"label\":\"a\nb\"}".to_vec(),
        b"{\"label\":1e999}".to_vec(),
        b"{\"label\":\"a\",\"label\":\"b\"}".to_vec(),
        b" ".to_vec(),
        vec![b'9'; 100_000],
        deep,
        deep_object,
    ];
    for (method, path, taken) in cases.takers() {
        for body in &broken {
            let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
            let answer = cases.body(&method, &path, Some("application/json"), body.clone()).await;
            assert_eq!(answer.status, 400, "{method} {path} {shown}: {}", answer.text());
            let error = answer.expect_error(400, "validation_error");
            assert!(error["details"]["field"].is_string(), "{shown}: {error}");
        }
        for kind in [
            None,
            Some("text/plain"),
            Some("application/xml"),
            Some("application/x-www-form-urlencoded"),
            Some("multipart/form-data; boundary=x"),
            Some("application/jsonx"),
            Some("json"),
            Some(""),
            Some(";"),
        ] {
            let answer = cases.body(&method, &path, kind, taken.to_string().into_bytes()).await;
            answer.expect_invalid("Content-Type");
        }
        for value in [json!(null), json!([]), json!("x"), json!(1), json!(true), json!([{}])] {
            cases.json(&method, &path, &value).await.expect_error(400, "validation_error");
        }
    }
    // A body that must be there.
    for (method, path, _) in cases.takers().into_iter().skip(1) {
        let answer = cases.body(&method, &path, Some("application/json"), vec![]).await;
        answer.expect_error(400, "validation_error");
    }
    cases.done("bodies that are no JSON").await;
}

/// serde looks for an object's fields in a list, too, and names the first of them.
fn refused_for(field: &str, answer: &Answer) {
    let error = answer.expect_error(400, "validation_error");
    let named = error["details"]["field"].as_str().unwrap();
    assert!(named == field || named.strip_prefix(field) == Some("[0]"), "{}: {error}", answer.call);
}

async fn every_field_of_the_wrong_type_is_named() {
    let mut cases = Cases::new().await;
    let [(_, create, _), (_, update, _), (_, send, _)] = cases.takers();
    let wrong = |taken: &str| {
        let all = [
            json!("x"),
            json!(1),
            json!(-1),
            json!(1.5),
            json!(true),
            json!([]),
            json!({}),
            json!([1]),
            json!("\u{0}"),
        ];
        let fits = taken.to_owned();
        all.into_iter().filter(move |value| match fits.as_str() {
            "string" => !value.is_string(),
            "number" => !value.is_number(),
            "boolean" => !value.is_boolean(),
            "array" => !value.is_array(),
            _ => !value.is_object(),
        })
    };
    for (field, kind) in [
        ("label", "string"),
        ("start", "boolean"),
        ("autoRead", "boolean"),
        ("presenceTyping", "boolean"),
        ("ratePerMin", "number"),
        ("ratePerHour", "number"),
        ("region", "string"),
    ] {
        for value in wrong(kind) {
            cases.json(&Method::POST, &create, &json!({ field: value })).await.expect_invalid(field);
            cases.json(&Method::PATCH, &update, &json!({ field: value })).await.expect_invalid(field);
        }
    }
    for number in
        [json!(-1), json!(1.5), json!(1e300), json!(u64::MAX), json!(4_294_967_296_u64), json!(1001.0)]
    {
        cases
            .json(&Method::POST, &create, &json!({ "ratePerMin": number }))
            .await
            .expect_invalid("ratePerMin");
        cases
            .json(&Method::PATCH, &update, &json!({ "ratePerHour": number }))
            .await
            .expect_error(400, "validation_error");
    }
    let text = json!({"type": "text", "to": "4915112345678", "text": "hi"});
    for (field, kind) in [
        ("to", "string"),
        ("type", "string"),
        ("text", "string"),
        ("replyTo", "string"),
        ("mentions", "array"),
        ("options", "array"),
        ("selectableCount", "number"),
        ("latitude", "number"),
        ("contact", "object"),
        ("media", "object"),
        ("pollHideVotes", "boolean"),
    ] {
        for value in wrong(kind) {
            let mut body = text.clone();
            body[field] = value;
            refused_for(field, &cases.json(&Method::POST, &send, &body).await);
        }
    }
    for (field, value) in [
        ("to", json!("")),
        ("to", json!("123")),
        ("to", json!("+")),
        ("to", json!("4915112345678@evil.example")),
        ("to", json!("4915112345678@s.whatsapp.net@lid")),
        ("to", json!("491511234567８")),
        ("to", json!("4915112345678\u{0}")),
        ("to", json!("a".repeat(10_000))),
        ("to", json!("../../etc/passwd")),
        ("type", json!("TEXT")),
        ("type", json!("carrier_pigeon")),
        ("text", json!("")),
        ("text", json!(" \n\t ")),
        ("text", json!("x".repeat(65_537))),
        ("caption", json!("x")),
        ("unknown", json!(1)),
        ("__proto__", json!({})),
    ] {
        let mut body = text.clone();
        body[field] = value;
        cases.json(&Method::POST, &send, &body).await.expect_invalid(field);
    }
    for field in ["to", "type", "text"] {
        let mut body = text.clone();
        body.as_object_mut().unwrap().remove(field);
        cases.json(&Method::POST, &send, &body).await.expect_error(400, "validation_error");
    }
    cases.done("fields of the wrong type or value").await;
}

async fn bodies_beyond_the_limit_are_refused() {
    let mut cases = Cases::new().await;
    let limit = 1024 * 1024;
    for (method, path, _) in cases.takers() {
        for size in [limit + 1, 2 * limit] {
            let body = format!("{{\"label\":\"{}\"}}", "x".repeat(size - 12));
            assert_eq!(body.len(), size);
            let answer = cases.body(&method, &path, Some("application/json"), body.into_bytes()).await;
            answer.expect_error(400, "validation_error");
        }
        // At the limit it is read, and refused for what it says.
        let body = format!("{{\"label\":\"{}\"}}", "x".repeat(limit - 12));
        cases.body(&method, &path, Some("application/json"), body.into_bytes()).await.expect_invalid("label");
    }
    cases.done("bodies around 1 MiB and 2 MiB").await;
}

async fn ids_that_are_no_ids_name_nothing() {
    let mut cases = Cases::new().await;
    let long = "0".repeat(5_000);
    let ids = [
        "x",
        "0",
        "-1",
        "null",
        "undefined",
        "01ARZ3NDEKTSV4RRFFQ69G5FA",
        "01ARZ3NDEKTSV4RRFFQ69G5FAVX",
        "81ARZ3NDEKTSV4RRFFQ69G5FAV",
        "ZZZZZZZZZZZZZZZZZZZZZZZZZZ",
        "01ARZ3NDEKTSV4RRFFQ69G5FAI",
        "%00",
        "%0a",
        "%ff",
        "%C0%AF",
        "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "..%2f..%2f",
        "%F0%9F%92%A5",
        "'%20OR%201=1--",
        "*",
        "{session}",
        "%7Bsession%7D",
        "%25",
        "%2525",
        "a%2Fb",
        "%3A",
        ";",
        "%3Cscript%3E",
        &long,
    ];
    for id in ids {
        for rest in ["", "/me", "/qr", "/events"] {
            let answer = cases.get(&format!("/api/v1/sessions/{id}{rest}")).await;
            answer.expect_error(404, "not_found");
        }
        for (method, rest) in [(Method::POST, ":start"), (Method::POST, ":logout"), (Method::DELETE, "")] {
            let path = format!("/api/v1/sessions/{id}{rest}");
            cases.body(&method, &path, None, vec![]).await.expect_error(404, "not_found");
        }
    }
    cases.done("ids that are no ids").await;
}

async fn absurd_queries_are_refused() {
    let mut cases = Cases::new().await;
    let list = "/api/v1/sessions".to_owned();
    let events = cases.session.path("/events");
    let long = "9".repeat(6_000);
    let numbers = [
        "",
        "-1",
        "+1",
        "0x10",
        "1e1",
        "1.0",
        "%31%00",
        "NaN",
        "Infinity",
        "null",
        "１",
        "18446744073709551616",
        &long,
    ];
    for number in numbers {
        cases.get(&format!("{list}?limit={number}")).await.expect_invalid("limit");
        cases.get(&format!("{events}?limit={number}")).await.expect_invalid("limit");
        cases.get(&format!("{events}?wait={number}")).await.expect_invalid("wait");
        cases.get(&format!("{events}?after={number}")).await.expect_invalid("after");
    }
    for cursor in
        ["", "x", "%00", "%FF%FE", "💥", "YWZ0ZXI6", "YWZ0ZXI6Jw", "e30", "../..", &"A".repeat(6_000)]
    {
        cases.get(&format!("{list}?cursor={cursor}")).await.expect_invalid("cursor");
    }
    for kind in ["x", "message,x", "%00", "message%00", &"message,".repeat(700)] {
        let answer = cases.get(&format!("{events}?types={kind}")).await;
        if answer.status != 200 {
            answer.expect_invalid("types");
        }
    }
    // What nobody knows is nobody's business, and a query that is no query is none.
    for query in ["?", "?&&&", "?=", "?=x", "?%", "?%zz", "?limit", "?a=b&a=c", "?💥", "?limit[]=1", "?#"] {
        let answer = cases.get(&format!("{list}{query}")).await;
        if answer.status != 200 {
            answer.expect_error(400, "validation_error");
        }
    }
    let async_send = cases.session.path("/messages?async=maybe");
    let text = json!({"type": "text", "to": "4915112345678", "text": "hi"});
    cases.json(&Method::POST, &async_send, &text).await.expect_invalid("async");
    cases.done("absurd queries").await;
}

async fn paths_and_methods_nobody_offers_are_refused() {
    let mut cases = Cases::new().await;
    let one = cases.session.path("");
    let long = format!("/api/v1/{}", "x".repeat(7_000));
    for path in [
        "/",
        "/api",
        "/api/",
        "/api/v1",
        "/api/v1/",
        "/api/v2/sessions",
        "/API/v1/sessions",
        "/api/v1/Sessions",
        "/api/v1/sessions/",
        "/api//v1/sessions",
        "/api/v1//sessions",
        "/favicon.ico",
        "/.env",
        "/wp-login.php",
        "/cdn-cgi/x",
        "/healthz/",
        "/%61pi/v1/session",
        "/api/v1/sessions/x/y/z",
        "/simulator",
        "/simulator/sessions",
        &long,
        &format!("{one}/"),
        &format!("{one}/nothing"),
        &format!("{one}/qr/"),
        &format!("{one}/qr/x"),
        &format!("{one}/messages/"),
    ] {
        cases.get(path).await.expect_error(404, "not_found");
    }
    for (path, offered) in [
        ("/healthz".to_owned(), vec!["GET"]),
        ("/readyz".to_owned(), vec!["GET"]),
        ("/api/v1/openapi.json".to_owned(), vec!["GET"]),
        ("/api/v1/sessions".to_owned(), vec!["GET", "POST"]),
        (one.clone(), vec!["GET", "PATCH", "DELETE"]),
        (format!("{one}/qr"), vec!["GET"]),
        (format!("{one}/me"), vec!["GET"]),
        (format!("{one}/events"), vec!["GET"]),
        (format!("{one}/messages"), vec!["POST"]),
        (format!("{one}:start"), vec!["POST"]),
        (format!("{one}:stop"), vec!["POST"]),
        (format!("{one}:restart"), vec!["POST"]),
        (format!("{one}:logout"), vec!["POST"]),
    ] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"] {
            if offered.contains(&method) {
                continue;
            }
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            cases.run += 1;
            let request = cases.organization.request(method.clone(), &path).timeout(PATIENCE);
            let answer = send(request).await;
            let known = [404, 405].contains(&answer.status);
            assert!(known, "{method} {path}: {} {}", answer.status, answer.text());
            let code = if answer.status == 404 { "not_found" } else { "validation_error" };
            answer.expect_error(answer.status, code);
        }
        // HEAD has no body to hold an envelope; it is GET otherwise, and GET of a code starts pairing.
        if path.ends_with("/qr") {
            continue;
        }
        cases.run += 1;
        let head = send(cases.organization.request(Method::HEAD, &path).timeout(PATIENCE)).await;
        assert!(head.status < 500, "HEAD {path}: {}", head.status);
    }
    cases.done("paths and methods nobody offers").await;
}

async fn verbs_are_spelled_with_one_colon_and_known() {
    let mut cases = Cases::new().await;
    let id = cases.session.id.clone();
    for path in [
        format!("{id}:fly"),
        format!("{id}:"),
        format!("{id}::start"),
        format!("{id}:start:"),
        format!("{id}:start:stop"),
        format!("{id}:START"),
        format!("{id}:Start"),
        format!("{id}: start"),
        format!("{id}:start%20"),
        format!("{id}:start/"),
        format!("{id}:start/x"),
        format!("{id}/!start"),
        format!("{id}/%21start"),
        format!("{id}/!stop"),
        format!("{id}!start"),
        format!("{id}/:start"),
        format!("{id}/start"),
        format!("{id}%3Astart%00"),
        ":start".to_owned(),
        "!start".to_owned(),
        format!("{id}:qr"),
        format!("{id}/qr:start"),
        format!("{id}:start;x=1"),
        format!("{id}:%73tart"),
        format!("{id}:st%61rt"),
        format!("{id}:start-"),
        format!("{id}:-"),
        format!("{id}:{}", "a".repeat(3_000)),
    ] {
        let path = format!("/api/v1/sessions/{path}");
        let answer = cases.body(&Method::POST, &path, None, vec![]).await;
        assert!([404, 405].contains(&answer.status), "{path}: {} {}", answer.status, answer.text());
    }
    cases.done("verbs that are none").await;
}

async fn request_ids_are_echoed_or_minted() {
    let gateway = Gateway::shared();
    let organization = Organization::new();
    let longest = "x".repeat(128);
    let mut run = 0;
    for path in
        ["/healthz", "/api/v1/sessions", "/api/v1/sessions/x", "/nowhere", "/api/v1/sessions/x/!start"]
    {
        for id in ["a", "req-1_Z~!", "{\"a\":1}", "<b>", &longest] {
            let request = organization.request(Method::GET, path).header("x-request-id", id);
            assert_eq!(send(request).await.header("x-request-id"), Some(id), "{path}");
            run += 1;
        }
        let mut minted = Vec::new();
        for id in ["", "a b", "tab\there", &"x".repeat(129), &"x".repeat(4_000)] {
            let request = organization.request(Method::GET, path).header("x-request-id", id);
            let answer = send(request).await;
            let given = answer.header("x-request-id").unwrap_or_else(|| panic!("{path}: none")).to_owned();
            assert!(given != id && given.len() == 26, "{path}: {id:.20} became {given}");
            minted.push(given);
            run += 1;
        }
        minted.push(gateway.get(path).await.header("x-request-id").unwrap().to_owned());
        minted.sort();
        minted.dedup();
        assert_eq!(minted.len(), 6, "{path}: an id twice");
    }
    // Bytes beyond ASCII are no id either.
    let line = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: caf\xc3\xa9\r\n\r\n";
    let answer = raw(&gateway, line).await;
    assert_eq!(answer.header("x-request-id").map(str::len), Some(26), "{}", answer.head);
    println!("    {} request ids", run + 1);
}

async fn nonsense_on_the_wire_gets_an_answer() {
    let gateway = Gateway::shared();
    let organization = Organization::new();
    let key = &organization.key;
    let call = |line: &str, more: &str| {
        format!(
            "{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n{more}\r\n"
        )
    };
    let padding = "x".repeat(60);
    let many: Vec<String> = (0..90).map(|number| format!("X-Header-{number}: {padding}\r\n")).collect();
    let many = many.concat();
    let ours = [
        call("GET /api/v1/sessions/../../../etc/passwd", ""),
        call("GET /api/v1/sessions/%", ""),
        call("GET /api/v1/sessions/%zz", ""),
        call("GET /api/v1/sessions/%u0041", ""),
        call("GET /api/v1/./sessions/x", ""),
        call("GET //api/v1/sessions", ""),
        call("GET http://elsewhere.example/api/v1/nowhere", ""),
        call("GET /nowhere", &format!("Accept: {}\r\n", "x,".repeat(2_000))),
        call("GET /nowhere", &format!("Cookie: {}\r\n", "x".repeat(6_000))),
        call("GET /nowhere", &many),
        call("GET /nowhere", "X-Empty:\r\nX-Forwarded-For: ::1\r\nForwarded: for=1\r\n"),
        call("POST /nowhere", "Content-Length: 0\r\n"),
        call("POST /nowhere", "Transfer-Encoding: chunked\r\n\r\n0\r\n"),
    ];
    for request in &ours {
        let answer = raw(&gateway, request.as_bytes()).await;
        let shown = &request[..request.len().min(60)];
        assert!((400..500).contains(&answer.status), "{shown}: {} {}", answer.status, answer.body);
        let body: Value = serde_json::from_str(&answer.body)
            .unwrap_or_else(|error| panic!("{shown}: {error}: {} {:?}", answer.head, answer.body));
        assert!(body["error"]["code"].is_string(), "{shown}: {body}");
        assert!(answer.header("x-request-id").is_some(), "{shown}: {}", answer.head);
    }
    // What is no HTTP is the runtime's to refuse; ours to survive.
    for request in [
        &b"GET / HTTP/9.9\r\n\r\n"[..],
        b"\r\n\r\n\r\n",
        b"FLY ME TO THE MOON\r\n\r\n",
        b"FLY /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /a|b^c`d\\\"<>\xc3\xa9\xff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ] {
        nonsense(&gateway, request).await;
        gateway.get("/healthz").await.expect(200);
    }
    println!("    {} requests by hand", ours.len() + 8);
}

async fn many_at_once_are_all_answered() {
    let organization = Organization::new();
    let session = organization.session(&json!({})).await;
    let calls = (0..200).map(async |number: usize| {
        let answer = match number % 5 {
            0 => session.get("").await,
            1 => organization.get("/api/v1/sessions?limit=x").await,
            2 => session.text("nobody", "x").await,
            3 => send(with_json(organization.request(Method::PATCH, &session.path("")), &json!([]))).await,
            _ => session.get("/nothing").await,
        };
        let expected = [200, 400, 400, 400, 404][number % 5];
        assert_eq!(answer.status, expected, "{}: {}", answer.call, answer.text());
    });
    futures::future::join_all(calls).await;
}
