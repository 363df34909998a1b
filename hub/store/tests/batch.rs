//! Operations that share a transaction, and statements: each sees what came before it, one that
//! fails leaves nothing and takes nothing from others, and what was told is on disk.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use futures_util::future::{BoxFuture, FutureExt, join_all};
use ringfort_store::{
    CommandRow, Contact, NewCertificate, NewDevice, Store, StoreConfig, StoreError, Want,
};
use tempfile::TempDir;
use tokio::sync::{oneshot, watch};

type Told<T> = Result<T, StoreError>;

async fn open(directory: &TempDir) -> Store {
    Store::open(StoreConfig::in_directory(directory.path())).await.unwrap()
}

/// Runs operations in one transaction, in this order. They come in while it is under way, so that
/// what they want is read for all of them after the `first` has run.
async fn together<T>(
    store: &Store,
    first: BoxFuture<'_, Told<T>>,
    others: Vec<BoxFuture<'_, Told<T>>>,
) -> (Told<T>, Vec<Told<T>>) {
    let (release, released) = oneshot::channel::<()>();
    let (started, has_started) = oneshot::channel::<()>();
    let gate = store.write::<(), StoreError, _>(move |_| {
        Box::pin(async move {
            started.send(()).unwrap();
            released.await.map_err(|_| StoreError::BrokeOff)
        })
    });
    let all = async {
        has_started.await.unwrap();
        // Both are handed over at their first poll; nothing runs until this task waits.
        let (first, others, ()) =
            tokio::join!(first, join_all(others), async { release.send(()).unwrap() });
        (first, others)
    };
    // The gate shares the transaction, and its fate.
    let (_, told) = tokio::join!(gate, all);
    told
}

/// Counts a visit of a device.
fn visit<'s>(store: &'s Store, device: &'static str) -> BoxFuture<'s, Told<i64>> {
    store
        .write_wanting(Want::Contact(device.to_owned()), move |w| {
            Box::pin(async move {
                let mut contact = w.contact(device).await?.unwrap_or_default();
                contact.link_counter += 1;
                w.put_contact(device, &contact);
                Ok(contact.link_counter)
            })
        })
        .boxed()
}

fn device_in_stock(device: &str, number: u8) -> NewDevice {
    NewDevice {
        device: device.to_owned(),
        ueid: vec![number; 17],
        site: "plant".to_owned(),
        batch_number: 1,
        vendor: [1; 16],
        class: [2; 16],
        protection: String::new(),
        state: "provisioned",
        added_ms: 1,
    }
}

fn first_certificate(device: &str, number: u8, key_digest: [u8; 32]) -> NewCertificate {
    NewCertificate {
        fingerprint: [number; 32],
        device: device.to_owned(),
        kind: "ldevid",
        serial: vec![number],
        key_digest,
        not_before_ms: 1,
        not_after_ms: 2,
        der: vec![number; 500],
        issued_ms: 1,
    }
}

async fn stock(store: &Store, devices: &[&'static str]) {
    for (number, device) in (0..).zip(devices) {
        let new = device_in_stock(device, number);
        store
            .write(move |w| Box::pin(async move { w.insert_device(&new).await }))
            .await
            .unwrap_or_else(|error: StoreError| panic!("{device}: {error}"));
    }
}

/// Claims a device as the rules do. False where they refuse.
fn claim<'s>(
    store: &'s Store,
    device: &'static str,
    number: u8,
    key: [u8; 32],
) -> BoxFuture<'s, Told<bool>> {
    let want = Want::Enrolment { device: device.to_owned(), kind: "ldevid", key_digest: key };
    let new = first_certificate(device, number, key);
    store
        .write_wanting(want, move |w| {
            Box::pin(async move {
                let row = w.enrolment(device, "ldevid", &key).await?.unwrap();
                let may = row.state == "provisioned" && row.key_role.is_none() && row.standing == 0;
                if may {
                    w.insert_known_key(&key, Some(device), "ldevid", 1);
                    w.insert_certificate(new);
                    w.set_device_state(device, "deployed", None, None, 1);
                }
                Ok(may)
            })
        })
        .boxed()
}

async fn state_of(store: &Store, device: &str) -> (String, usize) {
    let mut read = store.read().await.unwrap();
    let state = read.device(device).await.unwrap().unwrap().state;
    (state, read.certificates_of(device, "ldevid").await.unwrap().len())
}

async fn visits_of(store: &Store, device: &str) -> Option<i64> {
    let contact = store.read().await.unwrap().contact(device).await.unwrap();
    contact.map(|contact| contact.link_counter)
}

#[tokio::test]
async fn what_is_read_ahead_holds_what_the_same_transaction_owes() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    visit(&store, "one").await.unwrap();
    // The gate's own turn is over before the rest is read ahead: so is that of a visit before it.
    let (release, released) = oneshot::channel::<()>();
    let (started, has_started) = oneshot::channel::<()>();
    let earlier = store.write_wanting(Want::Contact("one".to_owned()), move |w| {
        Box::pin(async move {
            let mut contact = w.contact("one").await?.unwrap();
            contact.link_counter += 1;
            w.put_contact("one", &contact);
            started.send(()).unwrap();
            released.await.map_err(|_| StoreError::BrokeOff)
        })
    });
    let later = async {
        has_started.await.unwrap();
        let visits = vec![visit(&store, "one"), visit(&store, "two"), visit(&store, "one")];
        let (told, ()) = tokio::join!(join_all(visits), async { release.send(()).unwrap() });
        told
    };
    let (earlier, later) = tokio::join!(earlier, later);
    assert_eq!((earlier, later), (Ok(()), vec![Ok(3), Ok(1), Ok(4)]));
    assert_eq!(visits_of(&store, "one").await, Some(4));
}

#[tokio::test]
async fn nothing_is_lost_where_many_operations_of_a_batch_want_the_same_row() {
    const DEVICES: [&str; 3] = ["one", "two", "three"];
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let visits = (0..300).map(|number| {
        let device = DEVICES[number % DEVICES.len()];
        store.write_wanting(Want::Contact(device.to_owned()), move |w| {
            Box::pin(async move {
                let mut contact = w.contact(device).await?.unwrap_or_default();
                contact.link_counter += 1;
                w.put_contact(device, &contact);
                // Some change something else too, and some fail after that.
                if number % 50 == 0 {
                    w.put_meta("last", &[number as u8]).await?;
                }
                if number % 100 == 0 {
                    return Err(StoreError::Full);
                }
                Ok::<_, StoreError>(())
            })
        })
    });
    let told = join_all(visits).await;
    assert_eq!(told.iter().filter(|told| told.is_err()).count(), 3);
    for (place, device) in DEVICES.into_iter().enumerate() {
        let kept = (0..300).filter(|n| n % 3 == place && n % 100 != 0).count() as i64;
        assert_eq!(visits_of(&store, device).await, Some(kept), "{device}");
    }
}

#[tokio::test]
async fn an_operation_that_fails_with_rows_owed_leaves_none_and_its_neighbours_keep_theirs() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    // It fails at once; after a change; after it read what it owed; after both.
    for (number, (changes, reads)) in
        [(false, false), (true, false), (false, true), (true, true)].into_iter().enumerate()
    {
        let bad = store.write(move |w| {
            Box::pin(async move {
                w.put_contact("bad", &Contact::default());
                if changes {
                    w.put_meta("bad", b"1").await?;
                }
                if reads {
                    assert!(w.contact("bad").await?.is_some(), "it sees what it owes");
                }
                w.audit(1, "bad", b"bad").await?;
                Err(StoreError::Full)
            })
        });
        let others = vec![bad.boxed(), visit(&store, "good")];
        let (before, others) = together(&store, visit(&store, "good"), others).await;
        let visits = number as i64 * 2;
        assert_eq!(before, Ok(visits + 1));
        assert_eq!(others, [Err(StoreError::Full), Ok(visits + 2)]);
        assert_eq!(visits_of(&store, "good").await, Some(visits + 2));
        assert_eq!(visits_of(&store, "bad").await, None);
        let mut read = store.read().await.unwrap();
        assert_eq!(read.meta("bad").await.unwrap(), None);
        assert_eq!(read.audit_frontier().await.unwrap().size(), 0);
    }
}

#[tokio::test]
async fn an_operation_that_panics_with_rows_owed_leaves_none() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let bad = store.write(|w| {
        Box::pin(async move {
            w.put_contact("bad", &Contact::default());
            panic!("on purpose");
        })
    });
    let others = vec![bad.boxed(), visit(&store, "good")];
    let told = together(&store, visit(&store, "good"), others).await;
    assert_eq!(told, (Ok(1), vec![Err(StoreError::BrokeOff), Ok(2)]));
    assert_eq!(visits_of(&store, "bad").await, None);
}

#[tokio::test]
async fn one_key_claimed_by_many_devices_at_once_goes_to_the_first() {
    const DEVICES: [&str; 4] = ["one", "two", "three", "four"];
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    stock(&store, &DEVICES).await;
    let others = (1..4).map(|n| claim(&store, DEVICES[usize::from(n)], n, [7; 32])).collect();
    let told = together(&store, claim(&store, "one", 0, [7; 32]), others).await;
    assert_eq!(told, (Ok(true), vec![Ok(false); 3]));
    assert_eq!(state_of(&store, "one").await, ("deployed".to_owned(), 1));
    for device in &DEVICES[1..] {
        assert_eq!(state_of(&store, device).await, ("provisioned".to_owned(), 0), "{device}");
    }
    // Each with a key of its own.
    let others = (2..4).map(|n| claim(&store, DEVICES[usize::from(n)], n, [n; 32])).collect();
    let told = together(&store, claim(&store, "two", 1, [1; 32]), others).await;
    assert_eq!(told, (Ok(true), vec![Ok(true); 2]));
    assert_eq!(store.read().await.unwrap().device_counts().await.unwrap().len(), 1);
}

#[tokio::test]
async fn one_device_that_claims_twice_at_once_gets_one_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    stock(&store, &["one", "two"]).await;
    let others = vec![claim(&store, "one", 2, [2; 32]), claim(&store, "two", 3, [3; 32])];
    let told = together(&store, claim(&store, "one", 1, [1; 32]), others).await;
    assert_eq!(told, (Ok(true), vec![Ok(false), Ok(true)]));
    assert_eq!(state_of(&store, "one").await, ("deployed".to_owned(), 1));
}

#[tokio::test]
async fn a_device_that_is_retired_just_before_its_claim_is_not_let_in() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    stock(&store, &["one", "two"]).await;
    let retire = store.write(|w| {
        Box::pin(async move {
            w.set_device_state("one", "retired", None, None, 2);
            Ok(true)
        })
    });
    let others = vec![claim(&store, "one", 1, [1; 32]), claim(&store, "two", 2, [2; 32])];
    let told = together(&store, retire.boxed(), others).await;
    assert_eq!(told, (Ok(true), vec![Ok(false), Ok(true)]));
    assert_eq!(state_of(&store, "one").await, ("retired".to_owned(), 0));
}

#[tokio::test]
async fn a_revocation_just_after_a_claim_takes_the_certificate_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    stock(&store, &["one", "two"]).await;
    let revoke = store.write(|w| {
        Box::pin(async move {
            let at = w.revoke_certificates("one", "ldevid", None, 2, "superseded").await?;
            Ok(at == 1)
        })
    });
    let others = vec![claim(&store, "two", 2, [2; 32]), revoke.boxed()];
    let told = together(&store, claim(&store, "one", 1, [1; 32]), others).await;
    assert_eq!(told, (Ok(true), vec![Ok(true); 2]));
    let rows = store.read().await.unwrap().revoked_certificates("ldevid", 0).await.unwrap();
    assert_eq!(rows.iter().map(|row| &*row.serial).collect::<Vec<_>>(), [[1]]);
}

#[tokio::test]
async fn a_check_in_just_after_a_command_was_given_hears_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    visit(&store, "one").await.unwrap();
    let command = CommandRow {
        digest: [1; 32],
        device: "one".to_owned(),
        action: "decommission".to_owned(),
        number: 1,
        document: Vec::new(),
        expires_ms: 9,
        state: "given".to_owned(),
        open: true,
        reason: None,
        detail: None,
        first_order: 0,
        last_order: 0,
        entered: false,
        approvals: 2,
        given_by: "somebody".to_owned(),
        given_ms: 1,
        since_ms: 1,
    };
    let give = store.write(move |w| {
        Box::pin(async move {
            w.insert_command(&command, &[[2; 32]]).await?;
            Ok(true)
        })
    });
    let commanded = |device: &'static str| {
        let want = Want::Contact(device.to_owned());
        let hear = store.write_wanting(want, move |w| {
            Box::pin(async move {
                let contact = w.contact(device).await?.unwrap_or_default();
                w.put_contact(device, &contact);
                Ok(contact.commanded)
            })
        });
        hear.boxed()
    };
    assert_eq!(commanded("one").await, Ok(false));
    let others = vec![commanded("one"), commanded("two")];
    let told = together(&store, give.boxed(), others).await;
    assert_eq!(told, (Ok(true), vec![Ok(true), Ok(false)]));
}

#[tokio::test]
async fn a_certificate_entered_just_before_an_enrolment_counts_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    stock(&store, &["one", "two"]).await;
    let enter = store.write(move |w| {
        Box::pin(async move {
            w.insert_certificate(first_certificate("one", 1, [1; 32]));
            Ok(true)
        })
    });
    let others = vec![claim(&store, "one", 2, [2; 32]), claim(&store, "two", 3, [3; 32])];
    let told = together(&store, enter.boxed(), others).await;
    assert_eq!(told, (Ok(true), vec![Ok(false), Ok(true)]));
}

/// Nobody does this: the rules look first. Should it happen, everyone is told that it failed.
#[tokio::test]
async fn a_row_that_exists_already_undoes_the_whole_batch_and_everyone_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    stock(&store, &["one", "two"]).await;
    claim(&store, "one", 1, [7; 32]).await.unwrap();
    let unjudged = store.write(move |w| {
        Box::pin(async move {
            w.insert_known_key(&[7; 32], Some("two"), "ldevid", 1);
            w.set_device_state("two", "deployed", None, None, 1);
            Ok(0)
        })
    });
    let others = vec![unjudged.boxed(), visit(&store, "beside")];
    let told = together(&store, visit(&store, "beside"), others).await;
    assert_eq!(told, (Err(StoreError::BrokeOff), vec![Err(StoreError::BrokeOff); 2]));
    assert_eq!(state_of(&store, "two").await, ("provisioned".to_owned(), 0));
    assert_eq!(visits_of(&store, "beside").await, None);
    // The writer goes on.
    assert_eq!(visit(&store, "beside").await, Ok(1));
    assert_eq!(claim(&store, "two", 3, [8; 32]).await, Ok(true));
}

/// The child of the test below: counts visits and says so, until it is killed.
#[tokio::test]
async fn visits_to_be_cut_off() {
    let Ok(directory) = std::env::var(CHILD) else { return };
    let store = Store::open(StoreConfig::in_directory(directory)).await.unwrap();
    loop {
        for told in join_all(VISITED.map(|device| visit(&store, device))).await {
            println!("visit {}", told.unwrap());
        }
    }
}

#[test]
fn a_killed_hub_keeps_every_visit_that_it_had_told() {
    let directory = tempfile::tempdir().unwrap();
    let mut told = 0;
    for _ in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "visits_to_be_cut_off", "--nocapture", "--test-threads=1"])
            .env(CHILD, directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok)
            .filter_map(|line| line.split("visit ").nth(1)?.parse::<i64>().ok());
        told = said.by_ref().nth(200).expect("the child counts");
        child.kill().unwrap();
        child.wait().unwrap();
        told = said.fold(told, i64::max);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let store = open(&directory).await;
            // What was told of one may not have been told of the others any more.
            for device in VISITED {
                assert!(visits_of(&store, device).await.unwrap() >= told - 1, "{device}: {told}");
            }
            let most = VISITED.map(|device| visits_of(&store, device));
            assert!(join_all(most).await.into_iter().max().unwrap().unwrap() >= told);
            store.close().await;
        });
    }
    assert!(told > 0);
}

const VISITED: [&str; 5] = ["one", "two", "three", "four", "five"];
/// Names the directory to the child of the test with a kill.
const CHILD: &str = "RINGFORT_TEST_VISITS_DIRECTORY";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_after_a_change_hears_of_it_however_many_ask_at_once() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory).await;
    stock(&store, &["dev-a", "dev-b"]).await;
    assert!(claim(&store, "dev-a", 1, [1; 32]).await.unwrap());
    assert!(claim(&store, "dev-b", 2, [2; 32]).await.unwrap());
    let (stop, stopped) = watch::channel(false);
    let crowd: Vec<_> = (0..32)
        .map(|_| {
            let (store, stopped) = (store.clone(), stopped.clone());
            tokio::spawn(async move {
                let mut asked = 0;
                while !*stopped.borrow() || asked == 0 {
                    let (own, none) =
                        tokio::join!(store.identity(&[2; 32]), store.identity(&[9; 32]));
                    assert_eq!(own.unwrap().unwrap().device, "dev-b", "each gets its own answer");
                    assert_eq!(none.unwrap(), None);
                    asked += 1;
                }
            })
        })
        .collect();
    for round in 0..50 {
        let state = if round % 2 == 0 { "suspended" } else { "deployed" };
        store
            .write::<(), StoreError, _>(move |w| {
                Box::pin(async move {
                    w.set_device_state("dev-a", state, None, None, 2);
                    Ok(())
                })
            })
            .await
            .unwrap();
        let told = store.identity(&[1; 32]).await.unwrap().unwrap();
        assert_eq!((&*told.device, &*told.state), ("dev-a", state), "round {round}");
    }
    stop.send(true).unwrap();
    for task in crowd {
        task.await.unwrap();
    }
}
