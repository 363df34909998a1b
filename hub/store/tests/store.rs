//! The store on a real disk: what is told is kept, what fails leaves nothing, what breaks is named.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use ringfort_store::{NewDevice, Put, PutError, Store, StoreConfig, StoreError, leaf_hash, root};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;

async fn open(directory: &TempDir) -> Store {
    Store::open(StoreConfig::in_directory(directory.path())).await.unwrap()
}

async fn put(store: &Store, name: &'static str, value: &[u8]) -> Result<(), StoreError> {
    let value = value.to_vec();
    store.write(move |w| Box::pin(async move { w.put_meta(name, &value).await })).await
}

async fn get(store: &Store, name: &str) -> Option<Vec<u8>> {
    store.read().await.unwrap().meta(name).await.unwrap()
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    out.copy_from_slice(digest.as_ref());
    out
}

#[tokio::test]
async fn what_was_told_is_there_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    put(&store, "a", b"1").await.unwrap();
    drop(store);
    let store = open(&directory).await;
    assert_eq!(get(&store, "a").await.as_deref(), Some(&b"1"[..]));
}

#[tokio::test]
async fn an_operation_that_fails_spoils_no_other_of_its_batch() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let good_before = put(&store, "before", b"1");
    let bad = store.write(|w| {
        Box::pin(async move {
            w.put_meta("bad", b"1").await?;
            w.audit(1, "bad", b"bad").await?;
            Err::<(), _>(StoreError::Damaged("on purpose".to_owned()))
        })
    });
    let good_after = store.write(|w| {
        Box::pin(async move {
            w.put_meta("after", b"1").await?;
            w.audit(1, "after", b"after").await
        })
    });
    let (before, bad, after) = tokio::join!(good_before, bad, good_after);
    before.unwrap();
    assert_eq!(bad, Err(StoreError::Damaged("on purpose".to_owned())));
    // Its entry of the audit log took the place that the failed one gave back.
    assert_eq!(after, Ok(0));
    assert_eq!(get(&store, "bad").await, None);
    assert!(get(&store, "before").await.is_some() && get(&store, "after").await.is_some());
    let frontier = store.read().await.unwrap().audit_frontier().await.unwrap();
    assert_eq!((frontier.size(), frontier.root()), (1, root([leaf_hash(b"after")])));
}

#[tokio::test]
async fn a_row_that_exists_is_named_and_nothing_of_its_operation_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let insert = |last: u8| {
        let new = NewDevice {
            device: "one".to_owned(),
            ueid: vec![1; 17],
            site: "plant".to_owned(),
            batch_number: 1,
            vendor: [1; 16],
            class: [2; 16],
            protection: String::new(),
            state: "provisioned",
            added_ms: 1,
        };
        store.write(move |w| {
            Box::pin(async move {
                w.put_meta("last", &[last]).await?;
                w.insert_device(&new).await
            })
        })
    };
    insert(1).await.unwrap();
    assert!(matches!(insert(2).await, Err(StoreError::Exists(_))));
    assert_eq!(get(&store, "last").await, Some(vec![1]));
}

#[tokio::test]
async fn an_operation_that_panics_is_undone_and_the_writer_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let broken: Result<(), StoreError> = store
        .write(|w| {
            Box::pin(async move {
                w.put_meta("a", b"1").await?;
                panic!("on purpose");
            })
        })
        .await;
    assert_eq!(broken, Err(StoreError::BrokeOff));
    assert_eq!(get(&store, "a").await, None);
    put(&store, "a", b"2").await.unwrap();
}

#[tokio::test]
async fn many_operations_at_once_are_all_kept_each_in_a_place_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let writes = (0..2000_u32).map(|n| {
        store.write(move |w| Box::pin(async move { w.audit(1, "test", &n.to_be_bytes()).await }))
    });
    let places = futures_util::future::join_all(writes).await;
    let entries = store.read().await.unwrap().audit_entries(0, 3000).await.unwrap();
    assert_eq!(entries.len(), 2000);
    for (n, place) in (0_u32..).zip(places) {
        let place = usize::try_from(place.unwrap()).unwrap();
        assert!(entries[place].entry == n.to_be_bytes(), "operation {n}");
    }
    let frontier = store.read().await.unwrap().audit_frontier().await.unwrap();
    assert_eq!(frontier.root(), root(entries.iter().map(|row| leaf_hash(&row.entry))));
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_take_its_operation_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let (told, hears) = tokio::sync::oneshot::channel();
    {
        let write = store.write(move |w| {
            Box::pin(async move {
                w.put_meta("a", b"1").await?;
                w.after_commit(move || {
                    let _ = told.send(());
                });
                Ok::<_, StoreError>(())
            })
        });
        let mut write = std::pin::pin!(write);
        assert!(futures_util::poll!(write.as_mut()).is_pending());
    }
    hears.await.unwrap();
    assert!(get(&store, "a").await.is_some());
}

#[tokio::test]
async fn what_hangs_on_a_commit_is_not_run_for_an_operation_that_failed() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let (told, hears) = tokio::sync::oneshot::channel();
    let failed = store
        .write(move |w| {
            Box::pin(async move {
                w.after_commit(move || {
                    let _ = told.send(());
                });
                Err::<(), _>(StoreError::Full)
            })
        })
        .await;
    assert_eq!(failed, Err(StoreError::Full));
    assert!(hears.await.is_err());
}

#[tokio::test]
async fn a_locked_database_is_named_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let config = StoreConfig {
        lock_wait: Duration::from_millis(50),
        ..StoreConfig::in_directory(directory.path())
    };
    let store = Store::open(config.clone()).await.unwrap();
    put(&store, "a", b"1").await.unwrap();
    let mut other = SqliteConnectOptions::new().filename(&config.database).connect().await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    assert_eq!(put(&store, "a", b"2").await, Err(StoreError::Locked));
    assert_eq!(get(&store, "a").await.as_deref(), Some(&b"1"[..]));
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    put(&store, "a", b"3").await.unwrap();
    assert_eq!(get(&store, "a").await.as_deref(), Some(&b"3"[..]));
    other.close().await.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_named_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(&directory).await);
    let size = std::fs::metadata(directory.path().join("hub.db")).unwrap().len();
    let config = StoreConfig {
        database_limit_bytes: Some(size + 256 * 1024),
        ..StoreConfig::in_directory(directory.path())
    };
    let store = Store::open(config).await.unwrap();
    put(&store, "kept", b"1").await.unwrap();
    // In one batch: one that fits, and one that does not.
    let (small, large) = tokio::join!(
        store.write(|w| Box::pin(async move { w.audit(1, "small", b"small").await })),
        put(&store, "large", &[7; 1024 * 1024])
    );
    assert_eq!(large, Err(StoreError::Full));
    let entries = store.read().await.unwrap().audit_entries(0, 10).await.unwrap();
    // Whatever became of the small one, it was told the truth.
    assert_eq!(small.is_ok(), entries.len() == 1);
    assert_eq!(get(&store, "large").await, None);
    assert!(get(&store, "kept").await.is_some());
    put(&store, "next", b"1").await.unwrap();
    let size = entries.len() as u64;
    let added = store.write(|w| Box::pin(async move { w.audit(1, "next", b"next").await })).await;
    assert_eq!(added, Ok(size));
}

#[tokio::test]
async fn after_closing_nothing_is_taken_and_nothing_was_lost() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let (_, result) = tokio::join!(store.close(), put(&store, "late", b"1"));
    assert_eq!(result, Err(StoreError::Closed));
    assert_eq!(put(&store, "later", b"1").await, Err(StoreError::Closed));
    let store = open(&directory).await;
    assert_eq!(get(&store, "late").await, None);
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    open(&directory).await.close().await;
    let database = directory.path().join("hub.db");
    let mut other = SqliteConnectOptions::new().filename(&database).connect().await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'of the future', 1, x'00', 0)",
    )
    .execute(&mut other)
    .await
    .unwrap();
    other.close().await.unwrap();
    let refused = Store::open(StoreConfig::in_directory(directory.path())).await;
    assert!(matches!(refused, Err(StoreError::Newer { held: 9999, .. })), "{refused:?}");
}

#[tokio::test]
async fn a_damaged_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("hub.db"), vec![0x55; 8192]).unwrap();
    let refused = Store::open(StoreConfig::in_directory(directory.path())).await;
    assert!(matches!(refused, Err(StoreError::Damaged(_))), "{refused:?}");
}

/// The child of the test below: writes and says so, until it is killed.
#[tokio::test]
async fn a_writer_to_be_killed() {
    let Ok(directory) = std::env::var(CHILD) else { return };
    let store = Store::open(StoreConfig::in_directory(directory)).await.unwrap();
    for n in 0_u32.. {
        let write = store
            .write(move |w| Box::pin(async move { w.audit(1, "test", &n.to_be_bytes()).await }));
        println!("written {}", write.await.unwrap());
    }
}

#[test]
fn a_killed_hub_keeps_everything_that_it_had_told() {
    let directory = tempfile::tempdir().unwrap();
    let mut told = None;
    for round in 1..=3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_writer_to_be_killed", "--nocapture", "--test-threads=1"])
            .env(CHILD, directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = 0;
        while seen < 40 * round {
            let line = lines.next().expect("the child writes").unwrap();
            if let Some(position) = line.split("written ").nth(1) {
                told = Some(position.parse::<u64>().unwrap());
                seen += 1;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said after we stopped counting counts as well.
        let rest = lines.map_while(Result::ok);
        told = rest.filter_map(|line| line.split("written ").nth(1)?.parse().ok()).last().or(told);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let store = open(&directory).await;
            let mut read = store.read().await.unwrap();
            let entries = read.audit_entries(0, i64::MAX).await.unwrap();
            let frontier = read.audit_frontier().await.unwrap();
            assert!(frontier.size() > told.unwrap());
            assert_eq!(frontier.size(), entries.len() as u64);
            assert_eq!(frontier.root(), root(entries.iter().map(|row| leaf_hash(&row.entry))));
        });
    }
}

fn stream(
    parts: Vec<Result<&'static [u8], &'static str>>,
) -> impl futures_util::Stream<Item = Result<Bytes, &'static str>> + Send {
    futures_util::stream::iter(parts).map(|part| part.map(Bytes::from_static))
}

async fn read_all(store: &Store, name: &[u8; 32], range: Option<std::ops::Range<u64>>) -> Vec<u8> {
    let object = store.objects().get(name, range).await.unwrap().unwrap();
    let parts: Vec<_> = object.bytes.collect().await;
    parts.into_iter().flat_map(Result::unwrap).collect()
}

#[tokio::test]
async fn an_object_is_stored_once_and_read_whole_or_in_part() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let name = digest(b"hello world");
    let parts = || stream(vec![Ok(b"hello "), Ok(b"world")]);
    assert_eq!(store.objects().put(&name, 11, parts()).await, Ok(Put::Stored(11)));
    assert_eq!(store.objects().put(&name, 11, parts()).await, Ok(Put::Present(11)));
    assert_eq!(read_all(&store, &name, None).await, b"hello world");
    assert_eq!(read_all(&store, &name, Some(6..9)).await, b"wor");
    assert_eq!(read_all(&store, &name, Some(6..900)).await, b"world");
    let behind = store.objects().get(&name, Some(11..12)).await;
    assert!(matches!(behind, Err(StoreError::Range { size_bytes: 11 })), "{behind:?}");
    assert!(store.objects().get(&[0; 32], None).await.unwrap().is_none());
    assert_eq!(store.objects().size(&name).await, Ok(Some(11)));
}

#[tokio::test]
async fn an_object_that_is_too_long_or_not_what_it_is_called_is_not_kept() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let name = digest(b"right");
    let objects = store.objects();
    let endless =
        futures_util::stream::repeat_with(|| Ok::<_, &str>(Bytes::from_static(&[0; 4096])));
    assert_eq!(
        objects.put(&name, 1_000_000, endless).await,
        Err(PutError::TooLarge { allowed: 1_000_000 })
    );
    assert_eq!(objects.put(&name, 5, stream(vec![Ok(b"wrong")])).await, Err(PutError::Digest));
    let cut = stream(vec![Ok(b"ri"), Err("the line went dead")]);
    assert!(matches!(objects.put(&name, 5, cut).await, Err(PutError::Source(_))));
    assert_eq!(objects.size(&name).await, Ok(None));
    assert_eq!(files_in(directory.path().join("objects")), 0);
    assert_eq!(objects.put(&name, 5, stream(vec![Ok(b"right")])).await, Ok(Put::Stored(5)));
    assert_eq!(files_in(directory.path().join("objects")), 1);
}

#[tokio::test]
async fn what_a_broken_upload_left_is_removed_at_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let name = digest(b"right");
    store.objects().put(&name, 5, stream(vec![Ok(b"right")])).await.unwrap();
    store.close().await;
    let shelf = directory.path().join("objects").join("ab");
    std::fs::create_dir_all(&shelf).unwrap();
    std::fs::write(shelf.join("abcd#1"), b"half").unwrap();
    let store = open(&directory).await;
    assert_eq!(files_in(directory.path().join("objects")), 1);
    assert_eq!(store.objects().size(&name).await, Ok(Some(5)));
}

fn files_in(directory: std::path::PathBuf) -> usize {
    let shelves = std::fs::read_dir(directory).unwrap();
    shelves.map(|shelf| std::fs::read_dir(shelf.unwrap().path()).unwrap().count()).sum()
}

const CHILD: &str = "RINGFORT_STORE_TEST_CHILD";
