//! Any frame at all meets the same end in the kernel as user space would give it.

use credence_credit::{Cache, Measure};
use credence_enforce::Policy;
use credence_wire::{Anomaly, Limits, Link, Malformed, Unkeyed, parse};

use crate::links::{Typed, nested};
use crate::world::{NOW_S, Random, any_snapshot, cache, edges, frame, loaded, now, small};

/// Frames that are compared; ten million by hand.
const FRAMES: &str = "CREDENCE_FRAMES";

/// Extension headers that are walked.
const WALKED: [u8; 6] = [0, 43, 44, 51, 60, 140];

/// A chain of up to ten extension headers of any kind and length, in any order.
fn chain(random: &mut Random) -> (u8, Vec<u8>) {
    // Headers that look like extension headers and end the walk, and ends proper. No tunnels, whose insides are not judged,
    // and nothing of which user space would say that it is cut.
    let end = random.of(&[59, 135, 139, 50, 253]);
    let mut kinds: Vec<u8> = (0..random.of(&[0, 0, 1, 2, 3, 8, 9, 10])).map(|_| random.of(&WALKED)).collect();
    kinds.push(end);
    let mut payload = Vec::new();
    for pair in kinds.windows(2) {
        let units = random.of(&[0, 0, 0, 1, 2]) as u8;
        let len = match pair[0] {
            44 => 8,
            51 => (usize::from(units) + 2) * 4,
            _ => (usize::from(units) + 1) * 8,
        };
        let mut header = vec![0; len.max(8)];
        (header[0], header[1]) = (pair[1], units);
        if pair[0] == 44 {
            // A first piece, a later one, or the only one.
            let offset = random.of(&[0_u16, 0, 1, 0x0f08]);
            header[2..4].copy_from_slice(&offset.to_be_bytes());
        }
        if pair[0] == 0 && random.below(4) == 0 {
            // A jumbogram's length, which counts where the header claims none.
            header[2..8].copy_from_slice(&[0xc2, 4, 0, 0, 0, random.below(100) as u8]);
        }
        header.truncate(len);
        payload.extend(header);
    }
    payload.extend(vec![0; random.of(&[0, 8, 20, 40])]);
    (kinds[0], payload)
}

/// A frame below link layers of any kind, whole, cut, or with a payload length that is not the truth.
fn any_frame(random: &mut Random, source: u128) -> Vec<u8> {
    let (next, payload) = chain(random);
    let mut bytes = frame(source, 0x3fff << 112 | 1, next, &payload);
    match random.below(8) {
        0 => {
            let any = random.below(100) as u16;
            let claimed = random.of(&[0, any]);
            bytes[18..20].copy_from_slice(&claimed.to_be_bytes());
        }
        1 => bytes.truncate(14 + random.below(bytes.len() as u64) as usize),
        2 => bytes[14] = 0x45,
        _ => {}
    }
    Typed::of_frame(&bytes).map_or(bytes, |typed| nested(random, &typed))
}

/// What user space says of a frame, when what cannot be read, or not to its end, is dropped.
fn expected(cache: &Cache, bytes: &[u8]) -> bool {
    let packet = match parse(Link::Ethernet, bytes, bytes.len() as u32, &Limits::default()) {
        Ok(packet) => packet,
        // What IPv4 carries is not looked into.
        Err(Unkeyed::NotIpv6(_) | Unkeyed::Malformed(Malformed::CarrierTruncated)) => return true,
        Err(Unkeyed::Malformed(_)) => return false,
    };
    let ruling = cache.effective(packet.outer.src, NOW_S).ruling;
    let is_listed = ruling.is_some_and(|number| cache.entry(number).allowed() == Measure::Drop);
    let not_walked = [Anomaly::ExtHeaderLimit, Anomaly::ExtHeaderTruncated, Anomaly::FirstFragmentIncomplete];
    // Behind a header that claims nothing no other is looked for, though it announces one.
    let is_cut = packet.outer.bytes == 40 && WALKED.contains(&packet.outer.proto);
    let is_unknown = is_cut || not_walked.into_iter().any(|anomaly| packet.anomalies.has(anomaly));
    !is_listed && !is_unknown
}

#[test]
fn any_frame_meets_the_same_end_in_the_kernel_as_in_user_space() {
    let policy = Policy { sample: 0, unknown: Measure::Drop, ..Policy::default() };
    let Some((mut xdp, mut records)) = loaded(&small(), &policy) else { return };
    let frames: usize = std::env::var(FRAMES).map_or(100_000, |count| count.parse().unwrap());
    let (mut random, mut passed, mut nested) = (Random(7), 0, 0);
    let mut done = 0;
    while done < frames {
        let cache = cache(vec![any_snapshot(&mut random, 2_000), any_snapshot(&mut random, 500)]);
        records.publish(&cache, now()).unwrap();
        let sources = edges(&cache);
        // Few enough that no record ends meanwhile.
        for _ in 0..5_000 {
            let source = random.of(&sources);
            let bytes = any_frame(&mut random, source);
            // The kernel takes no shorter frame for a test.
            if bytes.len() < 14 {
                continue;
            }
            let passes = xdp.passes(&bytes).unwrap();
            assert_eq!(passes, expected(&cache, &bytes), "frame {done}: {bytes:02x?}");
            passed += usize::from(passes);
            nested += usize::from(!passes && bytes[12..14] != [0x86, 0xdd]);
            done += 1;
        }
    }
    println!("{done} frames, {passed} passed, {nested} did not below further link layers, no difference");
    assert!(nested > done / 10, "{nested} of {done}");
    assert!((done / 5..done * 9 / 10).contains(&passed), "{passed} of {done} passed");
}
