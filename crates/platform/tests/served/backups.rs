//! A journal is taken away and brought back, and no place of the log is ever given twice.

use std::fs;
use std::thread;
use std::time::Duration;

use credence_feed::Head;
use credence_law::{Object, Signed};

use super::world::{Server, Site, run, told};

impl Site {
    fn backup(&self, name: &str) -> String {
        let file = self.path().join(name).to_str().unwrap().to_owned();
        let taken = run(&["backup", "--dir", self.dir(), &file]);
        assert!(taken.status.success(), "{}", told(&taken));
        file
    }

    /// What is said when a backup is brought back; refused or not.
    fn restore(&self, file: &str, more: &[&str]) -> Result<String, String> {
        let restored = run(&[&["restore", "--dir", self.dir(), file], more].concat());
        if restored.status.success() { Ok(told(&restored)) } else { Err(told(&restored)) }
    }

    fn verified(&self, more: &[&str]) -> String {
        let verified = run(&[&["verify", "--dir", self.dir()], more].concat());
        assert!(verified.status.success(), "{}", told(&verified));
        told(&verified)
    }
}

/// The session and the serial of the feed's head, once there is one.
fn head(server: &Server) -> (u64, u64) {
    for _ in 0..400 {
        let answer = server.get("/feed/head");
        if answer.status == 200 {
            let signed = Signed::decode(&answer.body).unwrap();
            let head = Object::<Head>::decode(signed.bytes()).unwrap().body;
            return (head.session, head.serial);
        }
        thread::sleep(Duration::from_millis(25));
    }
    panic!("the feed has no head");
}

#[test]
fn a_backup_taken_while_acts_come_in_is_a_journal() {
    let site = Site::new();
    let server = site.serve();
    let file = thread::scope(|scope| {
        let coming = scope.spawn(|| {
            for number in 1..=60 {
                assert_eq!(server.hand_in(&site.alert(number, number as u16)).status, 201);
            }
        });
        let file = site.backup("early");
        coming.join().unwrap();
        file
    });
    let whole = site.backup("whole");
    let again = run(&["backup", "--dir", site.dir(), &whole]);
    assert!(!again.status.success() && told(&again).contains("cannot be made"), "{}", told(&again));
    let checkpoint = server.get("/log/checkpoint").body;
    assert!(site.restore(&whole, &[]).unwrap_err().contains("another process"), "it is served");
    server.stop();
    assert!(site.restore(&whole, &[]).unwrap_err().contains("holds a journal already"));

    site.lose(0);
    let short = fs::read_to_string(&file).unwrap().lines().count() - 2;
    if short < 64 {
        assert!(site.restore(&file, &[]).unwrap_err().contains("64 were published"));
    }
    let said = site.restore(&whole, &[]).unwrap();
    assert!(said.contains("64 entries are back"), "{said}");
    assert_eq!(site.serve().get("/log/checkpoint").body, checkpoint, "the log goes on as it was");
}

/// Somebody sets the database back to yesterday, and the platform would give places anew.
#[test]
fn a_journal_that_has_lost_entries_is_not_served() {
    let site = Site::new();
    let server = site.serve();
    for number in 1..=3 {
        assert_eq!(server.hand_in(&site.alert(number, number as u16)).status, 201);
    }
    server.stop();
    site.lose(6);
    let refused = run(&["serve", "--dir", site.dir(), "--listen", "127.0.0.1:0"]);
    let said = told(&refused);
    assert!(!refused.status.success() && said.contains("6 entries, and 7 were published"), "{said}");
}

#[test]
fn what_is_lost_for_good_begins_an_epoch_under_another_name() {
    let site = Site::new();
    let server = site.serve();
    assert_eq!(server.hand_in(&site.alert(1, 1)).status, 201);
    let (file, early) = (site.backup("early"), site.path().join("checkpoint-1"));
    fs::write(&early, server.get("/log/checkpoint").body).unwrap();
    assert_eq!(server.hand_in(&site.alert(2, 2)).status, 201);
    let late = site.path().join("checkpoint-2");
    fs::write(&late, server.get("/log/checkpoint").body).unwrap();
    let (session, _) = head(&server);
    server.stop();

    // The database is gone, and so is what the directory remembers.
    site.lose(0);
    fs::remove_file(site.path().join("published")).unwrap();
    assert!(site.restore(&file, &[]).unwrap_err().contains("nobody says what was published last"));
    let late = late.to_str().unwrap();
    assert!(site.restore(&file, &["--checkpoint", late]).unwrap_err().contains("and 6 were published"));
    // Sessions are named by the second in which they began.
    thread::sleep(Duration::from_millis(1_100));
    let said = site.restore(&file, &["--new-epoch"]).unwrap();
    assert!(said.contains("epoch 2"), "{said}");

    let server = site.serve();
    let checkpoint = server.get("/log/checkpoint").text();
    assert_eq!(checkpoint.lines().next(), Some(&*format!("credence/{}/2", site.world)));
    let (begun, serial) = head(&server);
    assert!(begun > session && serial == 1, "its feed begins a new session: {begun}, {serial}");
    assert_eq!(server.hand_in(&site.alert(3, 3)).json()["place"], 5, "of a log that had no such place");
    server.stop();
    fs::write(site.path().join("epoch"), "1\n").unwrap();
    fs::remove_file(site.path().join("published")).unwrap();
    let refused = told(&run(&["serve", "--dir", site.dir(), "--listen", "127.0.0.1:0"]));
    let names = ["/2,", ":"].map(|end| format!("credence/{}{end}", site.world));
    assert!(
        names.iter().all(|name| refused.contains(name)) && refused.contains("take the file `epoch`"),
        "{refused}"
    );
    fs::write(site.path().join("epoch"), "2\n").unwrap();
    let early = site.verified(&["--checkpoint", early.to_str().unwrap()]);
    assert!(early.contains("lies on the log's way"), "{early}");
    let late = run(&["verify", "--dir", site.dir(), "--checkpoint", late]);
    assert!(!late.status.success() && told(&late).contains("rewritten"), "{}", told(&late));
}

#[test]
fn a_backup_that_was_changed_is_not_brought_back() {
    let (site, other) = (Site::new(), Site::new());
    let server = site.serve();
    assert_eq!(server.hand_in(&site.alert(1, 1)).status, 201);
    server.stop();
    let file = site.backup("whole");
    assert!(other.restore(&file, &[]).unwrap_err().contains("holds a journal already"));
    other.lose(0);
    assert!(other.restore(&file, &[]).unwrap_err().contains("another world"));
    site.lose(0);
    let good = fs::read_to_string(&file).unwrap();
    let lines: Vec<_> = good.lines().collect();
    let changed = |name: &str, lines: &[&str], expected: &str| {
        let path = site.path().join(name);
        fs::write(&path, lines.join("\n")).unwrap();
        let said = site.restore(path.to_str().unwrap(), &[]).unwrap_err();
        assert!(said.contains(expected), "{name}: {said}");
    };
    changed("cut", &lines[..lines.len() - 1], "is not whole");
    changed("shorter", &[&lines[..5], &lines[6..]].concat(), "some are missing");
    changed("swapped", &[lines[0], lines[1], lines[3], lines[2]], "place 1 is due");
    changed("headless", &lines[1..], "begins with its world");
    let accepted = good.replacen("\"accepted\":1", "\"accepted\":2", 1);
    changed("redated", &accepted.lines().collect::<Vec<_>>(), "redated");
    assert!(site.restore(&file, &[]).is_ok());
}
