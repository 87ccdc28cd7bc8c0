//! Where objects were made: stacks of calls, each stored once.

use std::collections::HashMap;

/// One call of a stack: where a function was in its source.
///
/// ```
/// use cyclegc::objgraph::Frame;
///
/// let frame = Frame::at("src/main.rs", 10).function("main");
/// assert_eq!(frame.to_string(), "main (src/main.rs:10)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    /// The function, empty if it is not known.
    pub function: String,
    /// The source file.
    pub file: String,
    /// The line, from 1; 0 if it is not known.
    pub line: u32,
    /// The column, from 1; 0 if it is not known.
    pub column: u32,
}

impl Frame {
    /// A line of a file.
    ///
    /// ```
    /// let frame = cyclegc::objgraph::Frame::at("src/main.rs", 10);
    /// assert_eq!(frame.to_string(), "src/main.rs:10");
    /// ```
    #[must_use]
    pub fn at(file: &str, line: u32) -> Self {
        Frame {
            function: String::new(),
            file: file.to_owned(),
            line,
            column: 0,
        }
    }

    /// With the name of the function.
    ///
    /// ```
    /// let frame = cyclegc::objgraph::Frame::at("src/main.rs", 10).function("main");
    /// assert_eq!(frame.function, "main");
    /// ```
    #[must_use]
    pub fn function(mut self, name: &str) -> Self {
        self.function = name.to_owned();
        self
    }
}

impl std::fmt::Display for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.function.is_empty() {
            write!(f, "{}:{}", self.file, self.line)
        } else {
            write!(f, "{} ({}:{})", self.function, self.file, self.line)
        }
    }
}

/// Calls as a tree: a stack is the way from a call to the outermost one.
#[derive(Default)]
pub(super) struct Stacks {
    frames: Vec<Frame>,
    /// Frame and caller of each call; call `n` is `calls[n - 1]`, 0 is none.
    calls: Vec<(u32, u32)>,
}

/// Finds what is there already.
#[derive(Default)]
pub(super) struct StackTable {
    stacks: Stacks,
    frames: HashMap<Frame, u32>,
    calls: HashMap<(u32, u32), u32>,
}

impl StackTable {
    /// The number of a stack whose innermost call comes first; 0 if it is empty.
    pub(super) fn intern(&mut self, stack: &[Frame]) -> u32 {
        let mut caller = 0;
        for frame in stack.iter().rev() {
            let frame = match self.frames.get(frame) {
                Some(number) => *number,
                None => {
                    let number = next(self.stacks.frames.len());
                    self.stacks.frames.push(frame.clone());
                    self.frames.insert(frame.clone(), number);
                    number
                }
            };
            caller = *self.calls.entry((frame, caller)).or_insert_with(|| {
                self.stacks.calls.push((frame, caller));
                next(self.stacks.calls.len())
            });
        }
        caller
    }

    pub(super) fn finish(self) -> Stacks {
        self.stacks
    }
}

fn next(length: usize) -> u32 {
    u32::try_from(length).expect("fewer than 2^32 calls")
}

impl Stacks {
    pub(super) fn frames(&self, stack: u32) -> Vec<Frame> {
        let mut frames = Vec::new();
        let mut call = stack;
        while let Some((frame, caller)) = self.call(call) {
            frames.push(self.frames[frame as usize].clone());
            call = caller;
        }
        frames
    }

    /// Frame and caller of a call.
    fn call(&self, call: u32) -> Option<(u32, u32)> {
        let index = (call as usize).checked_sub(1)?;
        Some(self.calls[index])
    }

    pub(super) fn all_frames(&self) -> &[Frame] {
        &self.frames
    }

    /// Frame and caller of each call, from call 1 on; callers come first.
    pub(super) fn all_calls(&self) -> &[(u32, u32)] {
        &self.calls
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.frames.capacity() * size_of::<Frame>()
            + self.calls.capacity() * size_of::<(u32, u32)>()
    }
}
