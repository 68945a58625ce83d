//! Files of the outbox.

use gateway_domain::message::media_type::File;

use super::*;

fn whole(outbox: &Outbox<'_, NativeSql>, lot: &str, file: usize) -> Vec<u8> {
    outbox.file(lot, file).unwrap().read(0, usize::MAX).into_owned()
}

fn rows(sql: &NativeSql, table: &str) -> i64 {
    sql.query(&format!("SELECT COUNT(*) FROM {table}"), &[]).unwrap()[0].integer(0).unwrap()
}

#[test]
fn asked_twice_is_one_entry_and_files_come_back_whole() {
    let sql = sql();
    let outbox = Outbox::new(&sql);
    let large = vec![7; PART_BYTES * 2 + 5];
    let files: [&[u8]; 3] = [&large, &[], &[9]];
    assert_eq!(outbox.add(&new("a", "a", true), &files, 1), Ok(true));
    assert_eq!(outbox.add(&new("a", "a", true), &files, 1), Ok(false));
    assert_eq!(outbox.lot("a").as_deref(), Ok("a"));
    for (number, file) in files.iter().enumerate() {
        assert_eq!(whole(&outbox, "a", number), *file);
    }
    assert_eq!(outbox.request("a"), Ok(Some("{}".into())));
    fixed(&outbox, "a", &[1]);
    assert_eq!((whole(&outbox, "a", 0), outbox.request("a"), outbox.file_bytes()), (vec![], Ok(None), Ok(0)));
}

#[test]
fn a_file_is_read_from_anywhere_across_its_parts() {
    let sql = sql();
    let outbox = Outbox::new(&sql);
    let bytes: Vec<u8> = (0..PART_BYTES * 2 + 77).map(|at| u8::try_from(at % 251).unwrap()).collect();
    outbox.add(&new("a", "a", true), &[&bytes], 1).unwrap();
    let file = outbox.file("a", 0).unwrap();
    assert_eq!((file.length(), file.parts()), (bytes.len() as u64, 3));
    for (offset, most) in [
        (0, 0),
        (0, 16),
        (1, 1),
        (PART_BYTES - 1, 2),
        (PART_BYTES, 1),
        (PART_BYTES - 5, PART_BYTES + 10),
        (bytes.len() - 1, 9),
        (bytes.len(), 9),
        (bytes.len() + 1, 9),
        (0, usize::MAX),
    ] {
        let end = offset.saturating_add(most).min(bytes.len());
        let wanted = bytes.get(offset..end).unwrap_or_default();
        assert!(file.read(offset as u64, most) == wanted, "{offset} {most}");
    }
    assert!(file.part(2).unwrap() == bytes[PART_BYTES * 2..]);
    assert!(file.part(3).is_err());
}

#[test]
fn files_that_come_before_their_request_become_its_own() {
    let sql = sql();
    let outbox = Outbox::new(&sql);
    assert_eq!(outbox.keep_lot("lot", 9), Ok(false), "a lot begins with its beginning");
    outbox.begin_lot("lot", 9).unwrap();
    for (file, part, bytes) in [(0, 0, vec![1; PART_BYTES]), (0, 1, vec![2]), (1, 0, vec![3])] {
        assert_eq!(outbox.keep_lot("lot", 10), Ok(true));
        // A part that comes twice is there once.
        outbox.add_part("lot", file, part, bytes.clone()).unwrap();
        outbox.add_part("lot", file, part, bytes).unwrap();
    }
    outbox.add(&new("a", "a", true), &[], 11).unwrap();
    assert_eq!(outbox.has_lot("lot"), Ok(true));
    assert_eq!((outbox.take_lot("lot", "a"), outbox.lot("a").as_deref()), (Ok(true), Ok("lot")));
    assert_eq!((outbox.has_lot("lot"), outbox.keep_lot("lot", 12)), (Ok(false), Ok(false)));
    assert_eq!(outbox.take_lot("lot", "b"), Ok(false));
    assert_eq!(outbox.take_lot("unknown", "b"), Ok(false));
    // Whoever refuses it now comes too late, and so does time.
    outbox.refuse_lot("lot").unwrap();
    assert_eq!(outbox.drop_stale_lots(u64::MAX), Ok(None));
    assert_eq!((whole(&outbox, "lot", 0).len(), whole(&outbox, "lot", 1)), (PART_BYTES + 1, vec![3]));
    outbox.fail("a", "{}", 12).unwrap();
    assert_eq!((rows(&sql, "outbox_file"), rows(&sql, "outbox_lot")), (0, 0));
}

#[test]
fn files_whose_request_does_not_come_are_forgotten() {
    let sql = sql();
    let outbox = Outbox::new(&sql);
    for (lot, at) in [("old", 10), ("new", 20), ("refused", 30)] {
        outbox.begin_lot(lot, at).unwrap();
        outbox.add_part(lot, 0, 0, vec![1]).unwrap();
    }
    outbox.refuse_lot("refused").unwrap();
    assert_eq!(rows(&sql, "outbox_file"), 2);
    assert_eq!(outbox.drop_stale_lots(LOT_MS + 9), Ok(Some(LOT_MS + 10)));
    assert_eq!(outbox.drop_stale_lots(LOT_MS + 10), Ok(Some(LOT_MS + 20)));
    assert_eq!((rows(&sql, "outbox_file"), rows(&sql, "outbox_lot")), (1, 1));
    // What still comes keeps a lot.
    outbox.keep_lot("new", 40).unwrap();
    assert_eq!(outbox.drop_stale_lots(LOT_MS + 20), Ok(Some(LOT_MS + 40)));
    assert_eq!(outbox.drop_stale_lots(LOT_MS + 40), Ok(None));
    assert_eq!((rows(&sql, "outbox_file"), rows(&sql, "outbox_lot")), (0, 0));
}

#[test]
fn what_is_fetched_is_kept_only_for_who_still_waits_for_it() {
    let sql = sql();
    let outbox = Outbox::new(&sql);
    outbox.add(&new("a", "a", true), &[], 1).unwrap();
    let entry = outbox.entry("a").unwrap().unwrap();
    assert_eq!(outbox.add_fetched(&entry, "a", 30, 0, vec![1]), Ok(true));
    let another = Entry { message_id: "of the entry that was here before".into(), ..entry.clone() };
    assert_eq!(outbox.add_fetched(&another, "a", 30, 1, vec![2]), Ok(false));
    assert_eq!(whole(&outbox, "a", 30), [1]);
    outbox.fail("a", "{}", 2).unwrap();
    assert_eq!(outbox.add_fetched(&entry, "a", 30, 1, vec![2]), Ok(false));
    assert_eq!(rows(&sql, "outbox_file"), 0);
}

#[test]
fn files_of_nobody_are_trimmed_and_no_others() {
    let sql = sql();
    let outbox = Outbox::new(&sql);
    outbox.add(&new("waits", "a", true), &[&[1]], 1).unwrap();
    outbox.begin_lot("lot", 1).unwrap();
    outbox.begin_lot("taken", 1).unwrap();
    outbox.add(&new("takes", "a", true), &[], 1).unwrap();
    outbox.take_lot("taken", "takes").unwrap();
    for lot in ["lot", "taken", "nobody's"] {
        outbox.add_part(lot, 0, 0, vec![1]).unwrap();
    }
    outbox.trim(2).unwrap();
    for (lot, bytes) in [("waits", 1), ("lot", 1), ("taken", 1), ("nobody's", 0)] {
        assert_eq!(whole(&outbox, lot, 0).len(), bytes, "{lot}");
    }
}
