//! Connections that end by themselves, and no more of them than there are places.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep};

/// How often a listener without a free place looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A listener that accepts only while it has a free place; whoever comes then waits in the kernel's queue.
pub(super) struct Bounded {
    listener: TcpListener,
    /// Held once by the listener and once by each connection.
    places: Arc<()>,
    most: usize,
    lifetime: Duration,
}

impl Bounded {
    /// A listener with `most` places, whose connections last for `lifetime` at most. To be called on a
    /// runtime.
    ///
    /// # Errors
    /// When the runtime cannot watch the listener.
    pub(super) fn new(listener: std::net::TcpListener, most: usize, lifetime: Duration) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::from_std(listener)?, places: Arc::new(()), most, lifetime })
    }
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        while Arc::strong_count(&self.places) > self.most {
            sleep(LOOK_AGAIN).await;
        }
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let connection =
            Connection { stream, end: Box::pin(sleep(self.lifetime)), _place: Arc::clone(&self.places) };
        (connection, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that fails once its time is over, whichever way bytes were to go.
pub(super) struct Connection {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    _place: Arc<()>,
}

impl Connection {
    fn alive(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.end.as_mut().poll(context) {
            Poll::Pending => Ok(()),
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.alive(context)?;
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.alive(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.alive(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
