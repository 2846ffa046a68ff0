//! Does for a daemon what systemd does with a socket unit: keeps its listening sockets, starts
//! it with them, and starts it again whenever it ends.
//!
//! `wasmnet-keeper SOCKET... -- COMMAND...`. What the daemon tells its service manager is
//! printed. A file `/run/keeper.hold` keeps it from starting the daemon.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test program")]

use std::{
    env, fs,
    os::{
        fd::{AsFd, AsRawFd},
        unix::net::{UnixDatagram, UnixListener},
    },
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use rustix::io::{FdFlags, fcntl_setfd};

/// Where the daemon tells how it is.
const NOTIFY: &str = "/run/keeper.notify";
/// While it is there, the daemon is not started.
const HOLD: &str = "/run/keeper.hold";
/// The first descriptor that is handed over, as in sd_listen_fds(3).
const FIRST: i32 = 3;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let split = arguments.iter().position(|word| word == "--").expect("SOCKET... -- COMMAND...");
    let (sockets, command) = (&arguments[..split], &arguments[split + 1..]);

    let mut listeners = Vec::new();
    for (path, number) in sockets.iter().zip(FIRST..) {
        fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
        let listener = UnixListener::bind(path).unwrap();
        // The kernel gives out the lowest number that is free.
        assert_eq!(listener.as_raw_fd(), number, "something else is open");
        fcntl_setfd(listener.as_fd(), FdFlags::empty()).unwrap();
        listeners.push(listener);
    }
    let told = UnixDatagram::bind(NOTIFY).unwrap();
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(length) = told.recv(&mut bytes) {
            for line in String::from_utf8_lossy(&bytes[..length]).lines() {
                println!("told {line}");
            }
        }
    });

    loop {
        while Path::new(HOLD).exists() {
            thread::sleep(Duration::from_millis(5));
        }
        let ended = Command::new("sh")
            .args(["-c", "LISTEN_PID=$$ WATCHDOG_PID=$$ exec \"$@\"", "sh"])
            .args(command)
            .env("LISTEN_FDS", listeners.len().to_string())
            .env("LISTEN_FDNAMES", vec!["wasmnet"; listeners.len()].join(":"))
            .env("NOTIFY_SOCKET", NOTIFY)
            .env("WATCHDOG_USEC", "200000")
            .status()
            .unwrap();
        println!("ended {ended}");
    }
}
