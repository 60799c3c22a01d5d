//! The part of the contract that both programs share: see README.md of the folder above.

use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};

/// True while a step asked for progress. This library always asks the server for it.
static WANTED: AtomicBool = AtomicBool::new(false);

pub fn say(line: &Value) {
    println!("{line}");
}

pub fn tell_progress(message: Option<&str>) {
    if WANTED.load(Ordering::SeqCst) {
        say(&json!({ "progress": message }));
    }
}

/// The address, and the token if there is one.
pub fn arguments() -> std::io::Result<(String, String)> {
    let mut words = std::env::args().skip(1);
    let (url, file) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    Ok((url, std::fs::read_to_string(file)?.trim().to_owned()))
}

/// The next step of standard input, or nothing at its end.
pub async fn next_step() -> Option<Value> {
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).ok().filter(|length| *length > 0).map(|_| line)
    });
    let step: Value = serde_json::from_str(&read.await.ok()??).ok()?;
    WANTED.store(step["progress"] == Value::Bool(true), Ordering::SeqCst);
    Some(step)
}

/// The answer to a call, of its result as JSON.
pub fn answer(result: &Value) -> Value {
    json!({"text": result["content"][0]["text"], "error": result["isError"] == Value::Bool(true)})
}
