//! Pairs, and what confirms a source.

use super::*;

const CLIENT: FlowKey = FlowKey { src: 1, dst: 2, proto: 6, sport: 40_000, dport: 443 };

fn server() -> FlowKey {
    CLIENT.reverse()
}

fn udp(key: FlowKey, source: Option<u64>, destination: Option<u64>) -> Header {
    header(FlowKey { proto: 17, ..key }, Upper::Udp { quic: Some(QuicIds { source, destination }) })
}

fn sctp(key: FlowKey, verification_tag: u32, initiate_tag: Option<u32>) -> Header {
    header(FlowKey { proto: 132, ..key }, Upper::Sctp { verification_tag, initiate_tag })
}

#[test]
fn a_whole_handshake_confirms_the_responder_at_its_answer_and_the_initiator_at_its_third_packet() {
    let mut line = Line::new();
    line.send(&tcp(CLIENT, SYN, 1000, 0));
    assert_eq!(line.state(CLIENT), (false, false));
    line.send(&tcp(server(), SYN | ACK, 5000, 1001));
    assert_eq!((line.state(CLIENT), line.state(server())), ((true, false), (true, true)));
    line.send(&tcp(CLIENT, ACK, 1001, 5001));
    assert_eq!((line.state(CLIENT), line.state(server())), ((true, true), (true, true)));
}

#[test]
fn sequence_numbers_wrap() {
    let mut line = Line::new();
    line.send(&tcp(CLIENT, SYN, u32::MAX, 0)).send(&tcp(server(), SYN | ACK, u32::MAX, 0));
    line.send(&tcp(CLIENT, ACK, 0, 0));
    assert_eq!((line.state(CLIENT), line.state(server())), ((true, true), (true, true)));
}

#[test]
fn a_wrong_acknowledgement_confirms_nobody() {
    for wrong in [0, 5000, 5002, 1001, u32::MAX] {
        let mut line = Line::new();
        line.send(&tcp(CLIENT, SYN, 1000, 0)).send(&tcp(server(), SYN | ACK, 5000, 1000));
        line.send(&tcp(CLIENT, ACK, 1001, wrong));
        assert_eq!((line.state(CLIENT), line.state(server())), ((true, false), (true, false)), "ack {wrong}");
    }
}

#[test]
fn a_blind_spoofer_that_guesses_is_not_confirmed_and_its_victim_may_be_later() {
    let mut line = Line::new();
    line.send(&tcp(CLIENT, SYN, 1000, 0)).send(&tcp(server(), SYN | ACK, 0xdead_beef, 1001));
    for guess in 0..10_000 {
        line.send(&tcp(CLIENT, ACK, 1001, guess));
    }
    assert_eq!(line.state(CLIENT), (true, false));
    line.send(&tcp(CLIENT, ACK, 1001, 0xdead_bef0));
    assert_eq!(line.state(CLIENT), (true, true));
}

#[test]
fn an_acknowledgement_number_without_the_flag_is_no_echo() {
    let mut line = Line::new();
    line.send(&tcp(CLIENT, SYN, 1000, 0)).send(&tcp(server(), SYN | ACK, 5000, 1001));
    line.send(&tcp(CLIENT, 0, 1001, 5001));
    assert_eq!(line.state(CLIENT), (true, false));
}

#[test]
fn tcp_joined_in_the_middle_is_paired_and_never_confirmed() {
    let mut line = Line::new();
    for n in 0..100 {
        line.send(&tcp(CLIENT, ACK, 1000 + n, 5000 + n)).send(&tcp(server(), ACK, 5000 + n, 1000 + n));
    }
    assert_eq!((line.state(CLIENT), line.state(server())), ((true, false), (true, false)));
}

#[test]
fn one_direction_alone_is_neither_paired_nor_confirmed() {
    let mut line = Line::new();
    line.send(&tcp(CLIENT, SYN, 1000, 0)).send(&tcp(CLIENT, ACK, 1001, 5001));
    assert_eq!(line.state(CLIENT), (false, false));
    let mut line = Line::new();
    line.send(&tcp(server(), SYN | ACK, 5000, 1001)).send(&tcp(server(), ACK, 5001, 1200));
    assert_eq!(line.state(server()), (false, false));
}

#[test]
fn a_reset_answers_a_syn_and_proves_that_it_was_received() {
    let mut line = Line::new();
    line.send(&tcp(CLIENT, SYN, 1000, 0)).send(&tcp(server(), RST | ACK, 0, 1001));
    assert_eq!((line.state(CLIENT), line.state(server())), ((true, false), (true, true)));
}

#[test]
fn a_retransmitted_syn_changes_nothing_and_one_with_a_new_number_counts_anew() {
    let mut line = Line::new();
    line.send(&tcp(CLIENT, SYN, 1000, 0)).send(&tcp(CLIENT, SYN, 1000, 0));
    line.send(&tcp(server(), SYN | ACK, 5000, 1001)).send(&tcp(server(), SYN | ACK, 5000, 1001));
    line.send(&tcp(CLIENT, ACK, 1001, 5001));
    assert_eq!((line.state(CLIENT), line.state(server())), ((true, true), (true, true)));

    let mut line = Line::new();
    line.send(&tcp(CLIENT, SYN, 1000, 0)).send(&tcp(CLIENT, SYN, 2000, 0));
    line.send(&tcp(server(), SYN | ACK, 5000, 1001));
    assert_eq!(line.state(server()), (true, false));
    line.send(&tcp(server(), SYN | ACK, 5000, 2001));
    assert_eq!(line.state(server()), (true, true));
}

#[test]
fn a_simultaneous_open_confirms_both_sides() {
    let mut line = Line::new();
    line.send(&tcp(CLIENT, SYN, 1000, 0)).send(&tcp(server(), SYN, 5000, 0));
    assert_eq!((line.state(CLIENT), line.state(server())), ((true, false), (true, false)));
    line.send(&tcp(CLIENT, SYN | ACK, 1000, 5001)).send(&tcp(server(), SYN | ACK, 5000, 1001));
    assert_eq!((line.state(CLIENT), line.state(server())), ((true, true), (true, true)));
}

#[test]
fn an_answer_seen_before_its_syn_confirms_the_initiator_only() {
    let mut line = Line::new();
    line.send(&tcp(server(), SYN | ACK, 5000, 1001)).send(&tcp(CLIENT, SYN, 1000, 0));
    line.send(&tcp(CLIENT, ACK, 1001, 5001));
    assert_eq!((line.state(CLIENT), line.state(server())), ((true, true), (true, false)));
}

#[test]
fn an_sctp_association_confirms_both_sides_by_their_tags() {
    let (a, b) = (FlowKey { proto: 132, ..CLIENT }, FlowKey { proto: 132, ..server() });
    let mut line = Line::new();
    line.send(&sctp(CLIENT, 0, Some(77))).send(&sctp(server(), 77, Some(99)));
    assert_eq!((line.state(a), line.state(b)), ((true, false), (true, true)));
    line.send(&sctp(CLIENT, 98, None));
    assert_eq!(line.state(a), (true, false));
    line.send(&sctp(CLIENT, 99, None));
    assert_eq!(line.state(a), (true, true));
}

#[test]
fn quic_connection_ids_confirm_whoever_returns_them() {
    let (a, b) = (FlowKey { proto: 17, ..CLIENT }, FlowKey { proto: 17, ..server() });
    let mut line = Line::new();
    line.send(&udp(CLIENT, Some(0x1111_0000_2222), Some(0xaaaa)));
    line.send(&udp(server(), Some(0x3333_0000_4444), Some(0x1111_0000_2222)));
    assert_eq!((line.state(a), line.state(b)), ((true, false), (true, true)));
    line.send(&udp(CLIENT, Some(0x1111_0000_2222), Some(0xaaaa)));
    assert_eq!(line.state(a), (true, false), "the id that the client chose for the server proves nothing");
    line.send(&udp(CLIENT, Some(0x1111_0000_2222), Some(0x3333_0000_4444)));
    assert_eq!(line.state(a), (true, true));
}

#[test]
fn quic_without_long_enough_ids_confirms_nobody() {
    let (a, b) = (FlowKey { proto: 17, ..CLIENT }, FlowKey { proto: 17, ..server() });
    let mut line = Line::new();
    line.send(&udp(CLIENT, None, Some(0xaaaa))).send(&udp(server(), None, None));
    line.send(&udp(CLIENT, None, None));
    assert_eq!((line.state(a), line.state(b)), ((true, false), (true, false)));
}

#[test]
fn plain_udp_pairs_and_never_confirms() {
    let (a, b) = (FlowKey { proto: 17, ..CLIENT }, FlowKey { proto: 17, ..server() });
    let mut line = Line::new();
    for _ in 0..100 {
        line.send(&header(a, Upper::Udp { quic: None })).send(&header(b, Upper::Udp { quic: None }));
    }
    assert_eq!((line.state(a), line.state(b)), ((true, false), (true, false)));
}

#[test]
fn an_echo_pairs_with_its_reply_only_and_never_confirms() {
    let echo = |key: FlowKey, kind: u8| {
        let key = FlowKey { proto: 58, sport: u16::from(kind), dport: 0, ..key };
        (key, header(key, Upper::Icmpv6 { kind, code: 0 }))
    };
    let (ask, ask_header) = echo(CLIENT, 128);
    let (ask_back, ask_back_header) = echo(server(), 128);
    let (reply, reply_header) = echo(server(), 129);
    let mut line = Line::new();
    line.send(&ask_header).send(&ask_back_header);
    assert_eq!((line.state(ask), line.state(ask_back)), ((false, false), (false, false)));
    line.send(&reply_header).send(&ask_header).send(&reply_header);
    assert_eq!((line.state(ask), line.state(reply)), ((true, false), (true, false)));
    assert_eq!(line.state(ask_back), (false, false));
}

#[test]
fn a_flow_to_itself_is_not_its_own_peer() {
    let own = FlowKey { src: 1, dst: 1, proto: 6, sport: 80, dport: 80 };
    assert_eq!(own.reverse(), own);
    let mut line = Line::new();
    line.send(&tcp(own, SYN, 1000, 0))
        .send(&tcp(own, SYN | ACK, 1000, 1001))
        .send(&tcp(own, ACK, 1001, 1001));
    assert_eq!(line.state(own), (false, false));
}

#[test]
fn a_flow_that_begins_anew_beside_its_living_peer_is_paired_again_and_not_confirmed() {
    let mut line = Line::new();
    line.send(&tcp(CLIENT, SYN, 1000, 0)).send(&tcp(server(), SYN | ACK, 5000, 1001));
    line.send(&tcp(CLIENT, FIN | ACK, 1001, 5001));
    assert_eq!(line.state(CLIENT), (true, true));
    line.at += 16 * S;
    line.send(&tcp(CLIENT, ACK, 1300, 5200));
    assert_eq!((line.state(CLIENT), line.state(server())), ((true, false), (true, true)));
}
