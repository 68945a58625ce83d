//! Sessions: made, listed, changed, paired, started, stopped, logged out, deleted.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Organization, Patience, Phone, Session, eventually, now_ms, tests};

tests![
    a_session_begins_stopped_with_defaults,
    a_session_is_made_as_asked,
    a_session_of_a_jurisdiction_links_like_any_other,
    start_at_creation_begins_pairing,
    limits_at_creation_name_their_field,
    the_list_is_in_order_of_creation_and_pages_through_all,
    a_damaged_cursor_or_limit_is_refused,
    an_id_is_found_in_either_case,
    an_update_changes_what_it_names_and_nothing_else,
    an_update_out_of_limits_changes_nothing,
    a_deleted_session_is_gone_everywhere,
    deleting_a_paired_session_unlinks_the_device_and_frees_the_number,
    deleting_a_stopped_session_connects_to_unlink_it,
    start_stop_restart_and_logout_of_an_unpaired_session_are_idempotent,
    start_stop_restart_of_a_paired_session_are_idempotent,
    the_qr_code_comes_as_json_svg_and_png,
    asking_for_a_code_starts_pairing,
    a_paired_session_has_no_code,
    codes_rotate_and_a_stale_one_is_never_shown,
    me_is_who_is_paired,
    logout_unlinks_on_whatsapp_and_the_slot_can_be_paired_again,
    a_logout_whatsapp_does_not_confirm_keeps_the_pairing,
    a_logout_that_never_reached_whatsapp_keeps_the_pairing,
    stop_keeps_the_pairing_and_start_needs_no_code,
    unlinking_on_the_phone_logs_the_session_out,
    the_history_outlives_an_unlinking_on_the_phone,
    the_history_outlives_a_logout,
    the_session_of_the_configured_number_is_the_admin_session,
];

/// `ADMIN_NUMBER`: tooling/test-sections.ts. Nobody else has it.
const ADMIN: &str = "12025550100";

const SOON: Patience = Patience::seconds(30);

async fn a_session_begins_stopped_with_defaults() {
    let organization = Organization::new();
    let before = now_ms();
    for answer in [
        organization.post("/api/v1/sessions").await,
        organization.post_json("/api/v1/sessions", &json!({})).await,
    ] {
        let row = answer.expect(201);
        let (id, at) = (row["id"].as_str().unwrap(), row["createdAt"].as_u64().unwrap());
        assert_eq!(id.len(), 26, "{id}");
        assert!((before..=now_ms()).contains(&at), "{at}");
        assert_eq!(
            row,
            json!({
                "id": id, "organizationId": organization.name, "label": null, "status": "stopped",
                "statusReason": null, "epoch": 0, "region": null, "gatewayId": "gw-local",
                "isAdminSession": false, "phoneNumber": null, "waJid": null, "waLid": null, "autoRead": false,
                "presenceTyping": false, "ratePerMin": 0, "ratePerHour": 0, "createdByUserId": null,
                "lastConnectedAt": null, "createdAt": at, "updatedAt": at,
            })
        );
        assert_eq!(Session::of(&organization, id).row().await, row);
    }
}

async fn a_session_of_a_jurisdiction_links_like_any_other() {
    let organization = Organization::new();
    let session = organization.session(&json!({"region": "eu", "start": true})).await;
    assert_eq!(session.row().await["region"], "eu");
    let phone = organization.gateway.simulator().phone().await;
    session.pair(&phone).await;
}

async fn a_session_is_made_as_asked() {
    let organization = Organization::new();
    let wanted = json!({
        "label": "Bärbel's 📱", "start": false, "autoRead": true, "presenceTyping": true, "ratePerMin": 1000,
        "ratePerHour": 20000, "region": "weur",
    });
    let row = organization.post_json("/api/v1/sessions", &wanted).await.expect(201);
    for field in ["label", "autoRead", "presenceTyping", "ratePerMin", "ratePerHour", "region"] {
        assert_eq!(row[field], wanted[field], "{field}");
    }
    // On one machine there is no other place than this one.
    assert_eq!((&row["status"], &row["gatewayId"]), (&json!("stopped"), &json!("gw-local")));
    assert_eq!(Session::of(&organization, row["id"].as_str().unwrap()).row().await, row);
}

async fn start_at_creation_begins_pairing() {
    let organization = Organization::new();
    let row = organization.post_json("/api/v1/sessions", &json!({"start": true})).await.expect(201);
    assert_eq!((&row["status"], &row["epoch"]), (&json!("starting"), &json!(1)));
    let session = Session::of(&organization, row["id"].as_str().unwrap());
    session.wait_for_status("scan_qr_code", SOON).await;
}

async fn limits_at_creation_name_their_field() {
    let organization = Organization::new();
    let long = "x".repeat(101);
    for (field, value) in [
        ("label", json!("")),
        ("label", json!(long)),
        ("label", json!("a\nb")),
        ("label", json!(1)),
        ("start", json!("true")),
        ("autoRead", json!(1)),
        ("presenceTyping", json!([])),
        ("ratePerMin", json!(1001)),
        ("ratePerMin", json!(-1)),
        ("ratePerMin", json!(1.5)),
        ("ratePerHour", json!(20001)),
        ("ratePerHour", json!("1")),
        ("region", json!("moon")),
        ("region", json!({})),
    ] {
        let answer = organization.post_json("/api/v1/sessions", &json!({ field: value })).await;
        answer.expect_invalid(field);
    }
    organization.post_json("/api/v1/sessions", &json!({"lable": "x"})).await.expect_invalid("lable");
    let list = organization.get("/api/v1/sessions").await.expect(200);
    assert_eq!(list, json!({"data": [], "nextCursor": null}), "a refused call made a session");
}

async fn the_list_is_in_order_of_creation_and_pages_through_all() {
    let organization = Organization::new();
    let mut made = Vec::new();
    for number in 0..7 {
        made.push(organization.session(&json!({"label": format!("number {number}")})).await.id);
    }
    let all = organization.get("/api/v1/sessions").await.expect(200);
    assert_eq!((ids(&all), &all["nextCursor"]), (made.clone(), &Value::Null));
    for limit in [1, 3, 7] {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = organization.get(&format!("/api/v1/sessions?limit={limit}{cursor}")).await.expect(200);
            let listed = ids(&page);
            assert!(!listed.is_empty() && listed.len() <= limit, "limit {limit}: {listed:?}");
            seen.extend(listed);
            let Some(next) = page["nextCursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen, made, "limit {limit}");
    }
}

fn ids(page: &Value) -> Vec<String> {
    page["data"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

async fn a_damaged_cursor_or_limit_is_refused() {
    let organization = Organization::new();
    for _ in 0..2 {
        organization.session(&json!({})).await;
    }
    let page = organization.get("/api/v1/sessions?limit=1").await.expect(200);
    let cursor = page["nextCursor"].as_str().unwrap();
    let damaged = [&cursor[1..], &cursor[..cursor.len() - 1], &format!("{cursor}A"), "", "%00", "💥", "null"];
    for damaged in damaged {
        let answer = organization.get(&format!("/api/v1/sessions?cursor={damaged}")).await;
        answer.expect_invalid("cursor");
    }
    for limit in ["0", "201", "-1", "1.5", "x", "", "99999999999999999999", "1e2", "%20"] {
        organization.get(&format!("/api/v1/sessions?limit={limit}")).await.expect_invalid("limit");
    }
}

async fn an_id_is_found_in_either_case() {
    let organization = Organization::new();
    let session = organization.session(&json!({})).await;
    let lower = Session::of(&organization, &session.id.to_lowercase());
    assert_eq!(lower.row().await["id"], session.id.as_str());
}

async fn an_update_changes_what_it_names_and_nothing_else() {
    let organization = Organization::new();
    let session = organization.session(&json!({"label": "before", "ratePerMin": 5})).await;
    let mut expected = session.row().await;
    for (field, value) in [
        ("label", json!("after 🎉")),
        ("autoRead", json!(true)),
        ("presenceTyping", json!(true)),
        ("ratePerMin", json!(0)),
        ("ratePerHour", json!(20000)),
        ("autoRead", json!(false)),
    ] {
        expected[field] = value.clone();
        let row = organization.patch(&session.path(""), &json!({ field: value })).await.expect(200);
        assert!(row["updatedAt"].as_u64() >= expected["updatedAt"].as_u64());
        expected["updatedAt"] = row["updatedAt"].clone();
        assert_eq!(row, expected, "{field}");
        assert_eq!(session.row().await, expected, "{field}");
    }
}

async fn an_update_out_of_limits_changes_nothing() {
    let organization = Organization::new();
    let session = organization.session(&json!({"label": "before"})).await;
    let before = session.row().await;
    for (field, body) in [
        ("label", json!({"label": "", "autoRead": true})),
        ("label", json!({"label": "x".repeat(101)})),
        ("ratePerMin", json!({"autoRead": true, "ratePerMin": 1001})),
        ("ratePerHour", json!({"ratePerHour": 20001})),
        ("autoRead", json!({"autoRead": "yes"})),
        ("start", json!({"start": true})),
        ("status", json!({"status": "working"})),
        ("organizationId", json!({"organizationId": "mine"})),
        ("region", json!({"region": "weur"})),
    ] {
        organization.patch(&session.path(""), &body).await.expect_invalid(field);
    }
    assert_eq!(session.row().await, before);
}

async fn a_deleted_session_is_gone_everywhere() {
    let organization = Organization::new();
    for start in [false, true] {
        let session = organization.session(&json!({ "start": start })).await;
        if start {
            session.code().await;
        }
        let deleted = session.delete().await;
        assert_eq!((deleted.status, deleted.bytes.len()), (204, 0), "{}", deleted.text());
        session.delete().await.expect_error(404, "not_found");
        for rest in ["", "/qr", "/me", "/events"] {
            session.get(rest).await.expect_error(404, "not_found");
        }
        for rest in [":start", ":stop", ":restart", ":logout"] {
            session.post(rest).await.expect_error(404, "not_found");
        }
        organization.patch(&session.path(""), &json!({"label": "x"})).await.expect_error(404, "not_found");
        session.text("4915112345678", "hi").await.expect_error(404, "not_found");
        let list = organization.get("/api/v1/sessions").await.expect(200);
        assert!(!ids(&list).contains(&session.id));
    }
}

async fn deleting_a_paired_session_unlinks_the_device_and_frees_the_number() {
    let (session, phone) = Session::working().await;
    session.delete().await.expect(204);
    assert_eq!(phone.devices().await, Vec::<Value>::new());
    session.delete().await.expect_error(404, "not_found");
    let again = session.organization.session(&json!({"start": true})).await;
    let row = again.pair(&phone).await;
    assert_eq!(row["phoneNumber"], phone.number.as_str());
    assert_eq!(phone.device().await["connected"], true);
    again.sent(&phone.number, "to myself").await;
}

async fn deleting_a_stopped_session_connects_to_unlink_it() {
    let (session, phone) = Session::working().await;
    session.post(":stop").await.expect(200);
    session.delete().await.expect(204);
    assert_eq!(phone.devices().await, Vec::<Value>::new());
    session.delete().await.expect_error(404, "not_found");
}

async fn start_stop_restart_and_logout_of_an_unpaired_session_are_idempotent() {
    let organization = Organization::new();
    let session = organization.session(&json!({})).await;
    // Stopping and unlinking what was never started is no error and starts nothing.
    for rest in [":stop", ":logout", ":stop"] {
        let row = session.post(rest).await.expect(200);
        assert_eq!((&row["id"], &row["status"]), (&json!(session.id), &json!("stopped")), "{rest}");
    }
    let row = session.post(":start").await.expect(200);
    assert_eq!((&row["status"], &row["epoch"]), (&json!("starting"), &json!(1)));
    session.wait_for_status("scan_qr_code", SOON).await;
    let row = session.post(":start").await.expect(200);
    assert_eq!((&row["status"], &row["epoch"]), (&json!("scan_qr_code"), &json!(1)), "a second start");
    let row = session.post(":restart").await.expect(200);
    assert_eq!((&row["status"], &row["epoch"]), (&json!("starting"), &json!(2)));
    session.wait_for_status("scan_qr_code", SOON).await;
    for _ in 0..2 {
        let row = session.post(":stop").await.expect(200);
        assert_eq!((&row["status"], &row["epoch"]), (&json!("stopped"), &json!(2)));
    }
    let row = session.post(":logout").await.expect(200);
    assert_eq!(row["status"], "stopped");
}

async fn start_stop_restart_of_a_paired_session_are_idempotent() {
    let (session, phone) = Session::working().await;
    let before = session.row().await;
    let row = session.post(":start").await.expect(200);
    assert_eq!((&row["status"], &row["epoch"]), (&json!("working"), &before["epoch"]));
    for _ in 0..2 {
        let row = session.post(":stop").await.expect(200);
        assert_eq!(row["status"], "stopped");
        assert_eq!((&row["waJid"], &row["phoneNumber"]), (&before["waJid"], &before["phoneNumber"]));
        assert_eq!(row["statusReason"], Value::Null);
    }
    let row = session.post(":restart").await.expect(200);
    assert_eq!(row["status"], "starting");
    let row = session.wait_for_status("working", SOON).await;
    assert_eq!(row["epoch"].as_u64(), before["epoch"].as_u64().map(|epoch| epoch + 1));
    let row = session.post(":restart").await.expect(200);
    assert_eq!(row["status"], "starting");
    session.wait_for_status("working", SOON).await;
    let device = phone.device().await;
    assert_eq!((&device["logins"], &device["connected"]), (&json!(3), &json!(true)), "{device}");
}

async fn the_qr_code_comes_as_json_svg_and_png() {
    let organization = Organization::new();
    let session = organization.session(&json!({"start": true})).await;
    session.code().await;
    let picture = async |accept: &str| {
        let request = organization.request(Method::GET, &session.path("/qr")).header("accept", accept);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{accept}");
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        (kind, response.bytes().await.unwrap())
    };
    let (kind, json) = picture("application/json").await;
    assert_eq!(kind, "application/json");
    let qr: Value = serde_json::from_slice(&json).unwrap();
    let code = qr["code"].as_str().unwrap();
    assert!(qr["expiresAt"].as_u64().unwrap() > now_ms());

    let (kind, png) = picture("image/png").await;
    assert_eq!((kind.as_str(), read_qr(&png)), ("image/png", code.to_owned()));

    let (kind, svg) = picture("image/svg+xml").await;
    assert_eq!(kind, "image/svg+xml");
    let svg = std::str::from_utf8(&svg).unwrap();
    let root = svg.find("<svg").expect("no svg element");
    assert!(
        svg.trim_end().ends_with("</svg>") && svg[root..].contains("xmlns=\"http://www.w3.org/2000/svg\"")
    );
    assert_eq!(svg.matches('<').count(), svg.matches('>').count());
    let modules = svg.matches("h1v1").count().max(svg.matches('M').count()).max(svg.matches("<rect").count());
    assert!(modules > 100, "{modules} modules");
}

/// Reads a QR picture as a phone would.
fn read_qr(png: &[u8]) -> String {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(png));
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!(info.color_type, png::ColorType::Grayscale);
    let (width, height) = (info.width as usize, info.height as usize);
    let mut image =
        rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| pixels[y * info.line_size + x]);
    let grids = image.detect_grids();
    assert_eq!(grids.len(), 1, "one code in the picture");
    grids[0].decode().unwrap().1
}

async fn asking_for_a_code_starts_pairing() {
    let organization = Organization::new();
    let session = organization.session(&json!({})).await;
    session.get("/qr").await.expect_error(404, "not_found");
    let phone = organization.gateway.simulator().phone().await;
    session.pair(&phone).await;
}

async fn a_paired_session_has_no_code() {
    let (session, _phone) = Session::working().await;
    session.get("/qr").await.expect_error(400, "validation_error");
    session.post(":stop").await.expect(200);
    session.get("/qr").await.expect_error(400, "validation_error");
}

async fn codes_rotate_and_a_stale_one_is_never_shown() {
    let organization = Organization::new();
    let session = organization.session(&json!({"start": true})).await;
    let first = session.code().await;
    let mut shown = vec![first.clone()];
    // The first lasts a minute, those after it 20 s.
    eventually("three codes", Patience::seconds(110), async || {
        let asked = now_ms();
        let answer = session.get("/qr").await;
        if answer.status == 404 {
            return Err("between two codes".to_owned());
        }
        let qr = answer.expect(200);
        assert!(qr["expiresAt"].as_u64().unwrap() > asked, "a stale code: {qr}");
        let code = qr["code"].as_str().unwrap().to_owned();
        if shown.last() != Some(&code) {
            assert!(!shown.contains(&code), "an old code came back");
            shown.push(code);
        }
        if shown.len() == 3 { Ok(()) } else { Err(format!("{} codes", shown.len())) }
    })
    .await;
    let told: Vec<String> = session
        .events("auth.qr")
        .await
        .iter()
        .map(|event| event["payload"]["code"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(told, shown, "auth.qr events");
    let phone = organization.gateway.simulator().phone().await;
    phone.scan(&first).await.expect_error(410, "stale_ref");
    session.pair(&phone).await;
}

async fn me_is_who_is_paired() {
    let organization = Organization::new();
    let session = organization.session(&json!({"start": true})).await;
    session.get("/me").await.expect_error(404, "not_found");
    session.code().await;
    session.get("/me").await.expect_error(404, "not_found");
    let phone = organization.gateway.simulator().phone().await;
    let row = session.pair(&phone).await;
    let device = phone.device().await;
    assert_eq!(
        session.get("/me").await.expect(200),
        json!({"sessionId": session.id, "connected": true, "status": "working", "phoneNumber": phone.number,
               "waJid": device["jid"], "waLid": phone.lid})
    );
    for field in ["phoneNumber", "waJid", "waLid"] {
        assert_eq!(row[field], session.get("/me").await.expect(200)[field], "{field}");
    }
    session.post(":stop").await.expect(200);
    let me = session.get("/me").await.expect(200);
    assert_eq!((&me["connected"], &me["status"]), (&json!(false), &json!("stopped")));
    assert_eq!(me["phoneNumber"], phone.number.as_str());
}

async fn logout_unlinks_on_whatsapp_and_the_slot_can_be_paired_again() {
    let (session, phone) = Session::working().await;
    for _ in 0..2 {
        let row = session.post(":logout").await.expect(200);
        assert_eq!(row["status"], "logged_out");
        for field in ["phoneNumber", "waJid", "waLid"] {
            assert_eq!(row[field], Value::Null, "{field}");
        }
    }
    assert_eq!(phone.devices().await, Vec::<Value>::new());
    session.get("/me").await.expect_error(404, "not_found");
    session.post(":start").await.expect(200);
    let row = session.pair(&phone).await;
    assert_eq!(row["phoneNumber"], phone.number.as_str());
    session.sent(&phone.number, "here again").await;
}

async fn a_logout_whatsapp_does_not_confirm_keeps_the_pairing() {
    let (session, phone) = Session::working().await;
    let before = session.row().await;
    let fault = phone.fault(json!({"kind": "stall"})).await;
    session.post(":logout").await.expect_error(503, "gateway_unavailable");
    let row = session.row().await;
    for field in ["phoneNumber", "waJid", "waLid"] {
        assert_eq!(row[field], before[field], "{field}");
    }
    phone.simulator.clear(&fault).await;
    // WhatsApp took the unlink in and its answer comes late; the session ends up believing what is true.
    eventually("the session and WhatsApp to agree", Patience::seconds(90), async || {
        let (row, linked) = (session.row().await, !phone.devices().await.is_empty());
        let agree = if linked { row["status"] == "working" } else { row["status"] == "logged_out" };
        if agree { Ok(()) } else { Err(format!("{}, linked: {linked}", row["status"])) }
    })
    .await;
}

async fn a_logout_that_never_reached_whatsapp_keeps_the_pairing() {
    let (session, phone) = Session::working().await;
    let before = (session.row().await, phone.device().await);
    session.post(":stop").await.expect(200);
    let fault = phone.fault(json!({"kind": "stall", "stage": "login"})).await;
    session.post(":logout").await.expect_error(503, "gateway_unavailable");
    phone.simulator.clear(&fault).await;
    session.post(":start").await.expect(200);
    let row = session.wait_for_status("working", Patience::seconds(60)).await;
    assert_eq!((&row["waJid"], &phone.device().await["jid"]), (&before.0["waJid"], &before.1["jid"]));
    // The second try is confirmed.
    let row = session.post(":logout").await.expect(200);
    assert_eq!(row["status"], "logged_out");
    assert_eq!(phone.devices().await, Vec::<Value>::new());
}

async fn stop_keeps_the_pairing_and_start_needs_no_code() {
    let (session, phone) = Session::working().await;
    let before = phone.device().await;
    session.post(":stop").await.expect(200);
    let device = eventually("the device to be offline", SOON, async || {
        let device = phone.device().await;
        if device["connected"] == false { Ok(device) } else { Err(device.to_string()) }
    })
    .await;
    assert_eq!(device["jid"], before["jid"]);
    let missed = phone_of(&session).await.text(&phone.number, "while you were out").await;
    let position = session.position().await;
    session.post(":start").await.expect(200);
    session.wait_for_status("working", SOON).await;
    session.event_of("message", &missed).await;
    let after = phone.device().await;
    assert_eq!((&after["jid"], after["logins"].as_u64()), (&before["jid"], Some(2)), "{after}");
    let qr = session.log().await.into_iter().filter(|event| event["seq"].as_u64().unwrap() > position);
    assert_eq!(qr.filter(|event| event["event"] == "auth.qr").count(), 0);
}

/// Somebody else.
async fn phone_of(session: &Session) -> Phone {
    session.organization.gateway.simulator().phone().await
}

async fn unlinking_on_the_phone_logs_the_session_out() {
    let (session, phone) = Session::working().await;
    phone.unlink(&phone.device().await).await;
    let row = session.wait_for_status("logged_out", SOON).await;
    assert_eq!(row["statusReason"]["code"], "device_removed");
    assert_eq!(row["statusReason"]["actionRequired"], true);
    assert_eq!(row["phoneNumber"], Value::Null);
    session.text("4915112345678", "hi").await.expect_error(409, "conflict");
    session.post(":start").await.expect(200);
    session.pair(&phone).await;
}

async fn the_history_outlives_an_unlinking_on_the_phone() {
    let (session, phone) = Session::working().await;
    history_outlives(&session, &phone, async || phone.unlink(&phone.device().await).await).await;
}

async fn the_history_outlives_a_logout() {
    let (session, phone) = Session::working().await;
    history_outlives(&session, &phone, async || {
        session.post(":logout").await.expect(200);
    })
    .await;
}

/// The log is as it was, and goes on where it was: while nobody is linked, and when the number is again.
async fn history_outlives(session: &Session, phone: &Phone, unlink: impl AsyncFnOnce()) {
    let other = phone.simulator.phone().await;
    let mut heard = Vec::new();
    for text in ["before", "and before that"] {
        heard.push(other.text(&phone.number, text).await);
    }
    for id in &heard {
        session.event_of("message", id).await;
    }
    let sent = session.sent(&other.number, "heard you").await;
    other.received(&sent).await;
    let before = session.log().await;
    unlink().await;
    session.wait_for_status("logged_out", SOON).await;
    let kept = session.log().await;
    assert_eq!(kept[..before.len()], before, "the log of a number that was unlinked");

    session.post(":start").await.expect(200);
    session.pair(phone).await;
    heard.push(other.text(&phone.number, "and after").await);
    session.event_of("message", &heard[2]).await;
    // Also a gap in `seq` would be found by reading the log.
    let log = session.log().await;
    assert_eq!(log[..kept.len()], kept, "the log of a number that was paired again");
    let told = log.iter().filter(|event| event["event"] == "message");
    let mut told: Vec<&str> = told.map(|event| event["payload"]["waMessageId"].as_str().unwrap()).collect();
    told.sort_unstable();
    heard.sort_unstable();
    assert_eq!(told, heard);
    // Who followed the log before goes on from there.
    let page = session.page(&format!("after={}&types=message", before.len())).await.expect(200);
    assert_eq!(page["data"].as_array().unwrap().len(), 1, "{page}");
}

async fn the_session_of_the_configured_number_is_the_admin_session() {
    let organization = Organization::new();
    let phone = organization.gateway.simulator().phone_with(ADMIN.to_owned()).await;
    let session = organization.session(&json!({"start": true})).await;
    assert_eq!(session.row().await["isAdminSession"], false, "nobody is paired");
    assert_eq!(session.pair(&phone).await["isAdminSession"], true);
    let (other, _) = Session::working_in(&organization).await;
    assert_eq!(other.row().await["isAdminSession"], false);
    let list = organization.get("/api/v1/sessions").await.expect(200);
    for row in list["data"].as_array().unwrap() {
        assert_eq!(row["isAdminSession"], row["id"] == session.id.as_str(), "{row}");
    }
    session.post(":logout").await.expect(200);
    assert_eq!(session.row().await["isAdminSession"], false, "the number is gone");
}
