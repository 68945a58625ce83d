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
            let happening = match random() % 9 {
                0 | 1 => Happening::Start,
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
        }
    }
}
