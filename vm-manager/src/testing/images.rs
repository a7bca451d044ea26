//! Files in memory.

use crate::load::{Images, Source};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A bundle's images.
#[derive(Debug, Default)]
pub(crate) struct FakeImages {
    files: BTreeMap<String, Vec<u8>>,
}

impl FakeImages {
    pub(crate) fn add(&mut self, path: &str, bytes: Vec<u8>) {
        self.files.insert(path.into(), bytes);
    }
}

impl Images for FakeImages {
    fn open(&self, path: &str) -> Option<Arc<dyn Source>> {
        Some(Arc::new(self.files.get(path)?.clone()))
    }

    fn paths(&self) -> Vec<String> {
        self.files.keys().cloned().collect()
    }
}
