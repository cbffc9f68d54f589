//! A program that leaves an interface, and the one that comes after it.

use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use aya::programs::links::PinnedLink;
use credence_enforce::{LoadError, Policy, boot_ns, detach};
use rustix::thread::UnshareFlags;
#[expect(deprecated, reason = "what can go wrong with it are file descriptors, which stay shared")]
use rustix::thread::unshare;

use super::world::{loaded, small};

/// How long somebody still reads about the program that was taken off.
const READ_FOR: Duration = Duration::from_millis(300);

/// An interface that no other program is on.
const INTERFACE: &str = "in0";

/// Puts this thread into namespaces of its own with that interface, and a BPF file system, whose place this is.
fn apart() -> PathBuf {
    #[expect(deprecated, reason = "what can go wrong with it are file descriptors, which stay shared")]
    unshare(UnshareFlags::NEWNET | UnshareFlags::NEWNS).unwrap();
    let pins = PathBuf::from("/mnt");
    for command in [
        "mount --make-rprivate /".to_owned(),
        format!("mount -t bpf bpf {}", pins.display()),
        format!("ip link add {INTERFACE} type veth peer out0"),
    ] {
        let words: Vec<_> = command.split(' ').collect();
        assert!(Command::new(words[0]).args(&words[1..]).status().unwrap().success(), "{command}");
    }
    pins
}

/// What a listing of the host's programs does: it holds each for a moment.
#[test]
fn a_program_that_is_on_its_way_off_is_waited_for_and_one_that_stays_is_not_pushed_off() {
    let (Some((mut first, _)), Some((mut next, _))) =
        (loaded(&small(), &Policy::default()), loaded(&small(), &Policy::default()))
    else {
        return;
    };
    let pins = apart();
    drop(first.attach(INTERFACE, &pins, true).unwrap());
    let reader = PinnedLink::from_pin(pins.join(INTERFACE)).unwrap();
    assert!(detach(INTERFACE, &pins).unwrap());
    let began = boot_ns();
    let reads = thread::spawn(move || {
        thread::sleep(READ_FOR);
        drop(reader);
    });
    let joined = next.attach(INTERFACE, &pins, false).unwrap();
    assert!(u128::from(boot_ns() - began) >= READ_FOR.as_nanos(), "while it is read it is there");
    reads.join().unwrap();
    drop(joined);

    let stays = first.attach(INTERFACE, &pins, true).unwrap();
    let reader = PinnedLink::from_pin(pins.join(INTERFACE)).unwrap();
    drop(stays);
    assert!(detach(INTERFACE, &pins).unwrap());
    assert!(matches!(next.attach(INTERFACE, &pins, false), Err(LoadError::Taken { .. })));
    drop(reader);
}
