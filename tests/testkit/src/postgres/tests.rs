//! The server for tests is a real one, keeps what it committed, and leaves nothing behind.

use super::Server;
use super::keeper::processes;
use std::time::{Duration, Instant};

#[test]
#[cfg_attr(without_postgres, ignore = "needs PostgreSQL: COFFERDAM_POSTGRES is not set")]
fn a_server_keeps_what_it_committed_through_each_way_to_stop() {
    let server = Server::start();
    let database = server.database();
    database.run_as(database.name(), "CREATE TABLE rows (number BIGINT)").unwrap();
    for (number, stop) in [Server::stop as fn(&Server), Server::kill].iter().enumerate() {
        database.run_as(database.name(), &format!("INSERT INTO rows VALUES ({number})")).unwrap();
        stop(&server);
        assert_eq!(database.run("SELECT 1").unwrap_err().state, "", "no server answers");
        server.start_again();
    }
    assert_eq!(database.run("SELECT number FROM rows ORDER BY number").unwrap(), "0\n1");
    assert_eq!(database.run("SHOW fsync").unwrap(), "on");
}

#[test]
#[cfg_attr(without_postgres, ignore = "needs PostgreSQL: COFFERDAM_POSTGRES is not set")]
fn a_database_belongs_to_its_owner_and_can_be_read_only() {
    let server = Server::shared();
    let (own, other) = (server.database(), server.database());
    own.run_as(own.name(), "CREATE TABLE rows (number BIGINT)").unwrap();
    let refused = own.run_as(other.name(), "SELECT * FROM rows").unwrap_err();
    assert_eq!(refused.state, "42501", "{}", refused.text);
    own.read_only(true);
    let write = "INSERT INTO rows VALUES (1)";
    let refused = own.run_as(own.name(), write).unwrap_err();
    assert_eq!(refused.state, "25006", "{}", refused.text);
    own.read_only(false);
    own.run_as(own.name(), write).unwrap();
    assert_eq!(own.run("SELECT 'a' < 'B'").unwrap(), "t", "texts are ordered by a language");
}

#[test]
#[cfg_attr(without_postgres, ignore = "needs PostgreSQL: COFFERDAM_POSTGRES is not set")]
fn a_paused_server_goes_on_and_its_folder_goes_with_it() {
    let server = Server::start();
    let folder = server.socket_folder().to_owned();
    server.pause();
    assert!(!processes(&folder.join("data")).is_empty());
    server.go_on();
    assert_eq!(server.run(super::SUPERUSER, "SELECT 1").unwrap(), "1");
    server.pause();
    drop(server);
    let began = Instant::now();
    while folder.exists() || !processes(&folder.join("data")).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(30), "the server is left behind");
        std::thread::sleep(Duration::from_millis(20));
    }
}
