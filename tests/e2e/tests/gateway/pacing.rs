//! The limits of a session: exact whatever comes at once, over restarts and a kill, and told with every answer.

use std::time::Duration;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::files::{base64, png};
use crate::harness::{Answer, Organization, Patience, Phone, Session, eventually, now_ms, tests};
use crate::outbox::text;

tests![
    limits_hold_over_restarts_and_what_waits_goes_when_its_time_has_come,
    a_limit_refuses_who_waits_with_the_true_time,
    every_answer_to_a_send_says_where_the_limits_stand,
];

/// Texts that nobody waits for, in a session that sends a few a minute.
struct Paced {
    session: Session,
    friend: Phone,
    limit: usize,
    /// When each was asked for, epoch milliseconds.
    asked: Vec<u64>,
}

impl Paced {
    async fn begin(session: Session, me: &Phone, limit: usize, texts: usize) -> Self {
        let friend = me.simulator.phone().await;
        // So that a Signal session is there, and nothing but the limit takes its time.
        let id = friend.text(&me.number, "hello").await;
        session.event_of("message", &id).await;
        session.organization.patch(&session.path(""), &json!({ "ratePerMin": limit })).await.expect(200);
        let mut asked = Vec::new();
        for number in 0..texts {
            asked.push(now_ms());
            session.later(&text(&friend, &format!("number {number}"))).await;
        }
        Self { session, friend, limit, asked }
    }

    /// Waits until so many have arrived, without a request to the gateway.
    async fn arrived(&self, texts: usize) -> Vec<Value> {
        eventually(&format!("{texts} of {} texts", self.asked.len()), Patience::seconds(150), async || {
            let came = self.friend.messages().await;
            if came.len() >= texts { Ok(came) } else { Err(format!("{} came", came.len())) }
        })
        .await
    }

    /// All arrive, in order and within the limit; the seconds from the first to the last.
    async fn all_arrive_in_time(&self) -> f64 {
        let came = self.arrived(self.asked.len()).await;
        let texts: Vec<&Value> = came.iter().map(|message| &message["text"]).collect();
        let wanted: Vec<Value> =
            (0..self.asked.len()).map(|number| json!(format!("number {number}"))).collect();
        assert!(texts.iter().copied().eq(&wanted), "in order: {texts:?}");
        // When each first came, by WhatsApp's clock: that of this machine.
        let at = came.iter().map(async |message| {
            let stanzas = self.friend.simulator.stanzas(message["messageId"].as_str().unwrap()).await;
            stanzas["at"][0].as_u64().unwrap() / 1_000
        });
        let at = join_all(at).await;
        for (place, arrived) in at.iter().enumerate().skip(self.limit) {
            // What is counted is when it goes: not before it was asked for, nor after it arrived. So this is exact.
            let minutes = u64::try_from(place / self.limit).unwrap();
            let earliest = self.asked[place % self.limit] + minutes * 60_000;
            assert!(*arrived > earliest, "the {place}. came {} ms too early: {at:?}", earliest - arrived);
            // Between two arrivals there is also how long the earlier one took, on a busy machine.
            let window = arrived - at[place - self.limit];
            assert!(window > 57_000, "{} a minute, and {} in {window} ms", self.limit, self.limit + 1);
        }
        Duration::from_millis(at.last().unwrap() - at[0]).as_secs_f64()
    }
}

async fn limits_hold_over_restarts_and_what_waits_goes_when_its_time_has_come() {
    const LIMIT: usize = 5;
    const TEXTS: usize = 12;
    let (session, me) = Session::working().await;
    let paced = Paced::begin(session, &me, LIMIT, TEXTS).await;
    // The object loses its memory while some wait.
    for restart in 1..=2 {
        paced.arrived(restart * LIMIT).await;
        let path = format!("/simulator/sessions/{}/evict", paced.session.id);
        paced.session.organization.post(&path).await.expect(204);
    }
    let took = paced.all_arrive_in_time().await;
    println!(
        "    {TEXTS} texts at {LIMIT} a minute, 2 restarts: {took:.1} s from the first to the last (at best 120)"
    );
}

/// Sessions with limits, in a gateway that is killed meanwhile.
pub struct OverAKill {
    by_the_minute: Paced,
    by_the_hour: Session,
    friend: Phone,
    /// Before the first of what the hour's limit let go, and after it: epoch milliseconds.
    used_up: (u64, u64),
}

impl OverAKill {
    /// Half of what goes by the minute has arrived, and what the hour has is used up.
    pub async fn begin(organization: &Organization) -> Self {
        let ((minutes, me), (by_the_hour, other)) =
            futures::join!(Session::working_in(organization), Session::working_in(organization));
        let by_the_minute = Paced::begin(minutes, &me, 3, 6).await;
        let friend = other.simulator.phone().await;
        let used_up = many_at_once(&by_the_hour, &other, &friend).await;
        by_the_minute.arrived(3).await;
        assert_eq!(by_the_minute.friend.messages().await.len(), 3);
        Self { by_the_minute, by_the_hour, friend, used_up }
    }

    /// workerd is another one.
    pub async fn end(self) {
        self.nothing_goes().await;
        self.by_the_hour.post(":restart").await.expect(200);
        self.by_the_hour.wait_for_status("working", Patience::seconds(60)).await;
        self.nothing_goes().await;
        assert_eq!(self.friend.messages().await.len(), 3);
        let took = self.by_the_minute.all_arrive_in_time().await;
        println!(
            "    6 texts at 3 a minute, killed in the middle: {took:.1} s from the first to the last (at best 60)"
        );
    }

    async fn nothing_goes(&self) {
        let (before, after) = self.used_up;
        // A session that is just connecting says so.
        let refused = eventually("an answer of a session that works", Patience::seconds(60), async || {
            let answer = self.by_the_hour.text(&self.friend.number, "one more").await;
            if answer.status == 503 { Err(answer.text()) } else { Ok(answer) }
        })
        .await;
        let wait = the_hour_is_used_up(&refused);
        let now = now_ms();
        let (earliest, latest) = (before + 3_598_000 - now, after + 3_602_000 - now);
        assert!(
            (earliest / 1_000..=latest / 1_000).contains(&wait),
            "{wait} s, not {earliest} to {latest} ms"
        );
    }
}

/// Ten pictures and two reactions at once where an hour has three; when that began, and when all were answered.
async fn many_at_once(session: &Session, me: &Phone, friend: &Phone) -> (u64, u64) {
    let mut theirs = Vec::new();
    for words in ["a joke", "a better joke"] {
        let id = friend.text(&me.number, words).await;
        session.event_of("message", &id).await;
        theirs.push(id);
    }
    session.organization.patch(&session.path(""), &json!({ "ratePerHour": 3 })).await.expect(200);
    // All have been accepted before the first of them goes: an upload takes its time.
    let slow = me.fault(json!({ "kind": "media_delay", "ms": 500, "on": "upload" })).await;
    let pictures = (0..10).map(|_| {
        let media = json!({ "data": base64(&png(3, 3)) });
        let body = json!({ "type": "image", "to": friend.number, "media": media });
        (session.path("/messages"), body)
    });
    let reactions = theirs.iter().map(|id| {
        let body = json!({ "chat": friend.number, "emoji": "👍" });
        (session.path(&format!("/messages/{id}/reaction")), body)
    });
    let before = now_ms();
    let asked = pictures
        .chain(reactions)
        .map(async |(path, body)| session.organization.post_json(&path, &body).await);
    let answers = join_all(asked).await;
    let after = now_ms();
    me.simulator.clear(&slow).await;
    let sent: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(sent.len(), 3, "{:?}", answers.iter().map(|answer| answer.status).collect::<Vec<_>>());
    for refused in answers.iter().filter(|answer| answer.status != 200) {
        let wait = the_hour_is_used_up(refused);
        assert!((3_575..=3_601).contains(&wait) && after - before < 24_000, "{wait} s");
    }
    for answer in sent {
        let sent = answer.json();
        let id = sent["waMessageId"].as_str().unwrap();
        friend.received(id).await;
    }
    assert_eq!(friend.messages().await.len(), 3);
    (before, after)
}

/// A refusal, and the seconds it says to wait.
fn the_hour_is_used_up(refused: &Answer) -> u64 {
    let error = refused.expect_error(429, "rate_limited");
    let wait = error["details"]["retryAfterSeconds"].as_u64().unwrap();
    assert_eq!(refused.header("retry-after"), Some(wait.to_string().as_str()));
    let standing = refused.header("ratelimit").unwrap_or_default();
    assert!(standing.starts_with("\"perhr\";r=0;t="), "{standing}");
    assert_eq!(refused.header("ratelimit-policy"), Some("\"perhr\";q=3;w=3600"));
    wait
}

async fn every_answer_to_a_send_says_where_the_limits_stand() {
    let (session, me) = Session::working().await;
    let friend = me.simulator.phone().await;
    let id = friend.text(&me.number, "a joke").await;
    session.event_of("message", &id).await;
    let later = session.path("/messages?async=true");
    let unlimited = session.organization.post_json(&later, &text(&friend, "unlimited")).await;
    let entry = unlimited.expect(202);
    assert_eq!((unlimited.header("ratelimit"), unlimited.header("ratelimit-policy")), (None, None));
    session.entry_is(&entry, "sent", Patience::seconds(30)).await;
    session.organization.patch(&session.path(""), &json!({ "ratePerHour": 100 })).await.expect(200);
    let left = |answer: &Answer| {
        assert_eq!(answer.header("ratelimit-policy"), Some("\"perhr\";q=100;w=3600"), "{}", answer.call);
        let standing = answer.header("ratelimit").unwrap();
        let left = standing.strip_prefix("\"perhr\";r=").unwrap().split(';').next().unwrap();
        left.parse::<u32>().unwrap()
    };
    // What was sent before is counted. What only waits is not.
    let reaction = session.path(&format!("/messages/{id}/reaction"));
    let body = json!({ "chat": friend.number, "emoji": "👍" });
    let reacted = session.organization.post_json(&reaction, &body).await;
    reacted.expect(200);
    assert_eq!(left(&reacted), 98);
    let accepted = session.organization.post_json(&later, &text(&friend, "later")).await;
    let entry = accepted.expect(202);
    assert!([97, 98].contains(&left(&accepted)), "{}", left(&accepted));
    session.entry_is(&entry, "sent", Patience::seconds(30)).await;
    let body = json!({ "chat": friend.number });
    let back = session.organization.call(Method::DELETE, &reaction, Some(&body)).await;
    back.expect(200);
    assert_eq!(left(&back), 96);
}

async fn a_limit_refuses_who_waits_with_the_true_time() {
    let (session, me) = Session::working().await;
    let friend = me.simulator.phone().await;
    let limits = json!({ "ratePerMin": 2, "ratePerHour": 100 });
    session.organization.patch(&session.path(""), &limits).await.expect(200);
    let first = session.text(&friend.number, "one").await;
    first.expect(200);
    assert_eq!(first.header("ratelimit-policy"), Some("\"permin\";q=2;w=60, \"perhr\";q=100;w=3600"));
    let standing = first.header("ratelimit").unwrap();
    assert!(standing.starts_with("\"permin\";r=1;t="), "{standing}");
    session.text(&friend.number, "two").await.expect(200);
    let refused = session.text(&friend.number, "three").await;
    let error = refused.expect_error(429, "rate_limited");
    let wait = error["details"]["retryAfterSeconds"].as_u64().unwrap();
    assert!((50..=61).contains(&wait), "{error}");
    assert_eq!(refused.header("retry-after"), Some(wait.to_string().as_str()));
    assert!(refused.header("ratelimit").is_some_and(|standing| standing.starts_with("\"permin\";r=0;t=")));
    // What is about a message is sent, too.
    let id = friend.text(&me.number, "react to me").await;
    session.event_of("message", &id).await;
    let body = json!({ "chat": friend.number, "emoji": "👍" });
    let path = session.path(&format!("/messages/{id}/reaction"));
    session.organization.post_json(&path, &body).await.expect_error(429, "rate_limited");
    // Nothing of what was refused is left behind.
    assert_eq!(session.events("message.from_me").await.len(), 2);
    session.organization.patch(&session.path(""), &json!({ "ratePerMin": 0 })).await.expect(200);
    session.text(&friend.number, "no limit any more").await.expect(200);
}
