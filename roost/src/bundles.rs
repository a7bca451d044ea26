//! The bundles: the one that the boot loader handed over, and those on partitions of the host's disks.
//!
//! A path in a configuration is one of the bundle that the configuration is from; `partition:LABEL/PATH` is one of another.
//! Of two configurations of one name that of the boot loader's bundle counts; the other one is called
//! `partition:LABEL/NAME`.

mod shelf;
mod stored;

pub(crate) use shelf::{Opened, Shelf};
use stored::Stored;

use crate::{boot_line, words};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use shell::host::ImageSummary;
use vm_manager::bundle::Bundle;
use vm_manager::host_config::{self, HostConfig};

/// What a bundle on a disk is called in configurations and commands.
const PARTITION: &str = "partition:";
/// The label of a partition that is looked for if nothing else is asked for.
const DEFAULT_LABEL: &str = "roost";

/// Which bundle something is from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Origin {
    /// The one of the boot loader.
    Initrd,
    /// One on a disk, by its place in the list.
    Stored(usize),
}

/// A configuration.
pub(crate) struct Config<'a> {
    /// As commands call it.
    pub(crate) name: String,
    pub(crate) text: &'a [u8],
    pub(crate) origin: Origin,
}

impl Config<'_> {
    /// As errors call its file.
    pub(crate) fn file(&self) -> String {
        format!("{}.toml", self.name)
    }
}

/// All bundles.
#[derive(Default)]
pub(crate) struct Bundles {
    initrd: Bundle<'static>,
    stored: Vec<Stored>,
}

impl Bundles {
    /// Adds to the boot loader's bundle those that `roost.bundle` of the command line names, or else the one of the label
    /// `roost`, if there is one. Returns what the operator should know, too.
    pub(crate) fn find(initrd: Bundle<'static>, command_line: &str) -> (Self, Vec<String>) {
        let mut notes = Vec::new();
        let labels = match boot_line::value(command_line, "roost.bundle") {
            None if stored::is_there(DEFAULT_LABEL) => Vec::from([DEFAULT_LABEL.to_owned()]),
            None => Vec::new(),
            Some(line) => labels(&line, &mut notes),
        };
        let mut stored = Vec::new();
        for label in labels {
            match Stored::read(&label) {
                Ok(found) => {
                    let catalogue = &found.catalogue;
                    notes.extend(
                        catalogue.notes.iter().map(|note| format!("{}: {note}", found.place)),
                    );
                    let (configs, images) = (catalogue.configs.len(), catalogue.images.len());
                    log::info!("{}: {configs} configurations, {images} images", found.place);
                    stored.push(found);
                }
                Err(why) => {
                    notes.push(format!("no bundle on partition '{}': {why}", label.escape_debug()));
                }
            }
        }
        (Self { initrd, stored }, notes)
    }

    /// The commands to run at boot.
    pub(crate) fn autostart(&self) -> Option<&[u8]> {
        let stored = || self.stored.iter().find_map(|of| of.catalogue.autostart.as_deref());
        self.initrd.autostart().or_else(stored)
    }

    /// The host's own configuration, of the first bundle that has one, and what the operator should know. One that is
    /// wrong is as good as none: then nobody can log in from afar.
    pub(crate) fn host_config(&self) -> (HostConfig, Option<String>) {
        let stored = || {
            self.stored
                .iter()
                .find_map(|of| of.catalogue.configs.get(host_config::NAME).map(|text| &text[..]))
        };
        let Some(text) = self.initrd.config(host_config::NAME).or_else(stored) else {
            return (HostConfig::default(), None);
        };
        match HostConfig::parse("host.toml", text) {
            Ok(config) => (config, None),
            Err(error) => (HostConfig::default(), Some(format!("{error}; its defaults are used"))),
        }
    }

    /// All configurations of VMs: those of the boot loader's bundle first.
    pub(crate) fn configs(&self) -> Vec<Config<'_>> {
        let of_vms = self.initrd.configs().filter(|(name, _)| *name != host_config::NAME);
        let initrd = of_vms.map(|(name, text)| Config {
            name: name.to_owned(),
            text,
            origin: Origin::Initrd,
        });
        let mut configs: Vec<Config<'_>> = initrd.collect();
        for (index, stored) in self.stored.iter().enumerate() {
            let of_vms =
                stored.catalogue.configs.iter().filter(|(name, _)| *name != host_config::NAME);
            for (name, text) in of_vms {
                let is_taken = configs.iter().any(|config| config.name == *name);
                let name = match is_taken {
                    true => format!("{PARTITION}{}/{name}", stored.label),
                    false => name.clone(),
                };
                configs.push(Config { name, text, origin: Origin::Stored(index) });
            }
        }
        configs
    }

    /// The configuration of this name.
    ///
    /// # Errors
    ///
    /// Says which there are.
    pub(crate) fn config(&self, name: &str) -> Result<Config<'_>, String> {
        let name = name.strip_suffix(".toml").unwrap_or(name);
        let configs = self.configs();
        if let Some(found) = configs.iter().position(|config| config.name == name) {
            return configs.into_iter().nth(found).ok_or_else(String::new);
        }
        // The host's own is no VM's, wherever it is: it has hashes of passwords.
        if let Some((index, short)) = self.elsewhere(name)
            && short != host_config::NAME
            && let Some(stored) = self.stored.get(index)
            && let Some(text) = stored.catalogue.configs.get(short)
        {
            return Ok(Config { name: name.to_owned(), text, origin: Origin::Stored(index) });
        }
        let names: Vec<_> = configs.iter().map(|config| config.name.as_str()).collect();
        let there = match names.is_empty() {
            true => "there are no configurations".to_string(),
            false => format!("there are {}", names.join(", ")),
        };
        Err(format!("no configuration '{}': {there}", name.escape_debug()))
    }

    /// The bundle that `partition:LABEL/PATH` names, and the path.
    fn elsewhere<'a>(&self, path: &'a str) -> Option<(usize, &'a str)> {
        let (label, rest) = path.strip_prefix(PARTITION)?.split_once('/')?;
        let index = self.stored.iter().position(|stored| stored.label == label)?;
        Some((index, rest))
    }

    /// What listings call a bundle.
    pub(crate) fn source(&self, origin: Origin) -> String {
        match origin {
            Origin::Initrd => "initrd".to_string(),
            Origin::Stored(index) => {
                self.stored.get(index).map_or_else(String::new, |stored| stored.place.clone())
            }
        }
    }

    /// All images.
    pub(crate) fn images(&self) -> Vec<ImageSummary> {
        let summary = |name: &str, size_bytes, head: &[u8], origin| ImageSummary {
            name: name.to_owned(),
            size_bytes,
            kind: words::image_kind(head).to_owned(),
            source: self.source(origin),
        };
        let initrd = self
            .initrd
            .images()
            .map(|(name, bytes)| summary(name, bytes.len() as u64, bytes, Origin::Initrd));
        let mut images: Vec<ImageSummary> = initrd.collect();
        for (index, stored) in self.stored.iter().enumerate() {
            let of_disk = stored.catalogue.images.iter().map(|(name, image)| {
                summary(name, image.map.bytes(), &image.head, Origin::Stored(index))
            });
            images.extend(of_disk);
        }
        images
    }
}

/// The labels of `partition:LABEL,partition:LABEL`.
fn labels(line: &str, notes: &mut Vec<String>) -> Vec<String> {
    let mut labels = Vec::new();
    for word in line.split(',').filter(|word| !matches!(*word, "" | "none")) {
        match word.strip_prefix(PARTITION).filter(|label| !label.is_empty()) {
            Some(label) if labels.iter().any(|known| known == label) => {}
            Some(label) => labels.push(label.to_owned()),
            None => notes.push(format!(
                "roost.bundle: found '{}', allowed are partition:LABEL, or none",
                word.escape_debug()
            )),
        }
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugs::disk::Pages;
    use alloc::collections::BTreeMap;
    use alloc::sync::Arc;
    use virtio::disk::overlay::RamDisk;
    use volume::catalogue::Catalogue;

    #[test]
    fn partitions_are_named_by_their_labels_and_anything_else_is_noted() {
        let mut notes = Vec::new();
        assert_eq!(labels("partition:a,partition:b c,partition:a", &mut notes), ["a", "b c"]);
        assert!(labels("none", &mut notes).is_empty());
        assert!(notes.is_empty());
        assert!(labels("vda1,partition:", &mut notes).is_empty());
        assert_eq!(notes.len(), 2);
        assert!(notes.iter().all(|note| note.contains("partition:LABEL")), "{notes:?}");
    }

    #[test]
    fn the_hosts_own_configuration_is_no_vms_also_by_its_full_name() {
        let configs = ["host", "linux"].map(|name| (name.to_owned(), b"secret".to_vec()));
        let catalogue = Catalogue {
            file_system: "ext4",
            configs: configs.into(),
            images: BTreeMap::new(),
            autostart: None,
            notes: Vec::new(),
        };
        let partition = Arc::new(RamDisk::empty(Pages, 0).unwrap());
        let stored = Stored::new("roost", catalogue, partition);
        let bundles = Bundles { initrd: Bundle::default(), stored: Vec::from([stored]) };
        assert!(bundles.config("linux").is_ok() && bundles.config("partition:roost/linux").is_ok());
        for name in ["host", "host.toml", "partition:roost/host", "partition:roost/host.toml"] {
            let error = bundles.config(name).err().unwrap();
            assert!(error.ends_with("there are linux"), "{error}");
        }
    }

    #[test]
    fn a_configuration_that_is_not_there_says_which_are() {
        let bundles = Bundles::default();
        let error = bundles.config("linux").err();
        assert_eq!(error.as_deref(), Some("no configuration 'linux': there are no configurations"));
        assert!(bundles.config("partition:roost/linux").is_err());
    }
}
