//! Host tools of the build.
//!
//! ```text
//! xtask flatten ELF OUT                           the loadable bytes of an ELF, as a flat image
//! xtask strip ELF OUT                             an ELF without sections
//! xtask multiboot ELF OUT                         a multiboot image of an ELF
//! xtask cpio OUT < MANIFEST                       a reproducible newc archive
//! xtask bundle OUT CONFIGS IMAGES [AUTOSTART]     what Roost gets as initrd
//! xtask disk OUT PARTITION...                    a disk with partitions, see `disk.rs`
//! xtask bochs ISO CPUS MEMORY MODEL               Bochs with its serial port on this terminal
//! xtask passwd                                    asks for a password, and prints it as host.toml has it
//! xtask lint [ROOT]                               whether the sources keep the rules of the house
//! ```
#![forbid(unsafe_code)]

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;
use std::process::ExitCode;

use xtask::bochs::{self, Bochs, Pace, Verdict};
use xtask::bundle::Bundle;
use xtask::disk::{self, Partition};
use xtask::lint::{self, Severity};
use xtask::terminal::{self, RawTerminal};
use xtask::{Error, cpio, flatten, manifest, multiboot, passwd, strip};

const USAGE: &str = "usage: xtask flatten|strip|multiboot ELF OUT | xtask cpio OUT < MANIFEST | \
                     xtask bundle OUT CONFIGS IMAGES [AUTOSTART] | \
                     xtask disk OUT LABEL=KIND:SIZE:SOURCE... | xtask bochs ISO CPUS MEMORY MODEL | xtask passwd | xtask lint [ROOT]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<ExitCode, Error> {
    if let ["bochs", iso, cpus, memory, model] = arguments {
        return run_bochs(iso, cpus, memory, model);
    }
    build(arguments).map(|()| ExitCode::SUCCESS)
}

fn build(arguments: &[&str]) -> Result<(), Error> {
    match arguments {
        ["flatten", elf, out] => write(Path::new(out), &flatten::flatten(&read(Path::new(elf))?)?),
        ["strip", elf, out] => write(Path::new(out), &strip::strip(&read(Path::new(elf))?)?),
        ["multiboot", elf, out] => {
            write(Path::new(out), &multiboot::image(&read(Path::new(elf))?)?)
        }
        ["cpio", out] => {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).map_err(|e| Error::io("standard input", &e))?;
            let entries = manifest::parse(&text)?;
            let files = cpio::collect(entries, read)?;
            write(Path::new(out), &cpio::archive(files)?)
        }
        ["bundle", out, configs, images, autostart @ ..] => {
            let mut bundle = Bundle::new()
                .directory("configs", Path::new(configs))?
                .directory("images", Path::new(images))?;
            if let [script] = autostart {
                bundle = bundle.file("autostart", read(Path::new(script))?);
            }
            write(Path::new(out), &bundle.archive()?)
        }
        ["disk", out, partitions @ ..] if !partitions.is_empty() => {
            let partitions: Result<Vec<Partition>, Error> =
                partitions.iter().map(|text| Partition::parse(text)).collect();
            let partial = Path::new(out).with_added_extension("partial");
            disk::build(&partial, &partitions?)?;
            fs::rename(&partial, out).map_err(|e| Error::io(out, &e))
        }
        ["passwd"] => {
            println!("password = \"{}\"", passwd::ask()?);
            Ok(())
        }
        ["lint"] => lint(Path::new(".")),
        ["lint", root] => lint(Path::new(root)),
        _ => Err(Error::new(USAGE)),
    }
}

/// Runs the machine until it ends or the person leaves. The status is what Roost's `exit CODE` said.
fn run_bochs(iso: &str, cpus: &str, memory: &str, model: &str) -> Result<ExitCode, Error> {
    let machine = Bochs {
        iso: iso.into(),
        cpus: cpus.parse().map_err(|_| Error::new(format!("CPUS={cpus} is no number")))?,
        memory_mib: mebibytes(memory)?,
        model: model.into(),
        pace: Pace::Real,
    };
    let directory = std::env::temp_dir().join(format!("roost-bochs-{}", std::process::id()));
    let (mut running, port) = machine.start(&directory)?;
    let terminal = RawTerminal::take()?;
    let keyboard = port.try_clone().map_err(|e| Error::io("the serial port", &e))?;
    // Leaving closes the port, and the machine is killed then.
    let closer = port.try_clone().map_err(|e| Error::io("the serial port", &e))?;
    std::thread::spawn(move || {
        terminal::type_on(keyboard, || {
            let _ = closer.shutdown(std::net::Shutdown::Both);
        });
    });
    let console = terminal::show(port)?;
    drop(terminal);
    if let Some(status) = bochs::exit_status(&console) {
        return Ok(u8::try_from(status).map_or(ExitCode::FAILURE, ExitCode::from));
    }
    // Its port closes a moment before it ends; when it does not end, the person left.
    std::thread::sleep(std::time::Duration::from_millis(500));
    match running.try_wait()? {
        Some(Verdict::Off) | None => Ok(ExitCode::SUCCESS),
        Some(Verdict::Failed(why)) => Err(Error::new(format!("bochs: {why}"))),
    }
}

/// An amount of memory as QEMU's `-m` has it: `2G`, `512M`, `512`.
fn mebibytes(text: &str) -> Result<u32, Error> {
    let (digits, factor) = match text.strip_suffix('G') {
        Some(digits) => (digits, 1024),
        None => (text.strip_suffix('M').unwrap_or(text), 1),
    };
    let number = digits.parse().ok().and_then(|number: u32| number.checked_mul(factor));
    number.ok_or_else(|| Error::new(format!("MEM={text}: found no amount such as 512M or 2G")))
}

fn lint(root: &Path) -> Result<(), Error> {
    let findings = lint::check(root)?;
    for finding in &findings {
        println!("{finding}");
    }
    match findings.iter().filter(|finding| finding.severity == Severity::Error).count() {
        0 => Ok(()),
        1 => Err(Error::new("1 error")),
        count => Err(Error::new(format!("{count} errors"))),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|e| Error::io(&path.display().to_string(), &e))
}

/// Writes a file whole: a build that is interrupted leaves no half of one behind.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let partial = path.with_added_extension("partial");
    fs::write(&partial, bytes).map_err(|e| Error::io(&partial.display().to_string(), &e))?;
    fs::rename(&partial, path).map_err(|e| Error::io(&path.display().to_string(), &e))
}
