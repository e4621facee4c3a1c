//! Keys, projects and access lists by the command line.

use serde_json::json;

use super::world::{World, ended};

#[tokio::test]
async fn a_key_can_be_made_limited_and_deleted() {
    let world = World::new().await;
    let create = ["key", "create", "--description", "reader", "--role"];
    let reader = world
        .json(&[&create[..], &["GROUP_READ_ONLY"]].concat())
        .await;
    let (public, private) = (&reader["publicKey"], &reader["privateKey"]);
    let as_reader = |arguments: &[&str]| {
        let mut command = world.command(arguments);
        command
            .env("REGROW_PUBLIC_KEY", public.as_str().unwrap())
            .env("REGROW_PRIVATE_KEY", private.as_str().unwrap());
        command
    };
    let list = ["cluster", "list"];
    ended(&mut as_reader(&list)).await.is(0);
    let add = [
        "cluster",
        "add",
        "x",
        "--tier",
        "M2",
        "--uri",
        "mongodb://127.0.0.1:1/",
    ];
    let ran = ended(&mut as_reader(&add)).await;
    ran.fails(4, &["USER_UNAUTHORIZED", "GROUP_OWNER"]);

    let public = public.as_str().unwrap();
    let of_project = world.run(&["key", "list"]).await.is(0).stdout;
    assert!(of_project.contains(public) && of_project.contains("GROUP_READ_ONLY"));
    let of_all = world.json(&["key", "list", "--organization"]).await;
    assert_eq!(of_all["totalCount"], 2);
    // The private half was shown once.
    let shown = &of_all["results"][1]["privateKey"];
    assert_ne!(shown, private, "{of_all}");

    let access = |action| ["key", "access", action, public];
    let empty = world.run(&access("list")).await.is(0).stdout;
    assert!(empty.contains("from anywhere"), "{empty}");
    let entries = ["192.0.2.0/24", "2001:db8::1"];
    let added = world.json(&[&access("add")[..], &entries].concat()).await;
    assert_eq!(added["totalCount"], 2);
    let ran = ended(&mut as_reader(&list)).await;
    ran.fails(
        4,
        &[
            "IP_ADDRESS_NOT_ON_ACCESS_LIST",
            "127.0.0.1",
            "regrow key access add",
        ],
    );
    for entry in entries {
        world
            .run(&[&access("remove")[..], &[entry]].concat())
            .await
            .is(0);
    }
    ended(&mut as_reader(&list)).await.is(0);

    let asked = world.run(&["key", "delete", public]).await.is(2);
    assert!(asked.stderr.contains("will be DELETED"), "{}", asked.stderr);
    world.run(&["key", "delete", public, "--yes"]).await.is(0);
    ended(&mut as_reader(&list)).await.is(4);
    world
        .run(&["key", "delete", public, "--yes"])
        .await
        .fails(3, &[public]);
    let ran = world.run(&[&create[..], &["EMPEROR"]].concat()).await;
    ran.fails(3, &["INVALID_ENUM_VALUE", "EMPEROR"]);
}

#[tokio::test]
async fn a_project_can_be_made_limited_and_deleted() {
    let world = World::new().await;
    let made = world.json(&["project", "create", "Birds&Co"]).await;
    assert_eq!(made["orgId"], world.key.org);
    let listed = world.json(&["project", "list"]).await;
    assert_eq!(listed["totalCount"], 2);
    world
        .run(&["project", "create", "Birds&Co"])
        .await
        .fails(3, &["GROUP_ALREADY_EXISTS"]);

    // With two projects one must be named.
    let mut unnamed = world.command(&["cluster", "list"]);
    let ran = ended(unnamed.env_remove("REGROW_PROJECT_ID")).await;
    ran.fails(2, &["more than one project", "--project"]);

    let access = |action| ["project", "access", action, "--project", "Birds&Co"];
    let entry = [
        "192.0.2.7",
        "--comment",
        "office",
        "--delete-after",
        "2999-01-31T12:00:00Z",
    ];
    let added = world.json(&[&access("add")[..], &entry].concat()).await;
    assert_eq!(added["results"][0]["comment"], "office");
    assert_eq!(
        added["results"][0]["deleteAfterDate"],
        "2999-01-31T12:00:00Z"
    );
    let nonsense = world.run(&[&access("add")[..], &["office"]].concat()).await;
    nonsense.fails(3, &["INVALID_IP_ADDRESS_OR_CIDR_NOTATION", "office"]);
    let removed = world
        .json(&[&access("remove")[..], &["192.0.2.7"]].concat())
        .await;
    assert_eq!(removed["results"], json!([]));

    world
        .run(&["project", "delete", "Birds&Co", "--yes"])
        .await
        .is(0);
    assert_eq!(world.json(&["project", "list"]).await["totalCount"], 1);
}
