//! Before the schema of an existing database is brought up to date: refuse what is newer, and keep
//! a copy of what is older.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sqlx::SqliteConnection;

use crate::StoreError;
use crate::store::MIGRATOR;

/// Compares the schema of a database with what this program knows. Where migrations are to come,
/// the database as it is goes into [`copy_of`] first, durably: whoever has to go back to the
/// program of before puts it in the database's place.
///
/// # Errors
/// [`StoreError::Newer`]; [`StoreError::Full`] and the like when no copy could be made, in which
/// case nothing was changed.
pub(crate) async fn prepare(
    connection: &mut SqliteConnection,
    database: &Path,
) -> Result<(), StoreError> {
    let held = applied(connection).await?;
    let known: BTreeSet<i64> = MIGRATOR.iter().map(|migration| migration.version).collect();
    let (Some(newest_held), Some(newest_known)) = (held.last(), known.last()) else {
        return Ok(());
    };
    if newest_held > newest_known {
        return Err(StoreError::Newer { held: *newest_held, known: *newest_known });
    }
    if known.is_subset(&held) {
        return Ok(());
    }
    let copy = copy_of(database, *newest_held);
    tracing::info!(copy = %copy.display(), from = newest_held, to = newest_known,
        "the schema is brought up to date; the database of before is kept");
    keep(connection, &copy).await
}

/// Where the database is kept as it was with this schema.
pub fn copy_of(database: &Path, schema: i64) -> PathBuf {
    beside(database, &format!(".schema-{schema}"))
}

/// The versions that were applied; none for a new database.
async fn applied(connection: &mut SqliteConnection) -> Result<BTreeSet<i64>, StoreError> {
    let migrated: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'",
    )
    .fetch_one(&mut *connection)
    .await?;
    if migrated == 0 {
        return Ok(BTreeSet::new());
    }
    let versions: Vec<i64> =
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations").fetch_all(connection).await?;
    Ok(versions.into_iter().collect())
}

async fn keep(connection: &mut SqliteConnection, copy: &Path) -> Result<(), StoreError> {
    let unfinished = beside(copy, ".new");
    // What an attempt left that did not come to its end.
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let name = unfinished
        .to_str()
        .ok_or_else(|| StoreError::Io(format!("{} is not in UTF-8", unfinished.display())))?;
    let copied = sqlx::query("VACUUM INTO $1").bind(name).execute(connection).await;
    let kept = copied.map_err(StoreError::from).and_then(|_| {
        fs::set_permissions(&unfinished, Permissions::from_mode(0o600))?;
        File::open(&unfinished)?.sync_all()?;
        fs::rename(&unfinished, copy)?;
        let directory = copy.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(())
    });
    if kept.is_err() {
        // Half a copy helps nobody; that it cannot be removed either is no further trouble.
        let _ = fs::remove_file(&unfinished);
    }
    kept
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(suffix);
    PathBuf::from(name)
}
