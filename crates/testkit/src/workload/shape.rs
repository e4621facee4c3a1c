//! Changes of the catalog: collections of every kind come, go, move and change what they are.

use bson::{DateTime, Document, doc};

use super::value::document;
use super::writer::{CLUSTERED, Place, Refusal, Went, Writer};

/// Documents that a new collection begins with, at most.
const FIRST_DOCUMENTS: u32 = 60;
/// One drop in so many is of a whole database.
const DATABASE_ONE_IN: u32 = 5;

impl Writer {
    /// Changes the catalog once; returns the name of the change and how it went.
    pub(super) async fn change_shape(&mut self) -> (&'static str, Went) {
        let place = self.passing();
        match self.random.below(14) {
            0..=2 => ("create", self.create(&place).await),
            3 if self.random.below(DATABASE_ONE_IN) == 0 => {
                let drop = doc! { "dropDatabase": 1 };
                ("drop database", self.send(&place.database, drop).await)
            }
            3 => ("drop", self.drop(&place).await),
            4 | 5 => ("drop and create again", self.create_again(&place).await),
            6 | 7 => ("rename", self.rename().await),
            8 => ("collMod", self.modify(&place).await),
            9 | 10 => ("create index", self.create_index(&place).await),
            11 => ("drop index", self.drop_index(&place).await),
            12 => {
                let place = self.ordinary();
                let command = doc! { "convertToCapped": place.name, "size": 100_000 };
                (
                    "convert to capped",
                    self.send(&place.database, command).await,
                )
            }
            _ => ("copy as capped", self.copy_as_capped().await),
        }
    }

    async fn create(&mut self, place: &Place) -> Went {
        let command = self.creation(&place.name);
        let is_view = command.contains_key("viewOn");
        let is_series = command.contains_key("timeseries");
        self.send(&place.database, command).await?;
        if is_view {
            return Ok(());
        }
        if self.random.below(2) == 0 && !is_series {
            self.create_index(place).await?;
        }
        let count = self.random.below(FIRST_DOCUMENTS);
        let documents: Vec<Document> = (0..=count)
            .map(|_| {
                let mut document = document(&mut self.random, self.space);
                document.insert("at", DateTime::now());
                document
            })
            .collect();
        let insert = doc! { "insert": &place.name, "documents": documents, "ordered": false };
        match self.send(&place.database, insert).await {
            // Identities are drawn, so some come twice; the others are there.
            Err(Refusal::Named(reason)) if reason.starts_with("write error") => Ok(()),
            other => other,
        }
    }

    fn creation(&mut self, name: &str) -> Document {
        let mut command = doc! { "create": name };
        if name == CLUSTERED {
            let cluster = doc! { "key": { "_id": 1 }, "unique": true };
            command.insert("clusteredIndex", cluster);
            return command;
        }
        match self.random.below(9) {
            0 => {
                command.insert("capped", true);
                command.insert("size", 200_000);
            }
            1 => {
                let series = doc! { "timeField": "at", "metaField": "group" };
                command.insert("timeseries", series);
            }
            2 => {
                command.insert("viewOn", "c0");
                command.insert("pipeline", vec![doc! { "$match": { "group": 1 } }]);
            }
            3 => {
                command.insert("validator", doc! { "count": { "$exists": true } });
                command.insert("validationAction", "warn");
            }
            4 => {
                command.insert("collation", doc! { "locale": "en", "strength": 2 });
            }
            _ => {}
        }
        command
    }

    async fn drop(&mut self, place: &Place) -> Went {
        self.send(&place.database, doc! { "drop": &place.name })
            .await
    }

    /// The trap of traps: the same name, another collection.
    async fn create_again(&mut self, place: &Place) -> Went {
        self.drop(place).await?;
        self.create(place).await
    }

    /// Moves a collection within its database or to another one, perhaps onto one that is there.
    async fn rename(&mut self) -> Went {
        let (from, mut to) = (self.ordinary(), self.ordinary());
        if self.random.below(3) != 0 {
            to.database.clone_from(&from.database);
        }
        let onto = self.random.below(2) == 0;
        let command = doc! { "renameCollection": from.full(), "to": to.full(), "dropTarget": onto };
        self.send("admin", command).await
    }

    async fn modify(&mut self, place: &Place) -> Went {
        let mut command = doc! { "collMod": &place.name };
        match self.random.below(4) {
            0 => {
                let least = self.random.int(50);
                command.insert("validator", doc! { "count": { "$gte": least } });
                command.insert("validationAction", "warn");
            }
            1 => {
                let hidden = self.random.below(2) == 0;
                command.insert("index", doc! { "name": "group_1", "hidden": hidden });
            }
            2 => {
                let seconds = 1 + self.random.int(100);
                command.insert(
                    "index",
                    doc! { "name": "at_1", "expireAfterSeconds": seconds },
                );
            }
            _ => {
                let enabled = self.random.below(2) == 0;
                command.insert("changeStreamPreAndPostImages", doc! { "enabled": enabled });
            }
        }
        self.send(&place.database, command).await
    }

    async fn create_index(&mut self, place: &Place) -> Went {
        let index = match self.random.below(6) {
            0 => doc! { "key": { "group": 1 }, "name": "group_1" },
            1 => doc! { "key": { "at": 1 }, "name": "at_1", "expireAfterSeconds": 3 },
            2 => doc! { "key": { "text": "text" }, "name": "text_text" },
            3 => doc! { "key": { "_id": "hashed" }, "name": "_id_hashed" },
            4 => doc! {
                "key": { "nested.a": 1, "count": -1 }, "name": "nested.a_1_count_-1",
                "partialFilterExpression": { "count": { "$gt": 5 } },
            },
            _ => doc! { "key": { "$**": 1 }, "name": "all" },
        };
        let command = doc! { "createIndexes": &place.name, "indexes": [index] };
        self.send(&place.database, command).await
    }

    async fn drop_index(&mut self, place: &Place) -> Went {
        let index = self
            .random
            .pick(&["group_1", "at_1", "text_text", "all", "*"]);
        let command = doc! { "dropIndexes": &place.name, "index": index };
        self.send(&place.database, command).await
    }

    async fn copy_as_capped(&mut self) -> Went {
        let (from, to) = (self.ordinary(), self.ordinary());
        let command = doc! {
            "cloneCollectionAsCapped": from.name, "toCollection": to.name, "size": 100_000,
        };
        self.send(&from.database, command).await
    }
}
