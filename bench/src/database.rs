//! The database alone: bare statements in the hub's settings, on tables like its own.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tempfile::TempDir;

use crate::cpu;

/// The narrow row that every check-in writes, alone in a database of its own.
pub struct Writes {
    /// CPU seconds of one, [`GROUP`] to a transaction.
    pub grouped: f64,
    /// CPU seconds of one in a transaction of its own.
    pub alone: f64,
    /// Seconds of such a transaction, of which one in a hundred is slower.
    pub alone_p99: f64,
    /// The same of a transaction of [`FEW`].
    pub few_p99: f64,
}

impl Writes {
    /// Measures them.
    pub async fn measure() -> Result<Writes> {
        let directory = tempfile::tempdir()?;
        let mut rows = Rows { database: create(directory.path()).await?, number: 0 };
        sqlx::query(
            "CREATE TABLE rows (device TEXT PRIMARY KEY, a BIGINT, b BIGINT, c BLOB, d BLOB, \
             e BLOB) WITHOUT ROWID",
        )
        .execute(&mut rows.database)
        .await?;
        // These fill the table, the others write over rows that are spread over it.
        rows.write(GROUP, ROWS / GROUP).await?;
        let mut grouped = f64::INFINITY;
        for _ in 0..3 {
            grouped = grouped.min(rows.write(GROUP, 200).await?.0);
        }
        let (alone, alone_p99) = rows.write(1, 1_000).await?;
        let (_, few_p99) = rows.write(FEW, 1_000).await?;
        rows.database.close().await?;
        Ok(Writes { grouped, alone, alone_p99, few_p99 })
    }
}

struct Rows {
    database: SqliteConnection,
    number: u64,
}

impl Rows {
    /// CPU seconds of a row, and the seconds that one transaction in a hundred exceeds.
    async fn write(&mut self, group: u64, groups: u64) -> Result<(f64, f64)> {
        let (before, mut times) = (cpu::of_this_process()?, Vec::new());
        for _ in 0..groups {
            let begun = Instant::now();
            let mut transaction = self.database.begin().await?;
            for _ in 0..group {
                self.number += 1;
                let row = (self.number * 7919) % ROWS;
                sqlx::query(
                    "INSERT INTO rows VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (device) \
                     DO UPDATE SET a = excluded.a, b = excluded.b, c = excluded.c, \
                     d = excluded.d, e = excluded.e",
                )
                .bind(format!("device-{row:08}"))
                .bind(self.number as i64)
                .bind(groups as i64)
                .bind(&[1_u8; 24][..])
                .bind(&[2_u8; 24][..])
                .bind(&[3_u8; 32][..])
                .execute(&mut *transaction)
                .await?;
            }
            transaction.commit().await?;
            times.push(begun.elapsed());
        }
        let used = cpu::of_this_process()? - before;
        times.sort_unstable();
        let p99 = times[(times.len() - 1) * 99 / 100].as_secs_f64();
        Ok((used / (groups * group) as f64, p99))
    }
}

/// Opens a copy of a hub's database as a cut left it, replays its log, and makes one change that
/// lasts. Seconds.
pub async fn after_a_cut(hub: &Path) -> Result<f64> {
    let directory = tempfile::tempdir()?;
    for name in ["hub.db", "hub.db-wal"] {
        fs::copy(hub.join(name), directory.path().join(name)).context(name)?;
    }
    let begun = Instant::now();
    let mut database = settings(&directory.path().join("hub.db")).connect().await?;
    sqlx::query("UPDATE meta SET value = value").execute(&mut database).await?;
    let took = begun.elapsed().as_secs_f64();
    database.close().await?;
    Ok(took)
}

/// The rows of a deployment, in a database of their own.
pub struct Targets {
    database: SqliteConnection,
    /// Seconds to insert them, in one transaction that was flushed.
    pub inserted: f64,
    _directory: TempDir,
}

impl Targets {
    /// Inserts the rows that a deployment has in the hub's database into the same table with the
    /// same indexes.
    pub async fn insert(hub: &Path, deployment: &str) -> Result<Targets> {
        let directory = tempfile::tempdir()?;
        let mut database = create(directory.path()).await?;
        let file = hub.join("hub.db").display().to_string();
        sqlx::query("ATTACH $1 AS hub").bind(file).execute(&mut database).await?;
        let schema: Vec<String> = sqlx::query_scalar(
            "SELECT sql FROM hub.sqlite_master WHERE tbl_name = 'targets' AND sql IS NOT NULL \
             ORDER BY type DESC",
        )
        .fetch_all(&mut database)
        .await?;
        for statement in schema {
            // It comes from the hub's own schema.
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut database).await?;
        }
        let begun = Instant::now();
        sqlx::query("INSERT INTO main.targets SELECT * FROM hub.targets WHERE deployment = $1")
            .bind(deployment)
            .execute(&mut database)
            .await?;
        let inserted = begun.elapsed().as_secs_f64();
        Ok(Targets { database, inserted, _directory: directory })
    }

    /// Takes every deadline back, in one transaction that is flushed. Seconds.
    pub async fn halt(mut self) -> Result<f64> {
        let begun = Instant::now();
        sqlx::query("UPDATE main.targets SET deadline_ms = NULL WHERE open = 1")
            .execute(&mut self.database)
            .await?;
        let took = begun.elapsed().as_secs_f64();
        self.database.close().await?;
        Ok(took)
    }
}

/// Reads what the CRLs of a hub are made of. CPU seconds.
pub async fn read_revoked(hub: &Path) -> Result<f64> {
    let mut database = settings(&hub.join("hub.db")).read_only(true).connect().await?;
    let before = cpu::of_this_process()?;
    let rows: Vec<(Vec<u8>, i64, String)> = sqlx::query_as(
        "SELECT serial, revoked_ms, revoked_reason FROM certificates \
         WHERE revoked_ms IS NOT NULL AND kind = 'ldevid' ORDER BY serial",
    )
    .fetch_all(&mut database)
    .await?;
    let used = cpu::of_this_process()? - before;
    anyhow::ensure!(!rows.is_empty(), "nothing is revoked");
    database.close().await?;
    Ok(used)
}

async fn create(directory: &Path) -> Result<SqliteConnection> {
    Ok(settings(&directory.join("raw.db")).create_if_missing(true).connect().await?)
}

fn settings(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(false)
        .pragma("cache_size", "-8192")
        .disable_statement_logging()
}

/// Rows of one transaction.
pub const GROUP: u64 = 64;
/// Rows of one transaction at a thousand check-ins a second and 8 ms between commits.
pub const FEW: u64 = 8;
const ROWS: u64 = 100_000;
