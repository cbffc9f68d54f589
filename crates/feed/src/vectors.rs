//! What is published for programs in other languages, held to what this one does.
//!
//! `vectors/feed.json` has rows with the bytes that are hashed for each, their shard's pages and digest, the columns of its file and a
//! file, a head with its bytes, and two deltas with the roll-up of both, as they are before they are packed. A file may be packed otherwise by another program: what it unpacks to is what counts. With
//! `CREDENCE_WRITE_VECTORS=1` this test writes the file anew.

use std::path::Path;
use std::{env, fs};

use credence_credit::{ActRef, Authority, EvidenceClass, Measure, Rating, Reasons, Score};
use credence_law::Signed;
use credence_law::layout::Layout;
use credence_law::party::{MemberId, Party, World};
use serde_json::{Value, json};

use crate::files::{Delta, Many, ShardDelta};
use crate::head::{DeltaRef, FileRef, Head};
use crate::pack::{pack_shard, unpack, unpack_shard};
use crate::row::{Row, page};
use crate::shard::Shard;
use crate::state::Loose;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &Value) -> Vec<u8> {
    let digits = text.as_str().unwrap().as_bytes().as_chunks::<2>().0;
    digits.iter().map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn rows() -> Vec<Row> {
    let row = |prefix: &str, authority, score: Option<u16>, act| Row {
        prefix: prefix.parse().unwrap(),
        authority,
        rating: score.map_or(Rating::Unrated, |score| Rating::of(Score::new(score).unwrap())),
        measure: Measure::RateLimit,
        reasons: Reasons::try_from(5).unwrap(),
        evidence: EvidenceClass::Confirmed,
        signatures: 3,
        expires: 1_800_000_000,
        act: ActRef([act; 8]),
    };
    vec![
        row("2a00:1::/32", Authority::OwnAlert, Some(400), 1),
        row("2a00:1::/32", Authority::Decision, None, 2),
        row("2a00:1:0:100::/56", Authority::OwnAlert, Some(0), 3),
        row("2a00:2:1::/48", Authority::Restriction, Some(1_000), 4),
    ]
}

fn head() -> Head {
    let file = |byte: u8| FileRef { hash: [byte; 32], len: 7 };
    Head {
        session: 1_800_000_000,
        serial: 5,
        previous: [1; 32],
        issued: 1_800_000_100,
        expires: 1_800_000_700,
        log_size: 40,
        log_root: [2; 32],
        rules: 4,
        rules_digest: [3; 32],
        root: [4; 32],
        snapshot: file(5),
        deltas: vec![DeltaRef { from: 4, to: 5, file: file(6) }],
    }
}

/// One delta and the next: a row is put and goes again, another one takes its place, an act comes and goes, and an issuer leaves.
fn deltas() -> [Delta; 2] {
    let party = |id| Party::Member(MemberId(id));
    let signed = |byte: u8| Signed::with(vec![byte], []);
    let shard = |id, byte, put: &[Row], gone: &[Row]| ShardDelta {
        party: party(id),
        manifest: signed(byte),
        bits: 0,
        put: Many(put.to_vec()),
        gone: Many(gone.iter().map(Row::key).collect()),
    };
    let loose = |place, byte| Loose { place, accepted: 1_800_000_000, signed: signed(byte) };
    let rows = rows();
    let first = Delta {
        from: 4,
        to: 5,
        shards: Many(vec![shard(1, 1, &rows[..2], &rows[3..]), shard(2, 2, &rows[2..3], &[])]),
        left: Many(vec![party(3)]),
        gone: Many(vec![7]),
        put: Many(vec![loose(8, 3), loose(9, 4)]),
    };
    let second = Delta {
        from: 5,
        to: 6,
        shards: Many(vec![shard(1, 5, &rows[3..], &rows[..1])]),
        left: Many(vec![party(2)]),
        gone: Many(vec![8]),
        put: Many(vec![loose(10, 6)]),
    };
    [first, second]
}

#[test]
fn a_feed_has_the_bytes_that_are_published() {
    let shard = Shard::in_pages(&rows(), 1).unwrap();
    let file = pack_shard(&shard);
    let columns = unpack(&file[5..], 1 << 20).unwrap();
    let told = |row: &Row| json!({ "prefix": row.prefix.to_string(), "bytes": hex(&row.to_bytes()), "page": page(row.prefix, 1) });
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/feed.json");
    let published: Option<Value> =
        fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str(&text).ok());
    // The file that is published, however this program packs today.
    let packed =
        published.as_ref().map_or_else(|| hex(&file), |known| known["file"].as_str().unwrap().to_owned());
    let [first, second] = deltas();
    let rolled = first.then(second).unwrap();
    let expected = json!({
        "rows": rows().iter().map(told).collect::<Vec<_>>(),
        "bits": shard.bits(),
        "digest": hex(&shard.digest()),
        "columns": hex(&columns),
        "file": packed,
        "head": hex(&head().object(World([9; 32])).encode()),
        "deltas": deltas().map(|delta| hex(&delta.to_bytes())),
        "roll_up": hex(&rolled.to_bytes()),
    });
    if env::var_os("CREDENCE_WRITE_VECTORS").is_some_and(|value| value == "1") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("{}\n", serde_json::to_string_pretty(&expected).unwrap())).unwrap();
    }
    let published: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(published, expected, "a change of the format takes a new version of it");
    let read = unpack_shard(&unhex(&published["file"]), shard.len()).unwrap();
    assert_eq!(read.digest(), shard.digest());
}
