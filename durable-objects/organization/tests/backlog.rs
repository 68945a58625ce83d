//! A ledger of a million events that nobody has read: a reader that comes back, and the forgetting, look at a bounded part
//! of it at a time.
#![allow(missing_docs, clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests")]

use std::cell::RefCell;
use std::rc::Rc;

use gateway_object::calls::reader::Filter;
use gateway_organization::ledger::{Ledger, Retention};
use gateway_sql::native::NativeSql;
use gateway_sql::{Row, Sql, SqlError, Value};

const EVENTS: u64 = 1_000_000;
/// As the filtered read has it, and the forgetting.
const LOOKED_AT: u64 = 2_000;
const FORGOTTEN_AT_ONCE: u64 = 20_000;

/// A database that writes down how SQLite goes about each statement.
#[derive(Clone)]
struct Watched(Rc<(NativeSql, RefCell<Vec<String>>)>);

impl Sql for Watched {
    fn query(&self, statement: &str, bindings: &[Value]) -> Result<Vec<Row>, SqlError> {
        let plan = self.0.0.query(&format!("EXPLAIN QUERY PLAN {statement}"), bindings)?;
        for step in &plan {
            self.0.1.borrow_mut().push(format!("{} [{statement}]", step.text(3)?));
        }
        self.0.0.query(statement, bindings)
    }

    fn atomically<T>(&self, work: impl FnOnce() -> Result<T, SqlError>) -> Result<T, SqlError> {
        self.0.0.atomically(work)
    }
}

impl Watched {
    /// How the statements since the last call went about the log: none may walk all of it.
    fn expect_bounded(&self) {
        for step in self.0.1.take() {
            let walks = step.starts_with("SCAN entry") && !step.contains("LIMIT");
            assert!(!walks, "it looks at the whole log: {step}");
        }
    }

    fn number(&self, statement: &str) -> u64 {
        u64::try_from(self.0.0.query(statement, &[]).unwrap().first().unwrap().integer(0).unwrap()).unwrap()
    }

    fn rows(&self) -> u64 {
        self.number("SELECT COUNT(*) FROM entry")
    }
}

fn backlog() -> (Watched, Ledger<Watched>) {
    let sql = Watched(Rc::new((NativeSql::in_memory().unwrap(), RefCell::default())));
    let ledger = Ledger::open(sql.clone()).unwrap();
    let event = r#"{"schema":"v1","id":"evt_'||n||'","event":"message","session":"s'||(n%100)||'","organization":"org",
        "timestamp":1,"seq":'||n||',"epoch":1,"payload":{}}"#;
    let rows = format!(
        "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {EVENTS}) \
         INSERT INTO entry (position, session, type, at, event) \
         SELECT n, 's'||(n%100), 'message', n, '{event}' FROM number"
    );
    sql.0.0.query(&rows, &[]).unwrap();
    sql.0.0.query("INSERT INTO number (name, value) VALUES ('newest', ?1)", &[number(EVENTS)]).unwrap();
    sql.0.1.take();
    (sql, ledger)
}

fn number(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap())
}

#[test]
fn a_million_events_are_read_and_forgotten_piece_by_piece() {
    let (sql, ledger) = backlog();

    let page = ledger.read(0, 200, &Filter::default()).unwrap();
    assert_eq!((page.events.len(), page.position), (200, 200));
    // Nothing is of this type, and that takes many small steps to know.
    let never = Filter { types: vec!["call".into()], session: None };
    let rare = Filter { types: vec!["message".into()], session: Some("s7".into()) };
    for after in [0, 500_000, EVENTS - LOOKED_AT] {
        let page = ledger.read(after, 200, &never).unwrap();
        assert_eq!((page.events.len(), page.position), (0, after + LOOKED_AT));
        let page = ledger.read(after, 200, &rare).unwrap();
        assert_eq!((page.events.len() as u64, page.position), (LOOKED_AT / 100, after + LOOKED_AT));
    }
    sql.expect_bounded();

    // By age: much is old, and a piece of it goes with each run.
    let by_age = Retention { events: EVENTS, milliseconds: 100_000 };
    ledger.trim(by_age, EVENTS).unwrap();
    assert_eq!((sql.rows(), ledger.bounds().unwrap().floor), (EVENTS - FORGOTTEN_AT_ONCE, FORGOTTEN_AT_ONCE));
    let mut runs = 1;
    while ledger.bounds().unwrap().floor < EVENTS - 100_001 {
        ledger.trim(by_age, EVENTS).unwrap();
        runs += 1;
    }
    assert_eq!((runs, sql.rows()), (45, 100_001));
    // By number: the log is never far above it, for it is looked at often.
    let by_number = Retention { events: 90_000, milliseconds: EVENTS };
    ledger.trim(by_number, EVENTS).unwrap();
    assert_eq!((sql.rows(), ledger.bounds().unwrap().floor), (90_000, EVENTS - 90_000));
    sql.expect_bounded();
}
