//! A database that an older version wrote is brought up to date, and kept as it was (c14 stands for
//! hawkbit#823, #1080, #1692: upgrades that broke the database).
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};

use ringfort_store::{
    Outside, Store, StoreConfig, StoreError, copy_of, leaf_hash, object_file, root,
};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;

/// What version 0.1.0 wrote.
const SCHEMA_2: &str = include_str!("data/schema-2.sql");

struct Old {
    directory: TempDir,
}

impl Old {
    async fn new() -> Old {
        let old = Old { directory: tempfile::tempdir().unwrap() };
        let options = SqliteConnectOptions::new()
            .filename(old.database())
            .create_if_missing(true)
            // A dump fills tables in the order of their names.
            .foreign_keys(false);
        let mut connection = options.connect().await.unwrap();
        sqlx::raw_sql(SCHEMA_2).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        old
    }

    fn config(&self) -> StoreConfig {
        StoreConfig::in_directory(self.directory.path())
    }

    fn database(&self) -> PathBuf {
        self.directory.path().join("hub.db")
    }

    fn copy(&self) -> PathBuf {
        copy_of(&self.database(), 2)
    }
}

async fn schema(database: &Path) -> (i64, i64) {
    let mut outside = Outside::open(database).await.unwrap();
    let schema = outside.schema().await.unwrap();
    assert_eq!(outside.damage().await.unwrap(), Vec::<String>::new());
    outside.close().await.unwrap();
    (schema.held, schema.known)
}

#[tokio::test]
async fn c14_a_database_of_the_previous_schema_is_opened_with_all_that_was_in_it() {
    let old = Old::new().await;
    assert_eq!(schema(&old.database()).await.0, 2);
    let store = Store::open(old.config()).await.unwrap();
    let mut read = store.read().await.unwrap();
    let operators = read.operators().await.unwrap();
    assert_eq!(operators.len(), 1);
    assert_eq!((operators[0].name.as_str(), operators[0].not_after_ms), ("admin", None));
    let device = read.device("dev-a").await.unwrap().unwrap();
    assert_eq!(device.state, "deployed");
    let entries = read.audit_entries(0, 1000).await.unwrap();
    assert!(entries.len() > 10);
    let leaves = entries.iter().map(|row| leaf_hash(&row.entry));
    assert_eq!(root(leaves), read.audit_frontier().await.unwrap().root());
    drop(read);
    // It goes on where it was.
    let position = store.write::<_, StoreError, _>(|write| {
        Box::pin(async move { write.audit(1, "x", b"after the upgrade").await })
    });
    assert_eq!(position.await.unwrap(), entries.len() as u64);
    store.close().await;
    let (held, known) = schema(&old.database()).await;
    assert!(held == known && held > 2);
    // And is opened again without another upgrade.
    let kept = std::fs::metadata(old.copy()).unwrap().modified().unwrap();
    Store::open(old.config()).await.unwrap().close().await;
    assert_eq!(std::fs::metadata(old.copy()).unwrap().modified().unwrap(), kept);
}

#[tokio::test]
async fn the_database_of_before_is_kept_whole_and_private() {
    use std::os::unix::fs::PermissionsExt;
    let old = Old::new().await;
    Store::open(old.config()).await.unwrap().close().await;
    assert_eq!(schema(&old.copy()).await.0, 2);
    assert_eq!(std::fs::metadata(old.copy()).unwrap().permissions().mode() & 0o777, 0o600);
    // Put in the place of the other it is what it was, and can be upgraded again.
    for name in ["hub.db", "hub.db-wal", "hub.db-shm"] {
        let _ = std::fs::remove_file(old.directory.path().join(name));
    }
    std::fs::copy(old.copy(), old.database()).unwrap();
    let store = Store::open(old.config()).await.unwrap();
    assert!(store.read().await.unwrap().device("dev-b").await.unwrap().is_some());
    store.close().await;
}

#[tokio::test]
async fn a_new_database_needs_no_copy() {
    let directory = tempfile::tempdir().unwrap();
    let config = StoreConfig::in_directory(directory.path());
    Store::open(config.clone()).await.unwrap().close().await;
    Store::open(config).await.unwrap().close().await;
    let names: Vec<_> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("schema"))
        .collect();
    assert_eq!(names, Vec::<String>::new());
}

#[tokio::test]
async fn without_a_copy_there_is_no_upgrade() {
    let old = Old::new().await;
    // Nothing can be put there: the name is taken by a directory that is not empty.
    std::fs::create_dir_all(old.copy().join("in the way")).unwrap();
    let refused = Store::open(old.config()).await;
    assert!(matches!(refused, Err(StoreError::Io(_))), "{refused:?}");
    assert_eq!(schema(&old.database()).await.0, 2, "nothing was changed");
    std::fs::remove_dir_all(old.copy()).unwrap();
    Store::open(old.config()).await.unwrap().close().await;
    assert_eq!(schema(&old.copy()).await.0, 2);
}

#[tokio::test]
async fn an_upgrade_that_was_cut_off_is_done_again() {
    let old = Old::new().await;
    let mut name = old.copy().into_os_string();
    name.push(".new");
    std::fs::write(&name, b"half a copy").unwrap();
    Store::open(old.config()).await.unwrap().close().await;
    assert_eq!(schema(&old.copy()).await.0, 2);
    assert!(!Path::new(&name).exists());
}

#[test]
fn objects_lie_where_the_older_version_put_them() {
    let place = object_file(Path::new("objects"), &[0xab; 32]);
    assert!(place.starts_with("objects/ab") && place.ends_with("ab".repeat(32)));
}
