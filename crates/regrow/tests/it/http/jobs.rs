//! Asking for snapshots and restores: what the answer says, and what is refused meanwhile.

use serde_json::{Value, json};
use testkit::{RealMongo, wait_for};

use super::world::{LIMIT, World, mongo};

impl World {
    /// Waits until an entity satisfies a condition, and returns it.
    async fn until(&self, path: String, holds: impl Fn(&Value) -> bool) -> Value {
        let asked = wait_for(LIMIT, &path, || async {
            let found = self.get(&path).await.is(200);
            if holds(&found) {
                Ok(found)
            } else {
                Err(found.to_string())
            }
        });
        asked.await.unwrap()
    }
}

#[tokio::test]
async fn a_snapshot_in_progress_is_neither_taken_twice_nor_used() {
    let world = World::new().await;
    world.attach("crow", "M2", &mongo().await.uri()).await;
    let own = world.own("/clusters/crow/snapshots");
    let taken = world
        .post(&own, json!({ "retentionInDays": 3 }))
        .await
        .is(201);
    assert_eq!(
        (&taken["status"], &taken["snapshotType"]),
        (&json!("PENDING"), &json!("onDemand"))
    );
    assert_eq!(
        taken["expiresAt"], "2023-11-17T22:13:20Z",
        "three days later"
    );
    for absent in ["finishedAt", "documents", "consistency", "failureReason"] {
        assert_eq!(taken.get(absent), None, "{absent}");
    }
    world
        .post(&own, json!({}))
        .await
        .is_error(400, "UNFINISHED_ON_DEMAND_SNAPSHOT");

    let id = taken["id"].as_str().unwrap();
    let tenant = world.group("/clusters/crow/backup/tenant");
    let body = json!({ "snapshotId": id });
    let answer = world.post(&format!("{tenant}/download"), body).await;
    answer.is_error(409, "CANNOT_DOWNLOAD_INCOMPLETE_SNAPSHOT");
    let body = json!({ "snapshotId": id, "targetDeploymentItemName": "crow" });
    let answer = world.post(&format!("{tenant}/restore"), body).await;
    answer.is_error(
        409,
        "CANNOT_START_RESTORE_JOB_FOR_INCOMPLETE_CLUSTER_SNAPSHOT",
    );
    let answer = world.delete(&format!("{own}/{id}")).await;
    assert_eq!(
        answer.is_error(400, "CANNOT_DELETE_IN_PROGRESS_SNAPSHOT"),
        json!([id])
    );
    world
        .delete(&world.own("/clusters/crow"))
        .await
        .is_error(409, "CONFLICT");

    for days in ["0", "-1", "40000", "\"3\""] {
        let body = Some(format!("{{\"retentionInDays\":{days}}}"));
        let answer = world
            .ask(&world.owner, reqwest::Method::POST, &own, body)
            .await;
        assert_eq!(
            answer.is(400)["parameters"],
            json!(["retentionInDays"]),
            "{days}"
        );
    }
}

#[tokio::test]
async fn one_restore_at_a_time_runs_onto_a_target_in_either_family() {
    let mut world = World::new().await;
    let mut mongo = RealMongo::replica_set().start().await.unwrap();
    let other_mongo = RealMongo::replica_set().start().await.unwrap();
    world.attach("crow", "M2", &mongo.uri()).await;
    world.attach("gull", "SERVERLESS", &other_mongo.uri()).await;
    world.start_workers();
    let of_crow = world.snapshot("crow").await;
    let of_gull = world.snapshot("gull").await;
    world.stop_workers().await;

    let tenant = world.group("/clusters/crow/backup/tenant");
    let body = json!({
        "snapshotId": of_crow, "targetDeploymentItemName": "crow", "targetProjectId": "",
    });
    let job = world
        .post(&format!("{tenant}/restore"), body.clone())
        .await
        .is(200);
    assert_eq!(
        (&job["status"], &job["deliveryType"]),
        (&json!("PENDING"), &json!("RESTORE"))
    );
    assert_eq!(
        (job.get("restoreFinishedDate"), job.get("snapshotUrl")),
        (None, None)
    );
    let again = world.post(&format!("{tenant}/restore"), body.clone()).await;
    again.is_error(409, "ATLAS_CLUSTER_RESTORE_IN_PROGRESS");
    let crow = world.get(&world.group("/clusters/crow")).await.is(200);
    assert_eq!(crow["stateName"], "UPDATING");

    let serverless = world.group("/serverless/gull/backup/restoreJobs");
    let body = json!({
        "deliveryType": "automated", "snapshotId": of_gull,
        "targetClusterName": "gull", "targetGroupId": world.project,
    });
    // As the documentation writes the path, with a slash at the end.
    let other = world.post(&format!("{serverless}/"), body).await.is(200);
    assert_eq!(
        (&other["deliveryType"], &other["deliveryUrl"]),
        (&json!("automated"), &json!([]))
    );
    assert_eq!(other.get("finishedAt"), None);
    for flag in ["failed", "cancelled", "expired"] {
        assert_eq!(other[flag], false, "{flag}");
    }

    world.start_workers();
    let done = world.until(format!("{tenant}/restores/{}", id(&job)), |job| {
        job["status"] == "COMPLETED"
    });
    assert!(done.await["restoreFinishedDate"].is_string());
    let done = world.until(format!("{serverless}/{}", id(&other)), |job| {
        job["finishedAt"].is_string()
    });
    assert_eq!(done.await["failed"], false);
    let own = world.own(&format!("/clusters/crow/restores/{}", id(&job)));
    let own = world.get(&own).await.is(200);
    assert_eq!(
        (&own["status"], &own["report"]),
        (&json!("COMPLETED"), &json!([]))
    );
    world
        .until(world.group("/clusters/crow"), |crow| {
            crow["stateName"] == "IDLE"
        })
        .await;

    mongo.stop().await.unwrap();
    let body = json!({ "snapshotId": of_crow, "targetDeploymentItemName": "crow" });
    let answer = world.post(&format!("{tenant}/restore"), body).await;
    answer.is_error(400, "TENANT_RESTORE_DESTINATION_UNAVAILABLE");
    world.stop().await;
}

#[tokio::test]
async fn a_restore_goes_from_one_tier_to_another_by_the_request_of_our_own() {
    let mut world = World::new().await;
    let mongo = RealMongo::replica_set().start().await.unwrap();
    world.attach("crow", "M2", &mongo.uri()).await;
    world.attach("gull", "SERVERLESS", &mongo.uri()).await;
    world.start_workers();
    let snapshot = world.snapshot("crow").await;
    let body = json!({ "snapshotId": snapshot, "targetClusterName": "gull" });
    let restores = world.own("/clusters/crow/restores");
    let job = world.post(&restores, body).await.is(201);
    assert_eq!(job["targetClusterName"], "gull");
    let done = world.until(format!("{restores}/{}", id(&job)), |job| {
        job["status"] == "COMPLETED"
    });
    let done = done.await;
    let list = world.get(&restores).await.is(200);
    // A list leaves the reports out: they have a row for each collection.
    assert_eq!(
        (&list["results"][0]["id"], list["results"][0].get("report")),
        (&done["id"], None)
    );
    assert_eq!(done["report"], json!([]));
    world.stop().await;
}

fn id(entity: &Value) -> &str {
    entity["id"].as_str().unwrap()
}
