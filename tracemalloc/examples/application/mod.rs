//! What the examples trace: a program with an index, a cache, and a leak.

#![allow(dead_code, reason = "each example uses a part")]

use std::collections::{BTreeMap, HashMap};

/// All that the program keeps.
#[derive(Default)]
pub(crate) struct Application {
    documents: Vec<String>,
    index: BTreeMap<String, Vec<usize>>,
    cache: HashMap<usize, Vec<u8>>,
    sessions: Vec<Vec<u64>>,
}

/// Loads documents and indexes them.
pub(crate) fn run() -> Application {
    let mut application = Application::default();
    application.load(2000);
    application.index();
    application.answer(500);
    application
}

impl Application {
    fn load(&mut self, count: usize) {
        for number in 0..count {
            self.documents
                .push(format!("document {number} of {}", number % 7));
        }
    }

    fn index(&mut self) {
        for (number, document) in self.documents.iter().enumerate() {
            for word in document.split(' ') {
                self.index.entry(word.to_owned()).or_default().push(number);
            }
        }
    }

    fn answer(&mut self, count: usize) {
        for query in 0..count {
            self.cache
                .entry(query)
                .or_insert_with(|| vec![b'.'; 100 + query % 50]);
        }
    }

    /// Keeps what it should forget.
    pub(crate) fn leak(&mut self) {
        for number in 0..1000 {
            self.sessions.push(vec![number; 16]);
        }
        self.answer(900);
    }
    /// Forgets what it may: half of the documents, which are loaded again.
    pub(crate) fn forget(&mut self) {
        let half = self.documents.len() / 2;
        self.documents.truncate(half);
        self.load(half + 100);
    }
}
