//! Every cause and its outcome, and random sequences: never stuck, never lying.

use super::*;

fn causes() -> Vec<Cause> {
    vec![
        Cause::Network("x".into()),
        Cause::HandshakeFailed("x".into()),
        Cause::Stalled,
        Cause::Undecodable,
        Cause::ServerError("503".into()),
        Cause::RateLimited,
        Cause::RestartRequired,
        Cause::Restarted,
        Cause::Replaced,
        Cause::DeviceRemoved,
        Cause::TemporaryBan { expires_at: Some(5_000_000) },
        Cause::TemporaryBan { expires_at: None },
        Cause::AccountLocked,
        Cause::ClientOutdated,
        Cause::Refused("400".into()),
        Cause::QrExpired,
        Cause::PairingFailed("x".into()),
    ]
}

fn working() -> Lifecycle {
    let mut session = Lifecycle::default();
    session.apply(Happening::Start, 0, 0.5);
    session.apply(Happening::Paired, 0, 0.5);
    session.apply(Happening::Connected, 0, 0.5);
    session
}

#[test]
fn a_new_session_is_stopped_and_starting_it_twice_connects_once() {
    let mut session = Lifecycle::default();
    assert_eq!(session.apply(Happening::Start, 0, 0.5), vec![Effect::CancelRetry, Effect::Connect]);
    assert_eq!(session.apply(Happening::Start, 0, 0.5), vec![]);
    assert_eq!((session.status, session.epoch), (Status::Starting, 1));
}

#[test]
fn each_cause_leads_to_its_status() {
    let outcome = |cause: &Cause| {
        let mut session = working();
        session.apply(Happening::Ended(cause.clone()), 1_000, 0.5);
        (session.status, session.reason.map(|reason| (reason.code, reason.action_required)), session.paired)
    };
    let expected = [
        (Status::Starting, "network", false, true),
        (Status::Starting, "handshake_failed", false, true),
        (Status::Starting, "stalled", false, true),
        (Status::Starting, "undecodable", false, true),
        (Status::Starting, "server_error", false, true),
        (Status::Starting, "rate_limited", false, true),
        (Status::Starting, "restart_required", false, true),
        (Status::Starting, "restarted", false, true),
        (Status::Starting, "replaced", false, true),
        (Status::LoggedOut, "device_removed", true, false),
        (Status::Failed, "temporary_ban", false, true),
        (Status::Failed, "temporary_ban", true, true),
        (Status::Failed, "account_locked", true, true),
        (Status::Failed, "client_outdated", true, true),
        (Status::Failed, "refused", true, true),
        (Status::Stopped, "qr_expired", true, true),
        (Status::Starting, "pairing_failed", false, true),
    ];
    for (cause, (status, code, action, paired)) in causes().iter().zip(expected) {
        assert_eq!(outcome(cause), (status, Some((code.to_owned(), action)), paired), "{cause:?}");
    }
}

#[test]
fn keys_are_erased_only_when_whatsapp_said_so() {
    for cause in causes() {
        let erased = working().apply(Happening::Ended(cause.clone()), 0, 0.5).contains(&Effect::EraseKeys);
        assert_eq!(erased, cause == Cause::DeviceRemoved, "{cause:?}");
    }
    assert!(working().apply(Happening::LogoutConfirmed, 0, 0.5).contains(&Effect::EraseKeys));
}

#[test]
fn the_delay_grows_to_five_minutes_and_no_further() {
    let mut session = working();
    let mut now = 0;
    let mut delays = vec![];
    for _ in 0..12 {
        let effects = session.apply(Happening::Ended(Cause::Network("x".into())), now, 1.0);
        let [Effect::RetryAt(at)] = effects[..] else { panic!("{effects:?}") };
        delays.push(at - now);
        now = at;
        assert_eq!(session.apply(Happening::RetryDue, now, 1.0), vec![Effect::Connect]);
    }
    assert_eq!(delays[..5], [1_000, 2_000, 4_000, 8_000, 16_000]);
    assert_eq!(delays[9..], [300_000, 300_000, 300_000]);
}

#[test]
fn a_restart_is_at_once_and_a_row_of_them_is_not() {
    let mut session = working();
    assert_eq!(session.apply(Happening::Ended(Cause::RestartRequired), 0, 1.0), vec![Effect::Connect]);
    assert_eq!(session.apply(Happening::Ended(Cause::RestartRequired), 0, 1.0), vec![Effect::RetryAt(2_000)]);
}

#[test]
fn a_connection_that_lasted_starts_the_backoff_anew() {
    let mut session = working();
    for _ in 0..5 {
        session.apply(Happening::Ended(Cause::Stalled), 0, 1.0);
        session.apply(Happening::RetryDue, 0, 1.0);
    }
    session.apply(Happening::Connected, 100_000, 1.0);
    let effects = session.apply(Happening::Ended(Cause::Stalled), 100_000 + STABLE_AFTER_MS, 1.0);
    assert_eq!(effects, vec![Effect::RetryAt(100_000 + STABLE_AFTER_MS + 1_000)]);
}

#[test]
fn a_session_that_came_back_is_back_within_a_minute_when_it_is_cut_again() {
    let mut session = working();
    let mut now = 0;
    for _ in 0..12 {
        session.apply(Happening::Ended(Cause::Network("x".into())), now, 1.0);
        now += BACKOFF_MAX_MS;
        session.apply(Happening::RetryDue, now, 1.0);
    }
    session.apply(Happening::Connected, now, 1.0);
    let effects = session.apply(Happening::Ended(Cause::Network("x".into())), now + 100, 1.0);
    assert_eq!(effects, [Effect::RetryAt(now + 100 + 32_000)]);
}

#[test]
fn a_replaced_session_tries_once_and_then_asks() {
    let mut session = working();
    assert_eq!(
        session.apply(Happening::Ended(Cause::Replaced), 0, 0.0),
        vec![Effect::RetryAt(REPLACED_RETRY_MS)]
    );
    session.apply(Happening::RetryDue, REPLACED_RETRY_MS, 0.0);
    session.apply(Happening::Connected, REPLACED_RETRY_MS, 0.0);
    assert_eq!(
        session.apply(Happening::Ended(Cause::Replaced), REPLACED_RETRY_MS + 10, 0.0),
        vec![Effect::CancelRetry]
    );
    assert_eq!(session.status, Status::Failed);
}

#[test]
fn news_of_a_stopped_session_changes_nothing() {
    let mut session = working();
    session.apply(Happening::Stop, 0, 0.5);
    let stopped = session.clone();
    for cause in causes() {
        assert_eq!(session.apply(Happening::Ended(cause), 0, 0.5), vec![]);
    }
    for news in
        [Happening::QrShown, Happening::Paired, Happening::Connected, Happening::RetryDue, Happening::Stop]
    {
        assert_eq!(session.apply(news, 0, 0.5), vec![]);
    }
    assert_eq!(session, stopped);
}

/// Random sequences from a small generator: whatever happens, a live session has a connection or a retry
/// coming, a dead one has neither, epochs only grow, and keys go only with the pairing.
#[test]
fn no_sequence_leaves_a_session_stuck_or_lying() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for _ in 0..2_000 {
        let mut session = Lifecycle::default();
        let (mut open, mut retry, mut now) = (false, None::<u64>, 0_u64);
        for _ in 0..60 {
            now += random() % 100_000;
            let causes = causes();
            let happening = match random() % 14 {
                13 => Happening::CodeShown,
                0 | 1 => Happening::Start,
                9 if open => Happening::PasskeyRequired { expires_at: Some(now + 5_000) },
                10 if open => Happening::LinkingFailed(LinkingFailure::Passkey),
                11 => Happening::ReachoutTimelock((random() % 2 == 0).then_some(now + 50_000)),
                12 => Happening::Reachable,
                2 => Happening::Stop,
                3 if open => Happening::QrShown,
                4 if open => Happening::Paired,
                5 if open => Happening::Connected,
                6 => Happening::LogoutConfirmed,
                7 if retry.is_some() => Happening::RetryDue,
                _ if open => {
                    Happening::Ended(causes[usize::try_from(random()).unwrap() % causes.len()].clone())
                }
                _ => continue,
            };
            if matches!(happening, Happening::Ended(_)) {
                open = false;
            }
            if happening == Happening::RetryDue {
                retry = None;
            }
            let before = session.clone();
            for effect in session.apply(happening.clone(), now, 0.5) {
                match effect {
                    Effect::Connect => open = true,
                    Effect::Disconnect => open = false,
                    Effect::RetryAt(at) => retry = Some(at),
                    Effect::CancelRetry => retry = None,
                    Effect::EraseKeys => assert!(!session.paired),
                }
            }
            let story = format!("{before:?} + {happening:?} -> {session:?}, open {open}, retry {retry:?}");
            assert!(session.epoch >= before.epoch, "{story}");
            assert_eq!(
                session.status.is_live(),
                open || (retry.is_some() && session.status == Status::Starting),
                "{story}"
            );
            assert!(!(open && retry.is_some()), "{story}");
            assert_eq!(session.retry_at(), retry, "{story}");
            assert!(session.status != Status::Working || open, "{story}");
            assert!(session.status != Status::Failed || session.reason.is_some(), "{story}");
            // A session that works says so, or tells what it may not; nothing else.
            let why = session.reason.as_ref().map(|reason| reason.code.as_str());
            assert!(
                session.status != Status::Working || matches!(why, None | Some("reachout_timelock")),
                "{story}"
            );
            assert!(why != Some("reachout_timelock") || session.status == Status::Working, "{story}");
            assert!(session.status != Status::LoggedOut || !session.paired, "{story}");
        }
    }
}

/// A moment of the table below, early enough that nothing has expired.
const THEN: u64 = 1_000_000;

/// Every state a session can be in, by what led there.
fn states() -> Vec<(&'static str, Lifecycle)> {
    let after = |happenings: &[Happening]| {
        let mut session = Lifecycle::default();
        for happening in happenings {
            session.apply(happening.clone(), THEN, 0.5);
        }
        session
    };
    let open = [Happening::Start, Happening::QrShown];
    let paired = [Happening::Start, Happening::QrShown, Happening::Paired, Happening::Connected];
    let and = |before: &[Happening], then: Happening| {
        let mut all = before.to_vec();
        all.push(then);
        after(&all)
    };
    let network = || Happening::Ended(Cause::Network("x".into()));
    let mut long = paired.to_vec();
    for _ in 0..10 {
        long.extend([network(), Happening::RetryDue]);
    }
    vec![
        ("new", after(&[])),
        ("connecting", after(&[Happening::Start])),
        ("scan_qr_code", after(&open)),
        ("passkey", and(&open, Happening::PasskeyRequired { expires_at: None })),
        ("qr_expired", and(&open, Happening::Ended(Cause::QrExpired))),
        ("working", after(&paired)),
        ("timelocked", and(&paired, Happening::ReachoutTimelock(Some(THEN + 60_000)))),
        ("waiting", and(&long, network())),
        ("replaced", and(&paired, Happening::Ended(Cause::Replaced))),
        ("stopped", and(&paired, Happening::Stop)),
        ("banned", and(&paired, Happening::Ended(Cause::TemporaryBan { expires_at: Some(THEN + 60_000) }))),
        ("failed", and(&paired, Happening::Ended(Cause::AccountLocked))),
        ("logged_out", and(&paired, Happening::Ended(Cause::DeviceRemoved))),
    ]
}

fn happenings() -> Vec<(String, Happening)> {
    let mut all = vec![
        ("start".to_owned(), Happening::Start),
        ("stop".to_owned(), Happening::Stop),
        ("QR code shown".to_owned(), Happening::QrShown),
        ("pairing code shown".to_owned(), Happening::CodeShown),
        ("passkey required".to_owned(), Happening::PasskeyRequired { expires_at: None }),
        ("pairing code refused".to_owned(), Happening::LinkingFailed(LinkingFailure::CodeRefused)),
        ("passkey failed".to_owned(), Happening::LinkingFailed(LinkingFailure::Passkey)),
        ("paired".to_owned(), Happening::Paired),
        ("connected".to_owned(), Happening::Connected),
        ("timelock".to_owned(), Happening::ReachoutTimelock(Some(THEN + 60_000))),
        ("timelock over".to_owned(), Happening::ReachoutTimelock(None)),
        ("WhatsApp reachable".to_owned(), Happening::Reachable),
        ("logout confirmed".to_owned(), Happening::LogoutConfirmed),
        ("retry due".to_owned(), Happening::RetryDue),
    ];
    for cause in causes() {
        let what = match &cause {
            Cause::TemporaryBan { expires_at: Some(_) } => "ban with an end".to_owned(),
            Cause::TemporaryBan { expires_at: None } => "ban without an end".to_owned(),
            _ => explain(&cause).code,
        };
        all.push((format!("ended: {what}"), Happening::Ended(cause)));
    }
    all
}

fn cell(before: &Lifecycle, happening: &Happening) -> String {
    let mut after = before.clone();
    let effects = after.apply(happening.clone(), THEN, 0.5);
    if after == *before && effects.is_empty() {
        return "–".to_owned();
    }
    let mut text = after.status.name().to_owned();
    if let Some(why) = &after.reason {
        text.extend([" `", &why.code, "`"]);
        if why.action_required {
            text += " !";
        }
    }
    for effect in effects {
        text += match effect {
            Effect::Connect => " C",
            Effect::Disconnect => " D",
            Effect::RetryAt(_) => " R",
            Effect::EraseKeys => " **E**",
            Effect::CancelRetry => "",
        };
    }
    text
}

/// docs/lifecycle.md is this table: a change of policy changes the page, in one commit.
#[test]
fn every_state_and_event_is_in_the_documented_table() {
    let (states, happenings) = (states(), happenings());
    let mut table = String::from("| |");
    for (name, _) in &states {
        table.extend([" ", name, " |"]);
    }
    table += "\n|---|";
    table += &"---|".repeat(states.len());
    for (name, happening) in &happenings {
        table.extend(["\n| ", name, " |"]);
        for (_, state) in &states {
            table.extend([" ", &cell(state, happening), " |"]);
        }
    }
    table.push('\n');
    println!("{} states x {} events", states.len(), happenings.len());
    let page = include_str!("../../../docs/lifecycle.md");
    let written = page.split("<!-- the table -->\n").nth(1).unwrap_or_default();
    assert!(
        written == table,
        "docs/lifecycle.md has another table than the code. This is the code's:\n\n{table}"
    );
}
