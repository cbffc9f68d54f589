//! Programs for the kernel, compiled anew and compared with what is committed.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use object::{Object as _, ObjectSection as _};

/// The compiler by which the programs were compiled. Others make other instructions of the same source.
const COMPILER: &str = "version 14.";

/// How they are compiled. Paths are left out, so that it does not matter where.
const ARGUMENTS: &[&str] =
    &["-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Werror", "-fdebug-compilation-dir=.", "-c"];

/// The sections that the kernel runs or makes maps of. Types that it only describes depend on the headers of the machine.
const RUNNING: [&str; 8] =
    [".maps", ".rodata", ".text", "classifier", "license", "socket", "xdp", "xdp.frags"];

/// What of an object the kernel runs, and the maps that it makes for it.
fn running_parts(object: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let file = object::File::parse(object).expect("an object");
    let part = |section: object::Section<'_, '_>| {
        let name = section.name().ok().filter(|name| RUNNING.contains(name))?;
        Some((name.to_owned(), section.data().ok()?.to_vec()))
    };
    file.sections().filter_map(part).collect()
}

/// Compiles a program of the crate in `directory` anew, and requires that it has these sections and that they are those
/// committed. With `CREDENCE_WRITE_OBJECT=1` the result takes the place of what is committed.
pub(crate) fn compare(directory: &str, program: &str, sections: &[&str]) {
    let version = Command::new("clang").arg("--version").output();
    let version =
        version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    if !version.contains(COMPILER) {
        println!("not compared: the object was compiled by clang {COMPILER}x, and here is {version:?}");
        return;
    }
    let sources = Path::new(directory).join("bpf");
    let compiled = tempfile::NamedTempFile::new().unwrap();
    let mut compile = Command::new("clang");
    compile.args(ARGUMENTS).arg(format!("{program}.bpf.c")).arg("-o").arg(compiled.path());
    // Where the headers of a machine's own kind lie.
    compile.arg(format!("-I/usr/include/{}-linux-gnu", std::env::consts::ARCH));
    let done = compile.current_dir(&sources).output().expect("clang runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let (fresh, place) = (std::fs::read(compiled.path()).unwrap(), sources.join(format!("{program}.bpf.o")));
    if std::env::var_os("CREDENCE_WRITE_OBJECT").is_some_and(|value| value == "1") {
        std::fs::write(&place, &fresh).unwrap();
    }
    let committed = std::fs::read(place).unwrap();
    let (fresh, committed) = (running_parts(&fresh), running_parts(&committed));
    assert!(fresh.keys().eq(sections), "{:?}", fresh.keys());
    for (section, bytes) in &fresh {
        assert!(
            committed.get(section) == Some(bytes),
            "the section {section} of {program} is not what the source compiles to; CREDENCE_WRITE_OBJECT=1 and this test \
             write it anew"
        );
    }
}
