//! The promises of the store: order, units whole or absent, and nothing let out before it is written.

use std::path::PathBuf;

use super::*;

/// A directory of its own that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wa-simulator-store-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    fn rows(&self, owner: &str) -> Vec<(String, Vec<u8>)> {
        let (store, mut rows) = Store::open(&self.0).unwrap();
        store.close();
        rows.take(Kind::Mail, owner)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn put(shelf: &Shelf, key: &str, value: u8) {
    shelf.put(Kind::Mail, key, || vec![value]);
}

#[tokio::test]
async fn what_is_settled_is_there_the_next_time() {
    let directory = Directory::new("settled");
    let (store, _) = Store::open(&directory.0).unwrap();
    let shelf = store.shelf("a");
    put(&shelf, "1", 1);
    put(&shelf, "2", 2);
    put(&shelf, "1", 3);
    shelf.delete(Kind::Mail, "2");
    put(&store.shelf("b"), "1", 4);
    assert!(store.settled().await);
    store.close();
    assert!(!store.settled().await, "a closed store promises nothing");
    assert_eq!(directory.rows("a"), [("1".to_owned(), vec![3])]);
    assert_eq!(directory.rows("b"), [("1".to_owned(), vec![4])]);
}

#[tokio::test]
async fn nothing_is_settled_while_an_earlier_unit_is_at_work() {
    let directory = Directory::new("unit");
    let (store, _) = Store::open(&directory.0).unwrap();
    let shelf = store.shelf("a");
    let (begun, has_begun) = std::sync::mpsc::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let unit = std::thread::spawn({
        let shelf = shelf.clone();
        move || {
            shelf.unit(|| {
                put(&shelf, "first half", 1);
                begun.send(()).unwrap();
                may_go_on.recv().unwrap();
                shelf.unit(|| put(&shelf, "second half", 2));
            });
        }
    });
    has_begun.recv().unwrap();
    put(&shelf, "later", 3);
    let early = tokio::time::timeout(std::time::Duration::from_millis(50), store.settled()).await;
    assert!(early.is_err());
    assert_eq!(*store.shared.as_ref().unwrap().written.borrow(), 0);
    go_on.send(()).unwrap();
    unit.join().unwrap();
    assert!(store.settled().await);
    store.close();
    assert_eq!(directory.rows("a").len(), 3);
}

#[tokio::test]
async fn a_reset_forgets_also_what_the_past_says_later() {
    let directory = Directory::new("reset");
    let (store, _) = Store::open(&directory.0).unwrap();
    let old = store.shelf("a");
    put(&old, "1", 1);
    store.reset();
    put(&old, "2", 2);
    put(&store.shelf("a"), "3", 3);
    store.close();
    assert_eq!(directory.rows("a"), [("3".to_owned(), vec![3])]);
}

#[test]
fn one_directory_is_for_one_simulator() {
    let directory = Directory::new("exclusive");
    let (store, _) = Store::open(&directory.0).unwrap();
    assert!(Store::open(&directory.0).is_err());
    store.close();
    assert!(Store::open(&directory.0).is_ok());
}
