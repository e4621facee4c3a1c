//! Many finished jobs in the metadata of a service that is not running, written past it: making
//! them through the API would take hours. For measuring only.

use std::path::Path;
use std::process::Command;

use anyhow::Context;

use crate::shell;

/// Copies the newest restore until there are as many as wanted, and sets the cluster's count.
const FILL: &str = r#"
import glob, sqlite3, sys
folder, wanted = sys.argv[1], int(sys.argv[2])
path, = [p for p in glob.glob(folder + '/**', recursive=True)
         if not p.endswith(('-wal', '-shm')) and __import__('os').path.isfile(p)
         and open(p, 'rb').read(15) == b'SQLite format 3']
base = sqlite3.connect(path)
columns = [row[1] for row in base.execute('PRAGMA table_info(restores)')]
row = dict(zip(columns, base.execute(
    'SELECT * FROM restores ORDER BY created_at_ms DESC LIMIT 1').fetchone()))
have, = base.execute('SELECT COUNT(*) FROM restores').fetchone()
for number in range(have, wanted):
    copy = dict(row, id='%024x' % (number + 1), created_at_ms=row['created_at_ms'] + number)
    marks = ', '.join('?' * len(columns))
    base.execute(f'INSERT INTO restores VALUES ({marks})', [copy[name] for name in columns])
base.execute('UPDATE clusters SET restore_count = ?', (wanted,))
base.commit()
base.execute('PRAGMA wal_checkpoint(TRUNCATE)')
"#;

/// Makes the only cluster of a data directory have `count` restore jobs.
pub(super) fn fill(data_dir: &Path, count: u64) -> anyhow::Result<()> {
    let mut python = Command::new("python3");
    python
        .args(["-c", FILL])
        .arg(data_dir)
        .arg(count.to_string());
    shell::output(&mut python).context("write jobs into the metadata")?;
    Ok(())
}
