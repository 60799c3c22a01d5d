//! An installation moves to PostgreSQL by the commands of the page, and goes on there: over TLS, with
//! a role of the database that can only record.

use crate::installation::{TestInstallation, text};
use cofferdam_testkit::postgres::{SUPERUSER, Server};
use cofferdam_testkit::tls;
use serde_json::json;
use std::fs;

/// The password of each role; it protects nothing.
const PASSWORD: &str = "for-tests";

#[test]
#[cfg_attr(without_postgres, ignore = "needs PostgreSQL: COFFERDAM_POSTGRES is not set")]
fn an_installation_moves_to_a_database_by_the_commands_of_the_page_and_goes_on() {
    let server = Server::start();
    let mut installation = TestInstallation::started();
    let token = installation.agent("release", "operator");
    let scale =
        |replicas: u32| json!({"namespace": "storefront", "name": "web", "replicas": replicas});
    let first = installation.call(&token, "deployment_scale", &scale(5));
    assert_eq!(first.status, 200, "{:#}", first.body);
    let first = first.body["call"].as_str().unwrap().to_owned();
    installation.closed(&first);
    server.run(SUPERUSER, &installation.run(&["store", "roles"])).unwrap();
    for role in ["owner", "recorder", "backup"] {
        let sql = format!("ALTER ROLE cofferdam_{role} PASSWORD '{PASSWORD}'");
        server.run(SUPERUSER, &sql).unwrap();
    }
    let address =
        |role: &str| format!("postgresql://cofferdam_{role}@localhost:{}/cofferdam", server.port());
    let (owner, password) = (address("owner"), installation.secret("password", PASSWORD));
    let (ca, other) =
        (installation.secret("ca.pem", tls::CA), installation.secret("other.pem", tls::OTHER_CA));
    let words = |ca| {
        ["store", "migrate", "--to", &owner, "--password-file", text(&password), "--ca-file", ca]
            .into_iter()
            .chain(["--tls", "verify-full"])
            .collect::<Vec<&str>>()
    };
    let refused = installation.fail(&words(text(&ca)));
    assert!(refused.contains("stop `cofferdam serve` first"), "{refused}");
    installation.stop();
    let refused = installation.fail(&words(text(&other)));
    assert!(refused.contains("certificate"), "{refused}");
    let moved = installation.json(&words(text(&ca)));
    assert_eq!(moved["entries"], installation.published(), "{moved:#}");
    assert_eq!(moved["rows"]["jobs"], 1, "{moved:#}");
    server.run_as("cofferdam_owner", "cofferdam", &installation.run(&["store", "rights"])).unwrap();
    let file = installation.home().join("cofferdam.toml");
    let config = fs::read_to_string(&file).unwrap();
    let store = format!(
        "\n[store]\npostgres = \"{}\"\npassword_file = \"{}\"\nca_file = \"{}\"\ntls = \
         \"verify-full\"\n",
        address("recorder"),
        password.display(),
        ca.display()
    );
    fs::write(&file, config + &store).unwrap();
    installation.serve(&[]);
    let second = installation.call(&token, "deployment_scale", &scale(6));
    assert_eq!(second.status, 200, "{:#}\n{}", second.body, installation.log());
    let second = second.body["call"].as_str().unwrap();
    assert_eq!(installation.closed(second)["view"]["outcome"], "succeeded");
    assert_eq!(installation.closed(&first)["view"]["outcome"], "succeeded", "what was moved");
    installation.verify_ledger();
    installation.stop();
    let entries = server.run_as("cofferdam_backup", "cofferdam", "SELECT count(*) FROM leaves");
    assert_eq!(entries.unwrap(), installation.published().to_string());
}
