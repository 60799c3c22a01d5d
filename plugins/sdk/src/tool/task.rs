//! Builders of a task: a program that runs once in the run namespace, without any rights. Its
//! output is the result.

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

    /// A Wasm command that an operator accepted, by digest. It reads only its input.
    pub fn command(name: impl Into<String>, digest: impl Into<String>) -> Self {
        Self::of(name, Program::Command(digest.into()))
    }

    /// The input of the program.
    pub fn input(mut self, input: impl Into<String>) -> Self {
        self.input = input.into();
        self
    }

    /// The time limit in seconds, 1 to 3,600. The default is 60.
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
