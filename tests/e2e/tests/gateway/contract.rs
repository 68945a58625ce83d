//! The API against the contract: what is documented, and what live answers look like.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::{Gateway, Organization, Schemas, Session, tests};

tests![
    the_document_is_openapi_and_complete_in_itself,
    documented_operations_are_the_contracts,
    live_answers_fit_the_contracts_schemas,
];

async fn document() -> Value {
    Gateway::shared().get("/api/v1/openapi.json").await.expect(200)
}

/// By operation id: method, path, success status, and the whole.
fn documented(document: &Value) -> BTreeMap<String, (String, String, Vec<u16>, Value)> {
    let mut found = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path}: no id"));
            let answers = operation["responses"].as_object().unwrap().keys();
            let mut success: Vec<u16> =
                answers.filter_map(|status| status.parse().ok()).filter(|status| *status < 300).collect();
            // Logs answer an upgrade too, a send may be asynchronous; what counts is what else they answer.
            if success.len() > 1 {
                success.retain(|status| ![101, 202].contains(status));
            }
            let entry = (method.to_uppercase(), path.clone(), success, operation.clone());
            assert!(found.insert(id.to_owned(), entry).is_none(), "{id} twice");
        }
    }
    found
}

async fn the_document_is_openapi_and_complete_in_itself() {
    let document = document().await;
    let version = document["openapi"].as_str().unwrap();
    assert!(version.starts_with("3.1."), "{version}");
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    let text = document.to_string();
    assert!(!text.contains("/!"), "the router's inner spelling shows");
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer} leads nowhere");
    }
    let schemes = &document["components"]["securitySchemes"];
    for (id, (method, path, success, operation)) in documented(&document) {
        assert_eq!(success.len(), 1, "{id}: {success:?}");
        assert!(operation["summary"].is_string() || operation["description"].is_string(), "{id}");
        assert!(operation["tags"][0].is_string(), "{id}");
        let placeholders = path.matches('{').count();
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path").count();
        assert_eq!(in_path, placeholders, "{id}: {method} {path}");
        let capability = operation["x-capability"].as_str().unwrap();
        let ways = operation["security"].as_array().unwrap_or_else(|| panic!("{id}: no security"));
        let expected = match capability {
            "public" => 0,
            "super_admin" | "metrics_token" | "ticket" => 1,
            _ => 3,
        };
        assert_eq!(ways.len(), expected, "{id}");
        for (scheme, roles) in ways.iter().flat_map(|way| way.as_object().unwrap()) {
            assert!(schemes[scheme].is_object(), "{id}: {scheme}");
            assert_eq!(*roles, json!([capability]), "{id}: {scheme}");
        }
    }
}

async fn documented_operations_are_the_contracts() {
    let Some(folder) = Schemas::folder() else {
        println!("    operations.json is not beside the repository: nothing to compare with");
        return;
    };
    let contract = std::fs::read_to_string(folder.join("operations.json")).unwrap();
    let contract: Value = serde_json::from_str(&contract).unwrap();
    let mut documented = documented(&document().await);
    let (mut there, mut missing, mut wrong) = (0, Vec::new(), Vec::new());
    for operation in contract["operations"].as_array().unwrap() {
        let id = operation["id"].as_str().unwrap().to_owned();
        let Some((method, path, success, written)) = documented.remove(&id) else {
            missing.push(id);
            continue;
        };
        there += 1;
        let success: Vec<Value> = success.iter().map(|status| json!(status)).collect();
        let capability = &written["x-capability"];
        let found = json!([method, path, success, written["tags"][0], capability]);
        let wanted = json!([
            operation["method"],
            operation["path"],
            [operation["success"]],
            operation["tag"],
            operation["capability"]
        ]);
        if found != wanted {
            wrong.push(format!("{id}: {found}, the contract has {wanted}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let unknown: Vec<&String> = documented.keys().collect();
    assert!(unknown.is_empty(), "not in the contract: {unknown:?}");
    println!(
        "    {there} operations of the contract are there, {} are missing: {}",
        missing.len(),
        missing.join(", ")
    );
}

async fn live_answers_fit_the_contracts_schemas() {
    let Some(schemas) = Schemas::read() else {
        println!("    schemas.json is not beside the repository: nothing to compare with");
        return;
    };
    let mut faults: Vec<String> = Vec::new();
    let mut checked = 0;
    let mut check = |schema: &str, value: &Value| {
        checked += 1;
        faults.extend(schemas.faults(schema, value));
    };
    let organization = Organization::new();
    let fresh = organization.post_json("/api/v1/sessions", &json!({"label": "x"})).await.expect(201);
    check("WASession", &fresh);
    let waiting = organization.session(&json!({"start": true})).await;
    waiting.code().await;
    check("QR", &waiting.get("/qr").await.expect(200));
    check("WASession", &waiting.row().await);
    let (session, phone) = Session::working_in(&organization).await;
    check("WASession", &session.row().await);
    check("ListWASession", &organization.get("/api/v1/sessions").await.expect(200));
    check("ListWASession", &organization.get("/api/v1/sessions?limit=1").await.expect(200));
    check("Me", &session.get("/me").await.expect(200));
    let other = phone.simulator.phone().await;
    let sent = session.text(&other.number, "hi").await.expect(200);
    check("SendResult", &sent);
    let body = json!({"type": "text", "to": other.number, "text": "when you have time"});
    let queued = organization.post_json(&session.path("/messages?async=true"), &body).await.expect(202);
    check("SendResult", &queued);
    let entry = queued["outboxId"].as_str().unwrap();
    check("SendResult", &session.get(&format!("/outbox/{entry}")).await.expect(200));
    let id = other.text(&phone.number, "hello").await;
    session.event_of("message", &id).await;
    check("Message", &session.get(&format!("/messages/{id}")).await.expect(200));
    check("Chat", &session.post(&format!("/chats/{}/read", other.number)).await.expect(200));
    let delivered = |event: &Value| event["payload"]["status"] == "delivered";
    session.event(0, "message.status", delivered).await;
    for event in session.log().await {
        let schema = match event["event"].as_str().unwrap() {
            "session.status" => "SessionStatusPayload",
            "auth.qr" => "AuthQRPayload",
            "auth.code" => "AuthCodePayload",
            "message" | "message.from_me" => "MessagePayload",
            "message.status" => "MessageStatusPayload",
            "contact.update" => "ContactUpdatePayload",
            other => panic!("an event of type {other}"),
        };
        check(schema, &event["payload"]);
    }
    let body = json!({"url": "https://example.com/hook", "events": ["message"], "active": false});
    let webhook = organization.post_json("/api/v1/webhooks", &body).await.expect(201);
    let path = format!("/api/v1/webhooks/{}", webhook["id"].as_str().unwrap());
    check("Webhook", &organization.get(&path).await.expect(200));
    check("ListWebhook", &organization.get("/api/v1/webhooks").await.expect(200));
    check("WASession", &session.post(":stop").await.expect(200));
    for answer in [
        organization.get("/api/v1/sessions/x").await,
        organization.get("/api/v1/nowhere").await,
        organization.get("/api/v1/sessions?limit=0").await,
        organization.post_json("/api/v1/sessions", &json!({"x": 1})).await,
        session.text(&other.number, "stopped").await,
        organization.gateway.get("/api/v1/sessions").await,
    ] {
        assert!(answer.status >= 400);
        check("ErrorDetail", &answer.json()["error"]);
    }
    println!("    {checked} live answers held against schemas.json");
    assert!(faults.is_empty(), "{faults:#?}");
}
