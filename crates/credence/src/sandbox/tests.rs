//! Each of these runs once more as a process of its own, which goes inside and tries what it should not.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::thread;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};

use super::*;

/// Tells a test, when it runs once more, where it may read.
const INSIDE: &str = "CREDENCE_TEST_INSIDE";
/// The signal of a process that was ended for a call it made (`SIGSYS`).
const BAD_CALL: i32 = 31;

/// How `inside` ended in a process of its own, for the test of that name; it is given a directory with a file `read`.
fn alone(test: &str, inside: impl FnOnce(PathBuf)) -> Option<ExitStatus> {
    if let Some(directory) = env::var_os(INSIDE) {
        inside(directory.into());
        return None;
    }
    let site = tempfile::tempdir().unwrap();
    fs::write(site.path().join("read"), "credit").unwrap();
    let mut again = Command::new(env::current_exe().unwrap());
    again.args(["--exact", &format!("sandbox::tests::{test}"), "--nocapture", "--test-threads", "1"]);
    Some(again.env(INSIDE, site.path()).status().unwrap())
}

/// Requires that the kernel refuses, and with which word.
#[track_caller]
fn refused<T>(came: io::Result<T>, errno: i32) {
    match came {
        Ok(_) => panic!("it is done"),
        Err(error) => assert_eq!(error.raw_os_error(), Some(errno), "{error}"),
    }
}

#[test]
fn nothing_but_the_directories_of_a_reload_can_be_read_and_nothing_written() {
    let status =
        alone("nothing_but_the_directories_of_a_reload_can_be_read_and_nothing_written", |directory| {
            let file = directory.join("read");
            let mut log = File::create(directory.join("log")).unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let told = files::confine(std::slice::from_ref(&file), None, None)
                .expect("the kernel of these tests has landlock");

            assert_eq!(fs::read_to_string(&file).unwrap(), "credit");
            fs::read_to_string("/proc/self/cgroup").unwrap();
            fs::read_to_string("/sys/devices/system/cpu/possible").unwrap();
            writeln!(log, "what is open stays open").unwrap();

            refused(fs::read("/etc/passwd"), libc::EACCES);
            refused(fs::read_dir("/"), libc::EACCES);
            refused(fs::write(&file, ""), libc::EACCES);
            refused(fs::write(directory.join("new"), ""), libc::EACCES);
            refused(fs::remove_file(&file), libc::EACCES);
            refused(fs::rename(&file, directory.join("other")), libc::EACCES);
            refused(fs::create_dir(directory.join("room")), libc::EACCES);
            refused(UnixDatagram::bind(directory.join("socket")), libc::EACCES);
            refused(Command::new("/bin/true").status(), libc::EACCES);
            if !told.contains("as far as") {
                refused(TcpStream::connect(listener.local_addr().unwrap()), libc::EACCES);
                refused(TcpListener::bind("127.0.0.1:0"), libc::EACCES);
            }
            let inherits = thread::spawn(|| fs::read("/etc/passwd").map(drop));
            refused(inherits.join().unwrap(), libc::EACCES);
        });
    assert!(status.is_none_or(|status| status.success()), "{status:?}");
}

#[test]
fn a_file_replaced_by_another_of_its_name_is_read() {
    let status = alone("a_file_replaced_by_another_of_its_name_is_read", |directory| {
        let (file, new) = (directory.join("read"), directory.join("new"));
        let replace = {
            let (file, new) = (file.clone(), new.clone());
            let (go, went) = std::sync::mpsc::channel::<()>();
            // Of a thread that is older than the walls.
            let replacing = thread::spawn(move || {
                went.recv().unwrap();
                fs::write(&new, "newer").and_then(|()| fs::rename(&new, &file)).unwrap();
            });
            move || {
                go.send(()).unwrap();
                replacing.join().unwrap();
            }
        };
        files::confine(std::slice::from_ref(&file), None, None)
            .expect("the kernel of these tests has landlock");
        replace();
        assert_eq!(fs::read_to_string(&file).unwrap(), "newer");
    });
    assert!(status.is_none_or(|status| status.success()), "{status:?}");
}

#[test]
fn calls_that_no_engine_makes_fail_and_the_process_stays() {
    let status = alone("calls_that_no_engine_makes_fail_and_the_process_stays", |directory| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, away) = (listener.local_addr().unwrap(), SocketAddr::from(([127, 0, 0, 1], 9)));
        let older = thread::spawn(|| {
            thread::park();
            UdpSocket::bind("127.0.0.1:0").map(drop)
        });
        calls::confine(calls::Role::Engine(Programs::None)).expect("the kernel of these tests has seccomp");

        assert_eq!(fs::read_to_string(directory.join("read")).unwrap(), "credit");
        thread::spawn(|| assert!(thread::available_parallelism().is_ok())).join().unwrap();
        UnixDatagram::unbound().unwrap();

        refused(TcpStream::connect(address), libc::EPERM);
        refused(UdpSocket::bind("[::1]:0").and_then(|socket| socket.send_to(b"out", away)), libc::EPERM);
        refused(Command::new("/bin/true").spawn(), libc::EPERM);
        refused(fs::remove_file(directory.join("read")), libc::EPERM);
        refused(fs::create_dir(directory.join("room")), libc::EPERM);
        refused(rustix::process::setpriority_process(None, 5).map_err(io::Error::from), libc::EPERM);
        older.thread().unpark();
        refused(older.join().unwrap(), libc::EPERM);
    });
    assert!(status.is_none_or(|status| status.success()), "{status:?}");
}

#[test]
fn whoever_starts_a_program_is_ended() {
    let status = alone("whoever_starts_a_program_is_ended", |_| {
        calls::confine(calls::Role::Engine(Programs::None)).expect("the kernel of these tests has seccomp");
        println!("it stays: {}", Command::new("/bin/true").exec());
    });
    assert!(status.is_none_or(|status| status.signal() == Some(BAD_CALL)), "{status:?}");
}

#[test]
fn every_switch_can_be_off() {
    let status = alone("every_switch_can_be_off", |directory| {
        let off = Switches { user: None, drop_capabilities: false, landlock: false, seccomp: false };
        let config = Config { sandbox: off, ..Config::default() };
        Sandbox::prepare(&config, &directory.join("read")).unwrap().enter().unwrap();
        fs::read("/etc/passwd").unwrap();
        assert!(Command::new("/bin/true").status().unwrap().success());
    });
    assert!(status.is_none_or(|status| status.success()), "{status:?}");
}

/// Lets the kernel answer this call as one that does not have it.
fn forget(call: libc::c_long, errno: i32) {
    let calls = BTreeMap::from([(call, Vec::new())]);
    let (otherwise, then) = (SeccompAction::Allow, SeccompAction::Errno(errno as u32));
    let filter = SeccompFilter::new(calls, otherwise, then, TargetArch::try_from(env::consts::ARCH).unwrap());
    apply_filter(&BpfProgram::try_from(filter.unwrap()).unwrap()).unwrap();
}

#[test]
fn a_kernel_without_all_this_is_told_and_done_without() {
    let status = alone("a_kernel_without_all_this_is_told_and_done_without", |directory| {
        forget(libc::SYS_landlock_create_ruleset, libc::ENOSYS);
        forget(libc::SYS_seccomp, libc::EINVAL);
        assert!(!has_landlock());
        let file = directory.join("read");
        let told = files::confine(std::slice::from_ref(&file), None, None).unwrap_err().to_string();
        assert!(told.contains("this kernel has no landlock"), "{told}");
        let told = calls::confine(calls::Role::Engine(Programs::None)).unwrap_err().to_string();
        assert!(told.contains("takes no filter of system calls"), "{told}");
        Sandbox::prepare(&Config::default(), &file).unwrap().enter().unwrap();
        fs::read("/etc/passwd").unwrap();
    });
    assert!(status.is_none_or(|status| status.success()), "{status:?}");
}

#[test]
fn a_run_that_is_inside_is_confined_in_every_way() {
    let status = alone("a_run_that_is_inside_is_confined_in_every_way", |directory| {
        let config = Config::default();
        Sandbox::prepare(&config, &directory.join("read")).unwrap().enter().unwrap();
        assert!(rustix::thread::capabilities(None).is_err(), "not even that is asked again");
        fs::read(directory.join("read")).unwrap();
        refused(fs::read("/etc/passwd"), libc::EACCES);
        refused(UdpSocket::bind("127.0.0.1:0"), libc::EPERM);
    });
    assert!(status.is_none_or(|status| status.success()), "{status:?}");
}

#[test]
fn what_follows_reaches_others_and_its_own_directory_and_nothing_else() {
    let status = alone("what_follows_reaches_others_and_its_own_directory_and_nothing_else", |directory| {
        let (kept, other) = (directory.join("kept"), directory.join("read"));
        fs::create_dir(&kept).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        become_nobody_special(&Switches::default()).unwrap();
        assert!(rustix::thread::capabilities(None).unwrap().permitted.is_empty());
        confine_follower(&Switches::default(), &kept, &[]);

        TcpStream::connect(address).unwrap();
        assert!(("localhost", 1).to_socket_addrs().unwrap().next().is_some(), "by its name as well");
        thread::spawn(|| UdpSocket::bind("127.0.0.1:0").unwrap()).join().unwrap();
        let copy = kept.join("copy");
        fs::write(kept.join("new"), "credit").and_then(|()| fs::rename(kept.join("new"), &copy)).unwrap();
        assert_eq!(fs::read_to_string(&copy).unwrap(), "credit");
        fs::create_dir(kept.join("more")).and_then(|()| fs::remove_file(&copy)).unwrap();

        refused(fs::read(&other), libc::EACCES);
        refused(fs::write(directory.join("new"), ""), libc::EACCES);
        assert!(is_shut_out(Path::new("/etc/passwd")) && !is_shut_out(Path::new("/etc/hosts")));
        assert!(!is_shut_out(Path::new("/etc/no-such-file")));
        refused(TcpListener::bind("127.0.0.1:0"), libc::EACCES);
        let packets =
            rustix::net::socket(rustix::net::AddressFamily::PACKET, rustix::net::SocketType::RAW, None);
        refused(packets.map_err(io::Error::from), libc::EPERM);
        refused(Command::new("/bin/true").spawn(), libc::EPERM);
        println!("it stays: {}", Command::new("/bin/true").exec());
    });
    assert!(status.is_none_or(|status| status.signal() == Some(BAD_CALL)), "{status:?}");
}
