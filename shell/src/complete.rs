//! Completion: what the word at the end of a line could become.

use crate::access::{Role, User};
use crate::command::{self, Command, Kind};
use crate::commands;
use crate::host::{Host, VmState};
use crate::words::{self, Unfinished};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The answer to a Tab.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Completion {
    /// What the word being typed becomes, from `word_start` on: quoted as it must be.
    pub(crate) word: String,
    /// Where that word begins in the line, in bytes.
    pub(crate) word_start: usize,
    /// All that it could be, if that is not clear yet.
    pub(crate) candidates: Vec<String>,
}

/// What can be named: what the host has, as far as the user may look at it.
pub(crate) type World<'a> = (&'a dyn Host, &'a User);

/// Completes the last word of `line`, which ends at the cursor. `None` if nothing fits.
pub(crate) fn complete(line: &str, world: World<'_>) -> Option<Completion> {
    let end = words::unfinished(line)?;
    // A list is completed from its last comma on.
    let mut prefix_len = 0;
    let mut candidates = candidates(&end, world, &mut prefix_len);
    let (kept, prefix) = end.word.split_at_checked(prefix_len)?;
    candidates.retain(|candidate| candidate.starts_with(prefix));
    candidates.sort();
    candidates.dedup();
    let common = common_prefix(&candidates)?;
    let word = format!("{kept}{common}");
    let is_unique = candidates.len() == 1;
    let mut completed = if word == end.word && !is_unique {
        line.get(end.word_start..)?.into()
    } else {
        words::quote(&word)
    };
    // Assignments and paths go on; other words are done.
    if is_unique && !word.ends_with('=') {
        completed.push(' ');
    }
    if is_unique {
        candidates.clear();
    }
    Some(Completion { word: completed, word_start: end.word_start, candidates })
}

fn common_prefix(candidates: &[String]) -> Option<&str> {
    let mut common = candidates.first()?.as_str();
    for candidate in candidates {
        let same = common.char_indices().zip(candidate.chars()).take_while(|((_, a), b)| a == b);
        let len = same.last().map_or(0, |((at, c), _)| at + c.len_utf8());
        common = common.get(..len)?;
    }
    Some(common)
}

fn candidates(end: &Unfinished, world: World<'_>, prefix_len: &mut usize) -> Vec<String> {
    let Some((command, used)) = command::find(&end.words) else {
        return next_words(&end.words);
    };
    let given = end.words.get(used..).unwrap_or_default();
    // `log` is a command, and may begin the name of another one.
    let mut found = if given.is_empty() { next_words(&end.words) } else { Vec::new() };
    if let Some((_, kind)) =
        given.last().and_then(|last| command.switch(last)).and_then(|option| option.value)
    {
        found.extend(of_kind(kind, end, world, prefix_len));
    } else if end.word.starts_with('-') {
        found.extend(options(command, given));
    } else if let Some(parameter) = command.parameter(count_positional(command, given)) {
        if matches!(parameter.kind, Kind::Command) {
            found.extend(next_words(given));
        } else {
            found.extend(of_kind(parameter.kind, end, world, prefix_len));
        }
    } else {
        found.extend(options(command, given));
    }
    found
}

/// The words that can follow these in a command's name.
fn next_words(words: &[String]) -> Vec<String> {
    let paths = command::under(words).into_iter().map(|command| command.path);
    paths.filter_map(|path| path.get(words.len())).map(ToString::to_string).collect()
}

fn options(command: &Command, given: &[String]) -> Vec<String> {
    let names = command.options.iter().map(|option| option.name);
    names.filter(|name| !given.iter().any(|word| word == name)).map(Into::into).collect()
}

fn count_positional(command: &Command, given: &[String]) -> usize {
    let mut count = 0;
    let mut rest = given.iter();
    while let Some(word) = rest.next() {
        match command.switch(word) {
            Some(option) if option.value.is_some() => _ = rest.next(),
            Some(_) => {}
            None => count += 1,
        }
    }
    count
}

fn of_kind(
    kind: Kind,
    end: &Unfinished,
    (host, user): World<'_>,
    prefix_len: &mut usize,
) -> Vec<String> {
    // What a user may not look at is not offered either.
    let is_viewer = user.role.is_some();
    match kind {
        Kind::Vm => {
            let is_id = end.word.starts_with(|c: char| c.is_ascii_digit());
            let vms = user.vms(host).into_iter();
            vms.map(|vm| if is_id { vm.id.to_string() } else { vm.name })
                .filter(|vm| !end.words.contains(vm))
                .collect()
        }
        Kind::User if user.role < Some(Role::Admin) => alloc::vec![user.name.clone()],
        Kind::User => host.registry().users(),
        Kind::Config | Kind::Disk | Kind::Backing | Kind::Assignment(_) if !is_viewer => Vec::new(),
        Kind::Config => host.configs().into_iter().map(|config| config.name).collect(),
        Kind::Disk => host.disks().into_iter().map(|disk| disk.name).collect(),
        Kind::Backing => backings(host),
        Kind::Command => commands::all()
            .filter_map(|command| command.path.first())
            .map(ToString::to_string)
            .collect(),
        Kind::States => {
            *prefix_len = end.word.rfind(',').map_or(0, |comma| comma + 1);
            VmState::ALL.iter().map(ToString::to_string).collect()
        }
        Kind::OneOf(words) | Kind::Assignment(words) => assignment(words, end, host, prefix_len),
        Kind::Text | Kind::Value => Vec::new(),
    }
}

/// Disks and partitions of the host, images, and disks in memory.
fn backings(host: &dyn Host) -> Vec<String> {
    let mut found = alloc::vec!["ram:".into()];
    for disk in host.disks() {
        found.push(format!("disk:{}", disk.name));
        let labels = disk.partitions.into_iter().map(|partition| partition.label);
        // What needs quotes or would be obeyed by a terminal is not offered.
        let plain = labels.filter(|label| label.chars().all(|c| c.is_ascii_graphic()));
        found.extend(plain.filter(|label| !label.is_empty()).map(|l| format!("partition:{l}")));
    }
    found.extend(host.images().into_iter().map(|image| format!("image:{}", image.name)));
    found
}

/// Keys, and after a key that names an image, images.
fn assignment(
    words: &[&str],
    end: &Unfinished,
    host: &dyn Host,
    prefix_len: &mut usize,
) -> Vec<String> {
    match end.word.split_once('=') {
        Some((key @ ("kernel" | "initrd"), _)) => {
            *prefix_len = key.len() + 1;
            host.images().into_iter().map(|image| image.name).collect()
        }
        Some(_) => Vec::new(),
        None => words.iter().map(ToString::to_string).collect(),
    }
}
