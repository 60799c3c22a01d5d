//! The table of clients in the book, against the golden files of what the clients show.

use super::{page, pages};

/// The words of the gateway about a token of no agent.
const REASON: &str = "the token is not valid";

/// The row of a client, of its golden file.
fn row(golden: &str) -> String {
    let line = |name: &str| {
        golden
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap_or_else(|| panic!("{golden}"))
    };
    let refused = golden.split("\n── ").find(|row| row.starts_with("has a token of no agent\n"));
    let reason = refused.unwrap_or_else(|| panic!("no refused token: {golden}")).contains(REASON);
    let shown = if reason { "the gateway's reason" } else { "its own words" };
    format!("| {} | {} | {shown} |", line("client: "), line("revision: "))
}

#[test]
fn the_table_of_clients_in_the_book_is_that_of_the_tests() {
    let mut rows: Vec<String> = pages(&["tests/golden/clients"], ".txt")
        .iter()
        .filter(|page| !page.path.ends_with("every-client.txt"))
        .map(|page| row(&page.text))
        .collect();
    rows.sort();
    let book = page("docs/integrating-agents.md").text;
    let head = "| client | revision | a refused token shows |\n|---|---|---|\n";
    let table = book.split_once(head).expect("the table of clients").1;
    let table: Vec<&str> = table.lines().take_while(|line| line.starts_with('|')).collect();
    assert_eq!(table, rows, "the rows should be:\n{}", rows.join("\n"));
}
