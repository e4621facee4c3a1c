//! Projects, keys, roles and access lists.

use model::{
    AccessEntry, ApiKey, Error, KeyId, OrgId, Page, Project, ProjectId, Role, RoleAssignment,
};

use crate::world::*;

const OTHER: ProjectId = ProjectId::from_bytes([0x22; 12]);

fn other_project() -> Project {
    Project {
        id: OTHER,
        name: "Warehouse".to_owned(),
        created_at: at(5),
        ..project()
    }
}

fn entry(block: &str, delete_after: Option<i64>) -> AccessEntry {
    AccessEntry {
        block: block.parse().unwrap(),
        comment: "office".to_owned(),
        created_at: at(10),
        delete_after: delete_after.map(at),
    }
}

#[tokio::test]
async fn projects_are_listed_and_count_their_clusters() {
    let world = World::new().await;
    let meta = &world.meta;
    meta.project_insert(&other_project(), &actor())
        .await
        .unwrap();
    world.attach(10).await;
    let page = Page { number: 2, size: 1 };
    let listed = meta.projects(Some(ORG), page).await.unwrap();
    assert_eq!((listed.items, listed.total), (vec![other_project()], 2));
    assert_eq!(meta.projects(None, page).await.unwrap().total, 2);
    let none = OrgId::from_bytes([9; 12]);
    assert_eq!(meta.projects(Some(none), page).await.unwrap().total, 0);
    let found = meta.project(PROJECT).await.unwrap().unwrap();
    assert_eq!((found.name.as_str(), found.cluster_count), ("Shop", 1));
}

#[tokio::test]
async fn a_project_name_is_taken_once_per_organization() {
    let world = World::new().await;
    let twin = Project {
        id: OTHER,
        ..project()
    };
    let inserted = world.meta.project_insert(&twin, &actor()).await;
    assert_refused!(inserted, Error::ProjectExists(_));
    let foreign = Project {
        org_id: OrgId::from_bytes([9; 12]),
        ..other_project()
    };
    let inserted = world.meta.project_insert(&foreign, &actor()).await;
    assert_refused!(inserted, Error::OrganizationNotFound(_));
}

#[tokio::test]
async fn a_project_with_clusters_is_not_deleted_and_one_without_takes_its_roles_along() {
    let world = World::new().await;
    let meta = &world.meta;
    let cluster = world.attach(10).await;
    let deleted = meta.project_delete(PROJECT, &actor(), at(1)).await;
    assert_refused!(deleted, Error::ProjectHasClusters(PROJECT));
    meta.cluster_delete(cluster.id, &actor(), at(2))
        .await
        .unwrap();
    let entries = [entry("10.0.0.1", None)];
    meta.project_access_add(PROJECT, &entries, &actor(), at(2))
        .await
        .unwrap();
    meta.project_delete(PROJECT, &actor(), at(3)).await.unwrap();
    assert_eq!(meta.project(PROJECT).await.unwrap(), None);
    assert_eq!(meta.project_access(PROJECT).await.unwrap(), []);
    let roles = meta.key(KEY).await.unwrap().unwrap().roles;
    assert_eq!(roles, [RoleAssignment::Org(ORG, Role::OrgOwner)]);
    let again = meta.project_delete(PROJECT, &actor(), at(4)).await;
    assert_refused!(again, Error::ProjectNotFound(PROJECT));
}

#[tokio::test]
async fn keys_are_listed_by_organization_and_by_project() {
    let world = World::new().await;
    let meta = &world.meta;
    meta.project_insert(&other_project(), &actor())
        .await
        .unwrap();
    let second = ApiKey {
        id: KeyId::from_bytes([4; 12]),
        public_key: "ijklmnop".to_owned(),
        roles: vec![RoleAssignment::Project(OTHER, Role::GroupReadOnly)],
        created_at: at(7),
        ..key()
    };
    meta.key_insert(&second, &HA1.into(), &actor())
        .await
        .unwrap();
    let of_org = meta.keys_of_org(ORG, Page::FIRST).await.unwrap();
    assert_eq!(
        (of_org.items, of_org.total),
        (vec![key(), second.clone()], 2)
    );
    let of_other = meta.keys_of_project(OTHER, Page::FIRST).await.unwrap();
    assert_eq!(of_other.items, [second]);
    let of_project = meta.keys_of_project(PROJECT, Page::FIRST).await.unwrap();
    assert_eq!(of_project.items, [key()]);
}

#[tokio::test]
async fn roles_are_replaced_as_a_whole_or_not_at_all() {
    let world = World::new().await;
    let meta = &world.meta;
    let reader = vec![RoleAssignment::Project(PROJECT, Role::GroupReadOnly)];
    meta.key_set_roles(KEY, reader.clone(), &actor(), at(1))
        .await
        .unwrap();
    let unknown = vec![RoleAssignment::Project(OTHER, Role::GroupOwner)];
    let set = meta.key_set_roles(KEY, unknown, &actor(), at(2)).await;
    assert_refused!(set, Error::ProjectNotFound(OTHER));
    assert_eq!(meta.key(KEY).await.unwrap().unwrap().roles, reader);
    let nobody = KeyId::from_bytes([9; 12]);
    let set = meta.key_set_roles(nobody, reader, &actor(), at(3)).await;
    assert_refused!(set, Error::KeyNotFound(_));
}

#[tokio::test]
async fn a_deleted_key_no_longer_answers() {
    let world = World::new().await;
    let meta = &world.meta;
    let entries = [entry("10.0.0.1", None)];
    meta.key_access_add(KEY, &entries, &actor(), at(1))
        .await
        .unwrap();
    let before = meta.generation();
    meta.key_delete(KEY, &actor(), at(2)).await.unwrap();
    assert!(meta.key_by_public("abcdefgh").await.unwrap().is_none());
    assert_eq!(meta.key_access(KEY).await.unwrap(), []);
    assert!(meta.generation().keys > before.keys);
    assert_eq!(meta.generation().work, before.work);
    let again = meta.key_delete(KEY, &actor(), at(3)).await;
    assert_refused!(again, Error::KeyNotFound(KEY));
}

#[tokio::test]
async fn access_entries_are_added_all_or_none() {
    let world = World::new().await;
    let meta = &world.meta;
    let first = [entry("10.0.0.1", None), entry("2001:db8::/32", None)];
    meta.key_access_add(KEY, &first, &actor(), at(1))
        .await
        .unwrap();
    let second = [entry("10.9.9.9", None), entry("10.0.0.1/32", None)];
    let added = meta.key_access_add(KEY, &second, &actor(), at(2)).await;
    assert_refused!(added, Error::AccessEntryExists(_));
    assert_eq!(meta.key_access(KEY).await.unwrap(), first);
    let stored = meta.key_by_public("abcdefgh").await.unwrap().unwrap();
    assert_eq!(stored.access, first);

    meta.key_access_remove(KEY, first[0].block, &actor(), at(3))
        .await
        .unwrap();
    assert_eq!(meta.key_access(KEY).await.unwrap(), first[1..]);
    let again = meta
        .key_access_remove(KEY, first[0].block, &actor(), at(4))
        .await;
    assert_refused!(again, Error::AccessEntryNotFound { .. });
}

#[tokio::test]
async fn an_expired_access_entry_of_a_project_can_be_added_anew() {
    let world = World::new().await;
    let meta = &world.meta;
    let temporary = [entry("10.0.0.1", Some(100))];
    meta.project_access_add(PROJECT, &temporary, &actor(), at(10))
        .await
        .unwrap();
    let added = meta
        .project_access_add(PROJECT, &temporary, &actor(), at(99))
        .await;
    assert_refused!(added, Error::AccessEntryExists(_));
    let lasting = [entry("10.0.0.1", None)];
    meta.project_access_add(PROJECT, &lasting, &actor(), at(100))
        .await
        .unwrap();
    assert_eq!(meta.project_access(PROJECT).await.unwrap(), lasting);
    let nowhere = meta
        .project_access_add(OTHER, &lasting, &actor(), at(1))
        .await;
    assert_refused!(nowhere, Error::ProjectNotFound(OTHER));
}
