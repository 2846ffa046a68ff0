//! Components that are made to exhaust whoever compiles them, and the process that does.

use std::{fs, time::Duration};

use wasm_encoder::{
    BlockType, CodeSection, Component, Function, FunctionSection, Instruction, Module,
    ModuleSection, NestedComponentSection, TypeSection, ValType,
};
use wasmnet_e2e::{CHAOS, Daemon, Plugin, binary, calls, driver_config};
use wasmnet_lab::{Lab, wait_for};

use crate::privileges::field;

/// How long something may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// A component around a module with these functions, all of one type.
fn around(parameters: usize, functions: &[Function]) -> Vec<u8> {
    let (mut types, mut declared, mut code) =
        (TypeSection::new(), FunctionSection::new(), CodeSection::new());
    let values = || std::iter::repeat_n(ValType::I64, parameters);
    types.ty().function(values(), values());
    for function in functions {
        declared.function(0);
        code.function(function);
    }
    let mut module = Module::new();
    module.section(&types).section(&declared).section(&code);
    let mut component = Component::new();
    component.section(&ModuleSection(&module));
    component.finish()
}

/// Small functions, so many that the time is over before the last one.
fn endless() -> Vec<u8> {
    let mut function = Function::new([(20, ValType::I64)]);
    for local in 0..20 {
        function
            .instruction(&Instruction::Loop(BlockType::Empty))
            .instruction(&Instruction::LocalGet(local))
            .instruction(&Instruction::LocalGet((local + 7) % 20))
            .instruction(&Instruction::I64Add)
            .instruction(&Instruction::LocalSet(local))
            .instruction(&Instruction::End);
    }
    function.instruction(&Instruction::End);
    around(0, &vec![function; 60_000])
}

/// A function that hands a thousand values on and gets a thousand, in two bytes a time.
fn greedy() -> Vec<u8> {
    let mut function = Function::new([]);
    (0..1000).for_each(|local| _ = function.instruction(&Instruction::LocalGet(local)));
    (0..20_000).for_each(|_| _ = function.instruction(&Instruction::Call(0)));
    function.instruction(&Instruction::End);
    around(1000, &[function])
}

fn nested() -> Vec<u8> {
    let mut inner = Component::new();
    for _ in 0..1000 {
        let mut outer = Component::new();
        outer.section(&NestedComponentSection(&inner));
        inner = outer;
    }
    inner.finish()
}

fn large() -> Vec<u8> {
    let mut bytes = Component::new().finish();
    bytes.resize((32 << 20) + 1, 0);
    bytes
}

fn cut() -> Vec<u8> {
    let mut bytes = fs::read(CHAOS).unwrap();
    bytes.truncate(bytes.len() - 1);
    bytes
}

#[test]
fn a_component_that_exhausts_its_readers_is_told_and_the_others_work() {
    let cases = [
        ("greedy", greedy(), "the component needs more than 1024 MiB of memory to compile"),
        ("nested", nested(), "the component has parts nested more than 16 deep"),
        ("large", large(), "the component is larger than 32 MiB"),
        ("cut", cut(), "the component does not compile: it is cut off or damaged"),
    ];
    refused_and_the_others_work(&cases, &[]);
}

#[test]
fn a_component_that_takes_too_long_to_compile_is_told_and_the_others_work() {
    let cases = [("endless", endless(), "the component takes more than 2 s to compile")];
    refused_and_the_others_work(&cases, &["--compile-seconds", "2"]);
}

/// Starts a daemon with drivers (name, component, what is wrong with it), and a good one.
fn refused_and_the_others_work(cases: &[(&str, Vec<u8>, &str)], arguments: &[&str]) {
    let lab = Lab::new();
    let host = lab.host("a");
    let files: Vec<String> = cases
        .iter()
        .map(|(name, bytes, _)| host.put(format!("{name}.wasm"), bytes).display().to_string())
        .collect();
    let mut drivers: Vec<(&str, &str)> =
        cases.iter().zip(&files).map(|(case, file)| (case.0, file.as_str())).collect();
    drivers.push(("good", CHAOS));
    let config = host.put("config.toml", driver_config(&drivers));
    let arguments = [&["--config", config.to_str().unwrap()], arguments].concat();
    let daemon = Daemon::start_with(&host, &arguments);

    let network = calls::network("net1", 88, &serde_json::json!({}));
    let listed = daemon.json(&["driver", "ls"]);
    for (name, _, why) in cases {
        let view = listed.as_array().unwrap().iter().find(|view| view["name"] == *name).unwrap();
        let reason = view["reason"].as_str().unwrap_or_default();
        assert!(reason.starts_with(why) && !reason.contains('\n'), "{name}: {reason}");
        let said = Plugin::connect(&host, name).call("NetworkDriver.CreateNetwork", &network);
        assert!(said.error().contains(why), "{name}: {said:?}");
    }
    Plugin::connect(&host, "good").call("NetworkDriver.CreateNetwork", &network).ok();
    assert_eq!(daemon.json(&["status"])["networks"], 1);
}

#[test]
fn the_compilers_process_can_do_nothing_but_compute() {
    let lab = Lab::new();
    let host = lab.host("a");
    // Its input never ends, and it inherits the pipe twice.
    let script = "mkfifo /run/pipe; exec 9<>/run/pipe; exec \"$@\" <&9";
    let compile = [&binary(), "compile", "--seconds", "5", "--memory", "1073741824"];
    let process = host.spawn(&[&["sh", "-c", script, "sh"], compile.as_slice()].concat());
    let proc = |file: &str| format!("/proc/{}/{file}", process.pid());
    let status = || fs::read_to_string(proc("status")).unwrap();
    wait_for("the compiler to wait for its component", PATIENCE, || {
        if field(&status(), "Seccomp") == 2 { Ok(()) } else { Err(status()) }
    });

    let status = status();
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(field(&status, set), 0, "{set}: {status}");
    }
    assert_eq!(field(&status, "NoNewPrivs"), 1, "{status}");
    assert_eq!(field(&status, "Threads"), 1, "{status}");
    let open = fs::read_dir(proc("fd")).unwrap().count();
    assert_eq!(open, 3, "descriptors beside standard input, output and error");
    let limits = fs::read_to_string(proc("limits")).unwrap();
    let expected = [
        ("Max cpu time", "5", "6"),
        ("Max address space", "1073741824", "1073741824"),
        ("Max open files", "0", "0"),
        ("Max processes", "0", "0"),
        ("Max file size", "0", "0"),
    ];
    for (name, soft, hard) in expected {
        let line = limits.lines().find_map(|line| line.strip_prefix(name));
        let words: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
        assert_eq!(words.get(..2), Some([soft, hard].as_slice()), "{name}: {limits}");
    }
}
