//! Says which tests cannot run here, so that cargo reports them as ignored and says why;
//! `scripts/test` sets the variables. Builds nothing.

fn main() {
    println!(
        "cargo::rustc-check-cfg=cfg(without_browser, without_cluster, without_node, without_clients, \
         without_postgres, without_faults)"
    );
    for name in [
        "COFFERDAM_BROWSER",
        "COFFERDAM_WITHOUT_CLUSTER",
        "COFFERDAM_NODE",
        "COFFERDAM_FULL",
        "COFFERDAM_POSTGRES",
        "COFFERDAM_FAULTS",
    ] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let without_cluster =
        std::env::var_os("COFFERDAM_WITHOUT_CLUSTER").is_some_and(|value| !value.is_empty());
    let with_node = std::env::var_os("COFFERDAM_NODE").is_some_and(|value| value == "1");
    if without_cluster {
        println!("cargo::rustc-cfg=without_cluster");
    }
    if without_cluster || !with_node {
        println!("cargo::rustc-cfg=without_node");
    }
    if std::env::var_os("COFFERDAM_BROWSER").is_none_or(|value| value != "1") {
        println!("cargo::rustc-cfg=without_browser");
    }
    if std::env::var_os("COFFERDAM_FAULTS").is_some_and(|value| value == "0") {
        println!("cargo::rustc-cfg=without_faults");
    }
    if std::env::var_os("COFFERDAM_FULL").is_none_or(|value| value != "1") {
        println!("cargo::rustc-cfg=without_clients");
    }
    if std::env::var_os("COFFERDAM_POSTGRES").is_none_or(|value| value.is_empty()) {
        println!("cargo::rustc-cfg=without_postgres");
    }
}
