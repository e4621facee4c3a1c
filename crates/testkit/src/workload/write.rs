//! Writes to documents: one or many, ordered or not, in every form that the server has.

use bson::{Bson, DateTime, Document, doc};

use super::value::{body, document, equal_ids, id};
use super::writer::{Refusal, STEADY_DATABASE, Went, Writer};

/// Documents of one insert or operations of one bulk write at most.
const MANY: u32 = 30;

impl Writer {
    /// Does one drawn write; returns its name and how it went.
    pub(super) async fn write(&mut self) -> (&'static str, Went) {
        match self.random.below(18) {
            0 | 1 => ("insert", self.insert(1).await),
            2 => {
                let many = 1 + self.random.below(MANY);
                ("insert many", self.insert(many).await)
            }
            3..=5 => ("update", self.update().await),
            6 => ("update many", self.update_many().await),
            7 | 8 => ("replace", self.replace().await),
            9 => ("delete", self.delete().await),
            10 => ("delete many", self.delete_many().await),
            11 => ("bulk update", self.bulk_update().await),
            12 => ("find and modify", self.find_and_modify().await),
            13 => ("equal identity", self.equal_identity().await),
            14 => ("out or merge", self.out_or_merge().await),
            15 => ("measure", self.measure().await),
            16 => ("log", self.log().await),
            _ => (
                "delete and insert again",
                self.delete_and_insert_again().await,
            ),
        }
    }

    async fn insert(&mut self, count: u32) -> Went {
        let place = self.place();
        let documents: Vec<Document> = (0..count)
            .map(|_| document(&mut self.random, self.space))
            .collect();
        let ordered = self.random.below(2) == 0;
        let command = doc! { "insert": place.name, "documents": documents, "ordered": ordered };
        self.send(&place.database, command).await
    }

    /// Draws an update of a document that has already been found.
    pub(super) fn change(&mut self) -> Bson {
        let random = &mut self.random;
        match random.below(6) {
            0 => doc! { "$set": { "text": random.words(6), "nested.b.c": random.int(9) } }.into(),
            1 => doc! { "$inc": { "count": random.int(5) } }.into(),
            2 => {
                let each = vec![random.int(9), random.int(9)];
                doc! { "$push": { "list": { "$each": each, "$slice": -40 } } }.into()
            }
            3 => doc! { "$unset": { "large": 1, "text": 1 }, "$set": { "count": 0 } }.into(),
            4 => {
                let digits = random.below(20_000) as usize;
                doc! { "$set": { "grown": random.token(digits) } }.into()
            }
            _ => {
                let sum = doc! { "$add": [{ "$ifNull": ["$count", 0] }, 1] };
                let stages = vec![doc! { "$set": { "count": sum, "piped": true } }];
                Bson::Array(stages.into_iter().map(Bson::from).collect())
            }
        }
    }

    async fn update(&mut self) -> Went {
        let place = self.place();
        let query = doc! { "_id": id(&mut self.random, self.space) };
        let upsert = self.random.below(4) == 0;
        let update = doc! { "q": query, "u": self.change(), "upsert": upsert };
        let command = doc! { "update": place.name, "updates": [update] };
        self.send(&place.database, command).await
    }

    async fn update_many(&mut self) -> Went {
        let place = self.place();
        let query = doc! { "group": self.random.int(10), "nested.a": self.random.int(5) };
        let update = doc! { "q": query, "u": self.change(), "multi": true };
        let command = doc! { "update": place.name, "updates": [update] };
        self.send(&place.database, command).await
    }

    async fn replace(&mut self) -> Went {
        let place = self.place();
        let query = doc! { "_id": id(&mut self.random, self.space) };
        let update = doc! { "q": query, "u": body(&mut self.random), "upsert": true };
        let command = doc! { "update": place.name, "updates": [update] };
        self.send(&place.database, command).await
    }

    async fn delete(&mut self) -> Went {
        let place = self.place();
        let query = doc! { "_id": id(&mut self.random, self.space) };
        let command = doc! { "delete": place.name, "deletes": [{ "q": query, "limit": 1 }] };
        self.send(&place.database, command).await
    }

    async fn delete_many(&mut self) -> Went {
        let place = self.place();
        let query = doc! { "group": self.random.int(10), "count": { "$lt": self.random.int(500) } };
        let command = doc! { "delete": place.name, "deletes": [{ "q": query, "limit": 0 }] };
        self.send(&place.database, command).await
    }

    /// Many updates in one command: ordered ones stop at the first that fails.
    async fn bulk_update(&mut self) -> Went {
        let place = self.place();
        let count = 1 + self.random.below(MANY);
        let updates: Vec<Document> = (0..count)
            .map(|_| {
                let query = doc! { "_id": id(&mut self.random, self.space) };
                let upsert = self.random.below(2) == 0;
                doc! { "q": query, "u": self.change(), "upsert": upsert }
            })
            .collect();
        let ordered = self.random.below(2) == 0;
        let command = doc! { "update": place.name, "updates": updates, "ordered": ordered };
        self.send(&place.database, command).await
    }

    async fn find_and_modify(&mut self) -> Went {
        let place = self.place();
        let mut command = doc! {
            "findAndModify": place.name, "query": { "group": self.random.int(10) },
            "sort": { "count": 1 },
        };
        if self.random.below(3) == 0 {
            command.insert("remove", true);
        } else {
            command.insert("update", self.change());
            command.insert("upsert", self.random.below(2) == 0);
        }
        self.send(&place.database, command).await
    }

    /// Gives a document an identity that is equal to its own and of another type.
    async fn equal_identity(&mut self) -> Went {
        let place = self.place();
        let (old, new) = equal_ids(&mut self.random, self.space);
        let mut replacement = doc! { "_id": new.clone() };
        replacement.extend(body(&mut self.random));
        if self.random.below(2) == 0 {
            let update = doc! { "q": { "_id": old }, "u": replacement, "upsert": true };
            let command = doc! { "update": place.name, "updates": [update] };
            return self.send(&place.database, command).await;
        }
        let delete =
            doc! { "delete": &place.name, "deletes": [{ "q": { "_id": old }, "limit": 1 }] };
        self.send(&place.database, delete).await?;
        let insert = doc! { "insert": place.name, "documents": [replacement] };
        self.send(&place.database, insert).await
    }

    async fn delete_and_insert_again(&mut self) -> Went {
        let place = self.place();
        let again = document(&mut self.random, self.space);
        let query = doc! { "_id": again.get("_id").cloned().unwrap_or(Bson::Null) };
        let delete = doc! { "delete": &place.name, "deletes": [{ "q": query, "limit": 1 }] };
        self.send(&place.database, delete).await?;
        let insert = doc! { "insert": place.name, "documents": [again] };
        self.send(&place.database, insert).await
    }

    async fn out_or_merge(&mut self) -> Went {
        if self.random.below(6) != 0 {
            // They write much: most draws become something small.
            return self.update().await;
        }
        let (from, to) = (self.place(), self.passing());
        let filter = doc! { "$match": { "group": self.random.int(10) } };
        let into = doc! { "db": &to.database, "coll": &to.name };
        let last = if self.random.below(2) == 0 {
            doc! { "$out": into }
        } else {
            doc! { "$merge": { "into": into, "whenMatched": "replace" } }
        };
        let pipeline = vec![filter, last];
        let command = doc! { "aggregate": from.name, "pipeline": pipeline, "cursor": {} };
        self.send(&from.database, command).await
    }

    /// Writes to the time series that always stays, whose buckets change while they are open.
    async fn measure(&mut self) -> Went {
        let now = DateTime::now().timestamp_millis();
        let random = &mut self.random;
        let documents: Vec<Document> = (0..1 + random.below(10))
            .map(|_| {
                let at = DateTime::from_millis(now - i64::from(random.int(100_000)));
                doc! { "at": at, "sensor": random.int(4), "value": random.unit() }
            })
            .collect();
        let command = doc! { "insert": "series", "documents": documents };
        self.send(STEADY_DATABASE, command).await
    }

    /// Writes to the capped collection that always stays, which forgets its oldest.
    async fn log(&mut self) -> Went {
        let line = doc! { "line": self.random.words(10), "level": self.random.int(5) };
        let command = doc! { "insert": "log", "documents": [line] };
        match self.send(STEADY_DATABASE, command).await {
            Err(Refusal::Named(reason)) => Err(Refusal::Named(format!("{reason} (log)"))),
            other => other,
        }
    }
}
