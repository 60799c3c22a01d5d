//! The receivers of notifications: a receiver of each kind, and all faults at once.

use super::super::home::Home;
use super::{ConfigErrors, file};
use expect_test::expect;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Reads the sections; `SECRET` and `OPEN` are files with a secret, private and readable for all.
fn read(sections: &str) -> (Result<super::Config, String>, String) {
    let folder = tempfile::tempdir().unwrap();
    let root = std::fs::canonicalize(folder.path()).unwrap();
    let (tree, home) = (root.join("tree"), Home::at(root.join("home")));
    std::fs::create_dir(&tree).unwrap();
    home.make_folders().unwrap();
    let put = |name: &str, mode: u32| {
        let path = root.join(name);
        std::fs::write(&path, "x").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    };
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let sections =
        sections.replace("SECRET", &put("secret", 0o600)).replace("OPEN", &put("open", 0o644));
    let document = format!(
        "[environment]\nname = \"lab\"\n[directory]\ntree = \"{}\"\n{sections}",
        tree.display()
    );
    let mut errors = Vec::new();
    let config = file::check(&document, &home, &mut errors);
    let told = ConfigErrors(errors.clone()).to_string().replace(&text(&root), "ROOT");
    let read = if errors.is_empty() { Ok(config.unwrap()) } else { Err(told) };
    (read, text(&root))
}

#[test]
fn each_kind_is_read_with_all_events_unless_some_are_named() {
    let (config, root) = read(
        r#"
[notify.hook]
kind = "webhook"
url = "https://example.com/hook"
secret_file = "SECRET"
events = ["indeterminate", "job_stuck"]
[notify.slack]
kind = "slack"
secret_file = "SECRET"
[notify.teams]
kind = "teams"
secret_file = "SECRET"
[notify.phone]
kind = "ntfy"
url = "https://ntfy.sh/ops"
[notify.pager]
kind = "pagerduty"
secret_file = "SECRET"
[notify.mail]
kind = "mail"
server = "smtp://mail.example.com"
from = "Cofferdam <gate@example.com>"
to = ["ops@example.com"]
"#,
    );
    let notify = config.unwrap().notify;
    let told: Vec<String> = notify
        .iter()
        .map(|one| {
            let settings = &one.settings;
            format!(
                "{} {} events, unwritable {}, secret {}, {}",
                settings.name,
                one.events.len(),
                settings.unwritable,
                settings.secret_file.is_some(),
                serde_json::to_string(&settings.kind).unwrap()
            )
        })
        .collect();
    expect![[r#"
        hook 2 events, unwritable false, secret true, {"kind":"webhook","url":"https://example.com/hook"}
        slack 8 events, unwritable true, secret true, {"kind":"slack"}
        teams 8 events, unwritable true, secret true, {"kind":"teams"}
        phone 8 events, unwritable true, secret false, {"kind":"ntfy","url":"https://ntfy.sh/ops"}
        pager 8 events, unwritable true, secret true, {"kind":"pagerduty","url":"https://events.pagerduty.com/v2/enqueue"}
        mail 8 events, unwritable true, secret false, {"kind":"mail","server":{"host":"mail.example.com","port":587,"implicit_tls":false},"user":null,"from":"Cofferdam <gate@example.com>","to":["ops@example.com"]}"#]].assert_eq(&told.join("\n").replace(&root, "ROOT"));
}

#[test]
fn every_fault_of_a_receiver_is_told_at_once() {
    let told = |sections: &str| read(sections).0.unwrap_err();
    expect![[r#"
        13 faults in the configuration:
          cofferdam.toml:7: notify.Bad.kind: `Bad` is no name for a receiver; use 1 to 40 of a-z, 0-9 and -
          cofferdam.toml:7: notify.Bad.kind: `sms` is no kind; use one of webhook, slack, teams, ntfy, pagerduty, mail
          cofferdam.toml:12: notify.hook.events: `approved` is no event; use some of approval_needed, escalated, approval_expiring, expired, indeterminate, job_stuck, ledger_unwritable, fence_missing
          cofferdam.toml:10: notify.hook.url: `http://example.com/hook` is no address here: http:// is for this machine alone, because others could read and change what is sent; write https://
          cofferdam.toml:11: notify.hook.secret_file: other users can read `ROOT/open`; chmod 600 ROOT/open
          cofferdam.toml:15: notify.near.secret_file: `slack.url` is a relative path; write the whole path, beginning with /
          cofferdam.toml:16: notify.near.url: unknown key; known here: `events`, `kind`, `ca_file`, `secret_file`
          cofferdam.toml:19: notify.none.events: no event is named; leave out the key for all events, or remove this receiver
          cofferdam.toml: notify.none.secret_file: missing; add the file with the URL of the workflow: secret_file = "/etc/cofferdam/none.secret"
          cofferdam.toml:22: notify.mail.server: `mail.example.com` is no mail server here; write smtps://HOST:PORT for TLS from the beginning (port 465), or smtp://HOST:PORT for STARTTLS (port 587)
          cofferdam.toml:25: notify.mail.to: 0 recipients; name 1 to 20: to = ["ops@example.com"]
          cofferdam.toml:24: notify.mail.from: `gate` is no e-mail address; write NAME@HOST
          cofferdam.toml: notify.mail.secret_file: missing; add the file with the password: secret_file = "/etc/cofferdam/mail.secret""#]].assert_eq(&told(
        r#"
[notify.Bad]
kind = "sms"
[notify.hook]
kind = "webhook"
url = "http://example.com/hook"
secret_file = "OPEN"
events = ["approved"]
[notify.near]
kind = "slack"
secret_file = "slack.url"
url = "https://hooks.slack.com/x"
[notify.none]
kind = "teams"
events = []
[notify.mail]
kind = "mail"
server = "mail.example.com"
user = "ops"
from = "gate"
to = []
"#,
    ));
    expect!["cofferdam.toml:5: notify: `ops` is not a section; write `[notify.NAME]` on a line of its own"].assert_eq(&told("[notify]\nops = \"slack\""));
}
