//! Writing a task: something that runs once in the job's own namespace, without any right, and is
//! gone with it. What it prints is the result.

use super::{Image, Operation, Program, Step, Task};

impl Task {
    /// A container image by digest, with arguments to its entry point.
    pub fn image(
        name: impl Into<String>,
        reference: impl Into<String>,
        arguments: Vec<String>,
    ) -> Self {
        Self::of(name, Program::Image(Image { reference: reference.into(), arguments }))
    }

    /// A Wasm command that an operator accepted, by digest. It reads its input, and nothing else.
    pub fn command(name: impl Into<String>, digest: impl Into<String>) -> Self {
        Self::of(name, Program::Command(digest.into()))
    }

    /// What it reads on standard input.
    pub fn input(mut self, input: impl Into<String>) -> Self {
        self.input = input.into();
        self
    }

    /// Stops it after so many seconds, 1 to 3,600; a minute, where nothing is said.
    pub fn seconds(mut self, seconds: u32) -> Self {
        self.seconds = seconds;
        self
    }

    fn of(name: impl Into<String>, program: Program) -> Self {
        Self { name: name.into(), program, input: String::new(), seconds: 60 }
    }
}

impl From<Task> for Step {
    fn from(task: Task) -> Self {
        Self::new(Operation::Task(task))
    }
}
