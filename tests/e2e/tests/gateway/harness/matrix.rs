//! What was broken, what the session said of it and how long it took to work again: one table at the end of a run.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

/// A line of the table.
pub struct Fault {
    /// What was done.
    pub name: String,
    /// What the sessions said: `status (code)`.
    pub said: BTreeSet<String>,
    /// Seconds until it said so, where that was looked at.
    pub seen: Option<f64>,
    /// Seconds until it worked again: one number a session.
    pub working: Vec<f64>,
    /// What that took.
    pub by: &'static str,
}

/// Nobody had to do anything.
pub const BY_ITSELF: &str = "itself";

static FAULTS: Mutex<Vec<Fault>> = Mutex::new(Vec::new());

/// Notes a fault that was survived.
pub fn note(fault: Fault) {
    FAULTS.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
}

/// The table, if there is anything to tell.
pub fn print() {
    let mut faults = FAULTS.lock().unwrap_or_else(PoisonError::into_inner);
    if faults.is_empty() {
        return;
    }
    faults.sort_by(|one, other| one.name.cmp(&other.name));
    let heads = ["fault", "status (code)", "seen after", "working after", "by"].map(str::to_owned);
    let lines: Vec<[String; 5]> = [heads].into_iter().chain(faults.iter().map(line)).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 5] = std::array::from_fn(width);
    let mut table = String::new();
    for [name, said, seen, working, by] in &lines {
        let [a, b, c, d, _] = widths;
        let _ = writeln!(table, "    {name:<a$}  {said:<b$}  {seen:>c$}  {working:>d$}  {by}");
    }
    println!("fault matrix; of several sessions the first, the middle and the last one back\n\n{table}");
}

fn line(Fault { name, said, seen, working, by }: &Fault) -> [String; 5] {
    let mut times = working.clone();
    times.sort_by(f64::total_cmp);
    let back = match times.as_slice() {
        [] => "-".to_owned(),
        [one] => format!("{one:.2} s"),
        [first, .., last] => format!("{first:.2} {:.2} {last:.2} s", times[times.len() / 2]),
    };
    let seen = seen.map_or_else(|| "-".to_owned(), |seen| format!("{seen:.2} s"));
    let said = said.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    [name.clone(), said, seen, back, (*by).to_owned()]
}
