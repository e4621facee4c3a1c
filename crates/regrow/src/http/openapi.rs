//! The OpenAPI document: what the routes say of themselves, and what holds for all of them.
//!
//! Path parameters, the common query parameters, the error document and the authentication are
//! added here, so that no route can forget them.

use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, Ref, RefOr, Required,
    ResponseBuilder, Server,
};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::router;

/// Returns the description of every request that the service answers to authenticated callers.
pub fn document() -> OpenApi {
    let mut document = router::described();
    document.info = InfoBuilder::new()
        .title("Regrow")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Backs up and restores MongoDB that you run yourself. Paths below /api/atlas/v1.0 \
             have the shapes of the Atlas Administration API, version 1.0; those below \
             /api/regrow/v1 are Regrow's own. Not affiliated with MongoDB, Inc.",
        ))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").build()))
        .build();
    document.servers = Some(vec![Server::new("http://127.0.0.1:8080")]);
    document.security = Some(vec![SecurityRequirement::new("digest", [] as [String; 0])]);
    add_components(document.components.get_or_insert_with(Components::new));
    for (path, item) in &mut document.paths.paths {
        let operations = [
            &mut item.get,
            &mut item.post,
            &mut item.patch,
            &mut item.delete,
        ]
        .into_iter();
        for operation in operations.flatten() {
            complete(path, operation);
        }
    }
    document
}

fn add_components(components: &mut Components) {
    let digest = Http::builder()
        .scheme(HttpAuthScheme::Digest)
        .description(Some("Public key as the user, private key as the password."))
        .build();
    components.add_security_scheme("digest", SecurityScheme::Http(digest));
    let name = api::error::ErrorDocument::name().into_owned();
    components
        .schemas
        .insert(name, api::error::ErrorDocument::schema());
}

fn complete(path: &str, operation: &mut Operation) {
    let parameters = operation.parameters.get_or_insert_with(Vec::new);
    for name in path
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next())
    {
        parameters.push(parameter(name, ParameterIn::Path, text()));
    }
    let is_list = operation
        .operation_id
        .as_deref()
        .is_some_and(|id| id.starts_with("list"));
    if is_list {
        parameters.push(parameter("pageNum", ParameterIn::Query, number(1, None, 1)));
        parameters.push(parameter(
            "itemsPerPage",
            ParameterIn::Query,
            number(1, Some(500), 100),
        ));
        parameters.push(parameter("includeCount", ParameterIn::Query, flag(true)));
    }
    parameters.push(parameter("pretty", ParameterIn::Query, flag(false)));
    parameters.push(parameter("envelope", ParameterIn::Query, flag(false)));
    let schema = Ref::from_schema_name(api::error::ErrorDocument::name());
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let failure = ResponseBuilder::new()
        .description("What went wrong, with a code.")
        .content(api::JSON, content)
        .build();
    operation
        .responses
        .responses
        .insert("default".to_owned(), RefOr::T(failure));
}

fn parameter(name: &str, place: ParameterIn, schema: Object) -> RefOr<Parameter> {
    let required = if place == ParameterIn::Path {
        Required::True
    } else {
        Required::False
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .schema(Some(Schema::Object(schema)))
        .build()
        .into()
}

fn text() -> Object {
    ObjectBuilder::new().schema_type(Type::String).build()
}

fn flag(default: bool) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Boolean)
        .default(Some(default.into()))
        .build()
}

fn number(minimum: u32, maximum: Option<u32>, default: u32) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(minimum))
        .maximum(maximum)
        .default(Some(default.into()))
        .build()
}
