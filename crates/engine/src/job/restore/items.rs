//! What of a snapshot goes where: the catalog that the target is to have.

use model::{Selection, selection};
use mongo::{Catalog, Collection, CollectionKind};
use vault::Manifest;

use super::{Error, merge};
use crate::namespace;

/// One collection, view or time series that is put back.
pub(super) struct Item {
    /// Its place in the manifest's list.
    pub(super) place: usize,
    /// As it is to be on the target, name included.
    pub(super) wanted: Collection,
}

/// Everything that is put back.
pub(super) struct Items {
    /// In the manifest's order.
    pub(super) list: Vec<Item>,
    /// Whether only a part of the target is concerned, and everything else stays.
    pub(super) is_part: bool,
}

impl Items {
    /// Follows the selection, or takes everything.
    pub(super) fn of(manifest: &Manifest, selection: Option<&Selection>) -> Result<Items, Error> {
        let catalog = namespace::catalog(manifest)?;
        let Some(selection) = selection else {
            let all = catalog.collections.into_iter().enumerate();
            let list = all.map(|(place, wanted)| Item { place, wanted }).collect();
            return Ok(Items {
                list,
                is_part: false,
            });
        };
        let targets = targets(&catalog, selection)?;
        let mut list = Vec::new();
        for ((place, held), target) in catalog.collections.into_iter().enumerate().zip(targets) {
            if let Some((database, name)) = target {
                let wanted = Collection {
                    database,
                    name,
                    ..held
                };
                list.push(Item { place, wanted });
            }
        }
        Ok(Items {
            list,
            is_part: true,
        })
    }

    /// Returns what holds documents.
    pub(super) fn holding(&self) -> impl Iterator<Item = &Item> {
        let kind = |item: &&Item| item.wanted.kind != CollectionKind::View;
        self.list.iter().filter(kind)
    }

    /// Returns the views.
    pub(super) fn views(&self) -> impl Iterator<Item = &Item> {
        let kind = |item: &&Item| item.wanted.kind == CollectionKind::View;
        self.list.iter().filter(kind)
    }

    /// Returns the catalog of what is put back, in the order of names.
    pub(super) fn catalog(&self) -> Catalog {
        let mut collections: Vec<Collection> =
            self.list.iter().map(|item| item.wanted.clone()).collect();
        collections.sort_by(|a, b| (&a.database, &a.name).cmp(&(&b.database, &b.name)));
        Catalog { collections }
    }
}

/// Fails with `InvalidSelection` where a selection cannot be followed through that snapshot.
pub(crate) fn check_selection(
    manifest: &Manifest,
    selection: &Selection,
) -> Result<(), model::Error> {
    let catalog = namespace::catalog(manifest).map_err(model::Error::internal)?;
    let targets = targets(&catalog, selection)?;
    if merge::filter(selection)?.is_some() {
        let chosen = catalog.collections.iter().zip(&targets);
        for (collection, _) in chosen.filter(|(_, target)| target.is_some()) {
            merge::check_matchable(collection)?;
        }
    }
    Ok(())
}

fn targets(
    catalog: &Catalog,
    selection: &Selection,
) -> Result<Vec<Option<selection::Name>>, model::Error> {
    let names: Vec<selection::Name> = catalog
        .collections
        .iter()
        .map(|collection| (collection.database.clone(), collection.name.clone()))
        .collect();
    let targets = selection.targets(&names);
    targets.map_err(|error| model::Error::InvalidSelection(error.0))
}
