//! The contract for authors: WIT is documented item by item, the copy of the SDK is equal byte for
//! byte, and the example directory can be read.

use super::{Breach, Page, check, finds, lines, page, pages};
use cofferdam_backend_directory::read::read;

#[test]
fn the_sdk_carries_the_same_wit() {
    let (ours, theirs) = (pages(&["wit"], ".wit"), pages(&["plugins/sdk/wit"], ".wit"));
    let names = |pages: &[Page]| {
        pages
            .iter()
            .map(|page| page.path.rsplit('/').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&ours), names(&theirs));
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert!(
            ours.text == theirs.text,
            "`{}` and `{}` differ; copy the first over the second",
            ours.path,
            theirs.path
        );
    }
}

#[test]
fn every_wit_item_is_documented_and_dated() {
    check(&pages(&["wit"], ".wit"), documented);
    finds(
        documented,
        "a.wit",
        "/// A.\n@since(version = 0.1.0)\ninterface a {\n  /// B.\n  @since(version = 0.1.0)\n  \
         b: func();\n}\n",
        0,
    );
    finds(documented, "a.wit", "/// A.\ninterface a {}\n", 1);
    finds(documented, "a.wit", "@since(version = 0.1.0)\ninterface a {}\n", 1);
    finds(documented, "a.wit", "  record a {\n    b: string,\n  }\n", 3);
}

/// The contract without comments. A change here is a change for every author: it needs a new
/// version, and this file is updated on purpose (`UPDATE_EXPECT=1`).
#[test]
fn the_contract_is_the_published_one() {
    let surface: Vec<String> = pages(&["wit"], ".wit")
        .iter()
        .flat_map(|page| page.text.lines())
        .map(str::trim_end)
        .filter(|line| !line.trim_start().starts_with("///") && !line.is_empty())
        .map(str::to_owned)
        .collect();
    expect_test::expect_file!["../../golden/wit.txt"].assert_eq(&(surface.join("\n") + "\n"));
}

/// A declaration has a date and a comment; a field or a case has a comment. The imports of a world
/// or an interface need none.
fn documented(page: &Page) -> Vec<Breach> {
    let mut faults = Vec::new();
    let mut before: Vec<&str> = Vec::new();
    for (number, line) in lines(page) {
        let line = line.trim();
        if line.starts_with("///") || line.starts_with("@since(version = ") {
            before.push(line);
            continue;
        }
        let elsewhere = ["use ", "import ", "export "].iter().any(|word| line.starts_with(word));
        if !line.is_empty() && line != "}" && !elsewhere {
            let dated = before.last().is_some_and(|line| line.starts_with("@since"));
            let told = before
                .iter()
                .any(|line| line.strip_prefix("///").is_some_and(|words| !words.trim().is_empty()));
            if !told {
                faults.push((number, format!("`{line}` has no `///` line")));
            }
            if declares(line) && !dated {
                faults.push((number, format!("`{line}` has no `@since`")));
            }
        }
        before.clear();
    }
    faults
}

fn declares(line: &str) -> bool {
    let words =
        ["interface ", "world ", "record ", "variant ", "enum ", "flags ", "resource ", "type "];
    words.iter().any(|word| line.starts_with(word))
        || line.contains(": func(")
        || line.contains(": static func(")
}

#[test]
fn the_example_tree_reads_as_its_page_says() {
    // The charts folder is a template on purpose: named, never guessed at, and no obstacle to the
    // rest.
    let template = "examples/manifests/platform/charts/node-agent.yaml";
    let readme = page("examples/manifests/README.md");
    for page in pages(&["examples/manifests"], ".yaml") {
        let documents = read(&page.text).unwrap();
        let unclear: Vec<_> =
            documents.iter().filter_map(|document| document.unclear.as_ref()).collect();
        assert_eq!(unclear.is_empty(), page.path != template, "{}: {unclear:?}", page.path);
        assert!(
            !documents.is_empty()
                && unclear.iter().all(|unclear| unclear.reason.starts_with("a template")),
            "{}",
            page.path
        );
        let folder = page.path.split('/').nth(2).unwrap();
        assert!(
            folder.ends_with(".yaml") || readme.text.contains(&format!("`{folder}/`")),
            "the page of the examples does not name `{folder}/`"
        );
    }
}

/// `const NAME: [&str; …] = […];`, as its words. An empty list is an error of the reader.
fn words_of_constant(text: &str, name: &str) -> Vec<String> {
    let (_, rest) = text.split_once(&format!("const {name}: [&str;")).unwrap();
    let (_, list) = rest.split_once("= [").unwrap();
    let (list, _) = list.split_once("];").unwrap();
    let words: Vec<_> = list.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    assert!(!words.is_empty(), "`{name}` has no words");
    words
}

#[test]
fn the_sdk_refuses_the_same_keywords_at_the_root_of_a_schema() {
    let words = |path: &str| words_of_constant(&page(path).text, "ROOT");
    assert_eq!(
        words("gateway/core/src/tool/schema/lint.rs"),
        words("plugins/sdk/src/check/root.rs"),
        "both lists have the same keywords in the same order; copy the first over the second"
    );
    let example = "const ROOT: [&str; 2] = [\n    \"a\",\n    \"$b\",\n];\nconst C: &str = \"d\";";
    assert_eq!(words_of_constant(example, "ROOT"), ["a", "$b"]);
}
