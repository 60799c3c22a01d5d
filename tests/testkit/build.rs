//! Says if tests with a PostgreSQL server cannot run here, so that cargo reports them as ignored
//! and says why. Builds nothing.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(without_postgres)");
    println!("cargo::rerun-if-env-changed=COFFERDAM_POSTGRES");
    if std::env::var_os("COFFERDAM_POSTGRES").is_none_or(|value| value.is_empty()) {
        println!("cargo::rustc-cfg=without_postgres");
    }
}
