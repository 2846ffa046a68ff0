//! The path alone: one thread has both ends of a connection.
//!
//! A packet between two namespaces goes all its way in the system call that sends it, so
//! what was written can be read at once: nobody is woken up and nothing waits for another
//! processor. What is left is what the kernel does with a packet, and medians of it hold
//! still where ordinary measurements do not.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Instant;

use wasmnet_lab::Place;

/// Requests and chunks of one sample.
const REQUESTS: usize = 2000;
const CHUNKS: usize = 500;
/// Bytes of a chunk: one send that the kernel keeps together on its way.
const CHUNK: usize = 60_000;

/// The two ends.
pub struct Ends {
    client: TcpStream,
    server: TcpStream,
}

// === impl Ends ===

impl Ends {
    /// Connects them.
    pub fn connect(
        from: &Place,
        to: &Place,
        listen: SocketAddr,
        address: SocketAddr,
        prepare: impl Fn(&TcpStream) -> io::Result<()>,
    ) -> io::Result<Self> {
        let listener = to.within(|| TcpListener::bind(listen))?;
        let client = from.within(|| TcpStream::connect_timeout(&address, super::PATIENCE))?;
        let (server, _) = listener.accept()?;
        prepare(&client)?;
        prepare(&server)?;
        Ok(Self { client, server })
    }

    /// Microseconds of a byte there and a byte back.
    pub fn latency(&mut self) -> io::Result<f64> {
        let mut times = Vec::with_capacity(REQUESTS);
        let mut byte = [0];
        for _ in 0..REQUESTS {
            let started = Instant::now();
            self.client.write_all(&byte)?;
            self.server.read_exact(&mut byte)?;
            self.server.write_all(&byte)?;
            self.client.read_exact(&mut byte)?;
            times.push(started.elapsed().as_secs_f64() * 1e6);
        }
        Ok(median(times))
    }

    /// Gbit/s in one direction.
    pub fn throughput(&mut self) -> io::Result<f64> {
        let mut times = Vec::with_capacity(CHUNKS);
        let mut chunk = vec![0; CHUNK];
        for _ in 0..CHUNKS {
            let started = Instant::now();
            self.client.write_all(&chunk)?;
            self.server.read_exact(&mut chunk)?;
            times.push(started.elapsed().as_secs_f64());
        }
        #[allow(clippy::cast_precision_loss, reason = "it is small")]
        let bits = CHUNK as f64 * 8.0;
        Ok(bits / median(times) / 1e9)
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}
