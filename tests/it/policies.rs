//! Policies before acceptance: `policy build` and `accept --policy` refuse a policy whose module
//! decides differently than its tests, or that is too slow. Each refusal has a code and names the
//! remedy.

use crate::installation::{TestInstallation, assets, binaries, repository, text};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A policy with one rule and one test. A test adds its own rules.
const RULES: &str = r#"package cofferdam.policy

import future.keywords.not

allow contains {
	"id": "scales",
	"message": "it may scale",
	"remedy": "-",
	"audience": "user",
	"covers": [{"action": "patch", "group": "apps", "kind": "Deployment", "namespaces": ["*"], "fields": ["spec.replicas"], "accepts": []}],
}
"#;

const TESTS: &str = r#"package cofferdam.policy_test

import data.cofferdam.call
import data.cofferdam.world

test_scales if {
	decision := call.decision with input as world.call([world.scale("storefront", "web", 5)])
	decision.effect == "allow"
}
"#;

/// The number of lines of `reached.rego`: so many that one rule without a test is less than a tenth
/// of the policy.
const REACHED: usize = 200;

/// A file of the policy that its test reaches, and the test.
fn reached() -> [(&'static str, String); 2] {
    let mut rules = "package cofferdam.policy\n".to_owned();
    for number in 0..REACHED {
        rules.push_str(&format!("\nreached contains {number}\n"));
    }
    let test = format!(
        "package cofferdam.policy_test\n\nimport data.cofferdam.policy\n\ntest_reached if \
         {{\n\tcount(policy.reached) == {REACHED}\n}}\n"
    );
    [("reached.rego", rules), ("reached_test.rego", test)]
}

/// A deny rule with this message and body.
fn deny(message: &str, body: &str) -> String {
    let head = format!(
        "\ndeny contains {{\n\t\"id\": \"mine\",\n\t\"message\": {message},\n\t\"remedy\": \
         \"-\",\n\t\"audience\": \"user\",\n}}"
    );
    format!("{head} if {{\n\t{}\n}}\n", body.replace('\n', "\n\t"))
}

/// Policies in a folder of their own, beside the library.
pub struct Workshop(TempDir);

impl Workshop {
    /// The same with these files, new or replaced.
    pub fn new(files: &[(&str, &str)]) -> Self {
        let workshop = Self(tempfile::tempdir().unwrap());
        fs::create_dir(workshop.folder()).unwrap();
        let reached = reached();
        for (name, text) in [("mine.rego", RULES), ("mine_test.rego", TESTS), ("data.json", "{}")]
            .iter()
            .chain(&reached.each_ref().map(|(name, text)| (*name, text.as_str())))
            .chain(files)
        {
            let place = workshop.folder().join(name);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, text).unwrap();
        }
        workshop
    }

    fn folder(&self) -> std::path::PathBuf {
        self.0.path().join("team")
    }

    /// The folder of the built policy.
    pub fn built(&self) -> std::path::PathBuf {
        self.0.path().join("built")
    }

    /// Runs `policy build`. Returns its output, or the code and words of the refusal.
    pub fn build(&self) -> Result<Value, (String, String)> {
        let policies = repository().join("policies");
        let (home, folder, built) = (self.0.path().join("no-home"), self.folder(), self.built());
        let words = [
            "policy",
            "build",
            text(&folder),
            "--policies",
            text(&policies),
            "--out",
            text(&built),
        ];
        asked(
            Command::new(binaries().join("cofferdam"))
                .env("OPA", opa())
                .args(["--json", "--home", text(&home)])
                .args(words),
        )
    }

    /// Runs the compiler alone, without the checks, as a careless author does.
    fn compiled(&self) -> std::path::PathBuf {
        fs::create_dir_all(self.built()).unwrap();
        let bundle = self.0.path().join("bundle.tar.gz");
        let entrypoints = ["-e", "cofferdam/call/decision", "-e", "cofferdam/list/visible"];
        let done = Command::new(opa())
            .args([
                "build",
                "-t",
                "wasm",
                "--prune-unused",
                "--ignore",
                "*_test.rego",
                "-o",
                text(&bundle),
            ])
            .args(entrypoints)
            .args([repository().join("policies/lib"), self.folder()])
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        assert!(
            Command::new("tar")
                .args(["-xzf", text(&bundle), "-C", text(&self.built())])
                .status()
                .unwrap()
                .success()
        );
        self.built()
    }
}

fn opa() -> std::ffi::OsString {
    std::env::var_os("COFFERDAM_OPA").expect("COFFERDAM_OPA is not set: run `scripts/test`")
}

fn asked(command: &mut Command) -> Result<Value, (String, String)> {
    let done = command.output().unwrap();
    if done.status.success() {
        return Ok(serde_json::from_slice(&done.stdout).unwrap());
    }
    let said: Value = serde_json::from_slice(&done.stderr)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&done.stderr)));
    let word = |key: &str| said[key].as_str().unwrap_or_default().to_owned();
    Err((word("code"), word("error")))
}

/// Expects a refusal with this code and these words.
fn refused(files: &[(&str, &str)], code: &str, words: &[&str]) {
    let (given, said) =
        Workshop::new(files).build().map(|built| panic!("{files:?}: {built}")).unwrap_err();
    assert_eq!(given, code, "{said}");
    for words in words {
        assert!(said.contains(words), "not `{words}`:\n{said}");
    }
}

#[test]
fn a_builtin_that_is_not_there_is_refused_with_what_to_write_instead() {
    let mut body = Vec::new();
    for (call, words) in [
        ("sprintf(\"%d\", [1])", "write the text as `$\""),
        ("time.clock(time.now_ns())", "`input.context.minute`"),
        ("units.parse_bytes(\"1Gi\")", "quantity.at_most"),
        ("units.parse(\"1\")", "quantity.milli"),
        ("semver.compare(\"1.2.0\", \"1.2.1\")", "compare the parts as numbers"),
        ("http.send({\"method\": \"get\", \"url\": \"https://a.test\"})", "into data.json"),
        ("regex.replace(\"a\", \"b\", \"c\")", "use `replace` with plain texts"),
        ("object.subset({}, {})", "`every key, value in part"),
        ("io.jwt.decode(\"x\")", "`input.subject`"),
        ("opa.runtime()", "the settings into data.json"),
        ("yaml.unmarshal(\"a\")", "`json.unmarshal`"),
    ] {
        body.push((format!("_ = {call}"), words));
    }
    let lines: Vec<&str> = body.iter().map(|(line, _)| line.as_str()).collect();
    let rules = format!(
        "package cofferdam.policy\n{}",
        deny("\"no\"", &format!("print(\"here\")\n{}", lines.join("\n")))
    );
    let words: Vec<&str> = body
        .iter()
        .map(|(_, words)| *words)
        .chain(["`print` is not there", "team/more.rego:"])
        .collect();
    refused(&[("more.rego", &rules)], "builtin", &words);

    let test = format!("{TESTS}\ntest_more if {{\n\tsprintf(\"%d\", [1]) == \"1\"\n}}\n");
    refused(
        &[("mine_test.rego", &test)],
        "builtin",
        &["team/mine_test.rego:12:2: the builtin `sprintf`"],
    );
}

#[test]
fn a_pattern_that_cannot_be_read_is_refused_where_it_is_a_constant() {
    let check = |rules: &str, data: &str, place: &str| {
        let rules = format!("package cofferdam.policy\n{rules}");
        refused(&[("more.rego", &rules), ("data.json", data)], "pattern", &[place, "RE2"]);
    };
    check(
        &deny("\"no\"", "regex.match(\"(?=x)y\", input.subject.id)"),
        "{}",
        "more.rego:9: the pattern `(?=x)y` cannot be read (invalid",
    );
    check(
        &format!(
            "\npatterns := [\"^a\", \"[\"]\n{}",
            deny("\"no\"", "some p in patterns\nregex.match(p, input.subject.id)")
        ),
        "{}",
        "more.rego:3: the pattern `[`",
    );
    check(
        &format!(
            "\nlike(p) if regex.match(p, input.subject.id)\n{}",
            deny("\"no\"", "like(\"a{2,1}\")")
        ),
        "{}",
        "the pattern `a{2,1}`",
    );
    check(
        &deny("\"no\"", "some rule in data.rules\nregex.match(rule.pattern, input.subject.id)"),
        r#"{"rules": [{"pattern": "ok", "why": "["}, {"pattern": "*"}]}"#,
        "the data: the pattern `*`",
    );
    check(&deny("\"no\"", "glob.match(\"[\", [], input.subject.id)"), "{}", "the pattern `[`");
}

#[test]
fn data_and_rules_in_the_place_of_the_library_are_refused() {
    let hidden = r#"{"x": 1, "cofferdam": {"call": {"decided": {"effect": "allow"}}}}"#;
    refused(&[("data.json", hidden)], "data", &["team/data.json", "another name"]);
    refused(
        &[("cofferdam/call/data.json", "{}")],
        "data",
        &["team/cofferdam/call/data.json", "another name"],
    );
    refused(&[("more.yaml", "cofferdam:\n  x: 1\n")], "data", &["team/more.yaml", "another name"]);
    refused(&[("more.yaml", "? \"coffer\\x64am\"\n: 1\n")], "data", &["another name"]);
    let cover = "package cofferdam.cover\n\ncovers(_, _) := true\n";
    refused(
        &[("more.rego", cover)],
        "package",
        &["team/more.rego", "`cofferdam.cover` is the library's"],
    );

    // A data file that changed after the build.
    let installation = TestInstallation::bare("single");
    let changed = tempfile::tempdir().unwrap();
    fs::copy(assets().join("policy-single/policy.wasm"), changed.path().join("policy.wasm"))
        .unwrap();
    fs::write(changed.path().join("data.json"), hidden).unwrap();
    let said = installation.fail(&["accept", "--policy", text(changed.path())]);
    assert!(said.contains("malformed: data.json") && said.contains("another name"), "{said}");
}

#[test]
fn a_test_is_run_on_the_interpreter_and_in_the_module() {
    let built = Workshop::new(&[]).build().unwrap();
    assert!(built["compared"].as_u64().unwrap() > 20, "{built}");

    // The texts differ, and no test compares them.
    let test = TESTS.replace("\"allow\"", "\"deny\"");
    let rules = format!(
        "{RULES}{}",
        deny(
            "$\"{n} of it\"",
            "some operation in input.plan.operations\nsome change in operation.changes\nn := \
             change.value / 3"
        )
    );
    let words = [
        "team/mine_test.rego:6: test_scales",
        "interpreter: deny, covers []",
        "mine: 1.6666666666666666666 of it",
        "mine: 1.66666666666666667 of it",
        "data.cofferdam.quantity",
    ];
    refused(&[("mine.rego", &rules), ("mine_test.rego", &test)], "differs", &words);

    // A rule that has an effect in the module alone.
    let rules = format!("{RULES}{}", deny("\"no\"", "to_number(\"1e400\") > 1"));
    refused(
        &[("mine.rego", &rules)],
        "differs",
        &["test_scales", "interpreter: allow", "module:      deny"],
    );

    // A test that replaces data and rules is compared with them.
    let test = format!(
        "{TESTS}\ntest_replaced if {{\n\tdecision := call.decision with input as world.call([]) \
         with data.part as 5 with data.cofferdam.policy.allow as set()\n\tdecision.effect == \
         \"deny\"\n}}\n"
    );
    let rules = format!("{RULES}{}", deny("$\"{n}\"", "n := data.part / 3"));
    refused(&[("mine.rego", &rules), ("mine_test.rego", &test)], "differs", &["test_replaced"]);
}

#[test]
fn a_policy_without_tests_of_its_own_is_refused() {
    // The tests of the library run with every policy, and reach most lines of the whole.
    let rules = format!("{RULES}{}", deny("\"no\"", "input.subject.id == \"other\""));
    let (empty, none) = ("package cofferdam.policy\n", "package cofferdam.policy_test\n");
    let files = |test| {
        [
            ("mine.rego", rules.as_str()),
            ("mine_test.rego", test),
            ("reached.rego", empty),
            ("reached_test.rego", none),
        ]
    };
    let words = ["of the policy's own lines", "add tests that reach these lines", "team/mine.rego"];
    refused(&files(none), "coverage", &words);
    refused(&files(TESTS), "coverage", &words);
    // With a test of the rule the same policy is built.
    let test = format!(
        "{TESTS}\ntest_other if {{\n\tasked := object.union(world.call([]), {{\"subject\": \
         {{\"id\": \"other\"}}}})\n\tdecision := call.decision with input as \
         asked\n\tdecision.effect == \"deny\"\n\tdecision.reasons[_].id == \"mine\"\n}}\n"
    );
    let built = Workshop::new(&files(&test)).build().unwrap();
    assert_eq!(built["coverage"], 100.0, "{built}");
}

#[test]
fn an_error_of_the_compiler_is_told_in_lines_with_places() {
    let syntax = format!("{RULES}\ndeny contains if {{{{\n");
    let head = "# METADATA\n# scope: package\n# schemas:\n#   - input: schema.input\n";
    let fields = format!("{head}{RULES}{}", deny("\"no\"", "input.plan.nothing == 1"));
    for (files, words) in [
        (("mine.rego", syntax.as_str()), "team/mine.rego:13:15: unexpected if keyword"),
        (("data.json", "{"), "team/data.json: unexpected EOF"),
        (("mine.rego", fields.as_str()), "; known here: `digest`, `executor`"),
    ] {
        let (code, said) = Workshop::new(&[files]).build().unwrap_err();
        assert_eq!(code, "check", "{said}");
        assert!(said.contains(words) && !said.contains("\"errors\""), "{said}");
    }
    let covers = RULES.replace("\"covers\": [{\"action\"", "\"covers\": [{\"act\"");
    refused(&[("mine.rego", &covers)], "check", &["docs/writing-policies.md"]);
}

#[test]
fn a_policy_without_a_rule_that_counts_is_refused() {
    let elsewhere = RULES.replace("package cofferdam.policy", "package my.policy");
    let (empty, test) = ("package my.other\n", "package my.other_test\n");
    let files = [("mine.rego", elsewhere.as_str()), ("mine_test.rego", test)];
    refused(
        &[files[0], files[1], ("reached.rego", empty), ("reached_test.rego", test)],
        "package",
        &["`package cofferdam.policy`", "team/"],
    );
}

#[test]
fn a_rule_with_two_values_names_its_own_file() {
    let rules = format!(
        "{RULES}\nlimit := 1\n\nlimit := 2 if input.subject.id == \"other\"\n{}",
        deny("\"no\"", "limit > 2")
    );
    let workshop = Workshop::new(&[("mine.rego", &rules)]);
    workshop.build().unwrap();
    let question =
        fs::read_to_string(repository().join("policies/example/testdata/scale_to_5.json")).unwrap();
    let place = workshop.0.path().join("question.json");
    fs::write(&place, question.replace("\"id\": \"ada\"", "\"id\": \"other\"")).unwrap();
    let eval = |built: &Path| {
        let words = ["--json", "policy", "eval", "--policy", text(built), "--input", text(&place)];
        asked(Command::new(binaries().join("cofferdam")).args(words)).unwrap_err()
    };
    let (_, said) = eval(&workshop.built());
    assert!(said.contains("gave up: team/mine.rego:15:1:"), "{said}");
    // The compiler alone writes the path of the folder into the module.
    let (_, said) = eval(&workshop.compiled());
    assert!(said.contains("gave up: team/mine.rego:15:1:"), "{said}");
}

/// Each pair of changes: four million for 64 operations of 32 changes.
const PAIRS: &str = "some a in input.plan.operations\nsome b in input.plan.operations\na.index < \
                     b.index\nsome one in a.changes\nsome other in b.changes\none.path == \
                     other.path\none.value == other.value\na.name == b.name";

/// Every text of a list, 64 times.
const COPIES: &str = "joined := [concat(\"\", [name | some _ in numbers.range(1, 64)]) | some \
                      name in data.names]\ncount(joined) == 1";

/// A list that each change searches.
const LOOKS: &str = "some operation in input.plan.operations\nsome change in \
                     operation.changes\nsome name in data.names\nname == change.value";

#[test]
fn a_policy_that_would_be_too_slow_or_too_large_is_not_accepted() {
    let installation = TestInstallation::bare("single");
    let numbers =
        |count: u32| (0..count).map(|number| format!("[{number}]")).collect::<Vec<_>>().join(",");
    for (body, data, code, words) in [
        (PAIRS, "{}".to_owned(), "time", "64 operations with"),
        (
            LOOKS,
            format!("{{\"names\": [{}]}}", numbers(20_000)),
            "time",
            "at most 2000 million, some 100 ms",
        ),
        (
            COPIES,
            format!(
                "{{\"names\": [{}]}}",
                vec![format!("\"{}\"", "n".repeat(1_000)); 2_000].join(",")
            ),
            "memory",
            "data.json",
        ),
        (
            LOOKS,
            format!("{{\"names\": [\"{}\"]}}", "x".repeat(3 << 20)),
            "too-large",
            "data.json has 3072 KiB",
        ),
    ] {
        let rules = format!("{RULES}{}", deny("\"no\"", body));
        let workshop = Workshop::new(&[("mine.rego", &rules), ("data.json", &data)]);
        let built = workshop.compiled();
        let home = installation.home();
        let accept = ["--json", "--home", text(&home), "accept", "--policy", text(&built)];
        let (given, said) =
            asked(Command::new(binaries().join("cofferdam")).args(accept)).unwrap_err();
        assert_eq!(given, code, "{said}");
        assert!(said.contains(words), "not `{words}`: {said}");
        assert!(
            code == "too-large" || said.contains("tool `") || said.contains("data.json has"),
            "{said}"
        );
    }
    // Refused at the build, and by `init` too.
    let rules = format!("{RULES}{}", deny("\"no\"", PAIRS));
    refused(
        &[("mine.rego", &rules)],
        "time",
        &["the tool `widest`", "at most 2000 million, some 100 ms"],
    );
    let workshop = Workshop::new(&[("mine.rego", &rules)]);
    let (home, tree, assets) = (workshop.0.path().join("home"), installation.tree(), assets());
    let built = workshop.compiled();
    let words = [
        "--json",
        "--home",
        text(&home),
        "init",
        text(&tree),
        "--policy",
        text(&built),
        "--plugins",
        text(&assets),
    ];
    let (given, said) = asked(Command::new(binaries().join("cofferdam")).args(words)).unwrap_err();
    assert_eq!(given, "time", "{said}");
    assert!(!home.join("trust/trust.toml").exists(), "it trusts a policy that it refused");
}

/// A home with this policy and `deployment_scale` alone, whose plans have one change in an
/// operation.
fn narrow(place: &Path, policy: &Path) -> std::path::PathBuf {
    let (home, tree, plugins) = (place.join("home"), place.join("tree"), place.join("plugins"));
    for (folder, file) in [("executors", "sequential.wasm"), ("tools", "deployment_scale.wasm")] {
        fs::create_dir_all(plugins.join(folder)).unwrap();
        fs::copy(assets().join(folder).join(file), plugins.join(folder).join(file)).unwrap();
    }
    fs::create_dir_all(&tree).unwrap();
    let words = [
        "init",
        text(&tree),
        "--name",
        "shop",
        "--policy",
        text(policy),
        "--plugins",
        text(&plugins),
    ];
    at(&home, &words).unwrap();
    home
}

/// Runs a command on a home. Returns its output, or the code and words of the refusal.
fn at(home: &Path, words: &[&str]) -> Result<Value, (String, String)> {
    asked(
        Command::new(binaries().join("cofferdam"))
            .args(["--json", "--home", text(home)])
            .args(words),
    )
}

/// A policy that is quick for narrow ceilings and slow for wide ones.
fn slow_on_wide_plans() -> Workshop {
    Workshop::new(&[("mine.rego", &format!("{RULES}{}", deny("\"no\"", PAIRS)))])
}

#[test]
fn a_tool_for_whose_plans_the_accepted_policy_is_too_slow_is_not_accepted() {
    let workshop = slow_on_wide_plans();
    let home = narrow(workshop.0.path(), &workshop.compiled());
    let trust = fs::read_to_string(home.join("trust/trust.toml")).unwrap();
    let tool = assets().join("tools/config_set.wasm");
    let accept = ["accept", text(&tool)];
    let (code, said) = at(&home, &accept).unwrap_err();
    assert_eq!(code, "time", "{said}");
    for words in [
        "not fit for the ceiling of the tool `config_set`",
        "64 operations with 2048 changes",
        "accept another policy first",
    ] {
        assert!(said.contains(words), "not `{words}`: {said}");
    }
    assert_eq!(fs::read_to_string(home.join("trust/trust.toml")).unwrap(), trust);
    assert!(!home.join("tools/config_set.wasm").exists());
    // An `init` of an existing home refuses it too, and a narrower namespace does not help.
    let named = ["accept", text(&tool), "--namespace", "storefront"];
    assert_eq!(at(&home, &named).unwrap_err().0, "time");
    let (tree, parts) = (workshop.0.path().join("tree"), assets());
    let completed = at(&home, &["init", text(&tree), "--name", "shop", "--plugins", text(&parts)]);
    assert_eq!(completed.unwrap_err().0, "time");
    assert_eq!(fs::read_to_string(home.join("trust/trust.toml")).unwrap(), trust);
    // Under another policy the same tool is accepted.
    at(&home, &["accept", "--policy", text(&assets().join("policy-single"))]).unwrap();
    at(&home, &accept).unwrap();
}

#[test]
fn a_wider_ceiling_is_tried_again_and_the_kept_one_is_not() {
    let workshop = slow_on_wide_plans();
    let home = narrow(workshop.0.path(), &assets().join("policy-single"));
    let tool = assets().join("tools/config_set.wasm");
    at(&home, &["accept", text(&tool)]).unwrap();
    let place = home.join("trust/trust.toml");
    let wide = fs::read_to_string(&place).unwrap();
    fs::write(&place, wide.replace("\"data.*\"", "\"data.LOG_LEVEL\"")).unwrap();
    at(&home, &["accept", "--policy", text(&workshop.compiled())]).unwrap();
    let (code, said) = at(&home, &["accept", text(&tool), "--wider"]).unwrap_err();
    assert_eq!(code, "time", "{said}");
    at(&home, &["accept", text(&tool), "--keep-ceiling"]).unwrap();
    // An executor does not depend on a policy.
    at(&home, &["accept", "--executor", text(&assets().join("executors/rollout.wasm"))]).unwrap();
}

#[test]
fn the_shipped_policies_are_accepted() {
    let installation = TestInstallation::bare("single");
    for policy in ["policy-single", "policy-example"] {
        installation.run(&["accept", "--policy", text(&assets().join(policy))]);
    }
}
