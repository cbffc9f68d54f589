//! Servers and clients on the kernel's own sockets, to be run inside a namespace. Every wait has a limit.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use socket2::{Domain, Protocol, Socket, Type};

use super::lab::{Namespace, join};
use crate::sys;

/// Longest wait for a peer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a server looks whether it should end.
const TURN: Duration = Duration::from_millis(20);

/// Largest datagram that actors exchange, in bytes.
const DATAGRAM_MAX: usize = 9_216;

/// UDP-Lite (RFC 3828).
pub(crate) const UDP_LITE: i32 = 136;

/// A server in a namespace, which ends with this value.
pub(crate) struct Server {
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Server {
    /// Serves what `open` makes in `namespace`, one `turn` after another; returns once it is open.
    fn start<S: Send + 'static>(
        namespace: &Namespace,
        open: impl FnOnce() -> Result<S> + Send + 'static,
        turn: impl Fn(&S) -> Result<()> + Send + 'static,
    ) -> Result<Self> {
        let socket = namespace.enter(open)?;
        let stopping = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stopping);
        let thread = thread::spawn(move || {
            while !flag.load(Ordering::Relaxed) && !sys::interrupted() {
                turn(&socket)?;
            }
            Ok(())
        });
        Ok(Self { stopping, thread: Some(thread) })
    }

    /// A TCP server on `port` of every address: it answers `GET /N` with N bytes and closes.
    pub(crate) fn tcp(namespace: &Namespace, port: u16) -> Result<Self> {
        let open = move || {
            let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        Self::start(namespace, open, |listener| match listener.accept() {
            Ok((stream, _)) => {
                // A client that goes away early is part of the scene, so its end is not looked at.
                thread::spawn(move || answer(stream));
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::sleep(TURN / 4);
                Ok(())
            }
            Err(error) => Err(error.into()),
        })
    }

    /// A server of datagrams at `local`: each is answered with the datagrams that `reply` makes of it. `protocol` is 0
    /// for UDP or [`UDP_LITE`].
    pub(crate) fn datagrams(
        namespace: &Namespace,
        protocol: i32,
        local: SocketAddr,
        reply: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static,
    ) -> Result<Self> {
        let open = move || {
            let socket = datagram_socket(protocol, local)?;
            socket.set_read_timeout(Some(TURN))?;
            Ok(socket)
        };
        Self::start(namespace, open, move |socket| {
            let mut request = [0; DATAGRAM_MAX];
            match socket.recv_from(&mut request) {
                Ok((len, peer)) => {
                    for datagram in reply(&request[..len]) {
                        socket.send_to(&datagram, peer)?;
                    }
                    Ok(())
                }
                // An ICMPv6 error of an earlier answer is reported here, and is part of the scene.
                Err(_) => Ok(()),
            }
        })
    }
}

impl Drop for Server {
    /// Ends the server; one that failed says so, since a capture without its answers would mislead.
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        if let Some(Err(error)) = self.thread.take().map(join) {
            eprintln!("xtask: a server of the lab failed: {error:#}");
        }
    }
}

fn answer(mut stream: TcpStream) -> Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = Vec::new();
    let mut buffer = [0; 2_048];
    while !request.ends_with(b"\r\n\r\n") {
        let len = stream.read(&mut buffer)?;
        ensure!(len > 0, "the client closed before its request was whole");
        request.extend(&buffer[..len]);
    }
    let text = String::from_utf8_lossy(&request);
    let wanted =
        text.strip_prefix("GET /").and_then(|rest| rest.split(' ').next()).context("not a request")?;
    let len: usize = wanted.parse()?;
    stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n").as_bytes())?;
    stream.write_all(&vec![b'.'; len])?;
    Ok(())
}

/// A TCP connection from `source` (any when unspecified) to `peer`.
///
/// # Errors
/// When the peer refuses or does not answer within `patience`.
pub(crate) fn connect(source: Ipv6Addr, peer: SocketAddr, patience: Duration) -> Result<TcpStream> {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    socket.connect_timeout(&peer.into(), patience)?;
    Ok(socket.into())
}

/// Connects, asks for `len` bytes, reads them all and closes.
pub(crate) fn fetch(source: Ipv6Addr, peer: SocketAddr, len: usize) -> Result<()> {
    let mut stream = connect(source, peer, PATIENCE)?;
    converse(&mut stream, len)
}

/// Asks for `len` bytes on a connection and reads them all.
pub(crate) fn converse(stream: &mut TcpStream, len: usize) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    // In one write, so that it leaves in one segment.
    let request = format!("GET /{len} HTTP/1.1\r\nHost: www.example.org\r\nAccept: */*\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response)?;
    ensure!(response.len() > len, "the server sent {} bytes of {len}", response.len());
    Ok(())
}

/// Starts a connection and does not wait for it: what a scanner does. The socket closes at once.
pub(crate) fn knock(source: Ipv6Addr, peer: SocketAddr) -> Result<Socket> {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    // "In progress" is the usual answer; a refusal that came at once is as good.
    let _ = socket.connect(&peer.into());
    Ok(socket)
}

fn datagram_socket(protocol: i32, local: SocketAddr) -> Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::from(protocol)))?;
    socket.bind(&local.into())?;
    Ok(socket.into())
}

/// A socket for datagrams from `source` to `peer`, its own port free.
pub(crate) fn datagrams(protocol: i32, source: Ipv6Addr, peer: SocketAddr) -> Result<UdpSocket> {
    let socket = datagram_socket(protocol, SocketAddr::from((source, 0)))?;
    socket.connect(peer)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// Sends one datagram and waits for `replies` answers.
pub(crate) fn exchange(socket: &UdpSocket, request: &[u8], replies: usize) -> Result<()> {
    socket.send(request)?;
    let mut reply = [0; DATAGRAM_MAX];
    for _ in 0..replies {
        socket.recv(&mut reply).context("no answer to a datagram")?;
    }
    Ok(())
}

/// A raw ICMPv6 socket (RFC 3542, section 3): the kernel adds header and checksum, and answers echo requests itself.
pub(crate) fn icmp_socket(source: Ipv6Addr) -> Result<Socket> {
    let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// Sends `count` echo requests with `payload_len` bytes behind identifier and sequence number, and waits for each reply
/// when `answered`.
pub(crate) fn ping(
    source: Ipv6Addr,
    peer: Ipv6Addr,
    payload_len: usize,
    count: u8,
    answered: bool,
) -> Result<()> {
    let socket = icmp_socket(source)?;
    for sequence in 1..=count {
        let mut message = vec![128, 0, 0, 0, 0x12, 0x34, 0, sequence];
        message.resize(8 + payload_len, 0x55);
        socket.send_to(&message, &SocketAddr::from((peer, 0)).into())?;
        if answered {
            await_kind(&socket, 129)?;
        }
    }
    Ok(())
}

/// Sends echo requests until one is answered: a new link drops the first packets.
pub(crate) fn await_echo(source: Ipv6Addr, peer: Ipv6Addr) -> Result<()> {
    let socket = icmp_socket(source)?;
    socket.set_read_timeout(Some(TURN * 5))?;
    for _ in 0..50 {
        ensure!(!sys::interrupted(), "interrupted");
        // Until the link is up, sending fails as well.
        let _ = socket.send_to(&[128, 0, 0, 0, 0, 0, 0, 0], &SocketAddr::from((peer, 0)).into());
        if await_kind(&socket, 129).is_ok() {
            return Ok(());
        }
    }
    bail!("{peer} does not answer echo requests")
}

/// Reads messages of a raw ICMPv6 socket until one has type `kind`.
fn await_kind(socket: &Socket, kind: u8) -> Result<()> {
    let mut message = [0; DATAGRAM_MAX];
    let mut socket = socket;
    loop {
        let len = socket.read(&mut message).context("no ICMPv6 answer")?;
        if message[..len].first() == Some(&kind) {
            return Ok(());
        }
    }
}

/// A raw socket that sends whole IPv6 packets as they are (IPV6_HDRINCL).
pub(crate) fn packet_socket() -> Result<Socket> {
    let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW)))?;
    Ok(socket)
}

/// Sends a whole IPv6 packet, headers included.
pub(crate) fn send_packet(socket: &Socket, packet: &[u8]) -> Result<()> {
    let dst: [u8; 16] =
        packet[24..40].try_into().context("an IPv6 packet holds its destination at byte 24")?;
    socket.send_to(packet, &SocketAddr::from((Ipv6Addr::from(dst), 0)).into())?;
    Ok(())
}
