//! From a customer that scans to the platform's log, with a real gateway and a real platform.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use super::live::Site;
use super::network::{GATEWAY, WAN, between, ip};
use super::running::sum;
use crate::outbox::World;

/// The customer's address; its network is the member's that the gateway belongs to.
const CUSTOMER: &str = "2001:db8:1000:1200::2";
/// What the member hands out to it.
const SUBJECT: &str = "2001:db8:1000:1200::/56";
/// Where the gateway's side answers.
const SERVICE_PORT: u16 = 7;

/// Answers every byte on each connection with the same byte.
fn serve_echo() {
    let listener = TcpListener::bind(format!("[{GATEWAY}]:{SERVICE_PORT}")).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut byte = [0];
                while stream.read_exact(&mut byte).and_then(|()| stream.write_all(&byte)).is_ok() {}
            });
        }
    });
}

/// The customer: one conversation, and a search for open ports beside it, until it is ended.
fn scan() {
    ip("addr flush dev lan scope global");
    ip(&format!("addr add {CUSTOMER}/64 dev lan nodad"));
    ip("-6 route add 2001:db8:77::/64 dev lan");
    let mut conversation = TcpStream::connect(format!("[{GATEWAY}]:{SERVICE_PORT}")).unwrap();
    for port in (2_000..60_000).cycle() {
        let closed: SocketAddr = format!("[{GATEWAY}]:{port}").parse().unwrap();
        let _ = TcpStream::connect_timeout(&closed, Duration::from_millis(20));
        let mut byte = [1];
        conversation.write_all(&byte).unwrap();
        conversation.read_exact(&mut byte).expect("nothing is enforced");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_customer_that_scans_stands_in_the_log_once() {
    between(
        "gateway::telling::a_customer_that_scans_stands_in_the_log_once",
        |customer| {
            ip(&format!("-6 route add 2001:db8:1000:1200::/64 dev {WAN}"));
            serve_echo();
            let mut world = World::new("automatic");
            world.serve();
            let site = Site::new(&world.keys());
            let mut running = site.start();
            let _scanning = customer.begin();
            // Behaviour alone takes a confirmed flow no further.
            world.stands_once(SUBJECT, "mark");
            let numbers = running.metrics_when(|numbers| {
                numbers.get("credence_outbox_answers_total{answer=\"taken\"}") == Some(&1)
            });
            assert!(sum(&numbers, "credence_outbox_alerts_total") > 1, "{numbers:?}");
            assert_eq!(numbers["credence_outbox_unheard_alerts_total"], 0);
            assert!(!running.stderr().contains("2001:db8:1000"), "{}", running.stderr());
        },
        scan,
    );
}
