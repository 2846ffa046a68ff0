//! `wasmnet`: the daemon and its command line.

fn main() -> std::process::ExitCode {
    wasmnet::cli::main()
}
