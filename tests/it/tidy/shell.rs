//! The commands that a page shows: lines of its `sh` blocks, and inline code that begins with a
//! binary of ours. Reads text only and runs nothing. Taken by its path in the tests of both
//! binaries, which parse their own command lines.

/// One simple command: line of the page, from 1, and its words.
pub type Shown = (usize, Vec<String>);

/// The commands of all `sh` blocks.
pub fn commands(page: &str) -> Vec<Shown> {
    let mut shown = Vec::new();
    let mut fenced = false;
    let mut waiting: Option<(usize, String)> = None;
    for (index, line) in page.lines().enumerate() {
        if let Some(kind) = line.trim_start().strip_prefix("```") {
            fenced = !fenced && kind.trim() == "sh";
        } else if fenced {
            let (number, text) = waiting.take().unwrap_or((index + 1, String::new()));
            match line.strip_suffix('\\') {
                Some(part) => waiting = Some((number, text + unprompted(part))),
                None => shown.extend(
                    simple(&(text + unprompted(line))).into_iter().map(|words| (number, words)),
                ),
            }
        }
    }
    shown
}

/// Inline code that begins with this binary and a space, split at spaces.
pub fn inline(page: &str, binary: &str) -> Vec<Shown> {
    let mut shown = Vec::new();
    let mut fenced = false;
    for (index, line) in page.lines().enumerate() {
        fenced ^= line.trim_start().starts_with("```");
        if !fenced {
            let code = line.split('`').skip(1).step_by(2);
            let ours =
                code.filter(|code| code.split(' ').next() == Some(binary) && code.contains(' '));
            shown.extend(
                ours.map(|code| (index + 1, code.split_whitespace().map(str::to_owned).collect())),
            );
        }
    }
    shown
}

/// The command without a prompt in front.
fn unprompted(line: &str) -> &str {
    match line.split_once("$ ") {
        Some((before, rest)) if before.chars().all(char::is_alphanumeric) => rest.trim_start(),
        _ => line,
    }
}

/// Splits a line at the shell's operators. Quotes and `$(…)` keep their contents together.
fn simple(line: &str) -> Vec<Vec<String>> {
    let (mut all, mut words, mut word) = (Vec::new(), Vec::new(), None::<String>);
    let (mut quote, mut depth, mut redirected) = (None, 0_u32, false);
    let mut letters = line.chars().peekable();
    let end_word = |word: &mut Option<String>, words: &mut Vec<String>, redirected: &mut bool| {
        if let Some(word) = word.take().filter(|_| !std::mem::take(redirected)) {
            words.push(word);
        }
    };
    while let Some(letter) = letters.next() {
        match letter {
            _ if quote == Some(letter) && depth == 0 => quote = None,
            '\'' | '"' if quote.is_none() && depth == 0 => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            '(' if word.as_ref().is_some_and(|word| word.ends_with('$')) || depth > 0 => {
                depth += 1;
                word.get_or_insert_default().push(letter);
            }
            ')' if depth > 0 => {
                depth -= 1;
                word.get_or_insert_default().push(letter);
            }
            _ if quote.is_some() || depth > 0 => word.get_or_insert_default().push(letter),
            '#' if word.is_none() => break,
            '>' | '<' => {
                end_word(&mut word, &mut words, &mut redirected);
                redirected = true;
            }
            '|' | '&' | ';' => {
                end_word(&mut word, &mut words, &mut redirected);
                all.push(std::mem::take(&mut words));
                while letters.next_if(|next| matches!(next, '|' | '&')).is_some() {}
            }
            _ if letter.is_whitespace() => end_word(&mut word, &mut words, &mut redirected),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    end_word(&mut word, &mut words, &mut redirected);
    all.push(words);
    all.into_iter().map(bare).filter(|words| !words.is_empty()).collect()
}

/// The command without assignments and the words of a loop.
fn bare(words: Vec<String>) -> Vec<String> {
    let assigns = |word: &str| {
        word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.chars().all(|sign| sign.is_ascii_alphanumeric() || sign == '_')
        })
    };
    let rest: Vec<String> = words
        .into_iter()
        .skip_while(|word| matches!(word.as_str(), "do" | "done") || assigns(word))
        .collect();
    if rest.first().is_some_and(|word| word == "for") { Vec::new() } else { rest }
}

#[test]
fn a_shell_block_is_read_as_a_shell_reads_it() {
    let read = |text: &str| -> Vec<String> {
        commands(&format!("```sh\n{text}\n```\n"))
            .into_iter()
            .map(|(_, words)| words.join("|"))
            .collect()
    };
    assert_eq!(read("a --b 'c d' \"e $f\"   # g"), ["a|--b|c d|e $f"]);
    assert_eq!(read("a b > c && d < e | f &"), ["a|b", "d", "f"]);
    assert_eq!(read("home$   a \\\n    b"), ["a|b"]);
    assert_eq!(read("for w in a b; do\n  x --y \"$(z -q $w)\"\ndone"), ["x|--y|$(z -q $w)"]);
    assert_eq!(read("d=$(a b | c)\nT=1 e"), ["e"]);
    assert_eq!(
        inline("run `cofferdam a --b` and `cofferdam`", "cofferdam"),
        [(1, vec!["cofferdam".to_owned(), "a".to_owned(), "--b".to_owned()])]
    );
    assert!(commands("```text\na\n```\n").is_empty());
}
