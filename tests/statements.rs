//! No statement on a tenant's table without the organization in it: every SQL text of the directory is read from the
//! source, and run by SQLite's planner over the migrations.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that fails panics")]

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

/// What looks across organizations on purpose: only the platform's people and its machinery can have these.
const ACROSS: [&str; 3] = ["census.rs", "operations.rs", "platform.rs"];
/// Tables with things of tenants, and the column that says whose.
const TENANTS: [(&str, &str); 6] = [
    ("session", "organization_id"),
    ("apikey", "reference_id"),
    ("audit_log", "organization_id"),
    ("webhook", "organization_id"),
    ("realtime_ticket", "organization_id"),
    ("idempotency", "organization_id"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == ending));
    files.sort();
    files
}

/// All of the front door's sources but the directory's.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.retain(|entry| !entry.ends_with("src/directory"));
    entries.sort();
    let of = |entry: PathBuf| if entry.is_dir() { sources(&entry) } else { vec![entry] };
    entries.into_iter().flat_map(of).collect()
}

/// The string literals of a Rust source, line continuations joined; comments are left out.
fn literals(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    let code = source.lines().filter(is_code).collect::<Vec<_>>().join("\n");
    let mut letters = code.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            // A quotation mark as a character is no beginning.
            '\'' if letters.peek() == Some(&'"') => drop(letters.next()),
            '"' => {
                let mut literal = String::new();
                while let Some(letter) = letters.next() {
                    match letter {
                        '"' => break,
                        '\\' if letters.peek() == Some(&'\n') => {
                            while letters.next_if(|letter| letter.is_whitespace()).is_some() {}
                        }
                        '\\' => literal.extend(letters.next()),
                        other => literal.push(other),
                    }
                }
                found.push(literal);
            }
            _ => {}
        }
    }
    found
}

/// The SQL of a source, in the order it stands there.
fn statements(source: &str) -> Vec<String> {
    let verbs = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "REPLACE ", "WITH "];
    let mut texts = literals(source);
    texts.retain(|text| verbs.iter().any(|verb| text.trim_start().starts_with(verb)));
    texts
}

/// What is wrong with a statement, if anything is.
fn fault(statement: &str) -> Option<String> {
    let words: Vec<&str> =
        statement.split(|letter: char| !(letter.is_alphanumeric() || letter == '_')).collect();
    let tenants: Vec<_> = TENANTS.iter().filter(|(table, _)| words.contains(table)).collect();
    if tenants.is_empty() {
        return Some("it is on no tenant's table: what does it do here?".to_owned());
    }
    for (table, column) in tenants {
        let is_whole = if statement.trim_start().starts_with("INSERT ") {
            let columns =
                statement.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(names, _)| names);
            columns.is_some_and(|names| names.split(',').any(|name| name.trim() == *column))
        } else {
            // First among the conditions, and joined to the others by AND: nothing gets around it.
            let conditions = statement.split(" WHERE ").skip(1).collect::<Vec<_>>();
            !conditions.is_empty()
                && conditions.iter().all(|conditions| {
                    let rest = conditions.trim_start().strip_prefix(&format!("{column} = ?1"));
                    rest.is_some_and(|rest| {
                        rest.is_empty()
                            || rest.starts_with(" AND ")
                            || rest.starts_with(" RETURNING ")
                            || rest.starts_with(" ORDER ")
                    }) && !outside_parentheses(conditions).contains(" OR ")
                })
        };
        if !is_whole {
            return Some(format!("{table} without {column}"));
        }
    }
    None
}

fn outside_parentheses(text: &str) -> String {
    let mut depth = 0_usize;
    text.chars()
        .filter(|letter| {
            match letter {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0
        })
        .collect()
}

/// The statements of the directory that act for one organization, with their files.
fn tenants_statements() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for file in files("src/directory", "rs") {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if !ACROSS.contains(&name.as_str()) {
            let source = fs::read_to_string(&file).unwrap();
            all.extend(statements(&source).into_iter().map(|statement| (name.clone(), statement)));
        }
    }
    all
}

#[test]
fn every_statement_of_the_directory_names_the_organization() {
    let all = tenants_statements();
    // As many as there were when this was written: a reader that reads nothing finds no fault.
    assert!(all.len() >= 15, "{all:#?}");
    for (file, statement) in &all {
        assert_eq!(fault(statement), None, "{file}: {statement}");
    }
    println!("{} statements", all.len());
}

#[test]
fn nobody_else_asks_the_database() {
    let found: Vec<String> = sources(&root().join("src"))
        .into_iter()
        .filter(|file| !statements(&fs::read_to_string(file).unwrap()).is_empty())
        .map(|file| file.strip_prefix(root()).unwrap().display().to_string())
        .collect();
    assert_eq!(found, ["src/auth/api_key.rs", "src/auth/ticket.rs", "src/routes/health.rs"]);
}

#[test]
fn every_statement_is_a_range_of_an_index() {
    let database = Connection::open_in_memory().unwrap();
    for file in files("migrations", "sql") {
        database.execute_batch(&fs::read_to_string(file).unwrap()).unwrap();
    }
    for (file, statement) in tenants_statements() {
        let returned = statement.replace("{COLUMNS}", "id");
        let explained = format!("EXPLAIN QUERY PLAN {returned}");
        let mut plan =
            database.prepare(&explained).unwrap_or_else(|error| panic!("{file}: {statement}: {error}"));
        let steps: Vec<String> = plan.raw_query().mapped(|row| row.get(3)).collect::<Result<_, _>>().unwrap();
        let scan = steps.iter().find(|step| step.starts_with("SCAN") || step.contains("TEMP B-TREE"));
        assert_eq!(scan, None, "{file}: {statement}");
        if statement.contains(" ORDER BY ") {
            // A page is as cheap in the middle of a long list as at its end.
            let is_range =
                steps.iter().any(|step| step.contains("=? AND id<?)") || step.contains("=? AND id>?)"));
            assert!(is_range, "{file}: {statement}: {steps:?}");
        }
    }
}

#[test]
fn the_reader_sees_what_is_wrong() {
    let source = r#"
        // "SELECT nothing FROM session"
        let a = "SELECT id FROM session WHERE \
                 organization_id = ?1 AND id = ?2";
        let mark = '"';
        let b = format!("DELETE FROM apikey WHERE id = ?1 RETURNING {COLUMNS}");
        let c = "no statement";
    "#;
    assert_eq!(
        statements(source),
        [
            "SELECT id FROM session WHERE organization_id = ?1 AND id = ?2",
            "DELETE FROM apikey WHERE id = ?1 RETURNING {COLUMNS}"
        ]
    );
    for fine in [
        "SELECT id FROM session WHERE organization_id = ?1",
        "UPDATE apikey SET name = ?3 WHERE reference_id = ?1 AND id = ?2 AND (a IS ?3 OR b = ?4) RETURNING id",
        "INSERT INTO session (id, organization_id) VALUES (?1, ?2)",
    ] {
        assert_eq!(fault(fine), None, "{fine}");
    }
    for wrong in [
        "SELECT id FROM session",
        "SELECT id FROM session WHERE id = ?1",
        "SELECT id FROM session WHERE organization_id = ?2",
        "SELECT id FROM session WHERE organization_id = ?1 OR 1",
        "SELECT id FROM session WHERE organization_id = ?10",
        "SELECT id FROM session WHERE id = ?2 OR organization_id = ?1",
        "SELECT id FROM session WHERE organization_id = ?1 AND id IN (SELECT id FROM apikey WHERE id = ?2)",
        "UPDATE apikey SET reference_id = ?1 WHERE id = ?2",
        "INSERT INTO apikey (id) VALUES (?1)",
        "DELETE FROM audit_log WHERE reference_id = ?1",
        "SELECT 1",
    ] {
        assert!(fault(wrong).is_some(), "{wrong}");
    }
}
