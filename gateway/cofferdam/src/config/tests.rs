//! The configuration's faults as a table, and the template against the reader.

mod links;
mod notify;

use super::*;
use crate::config::home::write_private;
use cofferdam_core::protocol::role_settings::DatabaseTls;
use expect_test::{Expect, expect};
use std::os::unix::fs::PermissionsExt as _;

/// Checks a text with a real tree and home; paths of this run are written as TREE and HOME.
fn check(text: &str, expect: Expect) {
    let folder = tempfile::tempdir().unwrap();
    let root = std::fs::canonicalize(folder.path()).unwrap();
    let (tree, home) = (root.join("tree"), Home::at(root.join("home")));
    std::fs::create_dir(&tree).unwrap();
    home.make_folders().unwrap();
    let mut errors = Vec::new();
    let config = file::check(&text.replace("TREE", tree.to_str().unwrap()), &home, &mut errors);
    let told = if errors.is_empty() {
        format!("{:#?}", config.unwrap())
    } else {
        ConfigErrors(errors).to_string()
    };
    expect.assert_eq(
        &told
            .replace(tree.to_str().unwrap(), "TREE")
            .replace(home.root().to_str().unwrap(), "HOME"),
    );
}

#[test]
fn the_shortest_configuration_has_these_defaults() {
    check(
        "[environment]\nname = \"lab\"\n[directory]\ntree = \"TREE\"",
        expect![[r#"
            Config {
                environment: "lab",
                infrastructure: Directory {
                    tree: "TREE",
                },
                edge: Edge {
                    listen: 127.0.0.1:8620,
                    tls: None,
                    behind_proxy: None,
                    origins: [],
                    hosts: [],
                    trusted_proxies: [],
                    url: None,
                    wait: 45s,
                    oauth: None,
                },
                courier: None,
                people: None,
                limits: Limits {
                    requests_per_second: 200,
                    burst: 2000,
                    calls: 128,
                    waits: 128,
                    without_token_per_second: 50,
                },
                budgets: Budgets {
                    waiting_approvals: 100,
                    jobs_per_day: 20000,
                    ledger_bytes_per_day: 1073741824,
                },
                serve: Serve {
                    drain: 30s,
                },
                runner: Runner {
                    seats: 2,
                    lease: 30s,
                    max_queued: 50000,
                },
                store: None,
                retention: Retention {
                    closed_jobs: Some(
                        7776000,
                    ),
                    idempotency_keys: Some(
                        604800,
                    ),
                    rejections: Some(
                        86400,
                    ),
                    payloads: None,
                },
                telemetry: Telemetry {
                    otlp: None,
                    format: Text,
                    level: "info",
                },
                notify: [],
                links: None,
            }"#]],
    );
}

#[test]
fn every_fault_is_told_at_once_with_key_and_remedy() {
    check(
        r#"
[environment]
name = "Über uns"
[directory]
tree = "manifests"
[edge]
listen = "localhost"
wait_secnds = 3
wait_seconds = 90
origins = ["console.example.com"]
[runner]
seats = "two"
colour = 1
[telemetry]
otlp = "grpc://x"
log_format = "xml"
[edges]
"#,
        expect![[r#"
            11 faults in the configuration:
              cofferdam.toml:3: environment.name: `Über uns` is no name for an environment; use 1 to 40 of a-z, 0-9 and -
              cofferdam.toml:5: directory.tree: `manifests` is a relative path; write the whole path, beginning with /
              cofferdam.toml:7: edge.listen: `localhost` is no address with a port; write it as "127.0.0.1:8620"
              cofferdam.toml:10: edge.origins: `console.example.com` is no origin; write scheme, host and port alone: "https://console.example.com"
              cofferdam.toml:9: edge.wait_seconds: 90 is out of range; give 1 to 55; the default is 45
              cofferdam.toml:8: edge.wait_secnds: unknown key; did you mean `wait_seconds`
              cofferdam.toml:12: runner.seats: string where a whole number belongs; give 1 to 16
              cofferdam.toml:13: runner.colour: unknown key; known here: `seats`, `lease_seconds`, `max_queued`
              cofferdam.toml:15: telemetry.otlp: `grpc://x` is no collector this build can reach; write "http://127.0.0.1:4318", a collector beside it
              cofferdam.toml:16: telemetry.log_format: `xml` is no format; write "text" or "json"
              cofferdam.toml:17: edges: unknown key; did you mean `edge`"#]],
    );
    check(
        "",
        expect![[r#"
        2 faults in the configuration:
          cofferdam.toml: environment: the section is missing; add `[environment]`; `cofferdam init` writes an example
          cofferdam.toml: directory: neither `[directory]` nor `[kubernetes]` is there; add one of them; `cofferdam init` writes an example"#]],
    );
    check(
        "environment = 3\ndirectory = [",
        expect!["cofferdam.toml:2: not TOML: unclosed array, expected `]`; correct this line"],
    );
    check(
        "environment = 3\n[directory]\ntree = \"TREE/none\"",
        expect![[r#"
        2 faults in the configuration:
          cofferdam.toml:1: environment: not a section; write `[environment]` on a line of its own
          cofferdam.toml:3: directory.tree: `TREE/none` is not a folder; name the folder that holds the manifests"#]],
    );
    check(
        "[environment]\nname = \"lab\"\n[directory]\ntree = \"TREE/../home/store\"",
        expect![
            "cofferdam.toml:4: directory.tree: the tree overlaps with store: a change could reach \
             what decides about changes; keep the home outside the tree (`--home DIR`), without \
             links between them"
        ],
    );
    check(
        "[environment]\nname = \"lab\"\n[directory]\ntree = \"TREE/..\"",
        expect![
            "cofferdam.toml:4: directory.tree: the tree overlaps with configuration, agents, \
             trust file, keys, plugins, policy, store, ledger, runs, journal, artefacts, served \
             copies, links: a change could reach what decides about changes; keep the home outside \
             the tree (`--home DIR`), without links between them"
        ],
    );
}

/// Checks a `[kubernetes]` section whose paths lie in a folder K with the private files `viewer`,
/// `provisioner`, `reaper`, the link `same` to the viewer's, `open` for all to read, and in the
/// home, H, a kubeconfig among the policy.
fn check_cluster(section: &str, expect: Expect) {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let root = std::fs::canonicalize(folder.path()).unwrap();
    let home = Home::at(root.join("home"));
    home.make_folders().unwrap();
    let write = |path: PathBuf, mode: u32| {
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for name in ["viewer", "provisioner", "reaper"] {
        write(root.join(name), 0o600);
    }
    std::fs::hard_link(root.join("viewer"), root.join("same")).unwrap();
    write(root.join("open"), 0o644);
    write(home.policy().join("kubeconfig"), 0o600);
    write(home.trust().with_file_name("kubeconfig"), 0o600);
    let places = [
        (home.root().to_str().unwrap().to_owned(), "/H"),
        (root.to_str().unwrap().to_owned(), "/K"),
    ];
    let real = |text: &str| {
        places.iter().fold(text.to_owned(), |text, (path, name)| {
            text.replace(&format!("{name}/"), &format!("{path}/"))
        })
    };
    let mut errors = Vec::new();
    let config = file::check(
        &real(&format!("[environment]\nname = \"lab\"\n[kubernetes]\n{section}")),
        &home,
        &mut errors,
    );
    let told = if errors.is_empty() {
        format!("{:#?}", config.unwrap().infrastructure)
    } else {
        ConfigErrors(errors).to_string()
    };
    expect.assert_eq(&places.iter().fold(told, |told, (path, name)| told.replace(path, name)));
}

#[test]
fn a_cluster_has_a_private_kubeconfig_for_each_identity() {
    check_cluster(
        "viewer = \"/K/viewer\"\nprovisioner = \"/K/./provisioner\"\nreaper = \"/K/reaper\"",
        expect![[r#"
            Kubernetes(
                Cluster {
                    viewer: "/K/viewer",
                    provisioner: "/K/provisioner",
                    reaper: "/K/reaper",
                    request_timeout: 60s,
                    job_identity: Token,
                },
            )"#]],
    );
    check_cluster(
        "viewer = \"/K/viewer\"\nprovisioner = \"/K/provisioner\"\nreaper = \
         \"/K/reaper\"\nrequest_timeout_seconds = 4",
        expect![
            "cofferdam.toml:7: kubernetes.request_timeout_seconds: 4 is out of range; give 5 to \
             300; the default is 60"
        ],
    );
    check_cluster(
        "viewer = \"viewer\"\nprovisioner = \"/K/none\"\nreapr = \"/K/reaper\"",
        expect![[r#"
            4 faults in the configuration:
              cofferdam.toml:4: kubernetes.viewer: `viewer` is a relative path; write the whole path, beginning with /
              cofferdam.toml:5: kubernetes.provisioner: `/K/none` is not a file; name the kubeconfig of this identity; deploy/README.md says how to make one
              cofferdam.toml: kubernetes.reaper: missing; add the kubeconfig of this identity: reaper = "/home/me/reaper.kubeconfig"
              cofferdam.toml:6: kubernetes.reapr: unknown key; did you mean `reaper`"#]],
    );
    check_cluster(
        "viewer = \"/K/viewer\"\nprovisioner = \"/K/same\"\nreaper = \"/K/open\"",
        expect![[r#"
            2 faults in the configuration:
              cofferdam.toml:6: kubernetes.reaper: `/K/open` can be read by others; chmod 600 /K/open
              cofferdam.toml:5: kubernetes.provisioner: the same file as `viewer`: one role would hold the rights of another; give each identity a kubeconfig of its own"#]],
    );
    check_cluster(
        "viewer = \"/H/policy/kubeconfig\"\nprovisioner = \"/H/trust/kubeconfig\"\nreaper = \
         \"/K/home\"",
        expect![[r#"
            3 faults in the configuration:
              cofferdam.toml:4: kubernetes.viewer: `/H/policy/kubeconfig` lies in the folder of the policy, which roles without this credential may read; move it to a folder of its own
              cofferdam.toml:5: kubernetes.provisioner: `/H/trust/kubeconfig` lies in the folder of the trust file, which roles without this credential may read; move it to a folder of its own
              cofferdam.toml:6: kubernetes.reaper: `/H` is not a file; name the kubeconfig of this identity; deploy/README.md says how to make one"#]],
    );
    check_cluster(
        "viewer = \"/K/viewer\"\nprovisioner = \"/K/provisioner\"\nreaper = \
         \"/K/reaper\"\njob_identity = \"root\"",
        expect![[r#"
            cofferdam.toml:7: kubernetes.job_identity: `root` is no way for jobs to act; write "token", or "impersonation" once deploy/options/impersonation.yaml is applied"#]],
    );
    check_cluster(
        "viewer = \"/K/viewer\"\n[directory]\ntree = \"/K\"",
        expect![
            "cofferdam.toml:3: kubernetes: both `[directory]` and `[kubernetes]` are there; \
             remove one: each environment has a home of its own"
        ],
    );
}

#[test]
fn each_time_of_retention_has_a_lower_bound() {
    let told = |lines: &str| {
        format!("[environment]\nname = \"lab\"\n[directory]\ntree = \"TREE\"\n[retention]\n{lines}")
    };
    check(
        &told(
            "closed_jobs = \"2d\"\nidempotency_keys = \"23h\"\nrejections = \"59m\"\npayloads = \
             \"7d\"",
        ),
        expect![[r#"
            3 faults in the configuration:
              cofferdam.toml:7: retention.idempotency_keys: `23h` is too short: these rows may still be needed; give at least "1d"
              cofferdam.toml:8: retention.rejections: `59m` is no time; write whole days ("30d"), whole hours ("36h") or "forever"
              cofferdam.toml:9: retention.payloads: `7d` is too short: these rows may still be needed; give at least "8d""#]],
    );
    check(
        &told("closed_jobs = \"2d\"\nidempotency_keys = \"forever\"\npayloads = 8"),
        expect![[r#"
            2 faults in the configuration:
              cofferdam.toml:8: retention.payloads: integer where text belongs; put it between quotation marks
              cofferdam.toml:6: retention.closed_jobs: closed jobs would be removed before their idempotency keys; give at least the time of `idempotency_keys`: a key answers with its job"#]],
    );
    check(
        &told("closed_jobs = \"1d\"\nidempotency_keys = \"24h\"\nrejections = \"0h\"\nyears = 3"),
        expect![[r#"
            2 faults in the configuration:
              cofferdam.toml:8: retention.rejections: `0h` is too short: these rows may still be needed; give at least "1h"
              cofferdam.toml:9: retention.years: unknown key; known here: `closed_jobs`, `idempotency_keys`, `rejections`, `payloads`"#]],
    );
    let (folder, mut errors) = (tempfile::tempdir().unwrap(), Vec::new());
    let tree = std::fs::canonicalize(folder.path()).unwrap();
    let text = told(
        "closed_jobs = \"forever\"\nidempotency_keys = \"1d\"\nrejections = \"1h\"\npayloads = \
         \"8d\"",
    );
    let home = Home::at("/nowhere".into());
    let config = file::check(&text.replace("TREE", tree.to_str().unwrap()), &home, &mut errors);
    let expected = Retention {
        closed_jobs: None,
        idempotency_keys: Some(86_400),
        rejections: Some(3_600),
        payloads: Some(8 * 86_400),
    };
    assert_eq!((config.unwrap().retention, errors.len()), (expected, 0));
}

#[test]
fn a_database_on_another_machine_is_checked_by_tls() {
    let told = |lines: &str| {
        format!("[environment]\nname = \"lab\"\n[directory]\ntree = \"TREE\"\n[store]\n{lines}")
    };
    for (lines, expected) in [
        (
            "postgres = \"postgresql://cofferdam@db.example.com/cofferdam\"",
            expect![[
                r#"cofferdam.toml: store.ca_file: the server is checked by TLS, and no authority is named; name the PEM file of its authority: ca_file = "/etc/cofferdam/database-ca.pem""#
            ]],
        ),
        (
            "postgres = \"postgresql://cofferdam:secret@db/cofferdam\"",
            expect![
                "cofferdam.toml:6: store.postgres: the address has a password, which belongs into `password_file`; write postgresql://USER@HOST:PORT/DATABASE"
            ],
        ),
        (
            "postgres = \"mysql://db\"\ntls = \"prefer\"",
            expect![
                "cofferdam.toml:6: store.postgres: this is no address of PostgreSQL; write postgresql://USER@HOST:PORT/DATABASE"
            ],
        ),
        (
            "postgres = \"postgresql://me@db/one\"\ntls = \"prefer\"",
            expect![[
                r#"cofferdam.toml:7: store.tls: `prefer` is no check of a server; write "verify-full", "verify-ca" or "off""#
            ]],
        ),
    ] {
        check(&told(lines), expected);
    }
    let database = |lines: &str| {
        let (folder, mut errors) = (tempfile::tempdir().unwrap(), Vec::new());
        let tree = std::fs::canonicalize(folder.path()).unwrap();
        let text = told(lines).replace("TREE", tree.to_str().unwrap());
        let config = file::check(&text, &Home::at("/nowhere".into()), &mut errors);
        assert_eq!(errors.len(), 0, "{errors:?}");
        config.unwrap().store.unwrap()
    };
    let local = database("postgres = \"postgresql://me@127.0.0.1:6000/one\"");
    assert_eq!((local.place().as_str(), local.tls), ("127.0.0.1:6000/one", DatabaseTls::Off));
    let named = database("postgres = \"postgresql://me@db/one\"\ntls = \"off\"");
    assert_eq!((named.place().as_str(), named.tls), ("db:5432/one", DatabaseTls::Off));
}

#[test]
fn the_trust_file_is_of_the_same_kind_of_infrastructure() {
    let config = |infrastructure| Config {
        environment: "lab".to_owned(),
        infrastructure,
        edge: Edge {
            listen: "127.0.0.1:1".parse().unwrap(),
            tls: None,
            behind_proxy: None,
            origins: Vec::new(),
            hosts: Vec::new(),
            trusted_proxies: Vec::new(),
            url: None,
            wait: Duration::from_secs(1),
            oauth: None,
        },
        courier: None,
        people: None,
        limits: Limits {
            requests_per_second: 1,
            burst: 1,
            calls: 1,
            waits: 1,
            without_token_per_second: 1,
        },
        budgets: cofferdam_core::model::budget::Budgets::usual(),
        serve: Serve { drain: Duration::from_secs(1) },
        runner: Runner { seats: 1, lease: Duration::from_secs(3), max_queued: 50_000 },
        store: None,
        retention: Retention::usual(),
        telemetry: Telemetry { otlp: None, format: LogFormat::Text, level: String::new() },
        notify: Vec::new(),
        links: None,
    };
    let told = |infrastructure, id: &str| {
        let mut errors = Vec::new();
        let trusted = Environment { name: "lab".to_owned(), id: id.to_owned() };
        check_together(&config(infrastructure), &Agents::default(), Some(&trusted), &mut errors);
        errors
            .iter()
            .map(|error| format!("{} {}", error.key, error.problem))
            .collect::<Vec<_>>()
            .join("; ")
    };
    let directory = || Infrastructure::Directory { tree: PathBuf::from("/t") };
    let cluster = || {
        Infrastructure::Kubernetes(Cluster {
            viewer: "/v".into(),
            provisioner: "/p".into(),
            reaper: "/r".into(),
            request_timeout: Duration::from_secs(60),
            job_identity: JobIdentity::Token,
        })
    };
    let (uid, random) =
        ("0f0c1ad8-9ad2-4e2b-8f86-6a2f3c6e6b5d", "0f0c1ad89ad24e2b8f866a2f3c6e6b5d");
    assert_eq!(told(cluster(), uid), "");
    assert_eq!(told(directory(), random), "");
    assert_eq!(
        told(cluster(), random),
        "kubernetes trust.toml is for a directory, not for a cluster"
    );
    assert_eq!(
        told(directory(), uid),
        "directory trust.toml is for a cluster, not for a directory"
    );
}

#[test]
fn the_template_is_what_the_reader_reads() {
    let folder = tempfile::tempdir().unwrap();
    let root = std::fs::canonicalize(folder.path()).unwrap();
    let tree = root.join("a \"tree\"");
    std::fs::create_dir(&tree).unwrap();
    let mut errors = Vec::new();
    let home = Home::at(root.join("home"));
    let written = file::check(
        &template("lab", &Infrastructure::Directory { tree: tree.clone() }, LISTEN),
        &home,
        &mut errors,
    );
    let plain = toml_edit::Value::from(tree.to_str().unwrap());
    let shortest = file::check(
        &format!("[environment]\nname = \"lab\"\n[directory]\ntree = {plain}"),
        &home,
        &mut errors,
    );
    assert_eq!(errors, []);
    assert_eq!(written, shortest);
    let path = |name: &str| root.join(format!("a \"{name}\""));
    let cluster = Cluster {
        viewer: path("viewer"),
        provisioner: path("provisioner"),
        reaper: path("reaper"),
        request_timeout: Duration::from_secs(90),
        job_identity: JobIdentity::Impersonation,
    };
    for (_, path) in cluster.identities() {
        write_private(path, b"").unwrap();
    }
    let infrastructure = Infrastructure::Kubernetes(cluster);
    let written = file::check(&template("lab", &infrastructure, LISTEN), &home, &mut errors);
    assert_eq!(errors, []);
    assert_eq!(written.map(|config| config.infrastructure), Some(infrastructure));
}

/// The shortest configuration with more lines in it.
fn with(lines: &str) -> String {
    format!("[environment]\nname = \"lab\"\n[directory]\ntree = \"TREE\"\n{lines}")
}

#[test]
fn faults_of_tls_are_told_with_key_and_remedy() {
    check(
        &with(
            "[edge]\nbehind_proxy = \"\"\n[edge.tls]\ncertificate = \"server.pem\"\nkey = \
             \"TREE\"\nclient_ca = 3\nkeys = 1",
        ),
        expect![[r#"
            5 faults in the configuration:
              cofferdam.toml:10: edge.tls.client_ca: integer where text belongs; put it between quotation marks
              cofferdam.toml:8: edge.tls.certificate: `server.pem` is a relative path; write the whole path, beginning with /
              cofferdam.toml:9: edge.tls.key: `TREE` is not a file; name an existing file that this user can read
              cofferdam.toml:11: edge.tls.keys: unknown key; did you mean `key`
              cofferdam.toml:6: edge.behind_proxy: `` names no proxy; name the proxy that speaks TLS in front of this server: "nginx at 10.0.0.5""#]],
    );
    check(
        &with("[edge.tls]"),
        expect![[r#"
        2 faults in the configuration:
          cofferdam.toml: edge.tls.certificate: missing; add the PEM file of the certificate: certificate = "/etc/cofferdam/tls/server.pem"
          cofferdam.toml: edge.tls.key: missing; add the PEM file of its key: key = "/etc/cofferdam/tls/server.key""#]],
    );
    check(
        &with("[edge]\ntls = true"),
        expect![
            "cofferdam.toml:6: edge.tls: not a section; write `[edge.tls]` on a line of its own"
        ],
    );
}

#[test]
fn the_key_of_tls_is_private_and_lies_with_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let root = std::fs::canonicalize(folder.path()).unwrap();
    let (tree, home) = (root.join("tree"), Home::at(root.join("home")));
    let tls = root.join("tls");
    for folder in [&tree, &tls] {
        std::fs::create_dir(folder).unwrap();
    }
    home.make_folders().unwrap();
    let told = |certificate: &Path, key: &Path| {
        let text = format!(
            "[environment]\nname = \"lab\"\n[directory]\ntree = {tree:?}\n[edge.tls]\ncertificate \
             = {certificate:?}\nkey = {key:?}\n"
        );
        let mut errors = Vec::new();
        let config = file::check(&text, &home, &mut errors);
        if let Some(config) = &config {
            check_together(config, &Agents::default(), None, &mut errors);
        }
        errors.iter().map(|error| error.problem.clone()).collect::<Vec<_>>().join("; ")
    };
    let put = |path: PathBuf, mode: u32| {
        std::fs::write(&path, "x").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    let certificate = put(tls.join("server.pem"), 0o644);
    assert_eq!(told(&certificate, &put(tls.join("a.key"), 0o600)), "");
    assert_eq!(told(&certificate, &put(tls.join("b.key"), 0o640)), "");
    let open = put(tls.join("c.key"), 0o644);
    assert_eq!(told(&certificate, &open), format!("other users can read `{}`", open.display()));
    for (key, part) in [
        (home.keys().join("server.key"), "in a folder with the keys of the home"),
        (home.root().join("server.key"), "in a folder with the configuration of the home"),
        (root.join("server.key"), "in a folder with the configuration of the home"),
        (tree.join("server.key"), "a file lies in a folder with the tree"),
    ] {
        let problem = told(&certificate, &put(key.clone(), 0o600));
        assert!(problem.contains(part), "{}: {problem}", key.display());
        // A link does not hide its target.
        let link = tls.join("link.key");
        let _none_yet = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(&key, &link).unwrap();
        let problem = told(&certificate, &link);
        assert!(problem.contains(part), "a link to {}: {problem}", key.display());
    }
    let own = home.root().join("tls");
    std::fs::create_dir(&own).unwrap();
    assert_eq!(told(&certificate, &put(own.join("server.key"), 0o600)), "");
}

#[test]
fn the_gateway_reads_no_credential_with_its_tls_files() {
    let folder = tempfile::tempdir().unwrap();
    let root = std::fs::canonicalize(folder.path()).unwrap();
    let home = Home::at(root.join("home"));
    home.make_folders().unwrap();
    let put = |path: &Path| {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "x").unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    let names = ["viewer", "provisioner", "reaper", "secret"];
    for name in names {
        put(&root.join("own").join(name));
        put(&root.join("tls").join(name));
        put(&root.join("tls/below").join(name));
        std::os::unix::fs::symlink(
            root.join("tls").join(name),
            root.join("own").join(format!("link-{name}")),
        )
        .unwrap();
        std::os::unix::fs::symlink(
            root.join("own").join(name),
            root.join("tls").join(format!("link-{name}")),
        )
        .unwrap();
    }
    put(&root.join("tls/server.pem"));
    put(&root.join("tls/server.key"));
    let told = |places: [PathBuf; 4]| {
        let [viewer, provisioner, reaper, secret] = places;
        let tls = root.join("tls");
        let text = format!(
            "[environment]\nname = \"lab\"\n[kubernetes]\nviewer = {viewer:?}\nprovisioner = \
             {provisioner:?}\nreaper = {reaper:?}\n[edge.tls]\ncertificate = {:?}\nkey = \
             {:?}\n[edge.oauth]\nresource = \"https://a.example/mcp\"\nscopes = {{ read = \
             \"r\", call = \"c\" }}\n[[edge.oauth.issuers]]\nname = \"idp\"\nissuer = \
             \"https://idp.example.com\"\nalgorithms = [\"ES256\"]\nperson = \"sub\"\nroles = \
             [\"viewer\"]\nintrospection = {{ client_id = \"c\", secret_file = {secret:?} }}\n",
            tls.join("server.pem"),
            tls.join("server.key"),
        );
        let mut errors = Vec::new();
        let config = file::check(&text, &home, &mut errors);
        if let Some(config) = &config {
            check_together(config, &Agents::default(), None, &mut errors);
        }
        errors.iter().map(|error| error.key.clone()).collect::<Vec<_>>()
    };
    let own = || names.map(|name| root.join("own").join(name));
    assert_eq!(told(own()), [""; 0]);
    let keys = [
        "kubernetes.viewer",
        "kubernetes.provisioner",
        "kubernetes.reaper",
        "edge.oauth.issuers[0].introspection.secret_file",
    ];
    for (index, (key, name)) in keys.into_iter().zip(names).enumerate() {
        for place in ["tls/NAME", "tls/below/NAME", "own/link-NAME"] {
            let mut places = own();
            places[index] = root.join(place.replace("NAME", name));
            assert_eq!(told(places), [key], "{place}");
        }
    }
    // A link in the folder is no secret: the gateway may not follow it.
    let mut places = own();
    places[0] = root.join("tls/link-viewer");
    assert_eq!(told(places), [""; 0]);
}

#[test]
fn faults_of_issuers_are_told_with_key_and_remedy() {
    check(
        &with(
            "[edge.oauth]\nca_file = \"/nowhere/ca.pem\"\n[[edge.oauth.issuers]]\nissuer = \
             \"http://login.example.com\"\njwks_uri = \"https://a b\"\ncolour = \
             1\n[[edge.oauth.issuers]]\nissuer = \
             \"https://login.example.com?a\"\nintrospection = {client_id = 3}\n",
        ),
        expect![[r#"
            17 faults in the configuration:
              cofferdam.toml:6: edge.oauth.ca_file: `/nowhere/ca.pem` is not a file; name an existing file that this user can read
              cofferdam.toml:8: edge.oauth.issuers[0].issuer: `http://login.example.com` is no address here: http:// is for this machine alone, because others could read and change what is sent; write https://
              cofferdam.toml:9: edge.oauth.issuers[0].jwks_uri: `https://a b` is no address here: it has a space, a character outside of ASCII or a sign that is not for addresses; write https://HOST/PATH
              cofferdam.toml: edge.oauth.issuers[0].name: missing; add a short name of the issuer: name = "keycloak"
              cofferdam.toml: edge.oauth.issuers[0].algorithms: no signature algorithm is permitted; name those of the issuer's keys, of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA
              cofferdam.toml: edge.oauth.issuers[0].person: missing; add the claim with the name of the person, as approvers are named: person = "email"
              cofferdam.toml: edge.oauth.issuers[0].roles: no token of this issuer has a role; write roles = ["viewer"] for all of its tokens, or `roles_claim` and `roles_of`
              cofferdam.toml:10: edge.oauth.issuers[0].colour: unknown key; known here: `issuer`, `jwks_uri`, `introspection`, `name`, `audience`, `algorithms`, `plain_jwt`, `required_claims`, `client`, `person`, `person_optional`, `roles`, `roles_claim`, `roles_of`, `scopes_claim`
              cofferdam.toml:12: edge.oauth.issuers[1].issuer: `https://login.example.com?a` has a query; write scheme, host and path alone
              cofferdam.toml:13: edge.oauth.issuers[1].introspection.client_id: integer where text belongs; put it between quotation marks
              cofferdam.toml: edge.oauth.issuers[1].introspection.secret_file: missing; add the file with the secret of this client: secret_file = "/etc/cofferdam/issuer.secret"
              cofferdam.toml: edge.oauth.issuers[1].name: missing; add a short name of the issuer: name = "keycloak"
              cofferdam.toml: edge.oauth.issuers[1].algorithms: no signature algorithm is permitted; name those of the issuer's keys, of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA
              cofferdam.toml: edge.oauth.issuers[1].person: missing; add the claim with the name of the person, as approvers are named: person = "email"
              cofferdam.toml: edge.oauth.issuers[1].roles: no token of this issuer has a role; write roles = ["viewer"] for all of its tokens, or `roles_claim` and `roles_of`
              cofferdam.toml: edge.oauth.resource: missing; add the URL of MCP as agents reach it: resource = "https://cofferdam.example.com/mcp"
              cofferdam.toml: edge.oauth.scopes: the section is missing; add `[edge.oauth.scopes]` with read = "tools:read" and call = "tools:call""#]],
    );
    check(
        &with(
            "[[edge.oauth.issuers]]\nissuer = \
             \"https://login.example.com/a\"\n[[edge.oauth.issuers]]\nissuer = \
             \"https://login.example.com/a\"\n",
        ),
        expect![[r#"
            11 faults in the configuration:
              cofferdam.toml: edge.oauth.issuers[0].name: missing; add a short name of the issuer: name = "keycloak"
              cofferdam.toml: edge.oauth.issuers[0].algorithms: no signature algorithm is permitted; name those of the issuer's keys, of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA
              cofferdam.toml: edge.oauth.issuers[0].person: missing; add the claim with the name of the person, as approvers are named: person = "email"
              cofferdam.toml: edge.oauth.issuers[0].roles: no token of this issuer has a role; write roles = ["viewer"] for all of its tokens, or `roles_claim` and `roles_of`
              cofferdam.toml: edge.oauth.issuers[1].name: missing; add a short name of the issuer: name = "keycloak"
              cofferdam.toml: edge.oauth.issuers[1].algorithms: no signature algorithm is permitted; name those of the issuer's keys, of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA
              cofferdam.toml: edge.oauth.issuers[1].person: missing; add the claim with the name of the person, as approvers are named: person = "email"
              cofferdam.toml: edge.oauth.issuers[1].roles: no token of this issuer has a role; write roles = ["viewer"] for all of its tokens, or `roles_claim` and `roles_of`
              cofferdam.toml:5: edge.oauth.issuers: `https://login.example.com/a` is there twice; remove one of them
              cofferdam.toml: edge.oauth.resource: missing; add the URL of MCP as agents reach it: resource = "https://cofferdam.example.com/mcp"
              cofferdam.toml: edge.oauth.scopes: the section is missing; add `[edge.oauth.scopes]` with read = "tools:read" and call = "tools:call""#]],
    );
    check(
        &with("[edge.oauth]\nissuers = \"https://login.example.com\"\n"),
        expect![[r#"
            4 faults in the configuration:
              cofferdam.toml:6: edge.oauth.issuers: string where a list of sections belongs; write `[[edge.oauth.issuers]]` on a line of its own, once for each
              cofferdam.toml: edge.oauth.resource: missing; add the URL of MCP as agents reach it: resource = "https://cofferdam.example.com/mcp"
              cofferdam.toml: edge.oauth.scopes: the section is missing; add `[edge.oauth.scopes]` with read = "tools:read" and call = "tools:call"
              cofferdam.toml:6: edge.oauth.issuers: there are 0 issuers; add 1 to 16 of `[[edge.oauth.issuers]]`, or remove `[edge.oauth]`"#]],
    );
}

#[test]
fn an_issuer_with_its_client_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    write_private(&secret, b"s3cret").unwrap();
    let text = with(&format!(
        "[edge.oauth]\n{OAUTH}jwks_uri = \"https://keys.example.com/k\"\n\
         [edge.oauth.issuers.introspection]\nclient_id = \"cofferdam\"\nsecret_file = {secret:?}\n"
    ));
    let root = std::fs::canonicalize(folder.path()).unwrap();
    let home = Home::at(root.join("home"));
    let mut errors = Vec::new();
    let tree = root.join("tree");
    std::fs::create_dir(&tree).unwrap();
    let text = text.replace("TREE", tree.to_str().unwrap());
    let config = file::check(&text, &home, &mut errors);
    assert_eq!(errors, []);
    let courier = config.and_then(|config| config.courier).unwrap();
    let [issuer] = &courier.issuers[..] else { panic!("{courier:?}") };
    assert_eq!(issuer.issuer.text(), "https://login.example.com/realms/ops");
    assert_eq!(issuer.jwks_uri.as_ref().unwrap().text(), "https://keys.example.com/k");
    assert_eq!(issuer.introspection.as_ref().unwrap().secret_file, secret);
}

/// Checks `[edge.oauth]`.
fn check_oauth(section: &str, expect: Expect) {
    check(&with(&format!("[edge.oauth]\n{section}")), expect);
}

const OAUTH: &str = r#"resource = "https://gate.example.com/mcp"
[edge.oauth.scopes]
read = "tools:read"
call = "tools:call"
[[edge.oauth.issuers]]
name = "keycloak"
issuer = "https://login.example.com/realms/ops"
algorithms = ["RS256", "ES256"]
person = "email"
roles = ["viewer"]
"#;

#[test]
fn an_issuer_of_access_tokens_needs_little() {
    check_oauth(
        OAUTH,
        expect![[r#"
            Config {
                environment: "lab",
                infrastructure: Directory {
                    tree: "TREE",
                },
                edge: Edge {
                    listen: 127.0.0.1:8620,
                    tls: None,
                    behind_proxy: None,
                    origins: [],
                    hosts: [],
                    trusted_proxies: [],
                    url: None,
                    wait: 45s,
                    oauth: Some(
                        OauthSettings {
                            resource: "https://gate.example.com/mcp",
                            skew_seconds: 30,
                            read_scope: "tools:read",
                            call_scope: "tools:call",
                            scope_prefix: "",
                            issuers: [
                                IssuerSettings {
                                    name: "keycloak",
                                    issuer: "https://login.example.com/realms/ops",
                                    audience: "https://gate.example.com/mcp",
                                    algorithms: [
                                        "RS256",
                                        "ES256",
                                    ],
                                    plain_jwt: false,
                                    introspection: false,
                                    required_claims: {},
                                    client_claim: "",
                                    person_claim: "email",
                                    person_optional: false,
                                    roles: [
                                        "viewer",
                                    ],
                                    roles_claim: "",
                                    roles_of: {},
                                    scopes_claim: "",
                                },
                            ],
                        },
                    ),
                },
                courier: Some(
                    Courier {
                        issuers: [
                            IssuerConnection {
                                issuer: WebAddress {
                                    text: "https://login.example.com/realms/ops",
                                    place: Place {
                                        secure: true,
                                        host: "login.example.com",
                                        port: 443,
                                    },
                                    target: "/realms/ops",
                                },
                                jwks_uri: None,
                                introspection: None,
                                sign_in: None,
                            },
                        ],
                        ca_file: None,
                    },
                ),
                people: None,
                limits: Limits {
                    requests_per_second: 200,
                    burst: 2000,
                    calls: 128,
                    waits: 128,
                    without_token_per_second: 50,
                },
                budgets: Budgets {
                    waiting_approvals: 100,
                    jobs_per_day: 20000,
                    ledger_bytes_per_day: 1073741824,
                },
                serve: Serve {
                    drain: 30s,
                },
                runner: Runner {
                    seats: 2,
                    lease: 30s,
                    max_queued: 50000,
                },
                store: None,
                retention: Retention {
                    closed_jobs: Some(
                        7776000,
                    ),
                    idempotency_keys: Some(
                        604800,
                    ),
                    rejections: Some(
                        86400,
                    ),
                    payloads: None,
                },
                telemetry: Telemetry {
                    otlp: None,
                    format: Text,
                    level: "info",
                },
                notify: [],
                links: None,
            }"#]],
    );
}

#[test]
fn every_fault_of_an_issuer_is_told_at_once() {
    check_oauth(
        "",
        expect![[r#"
            3 faults in the configuration:
              cofferdam.toml: edge.oauth.resource: missing; add the URL of MCP as agents reach it: resource = "https://cofferdam.example.com/mcp"
              cofferdam.toml: edge.oauth.scopes: the section is missing; add `[edge.oauth.scopes]` with read = "tools:read" and call = "tools:call"
              cofferdam.toml: edge.oauth.issuers: there are 0 issuers; add 1 to 16 of `[[edge.oauth.issuers]]`, or remove `[edge.oauth]`"#]],
    );
    check_oauth(
        r#"resource = "http://gate.example.com/mcp?x"
clock_skew_seconds = 3600
colour = 1
[edge.oauth.scopes]
read = "tools read"
call = ""
[[edge.oauth.issuers]]
name = "Key Cloak"
issuer = 3
algorithms = ["HS256", "none", "RS256"]
plain_jwt = "yes"
required_claims = { tenant = 3 }
roles = ["an operator"]
roles_claim = "groups"
typ = "JWT"
[[edge.oauth.issuers]]
name = "other"
issuer = "https://other.example.com"
person = "email"
roles_of = { "a" = "viewer" }
"#,
        expect![[r#"
            17 faults in the configuration:
              cofferdam.toml:14: edge.oauth.issuers[0].issuer: integer where text belongs; put it between quotation marks
              cofferdam.toml:13: edge.oauth.issuers[0].name: `Key Cloak` is no name for an issuer; use 1 to 24 of a-z, 0-9 and -
              cofferdam.toml:15: edge.oauth.issuers[0].algorithms: `HS256` is not a permitted algorithm; name those of the issuer's keys, of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA
              cofferdam.toml:15: edge.oauth.issuers[0].algorithms: `none` is not a permitted algorithm; name those of the issuer's keys, of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA
              cofferdam.toml:16: edge.oauth.issuers[0].plain_jwt: string where true or false belongs; write true or false, without quotation marks
              cofferdam.toml:17: edge.oauth.issuers[0].required_claims: inline table where a table of texts belongs; write required_claims = { "one" = "two" }
              cofferdam.toml: edge.oauth.issuers[0].person: missing; add the claim with the name of the person, as approvers are named: person = "email"
              cofferdam.toml: edge.oauth.issuers[0].roles_of: it is missing, and without it `roles_claim` gives no role; write both: roles_claim = "groups" and roles_of = { "ops-team" = "operator" }
              cofferdam.toml:18: edge.oauth.issuers[0].roles: `an operator` is no role; write a role of the policy, without blanks
              cofferdam.toml:20: edge.oauth.issuers[0].typ: unknown key; known here: `issuer`, `jwks_uri`, `introspection`, `name`, `audience`, `algorithms`, `plain_jwt`, `required_claims`, `client`, `person`, `person_optional`, `roles`, `roles_claim`, `roles_of`, `scopes_claim`
              cofferdam.toml: edge.oauth.issuers[1].algorithms: no signature algorithm is permitted; name those of the issuer's keys, of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA
              cofferdam.toml:25: edge.oauth.issuers[1].roles_of: there is no `roles_claim` to find these values in; write both: roles_claim = "groups" and roles_of = { "ops-team" = "operator" }
              cofferdam.toml:6: edge.oauth.resource: `http://gate.example.com/mcp?x` is no URL of this server; write https://HOST/mcp, without a query; http:// is for 127.0.0.1 and localhost alone
              cofferdam.toml:7: edge.oauth.clock_skew_seconds: 3600 is out of range; give 0 to 300; the default is 30
              cofferdam.toml:10: edge.oauth.scopes.read: `tools read` is no scope; write visible ASCII characters without blanks, quotation marks and backslashes
              cofferdam.toml:11: edge.oauth.scopes.call: `` is no scope; write visible ASCII characters without blanks, quotation marks and backslashes
              cofferdam.toml:8: edge.oauth.colour: unknown key; known here: `ca_file`, `issuers`, `resource`, `clock_skew_seconds`, `scopes`"#]],
    );
    let two = OAUTH.replace("tools:call", "tools:read") + &OAUTH[OAUTH.find("[[").unwrap()..];
    let opaque = "introspection = { client_id = \"cofferdam\" }\n";
    check_oauth(
        &(two.replace("person", &format!("{opaque}person"))),
        expect![[r#"
        6 faults in the configuration:
          cofferdam.toml: edge.oauth.issuers[0].introspection.secret_file: missing; add the file with the secret of this client: secret_file = "/etc/cofferdam/issuer.secret"
          cofferdam.toml: edge.oauth.issuers[1].introspection.secret_file: missing; add the file with the secret of this client: secret_file = "/etc/cofferdam/issuer.secret"
          cofferdam.toml:10: edge.oauth.issuers: `https://login.example.com/realms/ops` is there twice; remove one of them
          cofferdam.toml:9: edge.oauth.scopes.call: the scope for calls is the one for reading; name two scopes, or every token that reads could call
          cofferdam.toml:10: edge.oauth.issuers: more than one issuer has an `introspection`, and an opaque token does not say whose it is; leave it to one of them
          cofferdam.toml:10: edge.oauth.issuers: two issuers have the name `keycloak`; give each another `name`"#]],
    );
}

#[test]
fn agents_are_found_by_their_token_alone() {
    let digest = cofferdam_core::model::id::TokenDigest::of(b"cfd_secret");
    let text = format!(
        "[[agent]]\nname = \"bot\"\nroles = [\"viewer\"]\nfor = \"alice\"\ntoken = \"{digest}\"\n"
    );
    let agents = Agents::parse(&text).unwrap();
    assert_eq!(
        agents.find("cfd_secret").map(|agent| agent.principal().name),
        Some("bot".to_owned())
    );
    assert_eq!(agents.find(&digest.to_string()), None);
    assert_eq!(agents.find("cfd_secre"), None);
    assert!(
        Agents::parse(&format!("{text}{text}")).unwrap_err().to_string().contains("is there twice")
    );
    assert!(Agents::parse("agent = 3").is_err());
    assert!(Agents::parse("[[agent]]\nname = \"bot\"\nroles = []\nadmin = true").is_err());
}

#[test]
fn plain_http_that_other_machines_reach_needs_tls_or_the_name_of_a_proxy() {
    for (listen, reached) in [
        ("127.0.0.1:8620", false),
        ("127.8.8.8:8620", false),
        ("[::1]:8620", false),
        ("0.0.0.0:8620", true),
        ("[::]:8620", true),
        ("192.0.2.7:8620", true),
        ("[2001:db8::7]:8620", true),
        // The form of an IPv4 address within IPv6: the operating system takes it for loopback, and
        // this is the careful side.
        ("[::ffff:127.0.0.1]:8620", true),
    ] {
        let edge = Edge {
            listen: listen.parse().unwrap(),
            tls: None,
            behind_proxy: None,
            origins: Vec::new(),
            hosts: Vec::new(),
            trusted_proxies: Vec::new(),
            url: None,
            wait: std::time::Duration::from_secs(45),
            oauth: None,
        };
        let told = edge.exposure();
        assert_eq!(told.is_some(), reached, "{listen}");
        if let Some(error) = told {
            assert_eq!(
                error.to_string(),
                format!(
                    "cofferdam.toml: edge.listen: `{listen}` is reached by other machines in plain \
                     HTTP: agents' tokens and all answers can be read on the way; name a \
                     certificate and its key in `[edge.tls]`; or, if a proxy in front speaks TLS, \
                     name it: behind_proxy = \"nginx at 10.0.0.5\""
                )
            );
        }
        let tls = Tls { certificate: "/c".into(), key: "/k".into(), client_ca: None };
        assert_eq!(Edge { tls: Some(tls), ..edge.clone() }.exposure(), None);
        let behind_proxy = Some("nginx at 10.0.0.5".to_owned());
        let behind = Edge { behind_proxy, ..edge };
        assert_eq!(behind.exposure(), None);
        let warning = behind.shared_address().map(|warning| warning.to_string());
        assert_eq!(
            warning.as_deref(),
            Some(
                "cofferdam.toml: edge.trusted_proxies: clients of `nginx at 10.0.0.5` count as one \
                 address, its own: one client without a valid token can use up the limit of all; \
                 name the proxy's address: trusted_proxies = [\"10.0.0.5\"]"
            )
        );
        let trusted_proxies = vec!["10.0.0.5".to_owned()];
        assert_eq!(Edge { trusted_proxies, ..behind }.shared_address(), None);
    }
}

#[test]
fn trusted_proxies_are_addresses_that_can_be_a_proxy() {
    check(
        &with(
            "[edge]\ntrusted_proxies = [\"10.0.0.5\", \"10.0.0.0/8\", \"fc00::/7\", \"::1\", \
             \"nginx\", \"::ffff:10.0.0.5\", \"::ffff:10.0.0.0/104\", \"0.0.0.0/0\", \"::/0\", \
             \"128.0.0.0/1\", \"2000::/3\"]",
        ),
        expect![[r#"
            7 faults in the configuration:
              cofferdam.toml:6: edge.trusted_proxies: `nginx` is no address and no block of addresses; write "192.0.2.7" or "10.0.0.0/8"
              cofferdam.toml:6: edge.trusted_proxies: `::ffff:10.0.0.5` is an IPv4 address within IPv6, and no client has such an address; write it as IPv4: "192.0.2.7" or "10.0.0.0/8"
              cofferdam.toml:6: edge.trusted_proxies: `::ffff:10.0.0.0/104` is an IPv4 address within IPv6, and no client has such an address; write it as IPv4: "192.0.2.7" or "10.0.0.0/8"
              cofferdam.toml:6: edge.trusted_proxies: `0.0.0.0/0` has clients in it too, and each of them could name any address; name the proxies alone, in blocks of /8 or smaller
              cofferdam.toml:6: edge.trusted_proxies: `::/0` has clients in it too, and each of them could name any address; name the proxies alone, in blocks of /7 or smaller
              cofferdam.toml:6: edge.trusted_proxies: `128.0.0.0/1` has clients in it too, and each of them could name any address; name the proxies alone, in blocks of /8 or smaller
              cofferdam.toml:6: edge.trusted_proxies: `2000::/3` has clients in it too, and each of them could name any address; name the proxies alone, in blocks of /7 or smaller"#]],
    );
}

/// `[people.oidc]` with these lines in place of some of its own. `SECRET` is a private file.
fn people(changes: &[(&str, &str)]) -> String {
    let mut lines = vec![
        ("issuer", "\"https://login.example.com/realms/ops\""),
        ("client_id", "\"cofferdam\""),
        ("secret_file", "\"SECRET\""),
        ("algorithms", "[\"RS256\"]"),
        ("name", "\"email\""),
        ("groups", "\"groups\""),
        ("auditor", "[\"audit\"]"),
        ("operator", "[\"on-call\", \"audit\"]"),
    ];
    lines.retain(|(key, _)| !changes.iter().any(|(other, _)| other == key));
    let lines = lines.iter().chain(changes).filter(|(_, value)| !value.is_empty());
    let lines: String = lines.map(|(key, value)| format!("{key} = {value}\n")).collect();
    format!("[people.oidc]\n{lines}")
}

/// Reads a configuration, with a private file for each `SECRET`.
fn read(text: &str) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let root = std::fs::canonicalize(folder.path()).unwrap();
    let (tree, secret) = (root.join("tree"), root.join("secret"));
    std::fs::create_dir(&tree).unwrap();
    write_private(&secret, b"s3cret").unwrap();
    let text = text.replace("TREE", tree.to_str().unwrap());
    let text = text.replace("SECRET", secret.to_str().unwrap());
    let mut errors = Vec::new();
    let config = file::check(&text, &Home::at(root.join("home")), &mut errors);
    if errors.is_empty() { Ok(config.unwrap()) } else { Err(ConfigErrors(errors).to_string()) }
}

#[test]
fn an_issuer_of_people_gives_two_roles_and_is_reached_by_the_courier() {
    use cofferdam_core::model::console_role::ConsoleRole::{Auditor, Operator};
    let config = read(&with(&people(&[]))).unwrap();
    let own = config.people.unwrap();
    assert_eq!(own.roles(), [Auditor, Operator]);
    assert_eq!(own.issuer.roles_of["audit"], [Auditor, Operator]);
    assert_eq!(own.issuer.roles_of["on-call"], [Operator]);
    assert_eq!(own.issuer.scopes, ["openid", "profile", "email"]);
    let courier = config.courier.unwrap();
    assert_eq!(courier.issuers, [own.connection]);
    let secrets: Vec<_> = courier.secrets().map(|(key, _)| key).collect();
    assert_eq!(secrets, ["people.oidc.secret_file"]);
    // The issuer of agents may be the same: one connection has both.
    let both = format!("[edge.oauth]\n{OAUTH}{}", people(&[]));
    let courier = read(&with(&both)).unwrap().courier.unwrap();
    let [one] = &courier.issuers[..] else { panic!("{courier:?}") };
    assert!(one.sign_in.is_some());
}

#[test]
fn faults_of_the_issuer_of_people_are_told_with_key_and_remedy() {
    for (changes, expect) in [
        (vec![("auditor", ""), ("operator", "")], "no group gives a role"),
        (vec![("issuer", "")], "people.oidc.issuer: missing"),
        (vec![("secret_file", "\"/no/such/file\"")], "people.oidc.secret_file: `/no/such/file`"),
        (vec![("algorithms", "[\"none\"]")], "`none` is not a permitted algorithm"),
        (vec![("algorithms", "[\"HS256\"]")], "`HS256` is not a permitted algorithm"),
        (vec![("scopes", "[\"email\"]")], "this does not ask for an ID token"),
        (vec![("operator", "[\"\"]")], "this is not a list of groups"),
        (vec![("approver", "[\"ops\"]")], "people.oidc.approver: unknown key"),
        (vec![("issuer", "\"http://login.example.com\"")], "http:// is for this machine alone"),
    ] {
        let told = read(&with(&people(&changes))).unwrap_err();
        assert!(told.contains(expect), "{changes:?}: {told}");
    }
    let nowhere = format!("[edge]\nlisten = \"10.0.0.5:8620\"\n{}", people(&[]));
    let told = read(&with(&nowhere)).unwrap_err();
    assert!(told.contains("there is no address for them"), "{told}");
    let jwks = format!(
        "[edge.oauth]\n{OAUTH}jwks_uri = \"https://login.example.com/a\"\n{}",
        people(&[("jwks_uri", "\"https://login.example.com/b\"")])
    );
    let told = read(&with(&jwks)).unwrap_err();
    assert!(told.contains("people.oidc.jwks_uri: it differs from"), "{told}");
}
