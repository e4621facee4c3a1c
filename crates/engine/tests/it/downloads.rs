//! Archives: what is in them, and when a link is good.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::MultiGzDecoder;
use futures::TryStreamExt;
use model::{Error, Status, Tier};
use testkit::RealMongo;
use testkit::sample::{self, SampleOptions};

use crate::world::World;

async fn fetch(world: &World, token: &str) -> anyhow::Result<Vec<u8>> {
    let archive = world
        .engine
        .downloads()
        .open(token, world.caller.address)
        .await?;
    let pieces: Vec<bytes::Bytes> = archive.stream().try_collect().await?;
    Ok(pieces.concat())
}

fn members(archive: &[u8]) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut members = BTreeMap::new();
    for entry in tar::Archive::new(MultiGzDecoder::new(archive)).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        assert!(
            members.insert(path, content).is_none(),
            "a path is there once"
        );
    }
    Ok(members)
}

fn count_documents(mut bytes: &[u8]) -> u64 {
    let mut count = 0;
    while let Some(length) = bytes.first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        bytes = &bytes[length..];
        count += 1;
    }
    count
}

async fn with_a_snapshot() -> anyhow::Result<(RealMongo, World)> {
    let mongo = RealMongo::replica_set().start().await?;
    let world = World::started().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    world.snapshot("c").await?;
    Ok((mongo, world))
}

/// Offers the newest snapshot and returns its link, which is there at once.
async fn offered(world: &World) -> anyhow::Result<String> {
    let snapshots = world.snapshots("c").await?;
    let newest = snapshots.last().expect("a snapshot").id;
    let restores = world.engine.restores();
    let (_, job) = restores
        .download(&world.caller, world.project, "c", None, newest, None)
        .await?;
    assert_eq!(job.status, Status::Completed);
    let link = world.engine.downloads().link(&job);
    Ok(link.expect("a download has a link"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_holds_every_document_and_the_same_bytes_each_time() -> anyhow::Result<()> {
    let mongo = RealMongo::replica_set().start().await?;
    sample::load(&mongo.client().await?, SampleOptions::small()).await?;
    let world = World::started().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    let snapshot = world.snapshot("c").await?;
    let link = offered(&world).await?;
    let (token, file) = link.split_once('/').expect("token and file name");
    assert!(file.ends_with(".tar.gz"));
    let archive = fetch(&world, token).await?;
    assert_eq!(
        archive,
        fetch(&world, token).await?,
        "the entity tag promises the same bytes"
    );
    let members = members(&archive)?;
    let documents: u64 = members
        .iter()
        .filter(|(path, _)| path.ends_with(".bson"))
        .map(|(_, content)| count_documents(content))
        .sum();
    let outcome = snapshot.outcome.expect("it is complete");
    assert_eq!(documents, outcome.documents);
    let metadata = members
        .keys()
        .filter(|path| path.ends_with(".metadata.json"))
        .count();
    assert_eq!(metadata, outcome.collections as usize);
    assert!(members.contains_key("RESTORE.txt"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_good_for_four_hours_and_cannot_be_made_up() -> anyhow::Result<()> {
    let (_mongo, world) = with_a_snapshot().await?;
    let link = offered(&world).await?;
    let token = link.split('/').next().expect("a token").to_owned();
    let downloads = world.engine.downloads();
    let mut altered = token.clone().into_bytes();
    let last = altered.last_mut().expect("a token has characters");
    *last = if *last == b'0' { b'1' } else { b'0' };
    let altered = String::from_utf8(altered)?;
    for wrong in [altered.as_str(), "", &token[..24], "é", &token[1..]] {
        let opened = downloads.open(wrong, world.caller.address).await;
        assert!(matches!(opened, Err(Error::DownloadNotFound)), "{wrong}");
    }
    world.clock.advance_hours(3);
    assert!(downloads.open(&token, world.caller.address).await.is_ok());
    world.clock.advance_hours(1);
    let opened = downloads.open(&token, world.caller.address).await;
    assert!(matches!(opened, Err(Error::DownloadExpired)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_access_list_decides_from_where_links_work() -> anyhow::Result<()> {
    let (_mongo, world) = with_a_snapshot().await?;
    let link = offered(&world).await?;
    let token = link.split('/').next().expect("a token");
    let entry = model::AccessEntry {
        block: "203.0.113.0/24".parse()?,
        comment: String::new(),
        created_at: world.engine.now(),
        delete_after: None,
    };
    world
        .engine
        .projects()
        .access_add(&world.caller, world.project, &[entry])
        .await?;
    let downloads = world.engine.downloads();
    let opened = downloads.open(token, world.caller.address).await;
    assert!(matches!(opened, Err(Error::Denied)));
    assert!(downloads.open(token, "203.0.113.9".parse()?).await.is_ok());
    Ok(())
}

/// Writes everything anew that a store has, and removes what nobody needs then.
pub(crate) async fn rewrite_all(world: World) -> anyhow::Result<World> {
    let (repacks, sweeps) = (world.store().await?, world.store().await?);
    let rewrite = async || {
        let options = vault::RepackOptions {
            live_hundredths_min: 101,
            ..vault::RepackOptions::default()
        };
        let repacked = repacks.repository.repack(&options).await?;
        anyhow::ensure!(repacked.packs > 0, "there was nothing to write anew");
        #[expect(clippy::disallowed_methods, reason = "the object store's own clock")]
        let now = std::time::SystemTime::now();
        let swept = sweeps.repository.sweep(std::time::Duration::ZERO, now);
        anyhow::ensure!(swept.await?.packs > 0, "there was nothing to remove");
        Ok(())
    };
    Ok(world.with_the_directory_free(rewrite).await?.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn writing_packs_anew_changes_neither_the_entity_tag_nor_the_bytes() -> anyhow::Result<()> {
    let mongo = RealMongo::replica_set().start().await?;
    let client = mongo.client().await?;
    sample::load(&client, SampleOptions::small()).await?;
    let world = World::started().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    world.snapshot("c").await?;
    // One that shares with the one before, so that its documents lie in several packs.
    let more = client.database("more").collection("more");
    more.insert_one(bson::doc! { "_id": 1 }).await?;
    let snapshot = world.snapshot("c").await?;
    let restores = world.engine.restores();
    let (_, job) = restores
        .download(&world.caller, world.project, "c", None, snapshot.id, None)
        .await?;
    let link = world.engine.downloads().link(&job);
    let link = link.expect("a download has a link");
    let token = link.split('/').next().expect("a token").to_owned();
    let address = world.caller.address;
    let opened = world.engine.downloads().open(&token, address).await?;
    let (tag, bytes) = (opened.entity_tag(), fetch(&world, &token).await?);

    let world = rewrite_all(world).await?;
    let opened = world.engine.downloads().open(&token, address).await?;
    assert_eq!(opened.entity_tag(), tag);
    assert!(
        fetch(&world, &token).await? == bytes,
        "an interrupted download would go on with other bytes"
    );
    Ok(())
}
