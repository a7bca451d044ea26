//! Host tools of the build.
//!
//! ```text
//! xtask flatten ELF OUT                           the loadable bytes of an ELF, as a flat image
//! xtask cpio OUT < MANIFEST                       a reproducible newc archive
//! xtask bundle OUT CONFIGS IMAGES [AUTOSTART]     what Roost gets as initrd
//! xtask lint [ROOT]                               whether the sources keep the rules of the house
//! ```
#![forbid(unsafe_code)]

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;
use std::process::ExitCode;

use xtask::bundle::Bundle;
use xtask::lint::{self, Severity};
use xtask::{Error, cpio, flatten, manifest};

const USAGE: &str = "usage: xtask flatten ELF OUT | xtask cpio OUT < MANIFEST | \
                     xtask bundle OUT CONFIGS IMAGES [AUTOSTART] | xtask lint [ROOT]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<(), Error> {
    match arguments {
        ["flatten", elf, out] => {
            let bytes = read(Path::new(elf))?;
            write(Path::new(out), &flatten::flatten(&bytes)?)
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
        ["lint"] => lint(Path::new(".")),
        ["lint", root] => lint(Path::new(root)),
        _ => Err(Error::new(USAGE)),
    }
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
